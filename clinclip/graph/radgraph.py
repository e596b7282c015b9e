"""RadGraph JSON in and out, without the radgraph package.

Three shapes are read: what the package's ``RadGraph()(reports)`` returns, the released ``train.json``/``dev.json``
(``{"key": {"text", "entities", ...}}``), and ``test.json``, where two readers annotated each report
(``{"key": {"text", "labeler_1": {"entities"}, "labeler_2": {"entities"}}}``). Both spellings of the labels are
understood ("OBS-DA" and "Observation::definitely absent"). Source: Jain et al., NeurIPS 2021; Delbrouck et al.
(RadGraph-XL), ACL Findings 2024.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinclip.errors import ReportTextError
from clinclip.files import write_text
from clinclip.graph.schema import ENTITY_LABELS, RELATION_LABELS, Entity, Relation, ReportGraph
from clinclip.graph.tokens import align_tokens, covering_tokens, tokenize

#: RadGraph-XL spells the labels out. Measurements and "Anatomy::uncertain" exist there, not in the first schema.
LONG_LABELS: dict[str, str] = {
    "Anatomy::definitely present": "ANAT-DP",
    "Observation::definitely present": "OBS-DP",
    "Observation::uncertain": "OBS-U",
    "Observation::definitely absent": "OBS-DA",
    "Anatomy::measurement::definitely present": "ANAT-DP",
    "Observation::measurement::definitely present": "OBS-DP",
    "Observation::measurement::uncertain": "OBS-U",
    "Observation::measurement::definitely absent": "OBS-DA",
    "Anatomy::uncertain": "ANAT-DP",
    "Anatomy::definitely absent": "ANAT-DP",
}


@dataclass(frozen=True, slots=True)
class RadGraphDocument:
    """One annotated report.

    Attributes:
        text: the text into which the graph's character spans point.
        graph: entities and relations.
        lost: entities whose words do not occur in ``text`` (only when it is not the file's own tokenised text).
    """

    text: str
    graph: ReportGraph
    lost: int = 0


def parse_record(
    record: Mapping[str, Any], text: str | None = None, labeler: str = "labeler_1", key: str = "?"
) -> RadGraphDocument:
    """Turn one JSON record into character spans.

    Args:
        record: ``{"text": ..., "entities": {"1": {"tokens", "label", "start_ix", "end_ix", "relations"}}}``.
        text: The original report. None keeps the record's own (tokenised) text.
        labeler: Which reader to take where two annotated the report.
        key: Name of the record, for messages.

    Raises:
        ReportTextError: the record lacks a field, or holds a label, an index or a relation that is not allowed.
    """
    if not isinstance(record, Mapping):
        raise ReportTextError(f"RadGraph record {key!r} is a {type(record).__name__}; expected an object")
    body = record
    if "entities" not in record:
        labelers = [name for name in record if name.startswith("labeler")]
        if labeler not in labelers:
            found = ", ".join(labelers) or "neither 'entities' nor a labeler"
            raise ReportTextError(f"RadGraph record {key!r} holds {found}; asked for {labeler!r} (option labeler)")
        body = record[labeler]
    try:
        stored = record["text"]
        items = body["entities"]
        words: list[str] = (stored if isinstance(stored, str) else " ".join(stored)).split()
        rows = [
            (int(e["start_ix"]), int(e["end_ix"]), str(e["label"]), str(name), list(e["relations"]))
            for name, e in items.items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportTextError(
            f"RadGraph record {key!r} is malformed ({type(error).__name__}: {error}); expected text and, for every "
            "entity, tokens, label, start_ix, end_ix and relations"
        ) from None
    target = " ".join(words) if text is None else text
    spans = align_tokens(words, target)
    rows.sort(key=lambda row: row[:2])
    entities: list[Entity] = []
    index: dict[str, int] = {}
    lost: set[str] = set()
    for first, last, label, name, _ in rows:
        label = LONG_LABELS.get(label, label)
        if label not in ENTITY_LABELS:
            raise ReportTextError(
                f"RadGraph record {key!r}, entity {name!r}: label {label!r} is not one of {', '.join(ENTITY_LABELS)}"
            )
        if not 0 <= first <= last < len(words):
            raise ReportTextError(
                f"RadGraph record {key!r}, entity {name!r}: tokens {first}..{last} lie outside the {len(words)} tokens"
            )
        begin, end = spans[first], spans[last]
        if begin is None or end is None:
            lost.add(name)
            continue
        index[name] = len(entities)
        entities.append(Entity(begin[0], end[1], target[begin[0] : end[1]], label))
    relations: list[Relation] = []
    for _, _, _, name, edges in rows:
        for edge in edges:
            kind, tail = _edge(edge, key, name)
            if tail not in items:
                raise ReportTextError(f"RadGraph record {key!r}, entity {name!r}: relation to unknown entity {tail!r}")
            if name in index and tail in index:
                relations.append(Relation(index[name], index[tail], kind))
    return RadGraphDocument(target, ReportGraph(tuple(entities), tuple(relations)), len(lost))


def _edge(edge: Any, key: str, name: str) -> tuple[str, str]:
    try:
        kind, tail = edge
    except (TypeError, ValueError):
        raise ReportTextError(
            f"RadGraph record {key!r}, entity {name!r}: relation {edge!r}; expected [type, entity]"
        ) from None
    if kind not in RELATION_LABELS:
        raise ReportTextError(
            f"RadGraph record {key!r}, entity {name!r}: relation {kind!r} is not one of {', '.join(RELATION_LABELS)}"
        )
    return str(kind), str(tail)


def read_radgraph(
    path: str | os.PathLike[str], texts: Mapping[str, str] | None = None, labeler: str = "labeler_1"
) -> dict[str, RadGraphDocument]:
    """Read a RadGraph file.

    Args:
        path: A JSON object of records.
        texts: Original report of each key; keys that are missing keep the file's tokenised text.
        labeler: Which reader to take where two annotated the reports.

    Raises:
        ReportTextError: the file is not JSON, or a record is malformed; names file and key.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReportTextError(f"cannot read RadGraph file {os.fspath(path)}: {error}") from None
    if not isinstance(content, dict):
        raise ReportTextError(
            f"RadGraph file {os.fspath(path)} holds a {type(content).__name__}; expected an object of records"
        )
    texts = texts or {}
    try:
        return {key: parse_record(record, texts.get(key), labeler, key) for key, record in content.items()}
    except ReportTextError as error:
        raise ReportTextError(f"{os.fspath(path)}: {error}") from None


def to_record(text: str, graph: ReportGraph, data_source: str = "clinclip") -> dict[str, Any]:
    """One record as the radgraph package writes it: tokenised text, entities counted from "1", ends inclusive.

    A span that cuts a token is widened to whole tokens; an entity of white space alone cannot be written and raises
    :class:`~clinclip.errors.ReportTextError`.
    """
    spans = tokenize(text)
    starts = [start for start, _ in spans]
    ends = [end for _, end in spans]
    words = [text[start:end] for start, end in spans]
    entities: dict[str, Any] = {}
    for number, entity in enumerate(graph.entities, start=1):
        tokens = covering_tokens((entity.start, entity.end), starts, ends)
        if tokens is None:
            raise ReportTextError(f"entity {number} at [{entity.start}, {entity.end}) covers no token of the text")
        entities[str(number)] = {
            "tokens": " ".join(words[tokens[0] : tokens[1]]),
            "label": entity.label,
            "start_ix": tokens[0],
            "end_ix": tokens[1] - 1,
            "relations": [[r.label, str(r.tail + 1)] for r in graph.relations if r.head == number - 1],
        }
    return {"text": " ".join(words), "entities": entities, "data_source": data_source, "data_split": "inference"}


def write_radgraph(path: str | os.PathLike[str], documents: Mapping[str, tuple[str, ReportGraph]]) -> None:
    """Write ``{key: (text, graph)}`` as a RadGraph file, atomically."""
    content = {key: to_record(text, graph) for key, (text, graph) in documents.items()}
    write_text(Path(path), json.dumps(content, ensure_ascii=False))
