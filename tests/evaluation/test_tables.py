from __future__ import annotations

import math

import numpy as np
import pytest

from clinclip.errors import DataError
from clinclip.evaluation.tables import (
    RowSpec,
    Style,
    TableSpec,
    differences,
    interval_text,
    markdown,
    measure,
)
from clinclip.metrics.intervals import Interval, PatientResamples, weighted_means


def spec(values: np.ndarray, key: str = "t") -> TableSpec:
    return TableSpec(
        key=key,
        title="A table",
        about="About.",
        columns=("share", "margin"),
        rows=(RowSpec("first", {"items": len(values)}), RowSpec("second", note="small")),
        statistic=lambda w: np.concatenate([weighted_means(values, w), weighted_means(values + 1, w)], axis=1),
        percent=("share",),
        decimals={"margin": 2},
    )


def test_measure_fills_cells_row_by_row() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 2))
    measured = measure([spec(values)], 50, PatientResamples(np.arange(50), 200))
    table = measured.table("t")
    assert table.cell("first", "margin").value == pytest.approx(values[:, 1].mean())
    assert table.cell("second", "share").value == pytest.approx(values[:, 0].mean() + 1)
    cell = table.cell("first", "share")
    assert cell.low < cell.value < cell.high
    # half width of a mean's interval is about two standard errors
    assert (cell.high - cell.low) / 2 == pytest.approx(1.96 * values[:, 0].std() / 50**0.5, rel=0.25)


def test_without_bootstrap_there_are_no_intervals() -> None:
    cell = measure([spec(np.ones((4, 2)))], 4).table("t").cell("first", "share")
    assert cell.value == 1.0
    assert math.isnan(cell.low)
    assert interval_text(cell) == "1.000"


def test_paired_difference_is_narrower_than_the_two_intervals() -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(size=(200, 2)) * 5  # what both models find hard
    a, b = hard + 0.3 + rng.normal(size=hard.shape) * 0.1, hard + rng.normal(size=hard.shape) * 0.1
    resamples = PatientResamples(np.arange(200), 300)
    first, second = measure([spec(a)], 200, resamples), measure([spec(b)], 200, resamples)
    gap = differences(first, second)[0].cell("first", "share")
    assert gap.value == pytest.approx((a - b)[:, 0].mean())
    assert gap.low > 0.2
    assert gap.high < 0.4
    wide = first.table("t").cell("first", "share")
    assert wide.high - wide.low > 5 * (gap.high - gap.low)


def test_models_measured_differently_are_not_compared() -> None:
    resamples = PatientResamples(np.arange(10), 5)
    first = measure([spec(np.ones((10, 2)))], 10, resamples)
    with pytest.raises(DataError, match="not measured by the same tables"):
        differences(first, measure([spec(np.ones((10, 2)), "other")], 10, resamples))
    with pytest.raises(DataError, match="same resamples"):
        differences(first, measure([spec(np.ones((10, 2)))], 10, PatientResamples(np.arange(10), 6)))


def test_undefined_on_the_data_stays_undefined() -> None:
    values = np.full((6, 2), np.nan)
    cell = measure([spec(values)], 6, PatientResamples(np.arange(6), 10)).table("t").cell("first", "share")
    assert math.isnan(cell.value)
    assert math.isnan(cell.low)
    assert cell.undefined == 10


def test_wrong_number_of_values_is_refused() -> None:
    bad = TableSpec("t", "", "", ("a",), (RowSpec("r"),), lambda w: np.ones((len(w), 3)))
    with pytest.raises(DataError, match="3 values, 1 rows x 1 columns"):
        measure([bad], 4)


def test_markdown() -> None:
    table = measure([spec(np.array([[0.25, 1.0], [0.75, 2.0]]))], 2).tables[0]
    assert markdown(table).splitlines() == [
        "| | items | share (%) | margin |",
        "|---|---|---|---|",
        "| first | 2 | 50.0 | 1.50 |",
        "| second (small) |  | 150.0 | 2.50 |",
    ]


def test_interval_text() -> None:
    assert interval_text(Interval(0.5, 0.4, 0.6), Style(percent=True)) == "50.0 (40.0\N{EN DASH}60.0)"
    assert interval_text(Interval(-0.5, -0.6, 0.1), Style(sign=True)) == "-0.500 (-0.600 to +0.100)"
    assert interval_text(Interval(math.nan, 0.4, 0.6)) == "\N{EN DASH}"
