"""Apply, undo and check edit records: an edited report can always be turned back into its source from its edits."""

from __future__ import annotations

from collections.abc import Sequence

from clinclip.errors import ReportTextError
from clinclip.text.types import Edit


def check_edits(source: str, edits: Sequence[Edit]) -> None:
    """Raise :class:`ReportTextError` unless the edits are ordered, disjoint, inside ``source`` and fit it."""
    cursor = 0
    for number, edit in enumerate(edits):
        if not cursor <= edit.start <= edit.end <= len(source):
            raise ReportTextError(
                f"edit {number} at [{edit.start}, {edit.end}) overlaps its neighbour or lies outside the text of "
                f"{len(source)} characters; edits are in order of position and count in the original text"
            )
        if source[edit.start : edit.end] != edit.old:
            raise ReportTextError(
                f"edit {number} at [{edit.start}, {edit.end}) does not fit this text: it replaces other words than "
                "those found there; the record belongs to another report or text policy"
            )
        cursor = edit.end


def apply_edits(source: str, edits: Sequence[Edit]) -> str:
    """The edited text.

    Raises:
        ReportTextError: the edits do not belong to ``source``.
    """
    check_edits(source, edits)
    parts: list[str] = []
    cursor = 0
    for edit in edits:
        parts += (source[cursor : edit.start], edit.new)
        cursor = edit.end
    parts.append(source[cursor:])
    return "".join(parts)


def undo_edits(text: str, edits: Sequence[Edit]) -> str:
    """The source of an edited text.

    Raises:
        ReportTextError: the edits do not belong to ``text``.
    """
    inverses: list[Edit] = []
    shift = 0
    for edit in edits:
        start = edit.start + shift
        inverses.append(Edit(start, start + len(edit.new), edit.new, edit.old))
        shift += len(edit.new) - len(edit.old)
    return apply_edits(text, inverses)


def merge_spans(source: str, spans: Sequence[tuple[int, int, str]]) -> tuple[Edit, ...]:
    """Edits from (start, end, new) in any order; what overlaps is merged, what changes nothing is left out.

    Two spans overlap only in white space that both delete, so their new texts are simply put one after the other.
    """
    merged: list[tuple[int, int, str]] = []
    for start, end, new in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, before = merged[-1]
            merged[-1] = (first, max(last, end), before + new)
        else:
            merged.append((start, end, new))
    return tuple(Edit(start, end, source[start:end], new) for start, end, new in merged if source[start:end] != new)
