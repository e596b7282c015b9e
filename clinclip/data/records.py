"""The rows of one or several manifests as arrays: what the data set indexes, built once at set-up.

Everything a batch needs but pixels: text numbers, label codes, hashes, edited twins. Texts are numbered over all
manifests, each distinct text once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from clinclip import draws
from clinclip.data.manifest import READ_COLUMNS, TABLE_COLUMNS, Manifest
from clinclip.errors import ManifestError, ReportTextError
from clinclip.findings import FINDING_INDEX
from clinclip.text.twins import twins_from_column

NO_TEXT = -1


class TextTable:
    """Numbers distinct texts in order of first appearance."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._number: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text; -1 for the empty one."""
        if not text:
            return NO_TEXT
        known = self._number.get(text)
        if known is None:
            known = self._number[text] = len(self.texts)
            self.texts.append(text)
        return known

    def hashes(self) -> np.ndarray:
        """int64 (texts,) hash of each text with its white space normalised; one dummy entry when there are none."""
        return np.asarray([draws.text_hash(text) for text in self.texts] or [0], dtype=np.int64)

    def numbers(self, texts: Iterable[str]) -> np.ndarray:
        """int64 (n,) numbers of texts."""
        return np.fromiter((self.number(text) for text in texts), dtype=np.int64)


@dataclass(frozen=True)
class Edits:
    """Edited twins of n reports, flat.

    Attributes:
        start: int64 (n + 1,) where each row's twins begin.
        text: int64 (m,) text number.
        finding: int64 (m,) index of the edited finding.
        labels: int8 (m, 14) states after the edit.
        kind: int64 (m,) :func:`kind_key` of its kind.
    """

    start: np.ndarray
    text: np.ndarray
    finding: np.ndarray
    labels: np.ndarray
    kind: np.ndarray


@dataclass
class Records:
    """n rows.

    Attributes:
        frame_row: int64 (n,) row of the manifest's frame.
        source: int64 (n,) number of the manifest.
        cache_index: int64 (n,) entry of that manifest's image cache.
        sample: int64 (n,) row number over all splits of all manifests of the run.
        study, patient: int64 (n,) stable hashes of (data set, id).
        table_labels, read_labels: int8 (n, 14).
        text, findings, impression: int64 (n,) text numbers, -1 where blank.
        train_edits: twins of training batches, of the kinds asked for; None when none was.
        eval_negations, omissions: twins of the evaluation, or None when not asked for.
        graph: graph column of each row, when asked for.
    """

    frame_row: np.ndarray
    source: np.ndarray
    cache_index: np.ndarray
    sample: np.ndarray
    study: np.ndarray
    patient: np.ndarray
    table_labels: np.ndarray
    read_labels: np.ndarray
    text: np.ndarray
    findings: np.ndarray
    impression: np.ndarray
    train_edits: Edits | None = None
    eval_negations: Edits | None = None
    omissions: Edits | None = None
    graph: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, rows: np.ndarray) -> Records:
        """Some of the rows. Only for records without edited twins."""
        assert self.train_edits is None
        assert self.eval_negations is None
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.type == "np.ndarray"}
        return Records(**arrays, graph=[self.graph[i] for i in rows] if self.graph else [])


def kind_key(kind: str) -> int:
    """A number for a kind of edit, the same whatever other kinds there are."""
    return draws.stable_hash("edit", kind)


def _edits(
    part: pd.DataFrame, texts: TextTable, where: str, kinds: Collection[str], styles: Collection[str | None]
) -> Edits:
    """Twins of some kinds and styles, of every row."""
    counts: list[int] = []
    found: list[tuple[int, int, tuple[int, ...], int]] = []
    parsed: dict[tuple[str, str], list[tuple[int, int, tuple[int, ...], int]]] = {}
    key_of = {kind: kind_key(kind) for kind in kinds}
    for row in zip(part["twins"], part["text"], strict=True):
        if row not in parsed:
            try:
                twins = twins_from_column(*row, kinds, styles)
            except ReportTextError as error:
                raise ManifestError(f"{where}: {error}") from None
            parsed[row] = [(texts.number(t.text), FINDING_INDEX[t.finding], t.labels, key_of[t.kind]) for t in twins]
        counts.append(len(parsed[row]))
        found += parsed[row]
    start = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=start[1:])
    return Edits(
        start,
        np.asarray([text for text, *_ in found], dtype=np.int64),
        np.asarray([finding for _, finding, *_ in found], dtype=np.int64),
        np.asarray([labels for *_, labels, _ in found], dtype=np.int8).reshape(-1, len(FINDING_INDEX)),
        np.asarray([key for *_, key in found], dtype=np.int64),
    )


