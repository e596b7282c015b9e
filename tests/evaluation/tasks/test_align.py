from __future__ import annotations

import numpy as np
import pytest

from clinclip.evaluation.tables import measure
from clinclip.evaluation.tasks import align
from clinclip.metrics.intervals import PatientResamples


def items(n: int = 40, omitted: bool = True) -> align.AlignItems:
    rng = np.random.default_rng(1)
    image, text = rng.normal(size=(n, 6)), {k: rng.normal(size=(n, 6)) for k in ("report", "negation", "omitted")}
    if not omitted:
        text["omitted"][:] = np.nan
    partners = align.other_patients(np.arange(n) // 2, count=16)
    return align.AlignItems(
        scores={k: np.einsum("nd,nd->n", image, v) for k, v in text.items()},
        blind={k: align.blind_scores(v, image, partners, chunk=7) for k, v in text.items()},
        lengths={
            "report": np.full(n, 90.0),
            "negation": np.full(n, 95.0),
            "omitted": np.full(n, 60.0 if omitted else np.nan),
        },
        finding=np.where(np.arange(n) % 4 == 0, 9, 10),
    )


def test_align_tables_agree_with_their_items() -> None:
    case = items()
    specs = [align.overall_table(case), align.finding_table(case), align.margin_table(case), align.control_table(case)]
    measured = measure(specs, len(case), PatientResamples(np.arange(40) // 2, 30))
    wins = (case.scores["report"] > case.scores["negation"]).astype(float)
    overall, findings = measured.table("align"), measured.table("findings")
    assert overall.cell("all items", "report > negation").value == pytest.approx(wins.mean())
    by_finding = [wins[case.finding == f].mean() for f in (9, 10)]
    assert findings.cell("Pneumothorax", "report > negation").value == pytest.approx(by_finding[0])
    assert overall.cell("mean over 2 findings", "report > negation").value == pytest.approx(np.mean(by_finding))
    margin = measured.table("margins").cell("report minus negation", "mean margin").value
    assert margin == pytest.approx((case.scores["report"] - case.scores["negation"]).mean())
    control = measured.table("controls")
    assert control.cell("the longer text wins", "report > negation").value == 0.0
    assert control.cell("the longer text wins", "report > omitted").value == 1.0
    assert control.cell("own image", "report > negation").value == pytest.approx(wins.mean())


def test_a_blind_model_is_exposed_by_the_controls() -> None:
    # every image prefers the report to the negation by the same amount: right on all items, and blind
    case = items()
    n, j = case.blind["report"].shape
    ones = {"report": 0.3, "negation": 0.1, "omitted": 0.2}
    blind = align.AlignItems(
        {k: np.full(n, v) for k, v in ones.items()},
        {k: np.full((n, j), v) for k, v in ones.items()},
        case.lengths,
        case.finding,
    )
    table = measure([align.control_table(blind)], n).tables[0]
    assert table.cell("own image", "report > negation").value == 1.0
    assert table.cell("images of other patients", "report > negation").value == 1.0
    assert table.cell("own image above other patients' mean", "report > negation").value == 0.5


def test_partners_are_images_of_other_patients() -> None:
    patients = np.array([1, 1, 1, 2, 3])
    partners = align.other_patients(patients, count=10)
    for i, row in enumerate(partners):
        real = row[row >= 0]
        assert sorted(real.tolist()) == [j for j in range(5) if patients[j] != patients[i]]
    text, image = np.random.default_rng(0).normal(size=(2, 5, 3))
    scores = align.blind_scores(text, image, partners)
    assert np.isnan(scores[partners < 0]).all()
    k = int(np.flatnonzero(partners[3] == 0)[0])
    assert scores[3, k] == pytest.approx(text[3] @ image[0], rel=1e-5)
    assert align.other_patients(np.array([1]), count=3).shape == (1, 0)


def test_without_omitted_reports_only_one_comparison_is_made() -> None:
    case = items(omitted=False)
    table = measure([align.overall_table(case)], len(case)).tables[0]
    assert table.columns == ("report > negation",)
    assert align.margin_table(case).rows[0].label == "report minus negation"
    assert len(align.margin_table(case).rows) == 1
    assert list(align.align_figures(case)["gaps"]["counts"]) == ["report > negation"]


def test_histogram_counts_every_item_once() -> None:
    case = items()
    gaps = align.align_figures(case, bins=10)["gaps"]
    assert len(gaps["edges"]) == 11
    assert gaps["edges"][0] == -gaps["edges"][-1]
    assert all(sum(c) == 40 for c in gaps["counts"].values())
