"""Assertions as a manifest stores them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.text import find_assertions
from clinclip.text.stored import assertions_from_column, assertions_to_column

REPORT = "HISTORY: CHF.\n\nFINDINGS: Small left pleural effusion in the lower lobe, unchanged. No pneumothorax."


def test_nothing_is_lost() -> None:
    found = find_assertions(REPORT)
    assert len(found) >= 3
    column = assertions_to_column(found)
    assert assertions_from_column(column, REPORT) == found
    assert "pneumothorax." not in column  # spans point into the text, which is stored once
    assert assertions_from_column("", REPORT) == []
    assert assertions_to_column([]) == "[]"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*REPORT.split(), "\u00e9dema", "edema", "\U0001f600", "no", "\x00"]), max_size=30))
def test_any_report_comes_back(words: list[str]) -> None:
    text = " ".join(words)
    found = find_assertions(text)
    assert assertions_from_column(assertions_to_column(found), text) == found


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("[1", REPORT, "malformed"),
        ('[{"start":0}]', REPORT, "malformed"),
        (assertions_to_column(find_assertions(REPORT)), REPORT[:20], "lies outside the text of 20 characters"),
        (assertions_to_column(find_assertions(REPORT)).replace('"absent"', '"gone"'), REPORT, "malformed"),
    ],
)
def test_a_column_that_does_not_fit_is_named(column: str, text: str, message: str) -> None:
    with pytest.raises(ReportTextError, match=message):
        assertions_from_column(column, text)