def _join(parts: Sequence[Edits]) -> Edits:
    """The twins of several data sets, one after the other."""
    ends = np.cumsum([0, *(len(p.text) for p in parts)])
    start = np.concatenate([[0], *(p.start[1:] + end for p, end in zip(parts, ends[:-1], strict=True))])
    return Edits(
        start.astype(np.int64),
        np.concatenate([p.text for p in parts]),
        np.concatenate([p.finding for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.kind for p in parts]),
    )


def refuse_absent(edits: Edits | None, kinds: Sequence[str], where: str) -> None:
    """A kind of twin that no report has would be asked for in vain, and nobody would notice. Raises ManifestError."""
    for kind in kinds:
        if edits is not None and len(edits.start) > 1 and not (edits.kind == kind_key(kind)).any():
            stored = {"negate": " with --negations 4", "omit": ""}.get(kind, " with --swaps 1")
            raise ManifestError(
                f"{where}: no report of the training split (and data.views) has a twin of kind {kind}, which "
                "data.twins and data.edits ask for. Set data.twins=0, give other kinds in data.edits, or "
                f"prepare reports that have positive findings{stored}"
            )


def collect(
    manifests: Sequence[Manifest],
    split: str,
    texts: TextTable,
    views: frozenset[str] | None = None,
    edits: Sequence[str] = (),
    evaluation: bool = False,
    graphs: bool = False,
) -> Records:
    """Gather one split of several manifests.

    Args:
        manifests: in the order of the configuration.
        split: "train", "validate" or "test".
        texts: numbering shared by the splits of the run; texts are added to it.
        views: keep only these views (upper case); None keeps all.
        edits: kinds of twins for training batches, of :data:`clinclip.text.editing.EDITS`; empty for none.
        evaluation: also the negated twins of the evaluation templates and the omissions.
        graphs: also the graph columns.

    Raises:
        ManifestError: a malformed column.
    """
    offset = 0
    columns: dict[str, list[np.ndarray]] = {}
    twins: dict[str, list[Edits]] = {"train_edits": [], "eval_negations": [], "omissions": []}
    graph: list[str] = []
    for number, manifest in enumerate(manifests):
        frame = manifest.frame
        mask = (frame["split"] == split).to_numpy()
        if views is not None:
            mask = mask & frame["view"].str.upper().isin(views).to_numpy()
        rows = np.flatnonzero(mask)
        part = frame.iloc[rows]
        for name, values in _columns(part, rows, number, offset, texts).items():
            columns.setdefault(name, []).append(values)
        where = str(manifest.path)
        if edits:
            twins["train_edits"].append(_edits(part, texts, where, edits, ("train", None)))
        if evaluation:
            twins["eval_negations"].append(_edits(part, texts, where, ("negate",), ("eval",)))
            twins["omissions"].append(_edits(part, texts, where, ("omit",), (None,)))
        if graphs:
            graph += part["graph"].tolist()
        offset += len(frame)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    found: dict[str, Any] = {name: _join(parts) for name, parts in twins.items() if parts}
    return Records(**joined, **found, graph=graph)


def _columns(part: pd.DataFrame, rows: np.ndarray, number: int, offset: int, texts: TextTable) -> dict[str, np.ndarray]:
    return {
        "frame_row": rows.astype(np.int64),
        "source": np.full(len(rows), number, dtype=np.int64),
        "cache_index": part["cache_index"].to_numpy(np.int64),
        "sample": rows.astype(np.int64) + offset,
        "study": draws.stable_hashes(part["dataset"], part["study_id"]),
        "patient": draws.stable_hashes(part["dataset"], part["patient_id"]),
        "table_labels": part[list(TABLE_COLUMNS)].to_numpy(np.int8),
        "read_labels": part[list(READ_COLUMNS)].to_numpy(np.int8),
        "text": texts.numbers(part["text"]),
        "findings": texts.numbers(part["findings"]),
        "impression": texts.numbers(part["impression"]),
    }
