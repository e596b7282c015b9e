"""From row numbers to the fields of a :class:`clinclip.types.Batch`: whole batches at once, no per-sample objects."""

from __future__ import annotations

import numpy as np
import torch

from clinclip import draws
from clinclip.data.records import NO_TEXT, Edits, Records
from clinclip.data.token_store import TokenStore
from clinclip.types import NUM_FINDINGS, TwinBatch

SECTIONS = ("text", "findings", "impression", "sample")


def choose_sections(records: Records, rows: np.ndarray, sections: str, seed: int, epoch: int) -> np.ndarray:
    """The text number of each row by the section policy.

    Args:
        records: all rows.
        rows: int64 (B,).
        sections: "text", "findings", "impression", or "sample": one of the sections that the report has, at random.
        seed: of the choice.
        epoch: of the choice.

    Returns:
        int64 (B,), -1 where the row lacks the section; for "sample" rows with neither section use their text.
    """
    if sections != "sample":
        return getattr(records, sections)[rows]
    findings, impression = records.findings[rows], records.impression[rows]
    first = draws.uniform(seed, epoch, draws.SECTION_CHOICE, records.sample[rows]) < 0.5
    chosen = np.where(first, findings, impression)
    chosen = np.where(chosen == NO_TEXT, np.where(first, impression, findings), chosen)
    return np.where(chosen == NO_TEXT, records.text[rows], chosen)


def _twin_batch(edits: Edits, picks: np.ndarray, report: np.ndarray, store: TokenStore) -> TwinBatch:
    """Twins by number.

    Args:
        edits: all twins.
        picks: int64 (B, K) twin numbers, -1 for none.
        report: int64 (B,) text number of the report itself.
        store: tokens.
    """
    text = np.where(picks >= 0, edits.text[np.maximum(picks, 0)] if len(edits.text) else NO_TEXT, NO_TEXT)
    for i, k in zip(*np.nonzero(text >= 0), strict=True):
        # an edit past the truncation leaves the report as it was: that would be a false negative
        if store.same(int(text[i, k]), int(report[i])):
            text[i, k] = NO_TEXT
    valid = text >= 0
    labels = np.zeros((*picks.shape, NUM_FINDINGS), dtype=np.int8)
    finding = np.full(picks.shape, -1, dtype=np.int64)
    labels[valid] = edits.labels[picks[valid]]
    finding[valid] = edits.finding[picks[valid]]
    return TwinBatch(
        text=store.batch(text),
        valid=torch.from_numpy(valid),
        labels=torch.from_numpy(labels),
        finding=torch.from_numpy(finding),
    )


def train_twins(
    records: Records, rows: np.ndarray, report: np.ndarray, count: int, store: TokenStore, seed: int, epoch: int
) -> TwinBatch:
    """``count`` different twins of each report, drawn anew every epoch; fewer where the report has fewer.

    Of several kinds, each that the report has is equally likely to come first, and none comes twice before all have
    come once: the four negated twins of a report do not crowd out its one with the wrong side.
    """
    edits = records.train_edits
    assert edits is not None
    picks = np.full((len(rows), count), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        begin, available = int(edits.start[row]), int(edits.start[row + 1] - edits.start[row])
        if available:
            sample = int(records.sample[row])
            order = np.argsort(draws.words(seed, epoch, draws.TWIN_CHOICE, sample, np.arange(available)), kind="stable")
            kind = edits.kind[begin + order]
            if kind.min() < kind.max():
                turn = np.asarray([np.count_nonzero(kind[:n] == k) for n, k in enumerate(kind)])
                rank = draws.words(seed, epoch, draws.EDIT_KIND_CHOICE, sample, kind)
                order = order[np.lexsort((rank, turn))]
            take = order[:count]
            picks[i, : len(take)] = begin + take
    return _twin_batch(edits, picks, report, store)


def eval_negations(records: Records, rows: np.ndarray, report: np.ndarray, store: TokenStore) -> TwinBatch:
    """The first twin with an evaluation template: always the same one (K = 1)."""
    edits = records.eval_negations
    assert edits is not None
    begin, end = edits.start[rows], edits.start[rows + 1]
    return _twin_batch(edits, np.where(end > begin, begin, -1)[:, None], report, store)


def eval_omissions(
    records: Records, rows: np.ndarray, report: np.ndarray, negated: TwinBatch, store: TokenStore
) -> TwinBatch:
    """The report without the finding that ``negated`` denies, so that the three texts differ in one thing (K = 1)."""
    edits = records.omissions
    assert edits is not None
    wanted = negated.finding[:, 0].numpy()
    picks = np.full((len(rows), 1), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        twins = np.arange(int(edits.start[row]), int(edits.start[row + 1]))
        fitting = twins[edits.finding[twins] == wanted[i]]
        if len(fitting):
            picks[i, 0] = fitting[0]
    return _twin_batch(edits, picks, report, store)
