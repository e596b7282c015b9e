"""Edit records: apply, undo, refuse what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.text.editing.edits import apply_edits, merge_spans, undo_edits
from clinclip.text.types import Edit


def test_apply_and_undo() -> None:
    source = "Small effusion. Heart normal. Small effusion again."
    edits = (Edit(0, 15, "Small effusion.", "No effusion."), Edit(29, 51, " Small effusion again.", ""))
    edited = apply_edits(source, edits)
    assert edited == "No effusion. Heart normal."
    assert undo_edits(edited, edits) == source


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ((Edit(0, 5, "Large", "x"),), "other words"),
        ((Edit(0, 5, "Small", "x"), Edit(3, 8, "ll ef", "y")), "overlaps"),
        ((Edit(0, 99, "x" * 99, ""),), "lies outside the text of 15 characters"),
        ((Edit(6, 8, "ef", "x"), Edit(0, 5, "Small", "y")), "overlaps"),
    ],
)
def test_edits_of_another_text_are_refused(edits: tuple[Edit, ...], message: str) -> None:
    with pytest.raises(ReportTextError, match=message):
        apply_edits("Small effusion.", edits)


def test_undoing_on_the_wrong_text_is_refused() -> None:
    with pytest.raises(ReportTextError, match="belongs to another report"):
        undo_edits("Something else", (Edit(0, 5, "Small", "Large"),))


def test_merging_overlapping_deletions() -> None:
    source = "a. b. c."
    edits = merge_spans(source, [(2, 5, ""), (0, 3, ""), (6, 8, "c.")])
    assert edits == (Edit(0, 5, "a. b.", ""),)


@given(st.text(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30), st.text(max_size=20))))
def test_any_edits_can_be_undone(source: str, raw: list[tuple[int, int, str]]) -> None:
    spans = [(min(s, len(source)), min(s + n, len(source)), new) for s, n, new in raw]
    edits = merge_spans(source, spans)
    assert undo_edits(apply_edits(source, edits), edits) == source
