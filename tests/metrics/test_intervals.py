from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clinclip.errors import ConfigError
from clinclip.metrics.auroc import sorted_columns
from clinclip.metrics.intervals import (
    PatientResamples,
    bootstrap,
    percentiles,
    weighted_means,
    weighted_median,
)


def test_bootstrap_equals_a_loop_over_scikit_learn_on_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 60, 200)
    scores = np.round(rng.normal(size=(200, 2)), 1)  # with ties
    labels = (scores + rng.normal(size=(200, 2)) > 0.5).astype(int)
    resamples = PatientResamples(patients, resamples=20, seed=3)
    columns = sorted_columns(scores, labels)
    drawn = bootstrap(lambda w: np.stack([c.auroc(w) for c in columns], axis=1), resamples, chunk=7)
    for r in range(20):
        rows = np.repeat(np.arange(200), resamples.weights(r, r + 1)[0].astype(int))
        want = [roc_auc_score(labels[rows, f], scores[rows, f]) for f in range(2)]
        np.testing.assert_allclose(drawn[r], want, atol=1e-12)


def test_patients_are_drawn_whole() -> None:
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    weights = PatientResamples(patients, resamples=50, seed=1).weights(0, 50)
    for name in "abc":
        assert (weights[:, patients == name][:, 0] == weights[:, patients == name].T).all()
    per_patient = weights[:, [1, 0, 3]]
    assert (per_patient.sum(1) == 3).all()
    assert per_patient.std() > 0


def test_resamples_depend_on_seed_and_number_alone() -> None:
    a, b = PatientResamples(np.arange(30), 40, seed=5), PatientResamples(np.arange(30), 10, seed=5)
    np.testing.assert_array_equal(a.weights(3, 9), b.weights(3, 9))
    np.testing.assert_array_equal(a.weights(0, 40)[7], a.weights(7, 8)[0])
    assert (a.weights(0, 5) != PatientResamples(np.arange(30), 10, seed=6).weights(0, 5)).any()


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        # five equal rows a patient: counting rows as independent would make the interval far too short
        values = np.repeat(rng.normal(size=40), 5)
        resamples = PatientResamples(np.repeat(np.arange(40), 5), 200, seed)
        low, high = percentiles(bootstrap(lambda w, v=values: weighted_means(v[:, None], w), resamples))
        hits += int(low[0] <= 0 <= high[0])
    assert 0.88 <= hits / 120 <= 0.99


def test_undefined_resamples_are_left_out() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    low, high = percentiles(values, 0.5)
    assert (low[0], high[0]) == (1.5, 2.5)
    assert np.isnan([low[1], high[1]]).all()
    with pytest.raises(ConfigError, match="level 1"):
        percentiles(values, 1.0)
    with pytest.raises(ConfigError, match="resamples=0"):
        PatientResamples(np.arange(3), 0)


def test_weighted_median_and_means_equal_repetition() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(0, 9, 25).astype(float)
    values[[3, 7]] = np.nan
    weights = rng.integers(0, 3, (30, 25)).astype(float)
    medians, means = weighted_median(values, weights), weighted_means(values[:, None], weights)[:, 0]
    for r in range(30):
        repeated = np.repeat(values, weights[r].astype(int))
        assert medians[r] == np.nanmedian(repeated)
        assert means[r] == pytest.approx(np.nanmean(repeated))
    assert np.isnan(weighted_median(values, np.zeros((1, 25)))).all()
    assert np.isnan(weighted_median(np.full(4, np.nan), np.ones((2, 4)))).all()
