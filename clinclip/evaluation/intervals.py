"""Confidence intervals by bootstrap over patients.

Images of one patient are not independent, so whole patients are drawn. A resample is a vector of weights (how often
each patient was drawn), and every metric here takes weights: nothing is sorted or copied again, which is what makes
1,000 resamples cheap. Resample ``r`` depends on (seed, r) alone, so two models on the same items see the same
resamples, and the differences of their values give the paired interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clinclip.errors import ConfigError, DataError
from clinclip.evaluation.arrays import Array, to_numpy

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


def with_intervals(
    names: Sequence[str], statistic: Statistic, resamples: PatientResamples | None, rows: int, level: float = 0.95
) -> tuple[dict[str, Interval], np.ndarray | None]:
    """Point values (all weights 1) and percentile intervals of a statistic.

    Args:
        names: K names of the statistic's columns.
        statistic: weights (R, N) -> (R, K).
        resamples: the bootstrap, or None for values without intervals.
        rows: N.
        level: coverage.

    Returns:
        name -> Interval, and the bootstrap values (R, K) for paired comparison (None without a bootstrap).
    """
    point = np.asarray(statistic(np.ones((1, rows))))
    point = point.reshape(1, -1)[0] if point.ndim > 1 or len(names) == 1 else point
    if len(point) != len(names):
        raise DataError(f"statistic gives {len(point)} values for {len(names)} names")
    if resamples is None:
        return {n: Interval(float(v), float("nan"), float("nan")) for n, v in zip(names, point, strict=True)}, None
    drawn = bootstrap(statistic, resamples)
    low, high = percentiles(drawn, level)
    missing = np.isnan(drawn).sum(0)
    intervals = {
        name: Interval(float(point[k]), float(low[k]), float(high[k]), int(missing[k])) for k, name in enumerate(names)
    }
    return intervals, drawn


def paired_difference(
    names: Sequence[str],
    first: dict[str, Interval],
    second: dict[str, Interval],
    first_drawn: np.ndarray,
    second_drawn: np.ndarray,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Interval of ``first - second`` from two bootstraps over the same resamples of the same rows."""
    if first_drawn.shape != second_drawn.shape:
        raise DataError(
            f"resamples of shapes {first_drawn.shape} and {second_drawn.shape} are not paired: "
            "both models must be evaluated on the same items with the same seed"
        )
    difference = first_drawn - second_drawn
    low, high = percentiles(difference, level)
    missing = np.isnan(difference).sum(0)
    return {
        name: Interval(first[name].value - second[name].value, float(low[k]), float(high[k]), int(missing[k]))
        for k, name in enumerate(names)
    }
