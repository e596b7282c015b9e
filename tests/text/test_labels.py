"""The 14 labels of a report: which mention wins, what follows from it, and what says nothing."""

from __future__ import annotations

import pytest

from clinclip.findings import LabelState
from clinclip.text import EDITS, SILENT_RULES, find_assertions, label_report, negate, omit


def test_present_wins_over_uncertain_over_absent() -> None:
    assert label_report("No effusion. Possible effusion.")["Pleural Effusion"] == "uncertain"
    assert label_report("Effusion. No effusion. Possible effusion.")["Pleural Effusion"] == "present"


def test_parents() -> None:
    labels = label_report("No focal opacity. Pneumonia.")
    assert labels["Consolidation"] == labels["Lung Opacity"] == "present"
    assert label_report("Mild cardiomegaly.")["Enlarged Cardiomediastinum"] == "present"
    assert label_report("Mild cardiomegaly.", parents=False)["Enlarged Cardiomediastinum"] == "not_mentioned"
    assert label_report("Possible pneumonia.")["Consolidation"] == "not_mentioned"
    assert label_report("No opacity.")["Edema"] == "not_mentioned"


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ("", "not_mentioned"),
        ("PA and lateral views.", "not_mentioned"),
        ("No acute cardiopulmonary process.", "present"),
        ("No effusion. Right PICC.", "present"),
        ("No effusion. Possible pneumonia.", "not_mentioned"),
        ("No effusion. Emphysema.", "not_mentioned"),
        ("No effusion. Degenerative changes of the spine.", "present"),
        ("No effusion. History of CHF.", "present"),
    ],
)
def test_no_finding(report: str, state: str) -> None:
    assert label_report(report)["No Finding"] == state


def test_weak_statements_yield() -> None:
    assert label_report("Vascular congestion.")["Edema"] == "present"
    assert label_report("Vascular congestion without edema.")["Edema"] == "absent"
    assert label_report("Rule out pneumonia.")["Pneumonia"] == "uncertain"
    assert label_report("Rule out pneumonia. No pneumonia.")["Pneumonia"] == "absent"


#: a report for every rule of mentions that say nothing about the image
SILENT = {
    "history": "FINDINGS: History of pneumonia.",
    "known": "FINDINGS: Known lung cancer.",
    "other-subject": "FINDINGS: Mother had pneumonia.",
    "hypothetical": "FINDINGS: If pneumonia develops, return.",
    "comparison": "FINDINGS: Prior study showed pneumonia.",
    "context-section": "HISTORY: Pneumonia.",
}


def test_silent_mentions_make_no_label_and_are_not_edited() -> None:
    """One set of rules for both: an edit never touches what the labels pass over."""
    assert set(SILENT) == SILENT_RULES
    for rule, sentence in SILENT.items():
        report = f"{sentence}\nIMPRESSION: Small left effusion."
        (mention,) = [a for a in find_assertions(report) if a.finding != "Pleural Effusion"]
        assert mention.rule == rule
        assert mention.finding in {"Pneumonia", "Lung Lesion"}
        assert label_report(report)[mention.finding] is LabelState.NOT_MENTIONED
        for edit in EDITS.values():
            assert edit.first(report, mention.finding) is None
        edited = negate(report)
        assert edited is not None
        assert edited.finding == "Pleural Effusion"
        assert edited.text.startswith(sentence)


def test_what_the_labels_pass_over_stays_when_the_finding_goes() -> None:
    edited = omit("Left lower lobe nodule. Known lung cancer. Edema.", "Lung Lesion")
    assert edited is not None
    assert edited.text == "Known lung cancer. Edema."
