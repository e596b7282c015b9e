from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clinclip.evaluation.exposure import Exposure
from clinclip.evaluation.report import as_json, as_markdown, as_text
from clinclip.evaluation.result import Example, Headline, ModelOutcome, Outcome, Result
from clinclip.evaluation.tables import Measured, differences, measure
from clinclip.evaluation.tasks import ZeroShot
from clinclip.evaluation.tasks.zero_shot import calibration_table, ranking_table, zero_shot_figures
from clinclip.metrics.intervals import PatientResamples

FINDINGS = ("Edema", "Fracture", "Pneumothorax")


def outcome(name: str, seed: int, exposure: Exposure) -> tuple[ModelOutcome, Measured]:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 3)) < 0.5).astype(float)
    labels[:, 1] = 0
    margins = labels + np.random.default_rng(seed).normal(size=labels.shape)
    probability = 1 / (1 + np.exp(-margins))
    specs = [ranking_table(margins, labels, FINDINGS), calibration_table(probability, labels, FINDINGS)]
    measured = measure(specs, 60, PatientResamples(np.arange(60), 50))
    macro = (measured.table("ranking").rows[-1].label,)
    headlines = (Headline("auroc_macro", "macro AUROC", "ranking", macro, "AUROC"),)
    figures = zero_shot_figures(margins, labels, probability, FINDINGS)
    model = ModelOutcome(
        name=name,
        sha256="ab" * 32,
        logit_scale=14.3,
        train={"manifests": ["aaa"]},
        exposure=exposure,
        outcome=Outcome(measured, figures, headlines),
    )
    return model, measured


CLEAN = Exposure("clean", 0, 60, ("None of the 60 patients was in its training split.",))


@pytest.fixture
def result() -> Result:
    protocol = ZeroShot.load_protocol()
    data = {"data_set": "toy", "manifest_hash": "f" * 64, "split": "test", "images": 1060, "patients": 60}
    return Result(ZeroShot, protocol, protocol.hash(), data, (outcome("one.ckpt", 1, CLEAN)[0],))


def test_json_is_strict_and_says_how_it_was_taken(result: Result) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(as_json(result), parse_constant=refuse)
    model = record["models"][0]
    rows = {r["label"]: r for r in model["tables"]["ranking"]["rows"]}
    assert rows["Fracture"]["cells"]["AUROC"]["value"] is None  # undefined, and not 0
    assert rows["Edema"]["cells"]["AUROC"]["low"] < rows["Edema"]["cells"]["AUROC"]["value"]
    assert record["protocol"]["hash"] == result.protocol_hash
    assert record["protocol"]["content"]["label_policy"] == "mentioned"
    assert record["data"]["manifest_hash"] == "f" * 64
    assert model["sha256"] == "ab" * 32
    assert model["exposure"]["status"] == "clean"
    assert record["headline"]["auroc_macro"]["value"] == pytest.approx(
        np.mean([rows[f]["cells"]["AUROC"]["value"] for f in ("Edema", "Pneumothorax")])
    )


def test_every_table_in_markdown_and_html_carries_its_origin(result: Result, tmp_path: Path) -> None:
    text = as_markdown(result)
    assert text.count("(manifest ffffffffffff); exposure clean") == len(result.models[0].tables)
    assert f"protocol zero-shot-chexpert14-v1 ({result.protocol_hash}); toy, test split, 1,060 images" in text
    assert "| Fracture (undefined) | 0 | 60 | \N{EN DASH} | \N{EN DASH} |" in text
    assert [p.name for p in result.save(tmp_path)] == ["report.html", "results.md", "results.json"]
    page = (tmp_path / "report.html").read_text()
    for piece in (result.protocol_hash, "ffffffffffff", "abababababab", "1,060 images of 60 patients"):
        assert piece in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "results.json", "results.md"]


def test_html_is_self_contained(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3  # forest, ROC, reliability
    outside = re.findall(r"(?:src|href)=\"(?!#)([^\"]*)\"", page)
    assert all(o.startswith("data:") for o in outside), outside
    assert "<script" not in page
    assert "url(http" not in page


def test_same_results_give_the_same_files(result: Result, tmp_path: Path) -> None:
    for name in ("a", "b"):
        result.save(tmp_path / name)
    for name in ("report.html", "results.md", "results.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_exposure_is_red_and_first(result: Result, tmp_path: Path) -> None:
    seen = Exposure("exposed", 7, 60, ("7 of 60 patients were in its training split.",))
    exposed = replace(result, models=(replace(result.models[0], exposure=seen),))
    exposed.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.index('class="red">EXPOSED: one.ckpt has seen this test data. 7 of 60') < page.index("<table")
    assert as_markdown(exposed).splitlines()[2].startswith("**EXPOSED: one.ckpt")
    assert "exposure: exposed" in as_text(exposed)


def test_two_models_are_shown_with_their_paired_difference(result: Result, tmp_path: Path) -> None:
    first, a = outcome("one.ckpt", 1, CLEAN)
    second, b = outcome("two.ckpt", 2, CLEAN)
    both = replace(result, models=(first, second), differences=differences(a, b))
    text = as_markdown(both)
    assert "## A minus B, paired intervals" in text
    record = json.loads(as_json(both))
    gap = record["differences"]["ranking"]["rows"][0]["cells"]["AUROC"]["value"]
    one, two = (m.tables[0].cell("Edema", "AUROC").value for m in both.models)
    assert gap == pytest.approx(one - two)
    both.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "A: one.ckpt" in page
    assert "(A minus B)" in page


def test_text_is_escaped_and_examples_only_in_html(result: Result, tmp_path: Path) -> None:
    example = Example(b"png", "Edema", (("report", "<b>CANARY</b> & more", 0.5, True),))
    model = result.models[0]
    model = replace(model, outcome=replace(model.outcome, examples=(example,)))
    shown = replace(result, models=(model,), notes=("a < b",))
    shown.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;CANARY&lt;/b&gt; &amp; more" in page
    assert "a &lt; b" in page
    assert "Do not pass this file on" in page
    assert "CANARY" not in (tmp_path / "results.json").read_text() + (tmp_path / "results.md").read_text()
    assert "CANARY" not in repr(shown)


def test_terminal_text(result: Result) -> None:
    cell = result.models[0].headline["auroc_macro"]
    assert not math.isnan(cell.value)
    assert f"macro AUROC                   {cell.value:.3f} (" in as_text(result)
