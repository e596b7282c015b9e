"""Negated and omitted reports: what is removed, what is inserted, what stays, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS, NO_FINDING, SUPPORT_DEVICES, LabelState
from clinclip.text import EDITS, label_report, negate, omit
from clinclip.text.editing.base import Attempt, Yield
from clinclip.text.editing.edits import apply_edits, undo_edits
from clinclip.text.types import EditedReport

REPORT = """ There is a small left pleural effusion with adjacent atelectasis. Heart size is
 normal. No pneumothorax or consolidation, but there is mild pulmonary edema.

 IMPRESSION:
 1. Small left effusion.
 2. Mild edema.
"""
FULL = " FINDINGS:\n\n" + REPORT


def check(edited: EditedReport | None, finding: str, wanted: LabelState) -> EditedReport:
    """What must hold of every edited report."""
    assert edited is not None
    assert edited.finding == finding
    assert label_report(edited.text)[finding] is wanted
    assert edited.labels_after == label_report(edited.text)
    assert edited.labels_before == label_report(edited.source)
    assert apply_edits(edited.source, edited.edits) == edited.text
    assert undo_edits(edited.text, edited.edits) == edited.source
    return edited


def test_every_statement_goes_and_one_denial_comes() -> None:
    edited = check(negate(FULL, finding="Pleural Effusion", seed=3), "Pleural Effusion", LabelState.ABSENT)
    assert "atelectasis" in edited.text
    assert "1." not in edited.text
    assert "2. Mild edema." in edited.text
    assert "No pneumothorax or consolidation, but there is mild pulmonary edema." in edited.text
    assert edited.template is not None
    assert edited.template.startswith("train/")
    assert len([e for e in edited.edits if e.new]) == 1
    assert edited.edits[0].start < FULL.index("Heart size")


def test_the_denial_stands_where_the_first_statement_stood() -> None:
    report = "The heart is enlarged. There is a left effusion. The aorta is tortuous. Left effusion again seen."
    edited = check(negate(report, finding="Pleural Effusion"), "Pleural Effusion", LabelState.ABSENT)
    first, *_, last = edited.text.split(". ")
    assert first == "The heart is enlarged"
    assert last == "The aorta is tortuous."


def test_omission_leaves_no_trace() -> None:
    edited = check(omit(FULL, finding="Edema"), "Edema", LabelState.NOT_MENTIONED)
    assert "edema" not in edited.text.lower()
    assert edited.template is None
    assert " IMPRESSION:\n 1. Small left effusion.\n" in edited.text


def test_omission_also_removes_denials_of_the_finding() -> None:
    edited = check(
        omit("No left effusion. Small right effusion. Edema.", "Pleural Effusion"),
        "Pleural Effusion",
        LabelState.NOT_MENTIONED,
    )
    assert edited.text == "Edema."


def test_uncertain_statements_go_with_the_certain_ones() -> None:
    report = "Right lower lobe pneumonia. The opacity may represent pneumonia or atelectasis."
    edited = check(negate(report, finding="Pneumonia"), "Pneumonia", LabelState.ABSENT)
    assert "atelectasis" in edited.text
    assert edited.labels_after["Atelectasis"] is edited.labels_before["Atelectasis"]


def test_sentences_that_point_back_go_with_their_subject() -> None:
    report = "There is a large right pneumothorax. This has increased since the prior study. Heart size is normal."
    edited = check(omit(report), "Pneumothorax", LabelState.NOT_MENTIONED)
    assert edited.text == "Heart size is normal."


def test_notifications_stay() -> None:
    report = "There is a large right pneumothorax. This was discussed with Dr. ___ by telephone. Edema."
    edited = check(omit(report, "Pneumothorax"), "Pneumothorax", LabelState.NOT_MENTIONED)
    assert "discussed with Dr. ___" in edited.text


@pytest.mark.parametrize(
    ("finding", "edited_lines"),
    [("Pleural Effusion", (2, 6)), ("Edema", (3, 7)), ("Atelectasis", (2,))],
)
def test_the_rest_stays_byte_for_byte(finding: str, edited_lines: tuple[int, ...]) -> None:
    """Lines that do not state the finding are the source's own, in its order."""
    edited = check(negate(FULL, finding=finding, seed=1), finding, LabelState.ABSENT)
    lines = FULL.split("\n")
    kept = [line for number, line in enumerate(lines) if number not in edited_lines]
    left = edited.text.split("\n")
    assert [line for line in left if line in kept] == kept
    assert len(left) <= len(lines)


