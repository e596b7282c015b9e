"""A phrase of the caller in a sentence: where it stands, in whatever form, and its state."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.findings import LabelState
from clinclip.text import assert_phrase


@given(st.text(max_size=200), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_phrase_in_any_sentence(sentence: str, phrase: str) -> None:
    a = assert_phrase(sentence, phrase)
    assert a.state in set(LabelState)
    assert sentence[a.start : a.end] == a.text
    assert (a.state is LabelState.NOT_MENTIONED) == (a.rule == "not-found")


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
