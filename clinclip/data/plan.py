"""Everything that batches need besides pixels, worked out once and kept beside the manifest.

Parsing the edited twins and tokenising all reports of MIMIC-CXR takes minutes; loading the finished arrays takes a
second. The file is named by all that shaped it (rows, options, tokenizer), so a stale hit is impossible, and
it is written once by the first process of a run and read by the others.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.data.graph_store import GraphStore, pack
from clinclip.data.manifest import Manifest
from clinclip.data.records import Edits, Records, TextTable, collect
from clinclip.data.token_store import TokenStore, build
from clinclip.errors import DataError
from clinclip.files import compact_json, load_arrays, save_arrays
from clinclip.findings import FINDINGS, STATE_CODE

if TYPE_CHECKING:
    from clinclip.graph.batch import EncodedGraph
    from clinclip.text.tokens import Tokenizer

_LOG = logging.getLogger(__name__)
#: raised whenever the meaning of the arrays changes
FORMAT = 3
_EDITS = ("train_edits", "eval_negations", "omissions")
_ROWS = tuple(f.name for f in fields(Records) if f.name not in (*_EDITS, "graph"))


@dataclass(frozen=True)
class PlanOptions:
    """What shapes a plan.

    Attributes:
        roles: (role, split) pairs: "train", "validate", "test", "predict" and the split that each looks at.
        views: views to keep, or None for all.
        sections: section policy.
        edits: kinds of twins in training batches.
        graphs: whether batches have graphs.
        max_nodes: nodes of a graph.
        max_tokens: tokens of a text.
    """

    roles: tuple[tuple[str, str], ...]
    views: tuple[str, ...] | None = None
    sections: str = "text"
    edits: tuple[str, ...] = ()
    graphs: bool = False
    max_nodes: int = 64
    max_tokens: int = 256


@dataclass(frozen=True)
class Plan:
    """Rows of every role and their texts.

    Attributes:
        records: role -> rows.
        tokens: of all texts.
        hashes: int64 (texts,) hash of each text.
        graphs: of all texts, or None.
        text_labels: int8 (texts, 14) states read from each text, for section policies other than "text"; else None.
    """

    records: dict[str, Records]
    tokens: TokenStore
    hashes: np.ndarray
    graphs: GraphStore | None = None
    text_labels: np.ndarray | None = None


def _read_labels(texts: Sequence[str]) -> np.ndarray:
    """int8 (texts, 14): labels of single sections, which the manifest does not have."""
    from clinclip.text import label_report

    out = np.full((max(len(texts), 1), len(FINDINGS)), -2, dtype=np.int8)
    for i, text in enumerate(texts):
        states = label_report(text)
        out[i] = [STATE_CODE[states[name]] for name in FINDINGS]
    return out


def _collect(manifests: Sequence[Manifest], role: str, split: str, options: PlanOptions, texts: TextTable) -> Records:
    training = role == "train"
    records = collect(
        manifests,
        split,
        texts,
        views=None if options.views is None else frozenset(options.views),
        edits=options.edits if training else (),
        evaluation=not training and options.sections == "text" and any(m.has_text for m in manifests),
        graphs=options.graphs,
    )
    if options.sections in ("findings", "impression"):
        there = getattr(records, options.sections) >= 0
        if not there.all():
            _LOG.warning(
                "data.sections=%s: %d of %d images (%s) have no such section and are left out",
                options.sections, int((~there).sum()), len(there), role,
            )  # fmt: skip
            records = records.take(np.flatnonzero(there))
    return records


def make(manifests: Sequence[Manifest], options: PlanOptions, tokenizer: Tokenizer) -> Plan:
    """Work a plan out."""
    texts = TextTable()
    records = {role: _collect(manifests, role, split, options, texts) for role, split in options.roles}
    columns: dict[int, str] = {}
    for rows in records.values():
        columns.update(zip(rows.text.tolist(), rows.graph, strict=False))
        rows.graph.clear()
    encoded: list[EncodedGraph | None] = [None] * len(texts.texts)

    def visit(number: int, offsets: list[tuple[int, int]]) -> None:
        from clinclip.graph.batch import encode_graph, graph_from_column

        if number in columns:
            graph = graph_from_column(columns[number], texts.texts[number])
            encoded[number] = encode_graph(graph, offsets, options.max_nodes)

    tokens = build(texts.texts, tokenizer, options.max_tokens, visit if options.graphs else None)
    return Plan(
        records,
        tokens,
        texts.hashes(),
        pack(encoded) if options.graphs else None,
        None if options.sections == "text" else _read_labels(texts.texts),
    )


def path_of(folder: Path, manifests: Sequence[Manifest], options: PlanOptions, tokenizer: Tokenizer) -> Path:
    """Where the plan of these manifests, options and tokenizer is kept."""
    from clinclip.text import RULESET_VERSION

    # the digest of the rows, not the manifest's hash: that one leaves out where in the cache an image lies
    rows = [m.header["files"] for m in manifests]
    named = [FORMAT, RULESET_VERSION, tokenizer.hash, rows, asdict(options)]
    return folder / f"{hashlib.sha256(compact_json(named).encode()).hexdigest()[:32]}.npz"


def save(plan: Plan, path: Path) -> None:
    """Write a plan to one file, atomically."""
    arrays = {"hashes": plan.hashes}
    for role, records in plan.records.items():
        arrays |= {f"{role}/{name}": getattr(records, name) for name in _ROWS}
        for kind in _EDITS:
            edits = getattr(records, kind)
            if edits is not None:
                arrays |= {f"{role}/{kind}/{f.name}": getattr(edits, f.name) for f in fields(Edits)}
    arrays |= {"tokens/ids": plan.tokens.ids, "tokens/start": plan.tokens.start}
    arrays["tokens/pad_id"] = np.array(plan.tokens.pad_id)
    if plan.graphs is not None:
        arrays |= {f"graphs/{f.name}": getattr(plan.graphs, f.name) for f in fields(GraphStore)}
    if plan.text_labels is not None:
        arrays["text_labels"] = plan.text_labels
    save_arrays(path, **arrays)


def load(path: Path, options: PlanOptions) -> Plan | None:
    """Read what :func:`save` wrote; None where there is nothing usable (it is then worked out again)."""
    try:
        arrays = load_arrays(path)
        records = {}
        for role, _ in options.roles:
            edits: dict[str, Any] = {
                kind: Edits(**{f.name: arrays[f"{role}/{kind}/{f.name}"] for f in fields(Edits)})
                for kind in _EDITS
                if f"{role}/{kind}/start" in arrays
            }
            records[role] = Records(**{name: arrays[f"{role}/{name}"] for name in _ROWS}, **edits)
        graphs = (
            GraphStore(**{f.name: arrays[f"graphs/{f.name}"] for f in fields(GraphStore)}) if options.graphs else None
        )
        tokens = TokenStore(arrays["tokens/ids"], arrays["tokens/start"], int(arrays["tokens/pad_id"]))
        labels = None if options.sections == "text" else arrays["text_labels"]
        return Plan(records, tokens, arrays["hashes"], graphs, labels)
    except (DataError, KeyError):
        return None
