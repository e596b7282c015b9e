"""Models compared: rows of checkpoints by numbers, means over seeds with intervals, paired against the first row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.errors import ConfigError, DataError
from clinclip.evaluation.result import Headline
from clinclip.evaluation.tables import EN_DASH
from clinclip.files import load_arrays, save_arrays
from clinclip.metrics.intervals import percentiles


@dataclass(frozen=True)
class Judged:
    """The numbers of one checkpoint.

    Attributes:
        columns: what each of them is.
        point: float64 (C,) the numbers.
        drawn: float32 (R, C) their bootstrap values; the same resamples for every checkpoint of one manifest.
        facts: manifest hash, split, and by task its protocol's hash and how many images of how many patients.
    """

    columns: tuple[Headline, ...]
    point: np.ndarray
    drawn: np.ndarray
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        words = {"columns": [asdict(c) for c in self.columns], "facts": self.facts}
        save_arrays(path, words=np.array(json.dumps(words)), point=self.point, drawn=self.drawn.astype(np.float32))

    @classmethod
    def read(cls, path: Path) -> Judged:
        """Read what :meth:`save` wrote. Raises DataError: it is missing or damaged."""
        try:
            stored = load_arrays(path, "words", "point", "drawn")
            words = json.loads(str(stored["words"]))
            columns = tuple(Headline(**{**c, "rows": tuple(c["rows"])}) for c in words["columns"])
        except (DataError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not the result of an ablation run ({error}); delete it and run again") from error
        return cls(columns, stored["point"], stored["drawn"], words["facts"])


@dataclass(frozen=True)
class Cell:
    """Mean over seeds, its interval over patients, spread over seeds, and the paired difference to the first row."""

    mean: float
    low: float
    high: float
    spread: float
    difference: tuple[float, float, float] | None

    @property
    def clear(self) -> str | None:
        """Either "above" or "below" the first row where the interval of the difference leaves out zero."""
        if self.difference is None or self.difference[1] <= 0 <= self.difference[2]:
            return None
        return "above" if self.difference[1] > 0 else "below"

    def text(self) -> str:
        """``0.812 (0.790-0.833)``, with a mark where the difference to the first row is clear."""
        mark = {None: "", "above": " ▲", "below": " ▼"}[self.clear]
        return f"{self.mean:.3f} ({self.low:.3f}{EN_DASH}{self.high:.3f}){mark}"


def compare(
    results: Mapping[str, Sequence[Judged]], level: float = 0.95
) -> tuple[tuple[Headline, ...], dict[str, dict[str, Cell]]]:
    """Columns, and row -> column name -> cell; every row is compared with the first one.

    Args:
        results: row -> one judged checkpoint a seed.
        level: coverage of the intervals.

    Raises:
        ConfigError: a row without a run, or checkpoints that were judged on different items.
    """
    missing = [row for row, runs in results.items() if not runs]
    if not results or missing:
        raise ConfigError(f"ablation: no finished run{' of ' + ', '.join(missing) if missing else ''}")
    runs = [run for each in results.values() for run in each]
    if len({(run.facts["manifest"], run.facts["split"], run.columns, run.drawn.shape) for run in runs}) > 1:
        raise ConfigError("ablation: the runs were judged on different manifests or resamples; run them again")
    columns, base = runs[0].columns, next(iter(results.values()))
    table: dict[str, dict[str, Cell]] = {}
    for row, each in results.items():
        point, drawn = _means(each)
        gap, gaps = point - _means(base)[0], drawn - _means(base)[1]
        (low, high), (below, above) = percentiles(drawn, level), percentiles(gaps, level)
        spread = np.std([run.point for run in each], axis=0, ddof=1) if len(each) > 1 else np.full(len(point), np.nan)
        table[row] = {
            column.name: Cell(
                float(point[i]),
                float(low[i]),
                float(high[i]),
                float(spread[i]),
                None if each is base else (float(gap[i]), float(below[i]), float(above[i])),
            )
            for i, column in enumerate(columns)
        }
    return columns, table


def _means(runs: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray]:
    """Over seeds: the numbers (C,) and their bootstrap values (R, C)."""
    return np.mean([r.point for r in runs], axis=0), np.mean([r.drawn.astype(np.float64) for r in runs], axis=0)
