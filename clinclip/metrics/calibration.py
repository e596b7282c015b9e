"""Calibration: does a probability of 0.8 come true eight times in ten? ECE over equal-width bins, reliability curve."""

from __future__ import annotations

import numpy as np

BINS = 15


def _bin(probability: np.ndarray, bins: int) -> np.ndarray:
    return np.clip((probability * bins).astype(np.int64), 0, bins - 1)


def expected_calibration_error(
    probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Expected calibration error of one finding (Naeini et al., AAAI 2015) under weights.

    Args:
        probability: (N,) in [0, 1].
        labels: (N,) 1, 0 or NaN (left out).
        weights: (R, N).
        bins: number of equal-width bins.

    Returns:
        (R,); NaN where nothing is labelled.
    """
    rows = np.flatnonzero(~np.isnan(labels))
    member = np.zeros((len(rows), bins))
    member[np.arange(len(rows)), _bin(probability[rows], bins)] = 1.0
    taken = np.take(weights, rows, axis=1)
    gap = np.abs(taken @ (member * (probability[rows] - labels[rows])[:, None])).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gap / taken.sum(1)


def reliability(probability: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """The reliability curve of all labelled entries: mean probability, share of positives and count of each bin.

    Args:
        probability: (N,) or (N, F).
        labels: the same shape, 1, 0 or NaN (left out).
        bins: number of equal-width bins; empty ones are left out.
    """
    known = ~np.isnan(labels)
    p, y = probability[known], labels[known]
    which = _bin(p, bins)
    return [
        {
            "probability": float(p[which == b].mean()),
            "positives": float(y[which == b].mean()),
            "count": int((which == b).sum()),
        }
        for b in range(bins)
        if (which == b).any()
    ]
