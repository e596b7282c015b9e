"""Sentence splitting: where radiology texts break, and where they only seem to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.text.sentences import MAX_CHARS, split_sentences


def split(text: str) -> list[str]:
    return [text[a:b] for a, b in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No effusion. Heart normal.", ["No effusion.", "Heart normal."]),
        ("No effusion.Heart normal.", ["No effusion.", "Heart normal."]),
        ("A 2.5 cm nodule. Clear.", ["A 2.5 cm nodule.", "Clear."]),
        ("Seen by Dr. Smith today. Clear.", ["Seen by Dr. Smith today.", "Clear."]),
        ("Atelectasis vs. pneumonia.", ["Atelectasis vs. pneumonia."]),
        ("R. lung clear. L. lung not.", ["R. lung clear.", "L. lung not."]),
        ("1. Effusion. 2. Nodule.", ["1. Effusion.", "2. Nodule."]),
        ("Hepatitis C. No ascites.", ["Hepatitis C.", "No ascites."]),
        ("C. difficile was negative.", ["C. difficile was negative."]),
        ("No. 14 French tube.", ["No. 14 French tube."]),
        ("Pneumothorax: no. Effusion: yes.", ["Pneumothorax: no.", "Effusion: yes."]),
        ("lungs clear. no effusion.", ["lungs clear.", "no effusion."]),
        ("? small effusion", ["? small effusion"]),
        ("Effusion? Perhaps.", ["Effusion?", "Perhaps."]),
        ("No effusion\n\nClear", ["No effusion", "Clear"]),
        ("No effusion\nHeart normal", ["No effusion", "Heart normal"]),
        ("1. No effusion\n2. Clear", ["1. No effusion", "2. Clear"]),
        ("- No effusion\n- Clear", ["- No effusion", "- Clear"]),
        ("LUNGS: clear\nHEART: normal", ["LUNGS: clear", "HEART: normal"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_split(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_wrapped_line_does_not_end_a_sentence() -> None:
    text = " There is no focal consolidation, pleural effusion, or pneumothorax in either\n lung; the Swan-Ganz is out."
    assert len(split(text)) == 1


def test_text_without_punctuation_is_cut() -> None:
    text = "word " * 5000
    pieces = split(text)
    assert max(map(len, pieces)) <= MAX_CHARS
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


@given(st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_spans_are_ordered_and_lose_nothing_but_white_space(text: str) -> None:
    spans = split_sentences(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()
