"""The table of an ablation: rows by metrics, means over seeds with intervals, paired against the first row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clinclip.commands.ablate_judge import Judged
from clinclip.errors import ConfigError
from clinclip.evaluation.tables import EN_DASH
from clinclip.metrics.intervals import percentiles

#: a finding is rare when fewer training studies than this share have it
RARE = 0.05
#: a finding with fewer positives in the test split is left out of the rare and the common mean
POSITIVES = 5
_I2T, _T2I = "image to report, duplicates are positives", "report to image, duplicates are positives"


@dataclass(frozen=True)
class Metric:
    """A column: the mean of some numbers of a checkpoint.

    Attributes:
        name: short name in JSON.
        title: heading.
        task: a task of ``clinclip evaluate``.
        table: a table of that task.
        rows: row labels whose mean is taken.
        column: column of that table.
    """

    name: str
    title: str
    task: str
    table: str
    rows: tuple[str, ...]
    column: str

    def values(self, run: Judged) -> tuple[float, np.ndarray]:
        """The number and its bootstrap values (R,)."""
        at = run.columns(self.task, self.table, list(self.rows), self.column)
        return float(run.point[at].mean()), run.drawn[:, at].astype(np.float64).mean(axis=1)


def metrics(run: Judged, prevalence: Mapping[str, float]) -> list[Metric]:
    """The columns for checkpoints of this manifest.

    Args:
        run: any judged checkpoint.
        prevalence: finding -> share of the training studies that have it.
    """
    whole = ("all items",)
    known = [f for f, n in run.facts["positives"].items() if n >= POSITIVES]
    common = tuple(f for f in known if prevalence.get(f, 0.0) >= RARE)
    rare = tuple(f for f in known if prevalence.get(f, 0.0) < RARE)
    columns = [
        Metric("report_vs_negation", "report > negation", "align", "align", whole, "report > negation"),
        Metric("report_vs_omitted", "report > omitted", "align", "align", whole, "report > omitted"),
    ]
    for name, title, findings in (("auroc_common", "AUROC common", common), ("auroc_rare", "AUROC rare", rare)):
        if findings:
            columns.append(Metric(name, title, "zero-shot", "ranking", findings, "AUROC"))
    columns += [Metric(f"i2t_r{k}", f"i2t R@{k}", "retrieval", "retrieval", (_I2T,), f"R@{k}") for k in (1, 10)]
    columns.append(Metric("t2i_r10", "t2i R@10", "retrieval", "retrieval", (_T2I,), "R@10"))
    shown = ("retrieved report",)
    columns.append(Metric("label_f1", "label F1", "retrieval", "clinical", shown, "label F1 micro"))
    if ("retrieval", "clinical", "retrieved report", "entity F1") in run.index:
        columns.append(Metric("entity_f1", "entity F1", "retrieval", "clinical", shown, "entity F1"))
    return columns


@dataclass(frozen=True)
class Cell:
    """Mean over seeds, its interval over patients, spread over seeds, and the paired difference to the first row."""

    mean: float
    low: float
    high: float
    spread: float
    difference: tuple[float, float, float] | None

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.difference is not None and (self.difference[1] > 0 or self.difference[2] < 0)

    def text(self) -> str:
        """``0.812 (0.790-0.833)``, with a mark where the difference to the first row is clear."""
        mark = "" if not self.clear else (" ▲" if self.difference and self.difference[0] > 0 else " ▼")
        return f"{self.mean:.3f} ({self.low:.3f}{EN_DASH}{self.high:.3f}){mark}"


def cell(metric: Metric, runs: Sequence[Judged], base: Sequence[Judged] | None, level: float = 0.95) -> Cell:
    """One row's cell.

    Args:
        metric: what.
        runs: one judged checkpoint a seed.
        base: those of the row to compare with, on the same items; None for that row itself.
        level: coverage of the intervals.
    """
    points, drawn = zip(*(metric.values(run) for run in runs), strict=True)
    mean = np.mean(drawn, axis=0)
    (low,), (high,) = percentiles(mean[:, None], level)
    difference = None
    if base is not None:
        other_points, other_drawn = zip(*(metric.values(run) for run in base), strict=True)
        gap = mean - np.mean(other_drawn, axis=0)
        (below,), (above,) = percentiles(gap[:, None], level)
        difference = (float(np.mean(points) - np.mean(other_points)), float(below), float(above))
    spread = float(np.std(points, ddof=1)) if len(points) > 1 else float("nan")
    return Cell(float(np.mean(points)), float(low), float(high), spread, difference)


def build(
    results: Mapping[str, Sequence[Judged]], prevalence: Mapping[str, float]
) -> tuple[list[Metric], dict[str, dict[str, Cell]]]:
    """Columns, and row -> column -> cell; every row is compared with the first one.

    Raises:
        ConfigError: no rows, or checkpoints that were judged on different items.
    """
    runs = [run for each in results.values() for run in each]
    if not runs:
        raise ConfigError("ablation: no finished run")
    if len({(run.facts["manifest"], run.facts["split"], run.drawn.shape) for run in runs}) > 1:
        raise ConfigError("ablation: the runs were judged on different manifests or resamples; delete the older ones")
    columns = metrics(runs[0], prevalence)
    first = next(iter(results))
    table = {
        row: {m.name: cell(m, each, None if row == first else results[first]) for m in columns}
        for row, each in results.items()
    }
    return columns, table


def markdown(columns: Sequence[Metric], table: Mapping[str, Mapping[str, Cell]], seeds: Mapping[str, int]) -> str:
    """The table in Markdown."""
    lines = [f"| row | seeds | {' | '.join(m.title for m in columns)} |", "|---" * (2 + len(columns)) + "|"]
    lines += [
        f"| {row} | {seeds[row]} | {' | '.join(cells[m.name].text() for m in columns)} |"
        for row, cells in table.items()
    ]
    return "\n".join(lines)


def legend(columns: Sequence[Metric], run: Judged, first: str) -> str:
    """What the numbers are."""
    by_name = {m.name: m for m in columns}
    groups = [
        f"{title} findings ({how} {RARE:.0%} of the training studies): {', '.join(by_name[name].rows)}"
        for name, title, how in (("auroc_common", "Common", "at least"), ("auroc_rare", "Rare", "below"))
        if name in by_name
    ]
    facts = run.facts
    return (
        f"Means over seeds; in brackets 95 % intervals, bootstrap over patients of the mean. ▲ ▼: the paired interval "
        f"of the difference to {first} leaves out zero. {facts['zero-shot']['images']} images of "
        f"{facts['zero-shot']['patients']} patients ({facts['split']} split), {facts['align']['items']} of them with a "
        f"negated report. {'. '.join(groups)}. Findings with fewer than {POSITIVES} test positives are left out. Label "
        f"and entity F1: the best-scoring report of the gallery against the image's own."
    )


def as_json(
    columns: Sequence[Metric], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> dict[str, Any]:
    """Everything, JSON-able."""
    return {
        "metrics": {
            m.name: {"title": m.title, "task": m.task, "table": m.table, "rows": m.rows, "column": m.column}
            for m in columns
        },
        "rows": {
            row: {
                name: {
                    "mean": c.mean,
                    "low": c.low,
                    "high": c.high,
                    "sd_over_seeds": c.spread,
                    "difference": c.difference,
                }
                for name, c in cells.items()
            }
            for row, cells in table.items()
        },
        "seeds": {row: [{m.name: m.values(run)[0] for m in columns} for run in each] for row, each in results.items()},
        "facts": next(iter(results.values()))[0].facts,
    }
