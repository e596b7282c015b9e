"""Take every statement of a finding out of a report, with or without a denial in its place, and read the result back.

Nothing is trusted: a result in which the finding is not absent (not mentioned), or in which a label changed that the
edit does not entail, is discarded with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from clinclip.findings import LabelState
from clinclip.text.editing.base import ASSERTED
from clinclip.text.editing.denials import Denial, in_place_of
from clinclip.text.editing.edits import apply_edits, merge_spans
from clinclip.text.editing.removal import CannotRemoveError, SentenceChange, deletion, plan_removal
from clinclip.text.editing.subject import Subject, descendants, unentailed_change
from clinclip.text.types import Assertion, Edit, EditedReport


def plan_excision(kind: str, subject: Subject, finding: str, doomed: Sequence[Assertion]) -> list[SentenceChange] | str:
    """What becomes of the sentences that state a finding, or why it cannot leave.

    Planned once for all the twins of a kind that a report gets.

    Args:
        kind: of the edit.
        subject: the report.
        finding: what leaves.
        doomed: its statements.
    """
    if any(subject.labels[child] in ASSERTED for child in descendants(finding)):
        return "a more specific finding implies it"
    key = (kind, finding)
    if key not in subject.plans:
        try:
            subject.plans[key] = plan_removal(subject, doomed)
        except CannotRemoveError as error:
            subject.plans[key] = str(error)
    return subject.plans[key]


def excise(
    kind: str, subject: Subject, finding: str, changes: Sequence[SentenceChange], denial: Denial | None = None
) -> EditedReport | str:
    """Carry a plan out.

    Args:
        kind: of the edit.
        subject: the report.
        finding: what leaves.
        changes: of :func:`plan_excision`.
        denial: the sentence that takes the place of the first statement; afterwards the finding is absent. None leaves
            the finding unmentioned.

    Returns:
        The edited report, or why the result was discarded.
    """
    spans: list[tuple[int, int, str]] = []
    # the place of the first statement that counts: a wet read above the report does not
    first = next((c for c in changes if subject.is_read(c.start)), changes[0])
    for change in changes:
        new = change.text
        if change is first and denial is not None:
            new = in_place_of(subject.text, change, denial.sentence)
        if new:
            spans.append((change.start, change.end, new))
        else:
            spans.append((*deletion(subject.text, change), ""))
    edits = _without_hanging_blanks(subject.text, merge_spans(subject.text, spans))
    text = apply_edits(subject.text, edits)
    if not text.strip():
        return "nothing would remain of the report"
    after = Subject(text).labels
    if after[finding] is not (LabelState.NOT_MENTIONED if denial is None else LabelState.ABSENT):
        return f"reads back as {after[finding]}"
    if unentailed_change(subject.labels, after, (finding,)) is not None:
        return "another label changed"
    return EditedReport(
        text=text,
        source=subject.text,
        kind=kind,
        finding=finding,
        edits=edits,
        template=None if denial is None else denial.template.id,
        labels_before=dict(subject.labels),
        labels_after=dict(after),
    )


def _without_hanging_blanks(source: str, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Deletions that reach the end of a line take the blanks before them along: no line ends in a blank it had not."""
    result: list[Edit] = []
    for edit in edits:
        start, floor = edit.start, result[-1].end if result else 0
        if not edit.new and (edit.end == len(source) or source[edit.end] == "\n"):
            while start > floor and source[start - 1] in " \t":
                start -= 1
            if start == 0 or source[start - 1] in ":\n":  # a title keeps its blank, a line its indent
                start = edit.start
        result.append(Edit(start, edit.end, source[start : edit.end], edit.new))
    return tuple(result)
