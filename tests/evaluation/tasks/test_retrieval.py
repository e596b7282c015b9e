from __future__ import annotations

import numpy as np
import pytest

from clinclip.evaluation.tables import measure
from clinclip.evaluation.tasks.retrieval import clinical_table, retrieval_figures, retrieval_subgroups, retrieval_table
from clinclip.findings import FINDING_INDEX
from clinclip.graph.schema import Entity, Relation, ReportGraph
from clinclip.metrics import clinical
from clinclip.metrics.intervals import PatientResamples
from clinclip.metrics.retrieval import Ranks, retrieval_ranks, summarize
from clinclip.metrics.subgroups import Group


def test_retrieval_table_equals_the_summary_of_ranks() -> None:
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(50, 8)), rng.normal(size=(30, 8))
    study_i, study_t = np.arange(50) % 30, np.arange(30)
    ranks = {"raw": retrieval_ranks(image, text, study_i, study_t)}
    resamples = PatientResamples(np.concatenate([study_i, study_t]), 50)
    table = measure([retrieval_table(ranks, (1, 5))], 80, resamples).tables[0]
    for row, values in (
        ("image to report, raw", ranks["raw"].image_to_text),
        ("report to image, raw", ranks["raw"].text_to_image),
    ):
        want = summarize(values, (1, 5))
        assert table.cell(row, "R@5").value == pytest.approx(want["r5"])
        assert table.cell(row, "median rank").value == want["median_rank"]
        assert table.cell(row, "MRR").value == pytest.approx(want["mrr"])
    assert table.rows[0].counts == {"queries": 50, "gallery": 30}
    assert table.rows[1].counts == {"queries": 30, "gallery": 50}


def test_retrieval_subgroup_is_the_same_as_its_queries_alone() -> None:
    ranks = Ranks(np.array([1.0, 2, 3, 10]), np.array([1.0, 1]))
    group = Group("sex: F", np.array([True, False, True, False]), 2, "")
    table = measure([retrieval_subgroups(ranks, [group], (1, 5))], 6).tables[0]
    assert table.cell("sex: F", "R@1").value == 0.5
    assert table.cell("sex: F", "median rank").value == 2.0
    curve = retrieval_figures({"raw": ranks})["recall"]["image to report, raw"]
    assert curve["recall"][0] == 0.25
    assert curve["recall"][-1] == pytest.approx(0.5)  # k ends at a gallery of two texts: rank 10 lies beyond


def test_clinical_agreement_by_hand() -> None:
    labels = np.full((3, 14), -2, dtype=np.int8)
    edema, effusion = FINDING_INDEX["Edema"], FINDING_INDEX["Pleural Effusion"]
    labels[0, [edema, effusion]] = 1
    labels[1, edema] = 1
    graph = ReportGraph(
        (Entity(0, 5, "Edema", "OBS-DP"), Entity(6, 10, "Lung", "ANAT-DP")), (Relation(0, 1, "located_at"),)
    )
    half = ReportGraph((Entity(0, 5, "edema", "OBS-DP"),), ())
    facts = [clinical.facts(g) for g in (graph, half, ReportGraph((), ()))]
    true, found = np.array([0, 1, 2]), np.array([1, 1, 2])
    spec = clinical_table(labels, true, {"retrieved report": found, "own report": true}, facts)
    table = measure([spec], 3).tables[0]
    # present: 3 true, 2 found, 2 in common
    assert table.cell("retrieved report", "label F1 micro").value == pytest.approx(2 * 2 / 5)
    assert table.cell("retrieved report", "label F1 macro").value == pytest.approx((1.0 + 0.0) / 2)
    # entities: {edema} of {edema, lung} is 2/3, {edema} of {edema} is 1, nothing of nothing is left out
    assert table.cell("retrieved report", "entity F1").value == pytest.approx((2 / 3 + 1) / 2)
    assert table.cell("retrieved report", "relation F1").value == 0.0
    assert table.cell("own report", "label F1 micro").value == 1.0
    assert table.cell("own report", "relation F1").value == 1.0


def test_top1_and_random_partner() -> None:
    image = np.eye(4)[[2, 0, 3]]
    assert clinical.top1(image, np.eye(4), chunk=2).tolist() == [2, 0, 3]
    partner = clinical.random_partner(20)
    assert sorted(partner.tolist()) == list(range(20))
    assert (partner != np.arange(20)).all()
