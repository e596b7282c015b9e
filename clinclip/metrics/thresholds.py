"""Operating points: a threshold chosen on the validation split, and F1 and MCC at it on the test split."""

from __future__ import annotations

import numpy as np


def confusion(predicted: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted true positives, false positives, false negatives and true negatives.

    Args:
        predicted: bool (N, F).
        labels: (N, F) 1, 0 or NaN (left out).
        weights: (R, N).

    Returns:
        Four arrays (R, F).
    """
    up, down = labels == 1, labels == 0
    pairs = ((predicted, up), (predicted, down), (~predicted, up), (~predicted, down))
    return tuple(weights @ (a & b).astype(np.float64) for a, b in pairs)


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN); NaN where there is neither a positive nor a positive prediction."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * tp / (2 * tp + fp + fn)


def mcc(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    """Matthews correlation; 0 where all predictions are equal, NaN without positives or without negatives."""
    product = (tp + fp) * (tn + fn)
    classes = (tp + fn) * (tn + fp)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (tp * tn - fp * fn) / np.sqrt(product * classes)
    return np.where(classes == 0, np.nan, np.where(product == 0, 0.0, value))


def best_threshold(scores: np.ndarray, labels: np.ndarray, metric: str) -> float:
    """The threshold (predict present at or above it) that maximises "f1" or "mcc".

    It lies midway between two neighbouring scores, so that it means the same for another sample.

    Args:
        scores: (N,).
        labels: (N,) 1, 0 or NaN (left out).
        metric: "f1" or "mcc".

    Returns:
        NaN without positives or without negatives.
    """
    known = (labels == 1) | (labels == 0)
    scores, truth = scores[known], labels[known] == 1
    if not truth.any() or truth.all():
        return float("nan")
    values = np.unique(scores)
    order = np.sort(scores[truth])
    negatives = np.sort(scores[~truth])
    tp = len(order) - np.searchsorted(order, values, "left").astype(np.float64)
    fp = len(negatives) - np.searchsorted(negatives, values, "left").astype(np.float64)
    fn, tn = len(order) - tp, len(negatives) - fp
    quality = f1(tp, fp, fn) if metric == "f1" else mcc(tp, fp, fn, tn)
    at = int(np.nanargmax(quality))
    return float(values[at] if at == 0 else (values[at] + values[at - 1]) / 2)
