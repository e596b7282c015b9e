from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from clinclip.errors import DataError
from clinclip.metrics.arrays import codes_to_binary
from clinclip.metrics.auroc import SortedScores, auroc, average_precision


@pytest.fixture(params=[None, 5], ids=["distinct", "tied"])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(400, 3))
    if request.param:
        scores = np.round(scores * request.param) / request.param
    labels = (scores + rng.normal(size=scores.shape) > 0.7).astype(float)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    return scores, labels


def test_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    area, precision = auroc(scores, labels), average_precision(scores, labels)
    for f in range(3):
        keep = ~np.isnan(labels[:, f])
        assert area.values[f] == pytest.approx(roc_auc_score(labels[keep, f], scores[keep, f]), abs=1e-12)
        assert precision.values[f] == pytest.approx(
            average_precision_score(labels[keep, f], scores[keep, f]), abs=1e-12
        )
    assert area.macro == pytest.approx(area.values.mean(), abs=1e-15)


def test_weights_equal_repeated_rows(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    rng = np.random.default_rng(1)
    column = SortedScores(scores[:, 0], labels[:, 0])
    weights = rng.multinomial(400, np.full(400, 1 / 400), size=6)
    area, precision = column.auroc(weights), column.average_precision(weights)
    for r in range(6):
        rows = np.repeat(np.arange(400), weights[r])
        rows = rows[~np.isnan(labels[rows, 0])]
        assert area[r] == pytest.approx(roc_auc_score(labels[rows, 0], scores[rows, 0]), abs=1e-12)
        assert precision[r] == pytest.approx(average_precision_score(labels[rows, 0], scores[rows, 0]), abs=1e-12)


def test_unchanged_after_shuffling_rows_and_columns(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    rng = np.random.default_rng(2)
    rows, columns = rng.permutation(400), rng.permutation(3)
    before = auroc(scores, labels).values
    after = auroc(scores[rows][:, columns], labels[rows][:, columns]).values
    np.testing.assert_allclose(after, before[columns], atol=1e-12)


def test_undefined_findings_stay_out_of_the_mean() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.9, 0.1, 0.2], [0.5, 0.7, 0.9]])
    labels = np.array([[0, 0, -1], [1, 0, -2], [0, 0, 1]])
    result = auroc(scores, labels)
    assert result.values[0] == 1.0
    assert np.isnan(result.values[1:]).all()
    assert result.macro == 1.0
    assert result.defined == 1
    assert result.positives.tolist() == [1, 0, 1]
    assert result.negatives.tolist() == [2, 3, 0]
    assert np.isnan(average_precision(scores, labels).values[1:]).all()


def test_area_under_the_drawn_curve_is_the_number(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    column = SortedScores(scores[:, 1], labels[:, 1])
    fpr, tpr = column.roc()
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(float(column.auroc()), abs=1e-12)


def test_nothing_defined_is_not_a_number() -> None:
    assert np.isnan(auroc(np.zeros((3, 2)), np.ones((3, 2))).macro)
    assert np.isnan(auroc(np.zeros((0, 2)), np.zeros((0, 2))).macro)


def test_raw_cosines_over_one_are_fine() -> None:
    # torchmetrics squashes a batch that leaves [0, 1] and not the other; ranks need no range
    assert auroc(np.array([-3.0, 0.2, 0.4, 1.7]), np.array([0, 0, 1, 1])).values[0] == 1.0


def test_faults_are_named() -> None:
    with pytest.raises(DataError, match="1 of 2 labelled rows have a score that is not finite"):
        auroc(np.array([np.nan, 1.0, np.inf]), np.array([1, 0, -2]))
    with pytest.raises(DataError, match="labels must be 1, 0"):
        auroc(np.array([0.0, 1.0]), np.array([0.5, 1.0]))
    with pytest.raises(DataError, match="must have one shape"):
        auroc(np.zeros((3, 2)), np.zeros((3, 3)))


def test_policies() -> None:
    codes = np.array([1, 0, -1, -2], dtype=np.int8)
    np.testing.assert_array_equal(codes_to_binary(codes, "explicit"), [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(codes_to_binary(codes, "mentioned"), [1, 0, np.nan, 0])
    np.testing.assert_array_equal(codes_to_binary(codes, "u_ones"), [1, 0, 1, 0])
    with pytest.raises(DataError, match=r"label codes \[7\]"):
        codes_to_binary(np.array([7]))
