from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from clinclip.evaluation.tables import measure
from clinclip.evaluation.tasks.zero_shot import (
    calibration_table,
    operating_table,
    ranking_table,
    subgroup_table,
    zero_shot_figures,
)
from clinclip.findings import CHEXPERT_FIVE
from clinclip.metrics.calibration import expected_calibration_error, reliability
from clinclip.metrics.intervals import PatientResamples
from clinclip.metrics.subgroups import subgroups
from clinclip.metrics.thresholds import best_threshold, confusion, f1, mcc


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 6)) < 0.4).astype(float)
    margins = labels * 0.6 + rng.normal(size=labels.shape)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    labels[:, 5] = 0.0  # no positives
    return margins, labels


FINDINGS = (*CHEXPERT_FIVE, "Fracture")


def test_ranking_leaves_undefined_findings_out_of_the_macro(case: tuple[np.ndarray, np.ndarray]) -> None:
    table = measure([ranking_table(*case, FINDINGS)], 300, PatientResamples(np.arange(300), 20)).tables[0]
    area = [table.cell(f, "AUROC").value for f in CHEXPERT_FIVE]
    assert np.isnan(table.cell("Fracture", "AUROC").value)
    assert table.rows[5].note == "undefined"
    assert table.cell("macro over 5 of 6 findings", "AUROC").value == pytest.approx(np.mean(area))
    assert table.rows[5].counts == {"positives": 0, "negatives": 300}
    assert not any(r.label == "macro over the CheXpert five" for r in table.rows), "it would repeat the macro row"


def test_five_finding_macro_beside_the_full_one(case: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = case
    labels[:10, 5] = 1.0
    table = measure([ranking_table(margins, labels, FINDINGS)], 300).tables[0]
    five = np.mean([table.cell(f, "AUPRC").value for f in CHEXPERT_FIVE])
    assert table.cell("macro over the CheXpert five", "AUPRC").value == pytest.approx(five)
    assert table.cell("macro over 6 of 6 findings", "AUPRC").value != pytest.approx(five)


def test_f1_and_mcc_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random((80, 1)) < 0.3).astype(float)
    predicted = rng.random((80, 1)) < 0.4
    weights = rng.integers(0, 3, (5, 80)).astype(float)
    tp, fp, fn, tn = confusion(predicted, labels, weights)
    for r in range(5):
        w = weights[r]
        assert f1(tp, fp, fn)[r, 0] == pytest.approx(f1_score(labels[:, 0], predicted[:, 0], sample_weight=w))
        assert mcc(tp, fp, fn, tn)[r, 0] == pytest.approx(
            matthews_corrcoef(labels[:, 0], predicted[:, 0], sample_weight=w)
        )


@pytest.mark.parametrize("metric", ["f1", "mcc"])
def test_best_threshold_is_the_best(metric: str) -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random(60) < 0.3).astype(float)
    scores = np.round(labels + rng.normal(size=60), 1)
    labels[:5] = np.nan
    known = ~np.isnan(labels)
    quality = f1_score if metric == "f1" else matthews_corrcoef

    def at(cut: float) -> float:
        return quality(labels[known], scores[known] >= cut)

    best = max(at(c) for c in scores)
    assert at(best_threshold(scores, labels, metric)) == pytest.approx(best)
    assert np.isnan(best_threshold(scores, np.zeros(60), metric))


def test_operating_point_comes_from_validation(case: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = case
    validation = labels.copy()
    validation[:, 4] = np.nan  # no threshold for it
    table = measure([operating_table(margins, labels, FINDINGS, margins + 5, validation)], 300).tables[0]
    # validation scores lie 5 above: at their threshold nothing is predicted on the test split
    assert table.cell(FINDINGS[0], "F1").value == 0.0
    assert table.cell(FINDINGS[0], "MCC").value == 0.0
    assert table.rows[4].note.startswith("no threshold")
    assert np.isnan(table.cell(FINDINGS[4], "F1").value)
    same = measure([operating_table(margins, labels, FINDINGS, margins, labels)], 300).tables[0]
    cut = best_threshold(margins[:, 0], labels[:, 0], "f1")
    known = ~np.isnan(labels[:, 0])
    want = f1_score(labels[known, 0], margins[known, 0] >= cut)
    assert same.cell(FINDINGS[0], "F1").value == pytest.approx(want)


def test_calibration_by_hand() -> None:
    probability = np.array([0.95, 0.97, 0.05, 0.5])
    labels = np.array([1.0, 0.0, 0.0, np.nan])
    # bin of 0.95 and 0.97: |1.92 - 1| ; bin of 0.05: |0.05 - 0|
    want = (0.92 + 0.05) / 3
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 0, 5]])
    got = expected_calibration_error(probability, labels, weights, bins=10)
    assert got == pytest.approx([want, 0.05])
    curve = reliability(probability, labels, bins=10)
    assert [b["count"] for b in curve] == [1, 2]
    assert curve[1]["positives"] == 0.5
    table = measure([calibration_table(probability[:, None], labels[:, None], ["Edema"])], 4).tables[0]
    assert table.rows[0].counts == {"labelled": 3}


def test_subgroups_cover_everyone_and_mark_small_ones(case: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = case
    patients = np.arange(300) // 3
    sex = np.where(patients % 10 == 0, "F", "M")
    age = np.where(patients % 2 == 0, 35.0, np.nan)
    groups = subgroups(sex.tolist(), age.tolist(), ["PA"] * 300, patients)
    assert [g.label for g in groups] == ["sex: F", "sex: M", "age: 18-39", "age: unknown"]  # one view only: no group
    assert groups[0].patients == 10
    assert groups[0].note.startswith("small group")
    assert groups[1].note == ""
    assert (sum(g.mask.astype(int) for g in groups[:2]) == 1).all()
    table = measure([subgroup_table(margins, labels, groups)], 300).tables[0]
    part = groups[1].mask
    alone = measure([ranking_table(margins[part], labels[part], FINDINGS)], int(part.sum())).tables[0]
    assert table.cell("sex: M", "AUROC").value == pytest.approx(alone.cell("macro over 5 of 6 findings", "AUROC").value)
    assert table.rows[1].counts["findings"] == 5


def test_figures_hold_aggregates_of_defined_findings(case: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = case
    probability = 1 / (1 + np.exp(-margins))
    figures = zero_shot_figures(margins, labels, probability, FINDINGS, points=30)
    assert set(figures["roc"]) == set(CHEXPERT_FIVE)
    curve = figures["roc"][FINDINGS[0]]
    assert len(curve["fpr"]) <= 30
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0, 0, 1, 1)
    assert sum(b["count"] for b in figures["reliability"]) == int((~np.isnan(labels)).sum())
