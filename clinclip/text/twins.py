"""The manifest's ``twins`` column: all edited twins of a report as compact JSON, and back.

A twin is stored as what was edited, not as a text: a few words for each, whatever the length of the report.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from clinclip.errors import ReportTextError
from clinclip.findings import CODE_STATE, FINDING_INDEX, FINDINGS
from clinclip.text.editing import EDITS
from clinclip.text.editing.edits import apply_edits
from clinclip.text.types import Edit, EditedReport


@dataclass(frozen=True, slots=True)
class Twin:
    """One record.

    Attributes:
        kind: of the edit, a key of :data:`clinclip.text.editing.EDITS`.
        finding: what was edited.
        text: the edited report.
        labels: codes of the 14 states after the edit, in the order of FINDINGS.
        style: "eval" for wordings kept for the evaluation, "train" for the others, None where there is no choice.
        template: id of the wording, or None.
    """

    kind: str
    finding: str
    text: str
    labels: tuple[int, ...]
    style: str | None
    template: str | None


def twins_to_column(twins: Iterable[tuple[EditedReport, str | None]]) -> str:
    """Compact JSON of (edited report, style): a list of {kind, finding, edits, labels, style, template}.

    An edit is [start, old, new]: the words ``old`` at this character of the report became ``new``.
    """
    rows = [
        {
            "kind": e.kind,
            "finding": e.finding,
            "edits": [[edit.start, edit.old, edit.new] for edit in e.edits],
            "labels": [e.labels_after[f].code for f in FINDINGS],
            "style": style,
            "template": e.template,
        }
        for e, style in twins
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def twins_from_column(
    column: str,
    text: str,
    kinds: Collection[str] | None = None,
    styles: Collection[str | None] | None = None,
) -> list[Twin]:
    """Read the column back against the report that was edited.

    Args:
        column: of the manifest; an empty one gives no twin.
        text: of the same row.
        kinds: only these; None takes all.
        styles: only these; None takes all.

    Raises:
        ReportTextError: malformed JSON, an unknown finding or label, or edits of another text.
    """
    twins: list[Twin] = []
    try:
        for row in json.loads(column or "[]"):
            kind, style = row["kind"], row["style"]
            if (kinds is not None and kind not in kinds) or (styles is not None and style not in styles):
                continue
            labels = tuple(row["labels"])
            if (
                row["finding"] not in FINDING_INDEX
                or len(labels) != len(FINDINGS)
                or not set(labels) <= set(CODE_STATE)
            ):
                raise ValueError("finding or labels are not those of the 14 observations")
            edits = [Edit(start, start + len(old), old, new) for start, old, new in row["edits"]]
            twins.append(Twin(kind, row["finding"], apply_edits(text, edits), labels, style, row["template"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ReportTextError(
            f"an edited report is malformed ({type(error).__name__}: {error}); prepare the data again"
        ) from None
    return twins


def count_kinds(columns: Iterable[str]) -> dict[str, int]:
    """Kind of edit -> how many of the reports have a twin of it, 0 for those that none has."""
    counts = dict.fromkeys(EDITS, 0)
    for column in columns:
        for kind in {row["kind"] for row in json.loads(column or "[]")}:
            counts[kind] = counts.get(kind, 0) + 1
    return counts
