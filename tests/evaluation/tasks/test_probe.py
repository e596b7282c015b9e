"""The linear probe: what its tables say, by hand and against scikit-learn, and the task from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import clinclip
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError
from clinclip.evaluation.items import select
from clinclip.evaluation.tables import measure
from clinclip.evaluation.tasks import Probe
from clinclip.evaluation.tasks.base import Embedder
from clinclip.evaluation.tasks.probe import probe_tables
from clinclip.export.model import Model
from clinclip.images import Preprocessing
from clinclip.metrics.probe import LinearProbe, fit_probe, patient_subset, subset_digest
from clinclip.testing import tiny_manifest, tiny_model
from clinclip.text.tokens import Tokenizer


def problem(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)) * (1, 2, 3, 4, 5)
    y = (x @ (1, -0.5, 0.2, 0, 0) + rng.normal(size=n) > 0).astype(float)
    return x, np.stack([y, 1 - y], axis=1)


def test_scores_are_those_of_a_penalised_logistic_regression() -> None:
    x, y = problem()
    y[:20, 0] = np.nan  # not labelled
    probe = LinearProbe(x, y, penalty=1e-2)
    known = ~np.isnan(y[:, 0])
    z = (x - x.mean(0)) / x.std(0)
    other = LogisticRegression(C=1 / (1e-2 * known.sum()), tol=1e-10, max_iter=1000).fit(z[known], y[known, 0])
    new = problem(50, 1)[0]
    theirs = other.decision_function((new - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(probe.scores(new)[:, 0], theirs, atol=2e-3)
    assert probe.scores(new).shape == (50, 2)


def test_the_penalty_is_chosen_on_validation() -> None:
    x, y = problem(40)
    noise = np.concatenate([x, np.random.default_rng(2).normal(size=(40, 60))], axis=1)
    new, truth = problem(300, 3)
    new = np.concatenate([new, np.random.default_rng(4).normal(size=(300, 60))], axis=1)
    probe, penalty = fit_probe(noise, y, new, truth)
    quality = {p: roc_auc_score(truth[:, 0], LinearProbe(noise, y, p).scores(new)[:, 0]) for p in (1e-4, penalty)}
    assert penalty > 1e-4
    assert quality[penalty] > quality[1e-4]
    assert roc_auc_score(truth[:, 0], probe.scores(new)[:, 0]) == pytest.approx(quality[penalty])


def test_subsets_are_of_patients_nested_and_independent_of_the_order_of_rows() -> None:
    patients = np.repeat(np.arange(100), 3)
    small, large = (patient_subset(patients, f, 1) for f in (0.1, 0.5))
    assert small.sum() == 30
    assert large.sum() == 150
    assert (small <= large).all()
    assert not np.array_equal(small, patient_subset(patients, 0.1, 2))
    order = np.random.default_rng(0).permutation(300)
    assert np.array_equal(patient_subset(patients[order], 0.1, 1), small[order])
    assert subset_digest(patients[order], small[order]) == subset_digest(patients, small)
    assert patient_subset(patients, 0.001, 1).sum() == 3  # one patient at least


def test_tables_are_means_over_subsets_with_their_spread() -> None:
    labels = np.array([[1, 1], [0, 1], [1, 1], [0, 1]], dtype=float)  # the second finding has no negatives
    good, bad = np.array([[3.0, 0], [1, 0], [2, 0], [0, 0]]), np.array([[0.0, 0], [2, 0], [1, 0], [3, 0]])
    counts = {0.1: {"images": 2}, 1.0: {"images": 4}}
    measured = measure(probe_tables({0.1: [good, bad], 1.0: [good]}, labels, ("Edema", "Fracture"), counts), 4)
    table = measured.table("probe")
    assert table.cell("10 %", "AUROC").value == pytest.approx((1.0 + 0.0) / 2)
    assert table.cell("10 %", "spread").value == pytest.approx(2**-0.5)
    assert table.cell("100 %", "AUROC").value == 1.0
    assert np.isnan(table.cell("100 %", "spread").value)
    assert table.rows[0].counts == {"images": 2, "subsets": 2}
    assert [r.label for r in measured.table("findings").rows] == ["Edema"]
    assert measured.table("findings").cell("Edema", "10 %").value == pytest.approx(0.5)
    assert "Macro AUROC over 1 of 2 findings" in table.about


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.load(tiny_manifest(tmp_path_factory.mktemp("m"), studies=120))


@pytest.fixture(scope="module")
def model(manifest: Manifest) -> Model:
    tokenizer = Tokenizer.train(manifest.split("train")["text"].tolist())
    record = {"manifests": [manifest.hash], "datasets": ["toy"], "patients": None, "version": "0"}
    return Model(tiny_model().eval(), tokenizer, Preprocessing(32, 40, max_tokens=64), "aa", record)


def test_the_task_fits_on_train_tunes_on_validate_and_judges_on_test(
    manifest: Manifest, model: Model, tmp_path: Path
) -> None:
    result = clinclip.evaluate(model, manifest, "probe", resamples=20, device="cpu")
    record = json.loads((result.save(tmp_path)[-1]).read_text())
    assert list(record["headline"]) == ["auroc_1", "auroc_10", "auroc_100"]
    embed = Embedder(model, device="cpu")
    task = Probe(manifest, Probe.load_protocol())
    train, tuning, test = (
        embed.images(select(manifest, split), features=True) for split in ("train", "validate", "test")
    )
    probe, _ = fit_probe(train, task.train_labels, tuning, task.tuning_labels)
    scores, labels = probe.scores(test), task.labels
    areas = [roc_auc_score(y, s) for y, s in zip(labels.T, scores.T, strict=True) if 0 < y.sum() < len(y)]
    assert len(areas) == 3  # the findings of the toy studies
    assert result.headline["auroc_100"].value == pytest.approx(np.mean(areas))
    assert result.data["training_images"] == len(train)
    assert result.tables["probe"].rows[0].counts["subsets"] == 5
    assert "AUROC by finding, 100 % of the labels" in (tmp_path / "report.html").read_text()
    again = clinclip.evaluate(model, manifest, "probe", resamples=20, device="cpu")
    assert again.headline == result.headline  # nothing is left to chance


def test_a_probe_is_never_judged_on_what_it_was_fitted_on(manifest: Manifest, model: Model) -> None:
    with pytest.raises(ConfigError, match="--split validate: a probe is fitted on train"):
        clinclip.evaluate(model, manifest, "probe", split="validate")
