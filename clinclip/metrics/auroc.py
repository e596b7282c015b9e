"""AUROC and average precision by sorting once: exact, with ties, and with a weight a row for resampling.

The area under the ROC curve is the probability that a positive outscores a negative, ties counting half (Hanley and
McNeil, Radiology 1982). With rows sorted by score it is one cumulative sum, so a bootstrap needs one sort in all:
a resample only changes the rows' weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clinclip.errors import DataError
from clinclip.metrics.arrays import Array, to_numpy


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
            wrong = np.unique(labels[odd])[:5].tolist()
            raise DataError(f"labels must be 1, 0, negative or NaN (left out); found {wrong}")
        bad = int((~np.isfinite(scores[positive | negative])).sum())
        if bad:
            total = int((positive | negative).sum())
            raise DataError(f"{bad} of {total} labelled rows have a score that is not finite")
        self._size = len(scores)
        # rows of the original arrays, by ascending score
        self._positive = np.flatnonzero(positive)[np.argsort(scores[positive], kind="stable")]
        self._negative = np.flatnonzero(negative)[np.argsort(scores[negative], kind="stable")]
        up, down = scores[self._positive], scores[self._negative]
        # for every positive: negatives below it, negatives not above it, and the first positive that ties with it
        self._below = np.searchsorted(down, up, "left")
        self._not_above = np.searchsorted(down, up, "right")
        self._first = np.searchsorted(up, up, "left")
        self._tied = bool((self._below != self._not_above).any())

    @property
    def positives(self) -> int:
        """Number of positive rows."""
        return len(self._positive)

    @property
    def negatives(self) -> int:
        """Number of negative rows."""
        return len(self._negative)

    def _weigh(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Weights (R, P) of the positives, and running sums (R, Q + 1) of the negatives' weights, from 0."""
        if weights is None:
            return np.ones((1, self.positives)), np.arange(self.negatives + 1.0)[None]
        if weights.shape[-1] != self._size:
            raise DataError(f"weights {weights.shape} do not fit {self._size} rows")
        weights = np.atleast_2d(weights)
        negative = torch.from_numpy(np.take(weights, self._negative, axis=1))
        running = torch.zeros((len(weights), self.negatives + 1), dtype=torch.float64)
        torch.cumsum(negative, dim=1, dtype=torch.float64, out=running[:, 1:])  # several times NumPy's speed
        return np.take(weights, self._positive, axis=1).astype(np.float64, copy=False), running.numpy()

    def auroc(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Area under the ROC curve.

        Args:
            weights: None, (N,) or (R, N) weights of the original rows; R of them are done at once.

        Returns:
            float64 scalar array or (R,); NaN where no positive or no negative has weight.
        """
        shape = () if weights is None else weights.shape[:-1]
        if not self.positives or not self.negatives:
            return np.full(shape, np.nan)
        positive, running = self._weigh(weights)
        beaten = np.take(running, self._below, axis=1)
        if self._tied:
            beaten = (beaten + np.take(running, self._not_above, axis=1)) / 2
        area = np.einsum("rp,rp->r", positive, beaten)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (area / (positive.sum(1) * running[:, -1])).reshape(shape)

    def average_precision(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Average precision (area under the precision-recall curve by steps), tied scores taken together.

        Args:
            weights: None, (N,) or (R, N) weights of the original rows.

        Returns:
            float64 scalar array or (R,); NaN where no positive or no negative has weight.
        """
        shape = () if weights is None else weights.shape[:-1]
        if not self.positives or not self.negatives:
            return np.full(shape, np.nan)
        positive, running = self._weigh(weights)
        total = positive.sum(1, keepdims=True)
        # taken at the threshold of each positive: everything that scores as high or higher
        before = np.concatenate([np.zeros((len(positive), 1)), np.cumsum(positive, axis=1)], axis=1)
        hits = total - np.take(before, self._first, axis=1)
        false = running[:, -1:] - np.take(running, self._below, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(hits + false > 0, hits / (hits + false), 0.0)
            value = np.einsum("rp,rp->r", positive, precision) / total[:, 0]
            return np.where(running[:, -1] > 0, value, np.nan).reshape(shape)

    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """False and true positive rates at the thresholds of the positives, from (0, 0) to (1, 1)."""
        if not self.positives or not self.negatives:
            return np.array([0.0, 1.0]), np.array([0.0, 1.0])
        thresholds = np.unique(self._first)[::-1]
        hits = (self.positives - thresholds) / self.positives
        left = 1.0 - self._not_above[thresholds] / self.negatives  # just above the threshold
        right = 1.0 - self._below[thresholds] / self.negatives  # at it: a slope where positives and negatives tie
        before = np.r_[0.0, hits[:-1]]
        fpr = np.stack([left, right], axis=1).reshape(-1)
        tpr = np.stack([before, hits], axis=1).reshape(-1)
        return np.r_[0.0, fpr, 1.0], np.r_[0.0, tpr, 1.0]


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
            :func:`clinclip.metrics.arrays.codes_to_binary` for other policies).

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
