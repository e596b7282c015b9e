"""Write the twin of a report in which one finding is denied, or left out.

Every statement that asserts the finding is removed, one fluent denial takes the place of the first, the rest stays byte
for byte. Nothing is trusted: the result is read back, and a candidate in which the finding is not absent (not
mentioned), or in which a label changed that the edit does not entail, is discarded with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from clinclip.errors import ConfigError
from clinclip.findings import NO_FINDING, SUPPORT_DEVICES, LabelState, check_finding
from clinclip.text.draws import Draws
from clinclip.text.editing.edits import apply_edits, merge_spans
from clinclip.text.editing.removal import CannotRemoveError, SentenceChange, deletion, plan_removal
from clinclip.text.editing.subject import Subject, descendants, sentence_claims, unentailed_change
from clinclip.text.editing.templates import (
    TEMPLATE_SETS,
    TEMPLATES,
    Place,
    Template,
    TemplateSet,
    fill,
    noun_phrase,
    nouns_for,
)
from clinclip.text.types import Assertion, Edit, EditedReport

#: Findings that are not edited unless forced: a normal report has nothing to deny, and devices are no disease.
EXCLUDED: frozenset[str] = frozenset({SUPPORT_DEVICES})
#: Denials that are tried for one finding before it is given up.
MAX_TRIES = 6
_ASSERTED = (LabelState.PRESENT, LabelState.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one edit.

    Attributes:
        kind: "negate", "omit", "swap_side", ...
        finding: what was to be edited, or None when the report offers nothing.
        edited: the result, or None.
        reason: why there is none, or None.
    """

    kind: str
    finding: str | None
    edited: EditedReport | None
    reason: str | None = None


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
        :func:`attempt_negations` tells the reasons.

    Raises:
        ConfigError: unknown finding or template set.
    """
    return _first(attempt_negations(report, finding, seed, templates))


def omit(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Leave one positive finding out of a report: afterwards it is not mentioned at all.

    Args and errors as :func:`negate`.
    """
    return _first(attempt_omissions(report, finding, seed))


def _first(attempts: Iterator[Attempt]) -> EditedReport | None:
    return next((a.edited for a in attempts if a.edited is not None), None)


def attempt_negations(
    report: str | Subject,
    finding: str | None = None,
    seed: int = 0,
    templates: TemplateSet = "train",
    exclude: Collection[str] = EXCLUDED,
) -> Iterator[Attempt]:
    """Try the positive findings in random order, one attempt each, failures with their reason. Lazy."""
    if templates not in TEMPLATE_SETS:
        raise ConfigError(f"templates={templates!r} is not one of {', '.join(TEMPLATE_SETS)}")
    subject = report if isinstance(report, Subject) else Subject(report)
    yield from _attempts("negate", subject, finding, seed, exclude, templates)


def attempt_omissions(
    report: str | Subject, finding: str | None = None, seed: int = 0, exclude: Collection[str] = EXCLUDED
) -> Iterator[Attempt]:
    """As :func:`attempt_negations`, leaving the finding out."""
    subject = report if isinstance(report, Subject) else Subject(report)
    yield from _attempts("omit", subject, finding, seed, exclude, "train")


def _attempts(
    kind: str, subject: Subject, finding: str | None, seed: int, exclude: Collection[str], templates: TemplateSet
) -> Iterator[Attempt]:
    if finding is not None:
        check_finding(finding)
        if finding == NO_FINDING:
            raise ConfigError(f"finding={NO_FINDING!r} cannot be edited: it is derived from the other findings")
        candidates = [finding]
        if subject.labels[finding] is not LabelState.PRESENT:
            yield Attempt(kind, None, None, f"{finding} is not positive in the report")
            return
    else:
        positives = [f for f in subject.asserted if f not in exclude]
        if not positives:
            yield Attempt(kind, None, None, "no positive finding to edit")
            return
        candidates = Draws(seed, subject.text).order(positives, "finding")
    for name in candidates:
        yield edit_finding(kind, subject, name, Draws(seed, subject.text), templates)


def edit_finding(
    kind: str, subject: Subject, finding: str, draws: Draws, templates: TemplateSet, number: int = 0
) -> Attempt:
    """Negate or omit one positive finding.

    Args:
        kind: "negate" or "omit".
        subject: The report.
        finding: A finding that is positive in it.
        draws: Source of the random choices.
        templates: Wordings to draw from.
        number: Which of several negations of the same finding this is; each draws another wording.
    """
    states = _ASSERTED if kind == "negate" else (*_ASSERTED, LabelState.ABSENT)
    doomed = subject.of(finding, *states)
    if not any(a.state is LabelState.PRESENT for a in doomed):
        return Attempt(kind, finding, None, "the finding is only implied by another one")
    if any(subject.labels[child] in _ASSERTED for child in descendants(finding)):
        return Attempt(kind, finding, None, "a more specific finding implies it")
    changes = _planned(kind, subject, finding, doomed)
    if isinstance(changes, str):
        return Attempt(kind, finding, None, changes)
    if kind == "omit":
        return _read_back(kind, subject, finding, changes, None, "")
    reason = "no wording reads back as a denial"
    for template, denial in _denials(finding, doomed, draws, templates, number):
        if denial.lower() in subject.text.lower():
            continue
        attempt = _read_back(kind, subject, finding, changes, template, denial)
        if attempt.edited is not None:
            return attempt
        reason = attempt.reason or reason
    return Attempt(kind, finding, None, reason)


