"""The table of an ablation: rows by numbers, means over seeds with intervals, paired against the first row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.commands.ablate.judge import Judged, result_file
from clinclip.commands.ablate.runs import ROWS
from clinclip.errors import ConfigError
from clinclip.evaluation.result import Headline
from clinclip.evaluation.tables import EN_DASH
from clinclip.files import write_text
from clinclip.metrics.intervals import percentiles


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


def build(
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


def markdown(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> str:
    """The table in Markdown, and what the numbers are."""
    lines = [f"| row | seeds | {' | '.join(c.title for c in columns)} |", "|---" * (2 + len(columns)) + "|"]
    for row, cells in table.items():
        lines.append(f"| {row} | {len(results[row])} | {' | '.join(cells[c.name].text() for c in columns)} |")
    return "\n".join(lines) + "\n\n" + legend(columns, table, results)


def legend(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> str:
    """What the numbers are."""
    facts = next(iter(results.values()))[0].facts
    data = "; ".join(f"{t}: {f['images']} images of {f['patients']} patients" for t, f in facts["tasks"].items())
    said = " ".join(f"{c.title}: {c.about}." for c in columns if c.about)
    return (
        "Means over seeds; in brackets 95 % intervals, bootstrap over patients of the mean. ▲ ▼: the paired "
        f"interval of the difference to {next(iter(table))} leaves out zero. The {facts['split']} split; {data}. {said}"
    )


def as_json(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> dict[str, Any]:
    """Everything, JSON-able."""
    return {
        "legend": legend(columns, table, results),
        "about": {row: ROWS.get(row, "") for row in table},
        "metrics": {c.name: {"title": c.title, "table": c.table, "rows": c.rows, "column": c.column} for c in columns},
        "rows": {
            row: {
                name: {
                    "mean": c.mean,
                    "low": c.low,
                    "high": c.high,
                    "clear": c.clear,
                    "sd_over_seeds": None if np.isnan(c.spread) else c.spread,
                    "difference": c.difference,
                }
                for name, c in cells.items()
            }
            for row, cells in table.items()
        },
        "seeds": {
            row: [dict(zip((c.name for c in columns), run.point.tolist(), strict=True)) for run in each]
            for row, each in results.items()
        },
        "facts": next(iter(results.values()))[0].facts,
    }


def report(out: Path, rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Write ``ablation.json``, ``ablation.md`` and the figures from the finished runs; returns the Markdown."""
    from clinclip.commands.ablate.figures import draw

    there = {row: [p for seed in seeds if (p := result_file(out, row, seed)).is_file()] for row in rows}
    results = {row: [Judged.read(path) for path in paths] for row, paths in there.items()}
    columns, table = build(results)
    text = markdown(columns, table, results)
    write_text(out / "ablation.md", text + "\n")
    draw(out, seeds, columns, table)
    write_text(out / "ablation.json", json.dumps(as_json(columns, table, results), indent=2) + "\n")
    return text
