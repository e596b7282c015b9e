"""Properties of the reader on any text, and what its assertions carry."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.findings import FINDINGS, LabelState
from clinclip.text import assert_phrase, find_assertions, label_report, trace
from clinclip.text.reading.lexicon.build import lexicon, read_table
from clinclip.text.reading.lexicon.patterns import expand, plurals
from clinclip.text.reading.mentions import find_hits
from clinclip.text.reading.words import fold, one_edit, split_words, word_spans
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


@given(st.text(max_size=200), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_phrase_in_any_sentence(sentence: str, phrase: str) -> None:
    a = assert_phrase(sentence, phrase)
    assert a.state in set(LabelState)
    assert sentence[a.start : a.end] == a.text
    assert (a.state is LabelState.NOT_MENTIONED) == (a.rule == "not-found")


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_folding_keeps_every_place(text: str) -> None:
    folded = fold(text)
    assert len(folded) == len(text)
    assert [folded[a:b] for a, b in word_spans(folded)] == split_words(folded)


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


# ------------------------------------------------------------------ labels


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


# ------------------------------------------------------------------ phrases


@pytest.mark.parametrize(
    ("sentence", "phrase", "found"),
    [
        ("He has POLYPS.", "polyp", "POLYPS"),
        ("Pain in the chest.", "chest pain", "Pain in the chest"),
        ("Bilateral pleural thickening.", "pleural thickening", "pleural thickening"),
        ("Edema of both legs.", "leg edema", "Edema of both legs"),
        ("No pnuemonia.", "pneumonia", "pnuemonia"),
        ("Haemorrhage was seen.", "hemorrhage", "Haemorrhage"),
    ],
)
def test_phrases_are_found_in_other_forms(sentence: str, phrase: str, found: str) -> None:
    assert assert_phrase(sentence, phrase).text == found


def test_title_yields_to_statement() -> None:
    assert assert_phrase("Chest pain: patient denies chest pain.", "chest pain").state == "absent"


def test_missing_phrase() -> None:
    a = assert_phrase("No fever.", "migraine")
    assert (a.state, a.rule, a.start, a.end) == (LabelState.NOT_MENTIONED, "not-found", 0, 0)


# ------------------------------------------------------------------ lexicon


def test_the_tables_are_well_formed() -> None:
    names = set()
    for row in read_table("concepts.tsv"):
        assert row[1] in {"-", *FINDINGS}, row[0]
        assert expand(row[2])
        options = {o for o in (row[3] if len(row) > 3 else "").split(",") if o and not o.startswith("absent=")}
        assert options <= {"weak", "sign", "incidental", "device", "removed", "disease", "episode", "process"}, row[0]
        names.add(row[0])
    groups = {row[0] for row in read_table("anatomy.tsv")}
    classes = {row[0] for row in read_table("predicates.tsv")}
    for row in read_table("normality.tsv"):
        assert set(row[0].split("|")) <= groups
        assert set(row[1].split("|")) <= classes
        assert row[3] in FINDINGS
        assert row[4] in set(LabelState)
    values = {"side", "severity", "change", "location", "morphology"}
    assert {row[0] for row in read_table("modifiers.tsv")} <= values
    assert len(names) > 30


def test_every_finding_has_terms() -> None:
    assert {row[1] for row in read_table("concepts.tsv")} >= set(FINDINGS)


@given(
    st.lists(st.sampled_from(["no", "pleural", "effusion", "left", "lower", "lobe", "collapse", "chest", "tube", "x"]))
)
@settings(max_examples=300, deadline=None)
def test_hits_are_leftmost_longest(words: list[str]) -> None:
    lex = lexicon()
    hits = find_hits(words, lex)
    at = 0
    for start, end, entry in hits:
        assert at <= start < end <= len(words)
        assert len(entry.phrase.split()) == end - start
        longer = "".join(lex.table[w] for w in words[start : end + 1])
        assert end == len(words) or longer not in lex.automaton
        at = end


def test_patterns() -> None:
    assert expand("{a|b} [c] d") == ["a d", "a c d", "b d", "b c d"]
    assert expand("[very] {large|small [left]}") == [
        "large",
        "small",
        "small left",
        "very large",
        "very small",
        "very small left",
    ]
    with pytest.raises(ReportTextError, match="unbalanced"):
        expand("{a|b")
    assert "pneumothoraces" in plurals("pneumothorax")
    assert plurals("opacity") == ["opacities"]
    assert "atelectases" in plurals("atelectasis")


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("effusion", "effussion", True),
        ("effusion", "efusion", True),
        ("effusion", "effuison", True),
        ("effusion", "effusien", True),
        ("effusion", "effusion", False),
        ("effusion", "infusion", False),
        ("effusion", "effusionss", False),
    ],
)
def test_one_typing_error(a: str, b: str, near: bool) -> None:
    assert one_edit(a, b) is near
    assert one_edit(b, a) is near
    assert not one_edit("pleural", "plaural", swap_only=True)
    assert one_edit("pleural", "plueral", swap_only=True)
