"""Folding and splitting of texts into words, and the one typing error that is forgiven."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.text.reading.words import fold, one_edit, split_words, word_spans


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_folding_keeps_every_place(text: str) -> None:
    folded = fold(text)
    assert len(folded) == len(text)
    assert [folded[a:b] for a, b in word_spans(folded)] == split_words(folded)


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
