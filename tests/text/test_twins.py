"""Edited reports as a manifest stores them."""

from __future__ import annotations

import json

import pytest

from clinclip.errors import ReportTextError
from clinclip.findings import FINDINGS
from clinclip.text import EDITS, EditedReport
from clinclip.text.twins import count_kinds, twins_from_column, twins_to_column

REPORT = (
    " FINDINGS: Small left pleural effusion with a \U0001fac1 \u00e9dema, unchanged.\n\n IMPRESSION: 1. Left effusion."
)


def made() -> list[tuple[EditedReport, str | None]]:
    """Every twin of the report, by kind and style."""
    found = []
    for edit in EDITS.values():
        for style in edit.styles:
            edited = edit.first(REPORT, "Pleural Effusion", seed=1, style=style)
            assert edited is not None, edit.kind
            found.append((edited, style))
    return found


def test_nothing_is_lost() -> None:
    edited = made()
    twins = twins_from_column(twins_to_column(edited), REPORT)
    assert [t.kind for t in twins] == ["negate", "negate", "omit", "swap_side", "swap_severity", "swap_finding"]
    for twin, (source, style) in zip(twins, edited, strict=True):
        assert (twin.text, twin.finding, twin.template, twin.style) == (
            source.text,
            source.finding,
            source.template,
            style,
        )
        assert twin.labels == tuple(source.labels_after[f].code for f in FINDINGS)
    assert twins_to_column([]) == "[]"
    assert twins_from_column("", REPORT) == twins_from_column("[]", REPORT) == []


def test_the_report_is_not_stored_again() -> None:
    long = REPORT + " The heart is normal." * 200
    (edited,) = [e for e in [EDITS["swap_side"].first(long)] if e]
    assert len(twins_to_column([(edited, None)])) < 300
    assert twins_from_column(twins_to_column([(edited, None)]), long)[0].text == edited.text


def test_kinds_and_styles_select() -> None:
    column = twins_to_column(made())
    assert [t.style for t in twins_from_column(column, REPORT, kinds=["negate"])] == ["train", "eval"]
    assert [t.kind for t in twins_from_column(column, REPORT, styles=("eval", None))][:2] == ["negate", "omit"]
    assert twins_from_column(column, REPORT, kinds=["omit"], styles=["eval"]) == []


def test_kinds_are_counted_by_report() -> None:
    swap = twins_to_column(pair for pair in made() if pair[0].kind == "swap_side")
    counts = count_kinds([twins_to_column(made()), swap, "[]", ""])
    assert counts == {"negate": 1, "omit": 1, "swap_side": 2, "swap_severity": 1, "swap_finding": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: "[1", "JSONDecodeError"),
        (lambda row: json.dumps([{"kind": "omit"}]), "KeyError: 'style'"),
        (lambda row: json.dumps([{**row, "finding": "Oedema"}]), "not those of the 14"),
        (lambda row: json.dumps([{**row, "labels": row["labels"][:-1]}]), "not those of the 14"),
        (lambda row: json.dumps([{**row, "labels": [7] * 14}]), "not those of the 14"),
        (lambda row: json.dumps([{**row, "edits": [[0, "Other words", ""]]}]), "belongs to another report"),
        (lambda row: json.dumps([{**row, "edits": [[9999, "left", ""]]}]), "lies outside the text"),
    ],
)
def test_a_column_that_does_not_fit_is_named(change, message: str) -> None:
    (row,) = json.loads(twins_to_column(made()[:1]))
    with pytest.raises(ReportTextError, match=f"an edited report is malformed .*{message}.*prepare the data again"):
        twins_from_column(change(row), REPORT)