def test_labels_are_derived_again() -> None:
    sole = check(negate("Small left pleural effusion. Heart size is normal."), "Pleural Effusion", LabelState.ABSENT)
    assert sole.labels_after[NO_FINDING] is LabelState.PRESENT
    child = check(negate("Moderate cardiomegaly. No effusion."), "Cardiomegaly", LabelState.ABSENT)
    assert child.labels_before["Enlarged Cardiomediastinum"] is LabelState.PRESENT
    assert child.labels_after["Enlarged Cardiomediastinum"] is not LabelState.PRESENT
    assert child.labels_after["Pleural Effusion"] is LabelState.ABSENT


def test_a_parent_is_not_denied_over_the_head_of_its_child() -> None:
    attempts = list(EDITS["negate"].attempts("Right basal opacity. Right lower lobe consolidation.", "Lung Opacity"))
    assert [a.reason for a in attempts] == ["a more specific finding implies it"]


def test_letters_follow_the_sentence_that_went() -> None:
    upper = negate("MODERATE LEFT EFFUSION. HEART SIZE IS NORMAL.", finding="Pleural Effusion")
    assert upper is not None
    assert upper.text.isupper()
    lower = negate("small left effusion, heart enlarged", finding="Pleural Effusion")
    assert lower is not None
    assert lower.text[0].islower()
    bare = negate("IMPRESSION:\n1. Left effusion\n2. Edema", finding="Pleural Effusion")
    assert bare is not None
    assert "\n2. Edema" in bare.text
    assert not bare.text.splitlines()[1].endswith(".")


def test_titles_and_numbers_stay_in_front() -> None:
    edited = negate(
        "LUNGS: Clear.\nPLEURA: Small left pleural effusion.\nHEART: Normal size.", finding="Pleural Effusion"
    )
    assert edited is not None
    assert edited.text.splitlines()[1].startswith("PLEURA: ")
    assert edited.text.splitlines()[2] == "HEART: Normal size."


def test_nothing_to_edit() -> None:
    for report in ("", "   ", "The lungs are clear. No effusion.", "Endotracheal tube in standard position."):
        assert negate(report) is None
        assert omit(report) is None
    attempts = list(EDITS["negate"].attempts("No effusion.", finding="Edema"))
    assert attempts == [Attempt("negate", None, None, "Edema is not positive in the report")]


def test_devices_only_when_forced() -> None:
    report = "Endotracheal tube in standard position. Mild edema."
    assert all(negate(report, seed=s).finding == "Edema" for s in range(20))  # type: ignore[union-attr]
    edited = omit(report, finding=SUPPORT_DEVICES)
    assert edited is not None
    assert edited.text == "Mild edema."


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="allowed: No Finding, Enlarged"):
        negate("Effusion.", finding="effusion")
    with pytest.raises(ConfigError, match="derived from the other findings"):
        omit("Effusion.", finding=NO_FINDING)
    with pytest.raises(ConfigError, match="train, eval"):
        negate("Effusion.", templates="test")  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_twin_and_seeds_vary() -> None:
    assert negate(FULL, seed=5) == negate(FULL, seed=5)
    results = [negate(FULL, seed=s) for s in range(30)]
    assert {r.finding for r in results if r} == {"Pleural Effusion", "Edema", "Atelectasis"}
    assert len({r.template for r in results if r}) > 8
    evaluated = [negate(FULL, seed=s, templates="eval") for s in range(10)]
    assert all(r is not None and r.template is not None and r.template.startswith("eval/") for r in evaluated)


def test_findings_are_drawn_uniformly() -> None:
    counts = dict.fromkeys(("Pleural Effusion", "Edema"), 0)
    for number in range(400):
        edited = negate(f"Study {number}. Small effusion. Mild edema.", seed=0)
        assert edited is not None
        counts[edited.finding] += 1
    assert abs(counts["Edema"] - 200) < 60


def test_the_yield_counts_reports_and_reasons() -> None:
    tally = Yield()
    for report in ("Small effusion.", "No effusion.", "Opacity. Consolidation."):
        tally.add(list(EDITS["negate"].attempts(report, "Lung Opacity" if "Opacity" in report else None)))
    assert (tally.reports, tally.eligible, tally.edited) == (3, 2, 1)
    assert tally.reasons == {"no positive finding to edit": 1, "a more specific finding implies it": 1}
    assert "1 of 2 reports" in str(tally)


