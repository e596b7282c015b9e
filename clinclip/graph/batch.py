"""Report graphs as arrays: character spans -> token spans (numpy), padding and stacking (torch).

The only file of ``clinclip.graph`` that imports torch, and only inside :func:`collate_graphs`. Node *features* are not
made here: the model pools them from the text tower's token states.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from clinclip.errors import ReportTextError
from clinclip.graph.schema import ENTITY_LABELS, RELATION_LABELS, Entity, Relation, ReportGraph

if TYPE_CHECKING:
    from clinclip.types import GraphBatch

_LABEL_INDEX = {label: i for i, label in enumerate(ENTITY_LABELS)}
_RELATION_INDEX = {label: i for i, label in enumerate(RELATION_LABELS)}
_LABEL_NAME = dict(enumerate(ENTITY_LABELS))
_RELATION_NAME = dict(enumerate(RELATION_LABELS))


@dataclass(frozen=True, slots=True)
class EncodedGraph:
    """One report's graph against one tokenisation of its text.

    Attributes:
        span_start: int64 (N,) first token of each entity.
        span_end: int64 (N,) one past its last token.
        label: int64 (N,) index into ENTITY_LABELS.
        entity: int64 (N,) hash of (lower-case text, label), never 0.
        edges: int64 (M, 2) node pairs, undirected, each once, without self-loops.
        dropped: entities whose span lies past the truncated text, or beyond ``max_nodes``.
    """

    span_start: np.ndarray
    span_end: np.ndarray
    label: np.ndarray
    entity: np.ndarray
    edges: np.ndarray
    dropped: int

    def __len__(self) -> int:
        return len(self.label)


@lru_cache(maxsize=65536)
def entity_hash(text: str, label: str) -> int:
    """A stable non-zero int64 for an entity's lower-case, white-space normalised text and its label."""
    key = f"{' '.join(text.lower().split())}\x1f{label}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little", signed=True) or 1


def encode_graph(graph: ReportGraph, offsets: Sequence[tuple[int, int]], max_nodes: int | None = None) -> EncodedGraph:
    """Map the entities of a graph onto the tokens that the text tower sees.

    Args:
        graph: Entities in character spans of the text that was tokenised.
        offsets: (start, end) characters of each token; (0, 0) for special tokens, as ``Encoding.offsets``.
        max_nodes: Keep at most this many nodes, in text order.

    Returns:
        Arrays in order of the entities. An entity that no token covers to its end was truncated: it is dropped,
        counted, and its edges go with it.
    """
    table = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    real = np.flatnonzero(table[:, 1] > table[:, 0])
    starts, ends = table[real, 0], table[real, 1]
    limit = int(ends[-1]) if len(ends) else 0
    begin = np.fromiter((e.start for e in graph.entities), dtype=np.int64, count=len(graph.entities))
    stop = np.fromiter((e.end for e in graph.entities), dtype=np.int64, count=len(graph.entities))
    first = np.searchsorted(ends, begin, side="right")
    last = np.searchsorted(starts, stop, side="left") - 1
    kept = np.flatnonzero((first <= last) & (stop <= limit))
    if max_nodes is not None:
        kept = kept[:max_nodes]
    position = np.full(len(begin), -1, dtype=np.int64)
    position[kept] = np.arange(len(kept))
    pairs = {
        (min(a, b), max(a, b))
        for r in graph.relations
        if (a := int(position[r.head])) >= 0 and (b := int(position[r.tail])) >= 0 and a != b
    }
    chosen = [graph.entities[i] for i in kept]
    return EncodedGraph(
        span_start=real[first[kept]],
        span_end=real[last[kept]] + 1,
        label=np.array([_LABEL_INDEX[e.label] for e in chosen], dtype=np.int64),
        entity=np.array([entity_hash(e.text, e.label) for e in chosen], dtype=np.int64),
        edges=np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2),
        dropped=len(begin) - len(kept),
    )


def collate_graphs(graphs: Sequence[EncodedGraph]) -> GraphBatch:
    """Pad to the largest graph of the batch (at least one node) and stack.

    Returns:
        A :class:`clinclip.types.GraphBatch` of B graphs and N nodes; padded spans are [0, 0), padded labels 0.
    """
    import torch

    from clinclip.types import GraphBatch

    size, width = len(graphs), max((len(g) for g in graphs), default=0) or 1
    columns = {name: np.zeros((size, width), dtype=np.int64) for name in ("span_start", "span_end", "label", "entity")}
    mask = np.zeros((size, width), dtype=bool)
    adjacency = np.zeros((size, width, width), dtype=bool)
    for row, graph in enumerate(graphs):
        count = len(graph)
        for name, column in columns.items():
            column[row, :count] = getattr(graph, name)
        mask[row, :count] = True
        heads, tails = graph.edges[:, 0], graph.edges[:, 1]
        adjacency[row, heads, tails] = True
        adjacency[row, tails, heads] = True
    return GraphBatch(
        **{name: torch.from_numpy(column) for name, column in columns.items()},
        mask=torch.from_numpy(mask),
        adjacency=torch.from_numpy(adjacency),
        dropped=torch.tensor([g.dropped for g in graphs], dtype=torch.int64),
    )


def graph_to_column(graph: ReportGraph) -> str:
    """The manifest's ``graph`` column: compact JSON of spans, label indices and relations."""
    return json.dumps(
        {
            "entities": [[e.start, e.end, _LABEL_INDEX[e.label]] for e in graph.entities],
            "relations": [[r.head, r.tail, _RELATION_INDEX[r.label]] for r in graph.relations],
        },
        separators=(",", ":"),
    )


def graph_from_column(column: str, text: str) -> ReportGraph:
    """Read the manifest's ``graph`` column back against the text that its spans count in.

    Raises:
        ReportTextError: malformed JSON, or a span, label or relation outside what the text and the schema allow.
    """
    if not column:
        return ReportGraph((), ())
    try:
        content = json.loads(column)
        entities = tuple(Entity(s, e, text[s:e], _LABEL_NAME[label]) for s, e, label in content["entities"])
        relations = tuple(Relation(h, t, _RELATION_NAME[label]) for h, t, label in content["relations"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ReportTextError(f"graph column is malformed ({type(error).__name__}: {error})") from None
    for entity in entities:
        if not 0 <= entity.start < entity.end <= len(text):
            raise ReportTextError(
                f"graph column: span [{entity.start}, {entity.end}) lies outside the text of {len(text)} characters; "
                "the column belongs to another text policy: run prepare again"
            )
    for relation in relations:
        if not (0 <= relation.head < len(entities) and 0 <= relation.tail < len(entities)):
            raise ReportTextError(f"graph column: relation {relation} points outside its {len(entities)} entities")
    return ReportGraph(entities, relations)
