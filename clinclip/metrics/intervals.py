"""Confidence intervals by bootstrap over patients.

Images of one patient are not independent, so whole patients are drawn. A resample is a vector of weights (how often
each patient was drawn), and every metric here takes weights: nothing is sorted or copied again, which is what makes
1,000 resamples cheap. Resample ``r`` depends on (seed, r) alone, so two models on the same items see the same
resamples, and the differences of their values give the paired interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clinclip.errors import ConfigError
from clinclip.metrics.arrays import Array, to_numpy

#: A metric of weighted rows: weights (R, N) -> values (R, K).
Statistic = Callable[[np.ndarray], np.ndarray]
#: Resamples weighed at once: their weights should stay in cache.
CHUNK = 16


class PatientResamples:
    """Bootstrap weights of rows, patients drawn with replacement.

    Args:
        patients: (N,) patient of each row; any labels.
        resamples: number of resamples.
        seed: seed; resample r uses the counter-based stream (seed, r).
    """

    def __init__(self, patients: Array, resamples: int = 1000, seed: int = 0) -> None:
        if resamples < 1:
            raise ConfigError(f"resamples={resamples} must be at least 1 (option --resamples)")
        names, row = np.unique(to_numpy(patients), return_inverse=True)
        self.patients = len(names)
        self.resamples = resamples
        self.seed = seed
        self._row = row.reshape(-1)
        # one row a patient, already in order: the weights of patients are those of rows
        self._direct = len(self._row) == self.patients and bool((self._row == np.arange(self.patients)).all())

    def __len__(self) -> int:
        return self.resamples

    def weights(self, start: int, stop: int) -> np.ndarray:
        """float64 (stop - start, N): how often each row occurs in resamples ``start`` ... ``stop - 1``."""
        drawn = np.empty((stop - start, self.patients))
        for i, r in enumerate(range(start, stop)):
            stream = np.random.Generator(np.random.Philox(key=[self.seed, r]))
            picks = stream.integers(0, self.patients, size=self.patients, dtype=np.int32)
            drawn[i] = np.bincount(picks, minlength=self.patients)
        return drawn if self._direct else np.take(drawn, self._row, axis=1)


def bootstrap(statistic: Statistic, resamples: PatientResamples, chunk: int = CHUNK) -> np.ndarray:
    """The statistic's values in every resample, (R, K); NaN where a resample leaves one undefined."""
    parts = []
    for start in range(0, len(resamples), chunk):
        values = np.asarray(statistic(resamples.weights(start, min(start + chunk, len(resamples)))))
        parts.append(values[:, None] if values.ndim == 1 else values)
    return np.concatenate(parts)


def percentiles(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper percentile bounds (K,) of values (R, K); resamples that are NaN are left out."""
    if not 0 < level < 1:
        raise ConfigError(f"interval level {level} must lie between 0 and 1")
    low = np.full(values.shape[1], np.nan)
    high = low.copy()
    for k in range(values.shape[1]):
        column = values[~np.isnan(values[:, k]), k]
        if len(column):
            low[k], high[k] = np.quantile(column, [(1 - level) / 2, (1 + level) / 2])
    return low, high


@dataclass(frozen=True)
class Interval:
    """A value and its interval. ``undefined`` counts the resamples in which the metric did not exist."""

    value: float
    low: float
    high: float
    undefined: int = 0


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of values (N,) repeated by integer weights (R, N): float64 (R,), the mean of the middle two where even.

    NaN values have no weight; a resample without weight gives NaN.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    if not len(order):
        return np.full(len(weights), np.nan)
    running = np.cumsum(np.take(weights, order, axis=1), axis=1)
    total = running[:, -1]
    lower = (running >= np.maximum(np.floor((total + 1) / 2), 1)[:, None]).argmax(axis=1)
    upper = (running >= np.maximum(np.ceil((total + 1) / 2), 1)[:, None]).argmax(axis=1)
    return np.where(total > 0, (values[order][lower] + values[order][upper]) / 2, np.nan)


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means of the columns of values (N, K) under weights (R, N): (R, K); NaN entries are left out of both sums."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ np.where(known, values, 0.0)) / (weights @ known.astype(np.float64))
