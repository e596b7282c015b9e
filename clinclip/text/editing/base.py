"""What an edit is: one class that denies, omits or misstates a finding of a report, and why it refuses where it does.

A further kind is one file with a subclass of :class:`ReportEdit`, and one line in :mod:`clinclip.text.editing`. It is
then written by preparation, offered by ``data.edits``, and named in help texts and errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from clinclip.draws import Draws
from clinclip.errors import ConfigError
from clinclip.findings import NO_FINDING, SUPPORT_DEVICES, LabelState, check_finding
from clinclip.text.editing.subject import Subject
from clinclip.text.types import EditedReport

#: Findings that are not edited unless forced: devices are no disease.
EXCLUDED: frozenset[str] = frozenset({SUPPORT_DEVICES})
#: States of a statement that an edit of a positive finding is about.
ASSERTED = (LabelState.PRESENT, LabelState.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one edit.

    Attributes:
        kind: of the edit.
        finding: what was to be edited, or None when the report offers nothing.
        edited: the result, or None.
        reason: why there is none, or None.
    """

    kind: str
    finding: str | None
    edited: EditedReport | None
    reason: str | None = None


class ReportEdit(ABC):
    """One kind of edited report, its *twin*.

    Attributes:
        kind: its name in manifests, in ``data.edits`` and in messages.
        styles: sets of wordings to choose from, (None,) for an edit that chooses none. Training takes every style but
            "eval", which is kept for the evaluation.
        varied: whether a further ``number`` gives another twin of the same finding.
    """

    kind: ClassVar[str]
    styles: ClassVar[tuple[str | None, ...]] = (None,)
    varied: ClassVar[bool] = False

    @abstractmethod
    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        """Edit one finding and read the result back.

        Args:
            subject: the report.
            finding: a finding that is positive in it.
            draws: source of the random choices.
            style: one of :attr:`styles`; None is the first.
            number: which of several twins of the same finding this is.

        Returns:
            The edited report, or the reason why there is none: a few words, free of the report's own.
        """

    def order(self, findings: Collection[str], draws: Draws, style: str | None = None) -> list[str]:
        """The order in which findings take turns, at random."""
        return draws.order(findings, self.kind)

    def attempts(
        self,
        report: str | Subject,
        finding: str | None = None,
        seed: int = 0,
        style: str | None = None,
        exclude: Collection[str] = EXCLUDED,
    ) -> Iterator[Attempt]:
        """Try the positive findings in random order, one attempt each, failures with their reason. Lazy.

        Args:
            report: a report, or its findings and impression.
            finding: try this one only.
            seed: of the draw and of the wording; the report takes part in it.
            style: one of :attr:`styles`; None is the first.
            exclude: findings that are not drawn.

        Raises:
            ConfigError: unknown finding or style.
        """
        if style is not None and style not in self.styles:
            raise ConfigError(f"templates={style!r} is not one of {', '.join(str(s) for s in self.styles)}")
        subject = report if isinstance(report, Subject) else Subject(report)
        draws = Draws(seed, subject.text)
        if finding is None:
            candidates = [f for f in subject.asserted if f not in exclude]
            if not candidates:
                yield Attempt(self.kind, None, None, "no positive finding to edit")
        else:
            check_finding(finding)
            if finding == NO_FINDING:
                raise ConfigError(f"finding={NO_FINDING!r} cannot be edited: it is derived from the other findings")
            candidates = [finding]
            if subject.labels[finding] is not LabelState.PRESENT:
                yield Attempt(self.kind, None, None, f"{finding} is not positive in the report")
                return
        for name in self.order(candidates, draws, style):
            yield self.attempt(subject, name, draws, style)

    def attempt(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> Attempt:
        """One positive finding. Arguments as :meth:`apply`."""
        if finding not in subject.asserted:
            return Attempt(self.kind, finding, None, "the finding is only implied by another one")
        outcome = self.apply(subject, finding, draws, style, number)
        if isinstance(outcome, EditedReport):
            return Attempt(self.kind, finding, outcome)
        return Attempt(self.kind, finding, None, outcome)

    def first(
        self, report: str | Subject, finding: str | None = None, seed: int = 0, style: str | None = None
    ) -> EditedReport | None:
        """The first attempt with a result, if any. Arguments and errors as :meth:`attempts`."""
        return next((a.edited for a in self.attempts(report, finding, seed, style) if a.edited is not None), None)


@dataclass
class Yield:
    """Counts how many reports an edit worked on, and why it did not on the others.

    Attributes:
        reports: reports seen.
        eligible: reports that assert something to edit.
        edited: reports with a result.
        reasons: reason -> number of failed candidates (a report can fail with one finding and succeed with the next).
    """

    reports: int = 0
    eligible: int = 0
    edited: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, attempts: list[Attempt]) -> None:
        """Count the attempts made on one report."""
        self.reports += 1
        self.eligible += any(a.finding is not None for a in attempts)
        self.edited += any(a.edited is not None for a in attempts)
        self.reasons.update(a.reason for a in attempts if a.reason)

    @property
    def rate(self) -> float:
        """Edited among the eligible; 1 when none is."""
        return self.edited / self.eligible if self.eligible else 1.0

    def __str__(self) -> str:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common())
        return (
            f"{self.edited} of {self.eligible} reports with an editable finding ({self.rate:.1%}), "
            f"{self.reports} reports in all" + (f". Discarded candidates: {reasons}" if reasons else "")
        )
