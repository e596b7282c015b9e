"""The twin of a report in which one finding is left out: afterwards it is not mentioned at all."""

from __future__ import annotations

from collections.abc import Collection

from clinclip.draws import Draws
from clinclip.findings import LabelState
from clinclip.text.editing.base import ASSERTED, ReportEdit
from clinclip.text.editing.excision import excise, plan_excision
from clinclip.text.editing.subject import Subject
from clinclip.text.types import EditedReport


class Omit(ReportEdit):
    """Leave one positive finding out, its denials included."""

    kind = "omit"

    def order(self, findings: Collection[str], draws: Draws, style: str | None = None) -> list[str]:
        """That of the negations of the evaluation, so that the three texts of a report differ in one thing."""
        return draws.order(findings, "eval")

    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        """Remove every statement about the finding."""
        changes = plan_excision(self.kind, subject, finding, subject.of(finding, *ASSERTED, LabelState.ABSENT))
        return changes if isinstance(changes, str) else excise(self.kind, subject, finding, changes)


def omit(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Leave one positive finding out of a report. Args, result and errors as :func:`clinclip.text.negate`."""
    return Omit().first(report, finding, seed)