SENTENCES = st.sampled_from(
    """
There is a small left pleural effusion and bibasilar atelectasis.
No pneumothorax.
Heart size is normal.
The heart is moderately enlarged.
Mild pulmonary edema, unchanged.
Right lower lobe consolidation, concerning for pneumonia.
No effusion, consolidation or pneumothorax, but there is a 5 mm nodule.
Endotracheal tube ends 4 cm above the carina.
The effusion has increased while the edema has resolved.
Possible pneumonia cannot be excluded.
Healed right rib fractures are again seen.
Compared to ___, the opacity has worsened.
The lungs are clear.
""".strip().splitlines()
)
GLUE = st.sampled_from([" ", "  ", "\n ", "\n\n", "\n 2. "])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(SENTENCES, GLUE), min_size=1, max_size=7), st.integers(0, 99))
def test_the_contract_holds_on_any_report(parts: list[tuple[str, str]], seed: int) -> None:
    report = "".join(sentence + glue for sentence, glue in parts)
    before = label_report(report)
    for attempts, wanted in (
        (EDITS["negate"].attempts(report, seed=seed), LabelState.ABSENT),
        (EDITS["omit"].attempts(report, seed=seed), LabelState.NOT_MENTIONED),
    ):
        for attempt in attempts:
            assert (attempt.edited is None) == (attempt.reason is not None)
            if attempt.edited is None:
                continue
            edited = check(attempt.edited, attempt.edited.finding, wanted)
            free = {edited.finding, NO_FINDING, "Enlarged Cardiomediastinum", "Lung Opacity", "Consolidation"}
            assert all(edited.labels_after[f] is before[f] for f in FINDINGS if f not in free)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_survived(text: str) -> None:
    for edited in (negate(text), omit(text)):
        assert edited is None or undo_edits(edited.text, edited.edits) == text


def test_a_wet_read_is_cleaned_but_the_denial_comes_into_the_report() -> None:
    report = "WET READ: ___ 1:12 PM\n Small effusion.\n\n FINDINGS: Small left effusion. Edema.\n\n IMPRESSION: Edema."
    edited = check(negate(report, finding="Pleural Effusion"), "Pleural Effusion", LabelState.ABSENT)
    assert "Small" not in edited.text
    inserted = next(e for e in edited.edits if e.new)
    assert inserted.start >= report.index("Small left")


def test_half_of_a_compound_goes() -> None:
    report = "There is a hydropneumothorax on the left. Edema."
    edited = check(negate(report, finding="Pneumothorax"), "Pneumothorax", LabelState.ABSENT)
    assert "There is a pleural effusion on the left." in edited.text
    edited = check(omit(report, finding="Pleural Effusion"), "Pleural Effusion", LabelState.NOT_MENTIONED)
    assert edited.text == "There is a pneumothorax on the left. Edema."
    upper = check(omit("NODULAR OPACITY.", finding="Lung Lesion"), "Lung Lesion", LabelState.NOT_MENTIONED)
    assert upper.text == "OPACITY."


@pytest.mark.parametrize(
    "unit", ["There is a left effusion and edema, but no pneumothorax. ", "effusion and edema, ", "a b "]
)
def test_run_time_is_linear_up_to_20000_words(unit: str) -> None:
    def fastest(words: int) -> float:
        text = unit * (words // len(unit.split()))
        seconds = []
        for _ in range(3):
            start = time.process_time()
            next(EDITS["negate"].attempts(text, seed=1))
            next(EDITS["omit"].attempts(text, seed=1))
            seconds.append(time.process_time() - start)
        return min(seconds)

    seconds = [fastest(words) for words in (2_500, 20_000)]
    assert seconds[1] < 24 * max(seconds[0], 0.05)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("1. Small effusion.\n2. Edema.", "2. Edema."),
        ("1. Edema.\n2. Small effusion.", "1. Edema."),
        ("1. Edema.\n2. Small effusion. Clips are noted.\n3. Normal.", "1. Edema.\n2. Clips are noted.\n3. Normal."),
        ("PLEURA: Small effusion.\nHEART: Edema.", "HEART: Edema."),
        ("IMPRESSION: Small effusion. Edema.", "IMPRESSION: Edema."),
        ("Edema.  Small effusion.  Clips.", "Edema.  Clips."),
        ("Edema. Small\n effusion. Clips.", "Edema. Clips."),
        ("Edema.\n Small effusion.\n Clips.", "Edema.\n Clips."),
        ("Edema.\n\nSmall effusion.\n\nClips.", "Edema.\n\nClips."),
    ],
)
def test_white_space_and_numbers_after_an_omission(report: str, expected: str) -> None:
    edited = omit(report, finding="Pleural Effusion")
    assert edited is not None
    assert edited.text == expected
