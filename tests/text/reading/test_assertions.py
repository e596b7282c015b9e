"""Properties of the reader on any text, and what its assertions carry."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.findings import FINDINGS, LabelState
from clinclip.text import find_assertions, label_report, trace
from clinclip.text.types import Assertion

WORDS = [
    "no", "without", "effusion", "pneumothorax", ",", ".", ";", ":", "and", "or", "but", "with", "small", "left",
    "heart", "is", "enlarged", "normal", "lungs", "clear", "not", "seen", "cannot", "exclude", "may", "represent",
    "resolved", "(", ")", "?", "the", "of", "in", "if", "history", "prior", "study", "which", "\n", "___", "X",
]  # fmt: skip
REPORTS = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)


def check(text: str, found: list[Assertion]) -> None:
    for a in found:
        assert 0 <= a.start < a.end <= len(text)
        assert text[a.start : a.end] == a.text
        assert a.sentence[0] <= a.start
        assert a.end <= a.sentence[1]
        assert a.state in {LabelState.PRESENT, LabelState.ABSENT, LabelState.UNCERTAIN}
        assert a.finding is None or a.finding in FINDINGS
        assert a.rule
        if a.cue is not None:
            assert a.cue_start is not None
            assert a.cue_end is not None
            assert text[a.cue_start : a.cue_end] == a.cue
            assert a.sentence[0] <= a.cue_start < a.cue_end <= a.sentence[1]
    assert [a.start for a in found] == sorted(a.start for a in found)


@given(REPORTS)
@settings(max_examples=400, deadline=None)
def test_spans_lie_in_the_text(text: str) -> None:
    found = find_assertions(text)
    check(text, found)
    assert found == find_assertions(text)
    assert list(label_report(text)) == list(FINDINGS)


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_unicode_is_read(text: str) -> None:
    check(text, find_assertions(text))
    label_report(text)
    for sentence in trace(text):
        assert 0 <= sentence.start < sentence.end <= len(text)


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "?", ".", "___", "no", "\x00", "\ud800", "🫁" * 50, "İ" * 20, "ﬁbrosis"]
)
def test_odd_texts(text: str) -> None:
    check(text, find_assertions(text))
    assert label_report(text)["Pneumonia"] is LabelState.NOT_MENTIONED


@pytest.mark.parametrize(
    "unit",
    [
        "effusion ", "no effusion, ", "no effusion and ", "no ", "effusion or ", "not seen ", "( ",
        "heart is normal and ", "normal heart, ", "may represent ", "the effusion, which ", "effusion, ",
        "IMPRESSION: ", "a: ", "\n", "1. ",
    ],
)  # fmt: skip
def test_run_time_is_linear(unit: str) -> None:
    def seconds(n: int) -> float:
        text = unit * n
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            find_assertions(text)
            label_report(text)
            best = min(best, time.process_time() - start)
        return best

    find_assertions(unit)
    small, large = seconds(2_500), seconds(20_000)
    assert large < 5, "20,000 tokens"
    # eight times the text: quadratic behaviour would take 64 times as long
    assert large < 24 * max(small, 0.005)


def test_a_mention_carries_its_attributes() -> None:
    (a,) = find_assertions("There is a new small left apical pneumothorax.")
    assert (a.concept, a.finding, a.text) == ("pneumothorax", "Pneumothorax", "pneumothorax")
    assert (a.side, a.severity, a.change, a.locations) == ("left", "mild", "new", ("apex",))
    (a,) = find_assertions("Moderate effusion in the right lower lobe has increased.")
    assert (a.side, a.severity, a.change, a.locations) == ("right", "moderate", "increased", ("right lower lobe",))
    (a,) = find_assertions("The left effusion has resolved.")
    assert (a.state, a.change, a.side) == ("absent", "resolved", "left")
    (a,) = find_assertions("Heart is moderately enlarged.")
    assert (a.finding, a.severity, a.cue) == ("Cardiomegaly", "moderate", "moderately enlarged")
    first, second = find_assertions("Small right and large left effusions, mild edema.")
    assert (first.side, second.severity) == ("bilateral", "mild")


def test_clear_lungs_deny_two_findings_with_one_span() -> None:
    found = find_assertions("The lungs are clear.")
    assert {(a.finding, a.text, a.rule) for a in found} == {
        ("Lung Opacity", "lungs", "clear-lungs"),
        ("Consolidation", "lungs", "clear-lungs"),
    }


def test_context_sections_do_not_assert() -> None:
    (a, b) = find_assertions("HISTORY: Pneumonia. IMPRESSION: Effusion.")
    assert (a.finding, a.state, a.rule) == ("Pneumonia", "uncertain", "context-section")
    assert (b.finding, b.state) == ("Pleural Effusion", "present")


def test_offsets_survive_wrapped_lines_and_blanks() -> None:
    text = " FINDINGS:  There is no focal\n consolidation.  Small left pleural\n effusion, ___ mm."
    found = find_assertions(text)
    check(text, found)
    assert [a.text for a in found] == ["focal\n consolidation", "pleural\n effusion"]
