"""Tables of metrics with intervals: what a task measures, measured once for all resamples, and printed as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from clinclip.errors import DataError
from clinclip.metrics.intervals import Interval, PatientResamples, Statistic, bootstrap, percentiles

if TYPE_CHECKING:
    import pandas as pd

#: between the ends of an interval, and alone for "undefined"
EN_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class RowSpec:
    """A row to be measured.

    Attributes:
        label: what the row is about (a finding, a subgroup, a direction).
        counts: how many items, patients, positives ... stand behind it.
        note: a remark printed with it ("small group").
    """

    label: str
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class TableSpec:
    """A table to be measured.

    Attributes:
        key: short name, unique within a task.
        title: heading.
        about: one or two sentences: what the numbers mean.
        columns: metric names.
        rows: the rows.
        statistic: weights (R, N) -> values (R, rows x columns), row after row.
        percent: columns printed as percentages.
        decimals: columns printed with another number of decimals than three.
    """

    key: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[RowSpec, ...]
    statistic: Statistic
    percent: tuple[str, ...] = ()
    decimals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Style:
    """How numbers are printed.

    Attributes:
        percent: as a percentage with one decimal.
        decimals: otherwise.
        sign: always with a sign (differences).
    """

    percent: bool = False
    decimals: int = 3
    sign: bool = False


@dataclass(frozen=True)
class Row:
    """A measured row: cells by column."""

    label: str
    counts: dict[str, int]
    note: str
    cells: dict[str, Interval]


@dataclass(frozen=True)
class Table:
    """A measured table. ``difference`` marks one that holds first model minus second model."""

    key: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    percent: tuple[str, ...] = ()
    decimals: dict[str, int] = field(default_factory=dict)
    difference: bool = False

    def style(self, column: str) -> Style:
        """How a column is printed."""
        return Style(column in self.percent, self.decimals.get(column, 3), self.difference)

    def cell(self, row: str, column: str) -> Interval:
        """The cell of a row label and a column."""
        return next(r for r in self.rows if r.label == row).cells[column]

    def frame(self) -> pd.DataFrame:
        """A row a row: counts, then value, ``low`` and ``high`` of every column."""
        import pandas as pd

        records = []
        for row in self.rows:
            record: dict[str, float] = dict(row.counts)
            for name, cell in row.cells.items():
                record |= {name: cell.value, f"{name} low": cell.low, f"{name} high": cell.high}
            records.append(record)
        return pd.DataFrame(records, index=[row.label for row in self.rows])


@dataclass(frozen=True)
class Measured:
    """All tables of a task, and the bootstrap values behind them for pairing (None without a bootstrap)."""

    tables: tuple[Table, ...]
    drawn: np.ndarray | None

    def table(self, key: str) -> Table:
        """The table called ``key``."""
        return next(t for t in self.tables if t.key == key)

    def mean(self, key: str, rows: Sequence[str], column: str) -> tuple[float, np.ndarray]:
        """The mean of a column over some rows, and its bootstrap values (R,); none without a bootstrap."""
        cells = [(t.key, r.label, c) for t in self.tables for r in t.rows for c in t.columns]
        at = [cells.index((key, row, column)) for row in rows]
        value = float(np.mean([self.table(key).cell(row, column).value for row in rows]))
        return value, np.zeros(0) if self.drawn is None else self.drawn[:, at].mean(axis=1)


def measure(
    specs: Sequence[TableSpec], rows: int, resamples: PatientResamples | None = None, level: float = 0.95
) -> Measured:
    """Evaluate every table on the full data and on every resample.

    All tables see the same resamples, whose weights are drawn once.

    Args:
        specs: the tables.
        rows: N, length of a weight vector.
        resamples: the bootstrap; None leaves the intervals out.
        level: coverage of the intervals.
    """

    def everything(weights: np.ndarray) -> np.ndarray:
        parts = []
        for spec in specs:
            values = np.asarray(spec.statistic(weights), dtype=np.float64).reshape(len(weights), -1)
            if values.shape[1] != len(spec.rows) * len(spec.columns):
                raise DataError(
                    f"table {spec.key}: {values.shape[1]} values, {len(spec.rows)} rows x {len(spec.columns)} columns"
                )
            parts.append(values)
        return np.concatenate(parts, axis=1)

    point = everything(np.ones((1, rows)))[0]
    low = high = np.full(len(point), np.nan)
    missing = np.zeros(len(point), dtype=np.int64)
    drawn = None
    if resamples is not None:
        drawn = bootstrap(everything, resamples)
        drawn[:, np.isnan(point)] = np.nan  # undefined on the data stays undefined
        low, high = percentiles(drawn, level)
        missing = np.isnan(drawn).sum(0)
    return Measured(_fill(specs, point, low, high, missing), drawn)


def _fill(
    specs: Sequence[TableSpec], point: np.ndarray, low: np.ndarray, high: np.ndarray, missing: np.ndarray
) -> tuple[Table, ...]:
    tables, at = [], 0
    for spec in specs:
        rows = []
        for row in spec.rows:
            cells = {}
            for column in spec.columns:
                cells[column] = Interval(float(point[at]), float(low[at]), float(high[at]), int(missing[at]))
                at += 1
            rows.append(Row(row.label, row.counts, row.note, cells))
        tables.append(Table(spec.key, spec.title, spec.about, spec.columns, tuple(rows), spec.percent, spec.decimals))
    return tuple(tables)


def differences(first: Measured, second: Measured, level: float = 0.95) -> tuple[Table, ...]:
    """First minus second, with paired intervals: both were measured on the same items and the same resamples."""
    if [(t.key, t.columns, [r.label for r in t.rows]) for t in first.tables] != [
        (t.key, t.columns, [r.label for r in t.rows]) for t in second.tables
    ]:
        raise DataError("the two models were not measured by the same tables; use one protocol and one manifest")
    if first.drawn is not None and second.drawn is not None:
        if first.drawn.shape != second.drawn.shape:
            raise DataError("the two models were not measured on the same resamples")
        gap = first.drawn - second.drawn
        low, high = percentiles(gap, level)
        missing = np.isnan(gap).sum(0)
    else:
        count = sum(len(t.rows) * len(t.columns) for t in first.tables)
        low = high = np.full(count, np.nan)
        missing = np.zeros(count, dtype=np.int64)
    tables, at = [], 0
    for a, b in zip(first.tables, second.tables, strict=True):
        rows = []
        for left, right in zip(a.rows, b.rows, strict=True):
            cells = {}
            for column in a.columns:
                value = left.cells[column].value - right.cells[column].value
                cells[column] = Interval(value, float(low[at]), float(high[at]), int(missing[at]))
                at += 1
            rows.append(Row(left.label, left.counts, left.note, cells))
        tables.append(replace(a, rows=tuple(rows), difference=True))
    return tuple(tables)


def number(value: float, style: Style = Style()) -> str:
    """A number for a table; a dash where undefined."""
    if math.isnan(value):
        return EN_DASH
    plus = "+" if style.sign else ""
    return f"{100 * value:{plus}.1f}" if style.percent else f"{value:{plus}.{style.decimals}f}"


def interval_text(cell: Interval, style: Style = Style()) -> str:
    """``0.812 (0.790-0.833)``, ``+0.031 (+0.012 to +0.052)`` for differences; the value alone without interval."""
    value = number(cell.value, style)
    if math.isnan(cell.low) or math.isnan(cell.value):
        return value
    link = " to " if style.sign or cell.low < 0 else EN_DASH
    return f"{value} ({number(cell.low, style)}{link}{number(cell.high, style)})"


def markdown(table: Table) -> str:
    """The table in Markdown, counts first."""
    counts = list(dict.fromkeys(name for row in table.rows for name in row.counts))
    titles = [f"{c} (%)" if c in table.percent else c for c in table.columns]
    lines = [f"| | {' | '.join([*counts, *titles])} |", "|---" * (1 + len(counts) + len(titles)) + "|"]
    for row in table.rows:
        cells = [f"{row.counts[c]:,}" if c in row.counts else "" for c in counts]
        cells += [interval_text(row.cells[c], table.style(c)) for c in table.columns]
        label = f"{row.label} ({row.note})" if row.note else row.label
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)
