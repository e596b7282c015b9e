"""The twin of a report in which one finding is denied.

Every statement that asserts the finding is removed, one fluent denial takes the place of the first, the rest stays byte
for byte, and the result is read back (:mod:`clinclip.text.editing.excision`).
"""

from __future__ import annotations

from collections.abc import Collection

from clinclip.draws import Draws
from clinclip.text.editing.base import ASSERTED, ReportEdit
from clinclip.text.editing.denials import denials
from clinclip.text.editing.excision import excise, plan_excision
from clinclip.text.editing.subject import Subject
from clinclip.text.editing.templates import TEMPLATE_SETS, TemplateSet, template_set
from clinclip.text.types import EditedReport


class Negate(ReportEdit):
    """Deny one positive finding. The styles are two disjoint sets of wordings."""

    kind = "negate"
    styles = TEMPLATE_SETS
    varied = True

    def order(self, findings: Collection[str], draws: Draws, style: str | None = None) -> list[str]:
        """Each set of wordings has its own order."""
        return draws.order(findings, template_set(style))

    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        """Remove what asserts the finding; try denials until one reads back."""
        doomed = subject.of(finding, *ASSERTED)
        changes = plan_excision(self.kind, subject, finding, doomed)
        if isinstance(changes, str):
            return changes
        reason = "no wording reads back as a denial"
        for denial in denials(finding, doomed, draws, template_set(style), number):
            if denial.sentence.lower() in subject.text.lower():
                continue
            outcome = excise(self.kind, subject, finding, changes, denial)
            if isinstance(outcome, EditedReport):
                return outcome
            reason = outcome
        return reason


def negate(
    report: str, finding: str | None = None, seed: int = 0, templates: TemplateSet = "train"
) -> EditedReport | None:
    """Deny one positive finding of a report.

    Args:
        report: A report, or its findings and impression.
        finding: Which one; None draws uniformly among the positive ones, Support Devices excluded. A finding whose
            edit fails is passed over for the next.
        seed: Seed of the draw and of the wording. The report takes part in it.
        templates: "train" or "eval", two disjoint sets of wordings.

    Returns:
        The edited report, or None when there is nothing to deny or no candidate reads back as it must;
        :meth:`ReportEdit.attempts` tells the reasons.

    Raises:
        ConfigError: unknown finding or template set.
    """
    return Negate().first(report, finding, seed, templates)
