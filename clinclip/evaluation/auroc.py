"""AUROC and average precision by sorting once: exact, with ties, and with a weight a row for resampling.

The area under the ROC curve is the probability that a positive outscores a negative, ties counting half (Hanley and
McNeil, Radiology 1982). With rows sorted by score it is one cumulative sum, so a bootstrap needs one sort in all:
a resample only changes the rows' weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinclip.errors import DataError
from clinclip.evaluation.arrays import Array, to_numpy


@dataclass(frozen=True)
class PerFinding:
    """One metric of every finding, and which of them are defined.

    Attributes:
        values: float64 (F,), NaN where undefined (no positive or no negative among the labelled rows).
        positives: int64 (F,) labelled rows that are positive.
        negatives: int64 (F,) labelled rows that are negative.
    """

    values: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @property
    def defined(self) -> int:
        """Number of findings that enter the macro mean."""
        return int(np.isfinite(self.values).sum())

    @property
    def macro(self) -> float:
        """Mean over the defined findings; NaN if none is."""
        return float(self.values[np.isfinite(self.values)].mean()) if self.defined else float("nan")


class SortedScores:
    """Scores of one finding in sorted order, ready to be weighed many times.

    Args:
        scores: (N,) finite scores, larger meaning more likely present.
        labels: (N,) 1 positive, 0 negative; negative codes and NaN are left out.

    Raises:
        DataError: a labelled row has a score that is not finite, or a label is not understood.
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        scores, labels = np.asarray(scores), np.asarray(labels)
        if scores.shape != labels.shape or scores.ndim != 1:
            raise DataError(f"scores {scores.shape} and labels {labels.shape} must be vectors of one length")
        positive, negative = labels == 1, labels == 0
        odd = ~(positive | negative | (labels < 0) | np.isnan(labels.astype(np.float64)))
        if odd.any():
            raise DataError(
                f"labels must be 1, 0, negative or NaN (left out); found {np.unique(labels[odd])[:5].tolist()}"
            )
        rows = np.flatnonzero(positive | negative)
        if not np.isfinite(scores[rows]).all():
            bad = int((~np.isfinite(scores[rows])).sum())
            raise DataError(f"{bad} of {len(rows)} labelled rows have a score that is not finite")
        order = rows[np.argsort(scores[rows], kind="stable")]
        #: (n,) rows of the original arrays, by ascending score
        self.order = order
        #: (n,) True on positives, in that order
        self.positive = positive[order]
        ordered = scores[order]
        #: (g,) first position of every run of equal scores
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.zeros(0, np.int64)

    @property
    def positives(self) -> int:
        """Number of positive rows."""
        return int(self.positive.sum())

    @property
    def negatives(self) -> int:
        """Number of negative rows."""
        return len(self.order) - self.positives

    def _run_weights(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Weight of positives and of negatives in every run of ties, each (g,) or (g, R)."""
        if weights is None:
            weights = np.ones(len(self.order))
        else:
            weights = weights[self.order].astype(np.float64, copy=False)
        mark = self.positive if weights.ndim == 1 else self.positive[:, None]
        positive = weights * mark
        negative = weights - positive
        if len(self.starts) == len(self.order):
            return positive, negative
        return np.add.reduceat(positive, self.starts), np.add.reduceat(negative, self.starts)

    def auroc(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Area under the ROC curve.

        Args:
            weights: None, (N,) or (N, R) weights of the original rows; R of them are done at once.

        Returns:
            float64 scalar array or (R,); NaN where no positive or no negative has weight.
        """
        shape = () if weights is None else weights.shape[1:]
        if not self.positives or not self.negatives:
            return np.full(shape, np.nan)
        positive, negative = self._run_weights(weights)
        below = np.cumsum(negative, axis=0)
        total_positive, total_negative = positive.sum(0), below[-1].copy()
        # negatives below a run, plus half of those inside it
        below -= 0.5 * negative
        area = np.einsum("g...,g...->...", positive, below)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(area / (total_positive * total_negative))

    def average_precision(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Average precision (area under the precision-recall curve by steps), tied scores taken together.

        Args:
            weights: None, (N,) or (N, R) weights of the original rows.

        Returns:
            float64 scalar array or (R,); NaN where no positive or no negative has weight.
        """
        shape = () if weights is None else weights.shape[1:]
        if not self.positives or not self.negatives:
            return np.full(shape, np.nan)
        positive, negative = self._run_weights(weights)
        # thresholds fall from the highest score, so both count from the end
        hits = np.cumsum(positive[::-1], axis=0)[::-1]
        taken = np.cumsum((positive + negative)[::-1], axis=0)[::-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(taken > 0, hits / taken, 0.0)
            value = np.einsum("g...,g...->...", positive, precision) / hits[0]
            return np.asarray(np.where(taken[0] > hits[0], value, np.nan))

    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """False and true positive rates at every threshold, from (0, 0) to (1, 1)."""
        positive, negative = self._run_weights(None)
        tpr = np.r_[0.0, np.cumsum(positive[::-1])] / max(self.positives, 1)
        fpr = np.r_[0.0, np.cumsum(negative[::-1])] / max(self.negatives, 1)
        return fpr, tpr


def sorted_columns(scores: Array, labels: Array) -> list[SortedScores]:
    """One :class:`SortedScores` a finding, from scores (N, F) and labels (N, F); vectors count as one finding."""
    scores, labels = to_numpy(scores), to_numpy(labels)
    if scores.shape != labels.shape or scores.ndim not in (1, 2):
        raise DataError(f"scores {scores.shape} and labels {labels.shape} must have one shape, (N,) or (N, F)")
    if scores.ndim == 1:
        scores, labels = scores[:, None], labels[:, None]
    return [SortedScores(scores[:, f], labels[:, f]) for f in range(scores.shape[1])]


def _per_finding(columns: list[SortedScores], values: list[np.ndarray]) -> PerFinding:
    return PerFinding(
        values=np.array([float(v) for v in values]),
        positives=np.array([c.positives for c in columns], dtype=np.int64),
        negatives=np.array([c.negatives for c in columns], dtype=np.int64),
    )


def auroc(scores: Array, labels: Array) -> PerFinding:
    """AUROC of every finding by the rank statistic, ties counting half.

    Args:
        scores: (N, F) or (N,).
        labels: same shape; 1 positive, 0 negative, negative codes and NaN left out (see
            :func:`clinclip.evaluation.arrays.codes_to_binary` for other policies).

    Returns:
        The values, NaN for a finding without positives or without negatives: it is *undefined*, stays out of
        ``macro``, and is never counted as 0.
    """
    columns = sorted_columns(scores, labels)
    return _per_finding(columns, [c.auroc() for c in columns])


def average_precision(scores: Array, labels: Array) -> PerFinding:
    """Average precision of every finding; arguments and result as :func:`auroc`."""
    columns = sorted_columns(scores, labels)
    return _per_finding(columns, [c.average_precision() for c in columns])
