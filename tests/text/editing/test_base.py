"""What all edits have in common: the table of kinds, what they may apply to, and reasons."""

from __future__ import annotations

import pytest

import clinclip.text
from clinclip.draws import Draws
from clinclip.errors import ConfigError
from clinclip.findings import SUPPORT_DEVICES
from clinclip.text import EDITS, ReportEdit
from clinclip.text.editing.base import Attempt
from clinclip.text.editing.subject import Subject

REPORT = "There is a small left pleural effusion. Endotracheal tube in standard position. Mild left atelectasis."


def test_every_kind_has_its_name_and_its_function() -> None:
    assert list(EDITS) == ["negate", "omit", "swap_side", "swap_severity", "swap_finding"]
    for kind, edit in EDITS.items():
        assert isinstance(edit, ReportEdit)
        assert edit.kind == kind
        edited = getattr(clinclip.text, kind)(REPORT, seed=4)
        assert edited == edit.first(REPORT, seed=4)
        assert edited is not None
        assert edited.kind == kind


@pytest.mark.parametrize("kind", EDITS)
def test_what_an_edit_may_apply_to(kind: str) -> None:
    edit = EDITS[kind]
    tried = {a.finding for a in edit.attempts(REPORT)}
    assert tried == {"Pleural Effusion", "Atelectasis"}, "devices are not drawn"
    assert {a.finding for a in edit.attempts(REPORT, exclude=())} == {*tried, SUPPORT_DEVICES}
    assert list(edit.attempts("No effusion.")) == [Attempt(kind, None, None, "no positive finding to edit")]
    assert list(edit.attempts("No effusion.", "Edema")) == [
        Attempt(kind, None, None, "Edema is not positive in the report")
    ]
    implied = [Attempt(kind, "Lung Opacity", None, "the finding is only implied by another one")]
    assert list(edit.attempts(REPORT, "Lung Opacity")) == implied
    with pytest.raises(ConfigError, match="derived from the other findings"):
        edit.first(REPORT, "No Finding")
    with pytest.raises(ConfigError, match="templates='best' is not one of"):
        edit.first(REPORT, style="best")


def test_findings_of_an_omission_come_in_the_order_of_the_evaluation_negations() -> None:
    findings = Subject(REPORT).asserted
    for seed in range(8):
        draws = Draws(seed, REPORT)
        assert EDITS["omit"].order(findings, draws) == EDITS["negate"].order(findings, draws, "eval")
