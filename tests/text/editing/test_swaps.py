"""Twins with the wrong side, severity or finding."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.errors import ConfigError
from clinclip.findings import LabelState
from clinclip.text import EDITS, find_assertions, label_report, swap_finding, swap_severity, swap_side
from clinclip.text.editing.edits import undo_edits

FULL = """FINDINGS: There is a small left pleural effusion.  Heart size is normal.

 IMPRESSION: Small left-sided effusion. No edema."""


def test_sides_are_exchanged_wherever_the_finding_is_stated() -> None:
    edited = swap_side(FULL)
    assert edited is not None
    assert edited.text == FULL.replace("left pleural", "right pleural").replace("left-sided", "right-sided")
    assert edited.labels_after == edited.labels_before
    assert [(e.old, e.new) for e in edited.edits] == [("left", "right"), ("left-sided", "right-sided")]
    assert {a.side for a in find_assertions(edited.text) if a.finding == "Pleural Effusion"} == {"right"}


def test_another_findings_side_stays() -> None:
    edited = swap_side("Left pleural effusion. Left pneumothorax.", finding="Pneumothorax")
    assert edited is not None
    assert edited.text == "Left pleural effusion. Right pneumothorax."


def test_severity_moves_far() -> None:
    edited = swap_severity("Small left pleural effusion. Mild edema.", finding="Pleural Effusion")
    assert edited is not None
    assert edited.text == "Large left pleural effusion. Mild edema."
    upper = swap_severity("MODERATE CARDIOMEGALY.")
    assert upper is not None
    assert upper.text in {"MINIMAL CARDIOMEGALY.", "MILD CARDIOMEGALY."}


def test_a_course_is_no_severity() -> None:
    edited = swap_severity("Small left pleural effusion is slightly increased.", finding="Pleural Effusion")
    assert edited is not None
    assert edited.text == "Large left pleural effusion is slightly increased."


def test_a_place_behind_the_finding_stays() -> None:
    edited = swap_finding("There is persistent collapse of the right lower lobe.", finding="Atelectasis")
    assert edited is not None
    assert edited.text.endswith("of the right lower lobe.")


def test_a_finding_becomes_another_that_was_not_mentioned() -> None:
    edited = swap_finding("There is a small left pleural effusion. Heart size is normal.")
    assert edited is not None
    assert edited.text == "There is a small left pneumothorax. Heart size is normal."
    assert edited.labels_after["Pneumothorax"] is LabelState.PRESENT
    assert edited.labels_after["Pleural Effusion"] is LabelState.NOT_MENTIONED
    assert swap_finding("Small effusion. No pneumothorax.") is None


def test_articles_and_plurals_follow() -> None:
    plural = swap_finding("Small bilateral pleural effusions are seen.")
    assert plural is not None
    assert plural.text == "Small bilateral pneumothoraces are seen."
    texts = {swap_finding("Unchanged bibasilar atelectasis.", seed=s).text for s in range(12)}  # type: ignore[union-attr]
    assert texts == {"Unchanged bibasilar consolidation.", "Unchanged bibasilar pneumonia."}


@pytest.mark.parametrize(
    ("kind", "report", "reason"),
    [
        ("swap_side", "Moderate cardiomegaly.", "the statements name no side"),
        ("swap_side", "Right middle lobe consolidation.", "the place exists on one side only"),
        ("swap_severity", "Left pneumothorax.", "no severity is named"),
        ("swap_finding", "Moderate cardiomegaly.", "no other finding can take its place"),
        ("swap_side", "No effusion.", "no positive finding to edit"),
    ],
)
def test_reasons(kind: str, report: str, reason: str) -> None:
    assert [a.reason for a in EDITS[kind].attempts(report)] == [reason]


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="templates='eval' is not one of None"):
        list(EDITS["swap_side"].attempts("Effusion.", style="eval"))
    with pytest.raises(ConfigError, match="allowed"):
        swap_side("Effusion.", finding="effusion")


PARTS = st.sampled_from(
    """
Small left pleural effusion.
Moderate right pneumothorax, unchanged.
Bibasilar atelectasis, left greater than right.
Right lower lobe consolidation.
Mild cardiomegaly and mild pulmonary edema.
No pneumothorax.
Tiny bilateral effusions with adjacent atelectasis.
""".strip().splitlines()
)


@settings(max_examples=80, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5), st.sampled_from(["swap_side", "swap_severity", "swap_finding"]))
def test_the_contract_holds_on_any_report(parts: list[str], kind: str) -> None:
    report = " ".join(parts)
    for attempt in EDITS[kind].attempts(report):
        if attempt.edited is None:
            assert attempt.reason
            continue
        edited = attempt.edited
        assert edited.text != report
        assert undo_edits(edited.text, edited.edits) == report
        assert edited.labels_after == label_report(edited.text)
        if kind != "swap_finding":
            assert edited.labels_after == edited.labels_before