def _planned(kind: str, subject: Subject, finding: str, doomed: list[Assertion]) -> list[SentenceChange] | str:
    """The removal of a finding, or why there is none; planned once for all the twins of a report."""
    key = (kind, finding)
    if key not in subject.plans:
        try:
            subject.plans[key] = plan_removal(subject, doomed)
        except CannotRemoveError as error:
            subject.plans[key] = str(error)
    return subject.plans[key]


def _denials(
    finding: str, doomed: list[Assertion], draws: Draws, templates: TemplateSet, number: int
) -> Iterator[tuple[Template, str]]:
    """Up to MAX_TRIES wordings that read as a denial of just this finding."""
    mentions = tuple(f"{a.concept} {a.text}".lower() for a in doomed if a.state is LabelState.PRESENT)
    nouns = nouns_for(finding, mentions)
    place = agreed_place(doomed)
    general = [t for t in TEMPLATES[templates] if t.findings is None]
    special = [t for t in TEMPLATES[templates] if t.findings and finding in t.findings]
    count = 0
    for turn in range(4 * MAX_TRIES):
        key = (templates, finding, number, turn)
        pool = special if special and draws.chance(0.3, "special", *key) else general
        template = draws.pick(pool, "template", *key)
        noun = draws.pick(nouns, "noun", *key)
        phrase = noun_phrase(noun, place, draws.number("place", *key))
        sentence = fill(template, phrase, noun.plural, place.side)
        if sentence is None:
            continue
        claims = sentence_claims(f"{sentence}.")
        if claims and all(c[1] == finding and c[2] is LabelState.ABSENT for c in claims):
            count += 1
            yield template, sentence
            if count == MAX_TRIES:
                return


def agreed_place(mentions: list[Assertion]) -> Place:
    """Side and site on which all positive mentions that name one agree; opposite sides make "bilateral"."""
    sides = {a.side for a in mentions if a.side}
    side = sides.pop() if len(sides) == 1 else "bilateral" if sides else None
    sites = {site.removeprefix("left ").removeprefix("right ") for a in mentions for site in a.locations}
    return Place(side, sites.pop() if len(sites) == 1 else None)


def _read_back(
    kind: str,
    subject: Subject,
    finding: str,
    changes: list[SentenceChange],
    template: Template | None,
    denial: str,
) -> Attempt:
    spans: list[tuple[int, int, str]] = []
    # the place of the first statement that counts: a wet read above the report does not
    first = next((c for c in changes if subject.is_read(c.start)), changes[0])
    for change in changes:
        new = change.text
        if change is first and denial:
            new = _with_denial(subject.text, change, denial)
        if new:
            spans.append((change.start, change.end, new))
        else:
            spans.append((*deletion(subject.text, change), ""))
    edits = _without_hanging_blanks(subject.text, merge_spans(subject.text, spans))
    text = apply_edits(subject.text, edits)
    if not text.strip():
        return Attempt(kind, finding, None, "nothing would remain of the report")
    after = Subject(text).labels
    wanted = LabelState.ABSENT if kind == "negate" else LabelState.NOT_MENTIONED
    if after[finding] is not wanted:
        return Attempt(kind, finding, None, f"reads back as {after[finding]}")
    changed = unentailed_change(subject.labels, after, (finding,))
    if changed is not None:
        return Attempt(kind, finding, None, "another label changed")
    edited = EditedReport(
        text=text,
        source=subject.text,
        kind=kind,
        finding=finding,
        edits=edits,
        template=template.id if template else None,
        labels_before=dict(subject.labels),
        labels_after=dict(after),
    )
    return Attempt(kind, finding, edited)


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


def _with_denial(text: str, change: SentenceChange, denial: str) -> str:
    """The denial in the letters of the sentence it replaces, beside what remains of that sentence."""
    old = text[change.start : change.end]
    letters = [c for c in old if c.isalpha()]
    opens_with_number = next((c.isdigit() for c in old if c.isalnum()), False)
    if len(letters) > 3 and all(c.isupper() for c in letters):
        denial = denial.upper()
    elif letters and letters[0].islower() and not opens_with_number:
        denial = denial[0].lower() + denial[1:]
    final = old[len(old.rstrip(".!?")) :] and "."
    if not change.text:
        return denial + final
    if change.removed_first:
        return f"{denial}. {change.text}"
    rest = change.text if change.text.endswith((".", "!", "?")) else change.text + "."
    return f"{rest} {denial}{final}"
