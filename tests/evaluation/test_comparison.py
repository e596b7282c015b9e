"""Rows of checkpoints compared: the arithmetic, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clinclip.errors import ConfigError, DataError
from clinclip.evaluation.comparison import Judged, compare
from clinclip.evaluation.result import Headline

COLUMNS = (
    Headline("report_vs_negation", "report > negation", "align", ("all items",), "report > negation"),
    Headline("auroc_common", "AUROC common", "ranking", ("Edema", "Pneumonia"), "AUROC", "of two findings"),
)


def judged(shift: float = 0.0, noise: float = 0.01, manifest: str = "m") -> Judged:
    point = np.array([0.4, 0.7]) + shift
    drawn = point + noise * np.random.default_rng(0).standard_normal((400, 2))
    facts = {"manifest": manifest, "split": "test", "tasks": {"Retrieval": {"images": 100, "patients": 50}}}
    return Judged(COLUMNS, point, drawn.astype(np.float32), facts)


def test_cells_are_means_over_seeds_with_paired_differences() -> None:
    results = {"baseline": [judged(), judged(0.02)], "negation": [judged(0.1), judged(0.12)]}
    _, cells = compare(results)
    cell = cells["negation"]["report_vs_negation"]
    assert cell.mean == pytest.approx(0.51)
    assert cell.spread == pytest.approx(0.02 / 2**0.5)
    assert cell.low < 0.51 < cell.high
    # the same resamples: noise cancels, and the difference is known far better than either row
    assert cell.difference == pytest.approx((0.1, 0.1, 0.1), abs=1e-6)
    assert cell.clear
    assert cell.text().endswith(" ▲")
    assert cells["baseline"]["report_vs_negation"].difference is None
    assert compare({"a": [judged()], "b": [judged(-0.1)]})[1]["b"]["auroc_common"].text().endswith(" ▼")


def test_rows_of_different_data_are_never_compared() -> None:
    with pytest.raises(ConfigError, match="different manifests"):
        compare({"baseline": [judged()], "negation": [judged(manifest="other")]})
    with pytest.raises(ConfigError, match="no finished run of negation"):
        compare({"baseline": [judged()], "negation": []})


def test_results_are_read_as_written_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "judged.npz"
    judged().save(path)
    again = Judged.read(path)
    assert again.columns == COLUMNS
    assert np.array_equal(again.drawn, judged().drawn)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"judged\.npz.*delete it"):
        Judged.read(path)
