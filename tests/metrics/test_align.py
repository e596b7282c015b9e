from __future__ import annotations

import numpy as np
import pytest
import torch

from clinclip.errors import DataError
from clinclip.findings import FINDING_INDEX
from clinclip.metrics.align import align_accuracy, outcomes


def test_outcomes_by_hand() -> None:
    #                     right order  report last  tie r=n     all equal  tie r=o
    report = np.array([3.0, 1.0, 2.0, 1.0, 2.0])
    omitted = np.array([2.0, 2.0, 1.0, 1.0, 2.0])
    negation = np.array([1.0, 3.0, 2.0, 1.0, 1.0])
    got = outcomes(report, negation, omitted)
    assert got["report_vs_negation"].tolist() == [1, 0, 0.5, 0.5, 1]
    assert got["report_vs_omitted"].tolist() == [1, 0, 1, 0.5, 0.5]
    assert got["omitted_vs_negation"].tolist() == [1, 0, 0, 0.5, 1]
    assert got["three_way_top1"].tolist() == pytest.approx([1, 0, 0.5, 1 / 3, 0.5])
    assert got["full_order"].tolist() == pytest.approx([1, 0, 0, 1 / 6, 0.5])


def test_random_scores_stand_at_chance() -> None:
    rng = np.random.default_rng(0)
    r, n, o = rng.normal(size=(3, 200_000))
    means = {k: v.mean() for k, v in outcomes(r, n, o).items()}
    chance = {"report_vs_negation": 1 / 2, "report_vs_omitted": 1 / 2, "omitted_vs_negation": 1 / 2}
    chance |= {"three_way_top1": 1 / 3, "full_order": 1 / 6}
    assert means == pytest.approx(chance, abs=0.005)


def test_missing_texts_are_left_out() -> None:
    image = torch.eye(4)
    negation = torch.zeros(4, 2, 4)
    negation[0, 0] = 2 * image[0]  # beats the report
    valid = torch.tensor([[True, False], [True, False], [False, False], [True, True]])
    got = align_accuracy(image, image, negation, valid=valid)
    assert got["report_vs_negation"] == 3 / 4
    assert got["items"] == 4
    assert got["margin_report_negation"] == pytest.approx((-1 + 1 + 1 + 1) / 4)
    nothing = align_accuracy(image, image, negation, valid=torch.zeros(4, 2, dtype=torch.bool))
    assert np.isnan(nothing["report_vs_negation"])
    assert nothing["items"] == 0


def test_per_finding_and_macro() -> None:
    image = np.eye(4, dtype=np.float32)
    negation = np.zeros((4, 4), dtype=np.float32)
    negation[0] = 2 * image[0]
    effusion, edema = FINDING_INDEX["Pleural Effusion"], FINDING_INDEX["Edema"]
    got = align_accuracy(image, image, negation, finding=np.array([effusion, edema, edema, edema]))
    assert got["report_vs_negation/Pleural Effusion"] == 0.0
    assert got["report_vs_negation/Edema"] == 1.0
    assert got["report_vs_negation_macro"] == 0.5
    assert got["report_vs_negation"] == 0.75


def test_omitted_once_a_report_or_once_a_negation() -> None:
    rng = np.random.default_rng(1)
    image, report, omitted = rng.normal(size=(3, 6, 5))
    negation = rng.normal(size=(6, 2, 5))
    once = align_accuracy(image, report, negation, omitted)
    each = align_accuracy(image, report, negation, np.repeat(omitted[:, None], 2, axis=1))
    assert once == pytest.approx(each)
    some = align_accuracy(image, report, negation, omitted, omitted_valid=np.array([1, 0, 0, 0, 0, 0], dtype=bool))
    want = align_accuracy(image[:1], report[:1], negation[:1], omitted[:1])
    assert some["full_order"] == want["full_order"]
    assert some["report_vs_negation"] == once["report_vs_negation"]


def test_shapes_are_checked() -> None:
    with pytest.raises(DataError, match="do not fit"):
        align_accuracy(np.zeros((3, 4)), np.zeros((3, 5)), np.zeros((3, 4)))
