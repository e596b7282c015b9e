"""The manifest's ``assertions`` column: every mention of a report as compact JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from clinclip.errors import ReportTextError
from clinclip.findings import LabelState
from clinclip.text.types import Assertion

_ALWAYS = ("concept", "start", "end", "state", "rule")
_SOMETIMES = ("finding", "cue_start", "cue_end", "side", "severity", "change")


def assertions_to_column(assertions: Sequence[Assertion]) -> str:
    """Compact JSON: one object a mention, in order, with the fields that are not empty; words are left to the text."""
    rows: list[dict[str, Any]] = []
    for a in assertions:
        row: dict[str, Any] = {name: getattr(a, name) for name in _ALWAYS}
        row["state"] = str(a.state)
        row["sentence"] = list(a.sentence)
        row |= {name: value for name in _SOMETIMES if (value := getattr(a, name)) is not None}
        if a.locations:
            row["locations"] = list(a.locations)
        rows.append(row)
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def assertions_from_column(column: str, text: str) -> list[Assertion]:
    """Read the column back against the text that its spans count in; an empty column gives none.

    Raises:
        ReportTextError: malformed JSON, an unknown state, or a span outside the text.
    """
    try:
        rows = json.loads(column) if column else []
        return [_assertion(row, text) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ReportTextError(
            f"assertions column is malformed ({type(error).__name__}: {error}); run prepare again"
        ) from None


def _assertion(row: dict[str, Any], text: str) -> Assertion:
    start, end = row["start"], row["end"]
    cue_start, cue_end = row.get("cue_start"), row.get("cue_end")
    spans: list[tuple[int, int]] = [(start, end), row["sentence"]]
    if cue_start is not None and cue_end is not None:
        spans.append((cue_start, cue_end))
    for first, last in spans:
        if not 0 <= first < last <= len(text):
            raise ReportTextError(
                f"assertions column: span [{first}, {last}) lies outside the text of {len(text)} characters; "
                "the column belongs to another text policy: run prepare again"
            )
    return Assertion(
        concept=row["concept"],
        finding=row.get("finding"),
        start=start,
        end=end,
        text=text[start:end],
        state=LabelState(row["state"]),
        cue=None if cue_start is None else text[cue_start:cue_end],
        cue_start=cue_start,
        cue_end=cue_end,
        rule=row["rule"],
        sentence=(row["sentence"][0], row["sentence"][1]),
        locations=tuple(row.get("locations", ())),
        side=row.get("side"),
        severity=row.get("severity"),
        change=row.get("change"),
    )
