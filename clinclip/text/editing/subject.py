"""One report, read once: what every editor looks up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any

from clinclip.findings import FINDINGS, NO_FINDING, PARENT, LabelState
from clinclip.text.labels import label_report
from clinclip.text.reading.assertions import find_assertions
from clinclip.text.reading.lexicon.build import lexicon
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.types import SILENT_RULES, Assertion

#: What an assertion says, apart from where: (concept, finding, state, side, severity, locations, change).
Claim = tuple[str, str | None, LabelState, str | None, str | None, tuple[str, ...], str | None]


def claim(assertion: Assertion) -> Claim:
    """The content of an assertion without its position."""
    a = assertion
    return (a.concept, a.finding, a.state, a.side, a.severity, a.locations, a.change)


@cache
def anatomy_rules() -> frozenset[str]:
    """Names of the rules that read a statement about anatomy ("the heart is enlarged", "sharp angles")."""
    return frozenset(rule for rows in lexicon().normality.values() for _, _, rule in rows)


def statement_span(assertion: Assertion) -> tuple[int, int]:
    """The words that make the statement: anatomy with its predicate ("heart is enlarged"), else the mention itself."""
    a = assertion
    if a.cue_start is None or a.cue_end is None or a.rule not in anatomy_rules():
        return a.start, a.end
    return min(a.start, a.cue_start), max(a.end, a.cue_end)


def statement_spans(assertions: Sequence[Assertion]) -> list[tuple[int, int]]:
    """The words of each statement of a sentence.

    Statements that share a predicate ("heart size and mediastinal contours are normal") keep their anatomy alone, so
    that one can be told from the other; two readings of the same words keep them all.
    """
    whole = [statement_span(a) for a in assertions]
    spans: list[tuple[int, int]] = []
    for number, (start, end) in enumerate(whole):
        a = assertions[number]
        shared = any(
            start < whole[n][1] and whole[n][0] < end and (b.start, b.end) != (a.start, a.end)
            for n, b in enumerate(assertions)
            if n != number
        )
        spans.append((a.start, a.end) if shared else (start, end))
    return spans


@lru_cache(maxsize=1 << 16)
def sentence_claims(sentence: str) -> tuple[Claim, ...]:
    """What one sentence says on its own. Cached: rewritten and inserted sentences repeat heavily over a corpus."""
    return tuple(claim(a) for a in find_assertions(sentence))


def ancestors(finding: str) -> tuple[str, ...]:
    """Parents of a finding in CheXpert's tree, nearest first."""
    chain: list[str] = []
    while finding in PARENT:
        finding = PARENT[finding]
        chain.append(finding)
    return tuple(chain)


def descendants(finding: str) -> tuple[str, ...]:
    """Findings below a finding in CheXpert's tree."""
    return tuple(f for f in PARENT if finding in ancestors(f))


class Subject:
    """A report with its assertions, sentences and labels.

    Args:
        report: Any text.
    """

    def __init__(self, report: str) -> None:
        self.text = report
        self.plans: dict[tuple[str, str], Any] = {}
        """(kind of edit, finding) -> what :mod:`clinclip.text.editing.excision` planned for it."""

    @cached_property
    def assertions(self) -> list[Assertion]:
        """All mentions, in order."""
        return find_assertions(self.text)

    @cached_property
    def sentences(self) -> list[tuple[int, int]]:
        """(start, end) of every sentence, the reader's own."""
        return [
            (begin + a, begin + b) for begin, stop, _ in self.parts for a, b in split_sentences(self.text[begin:stop])
        ]

    def is_read(self, position: int) -> bool:
        """Whether labels are read at a position: in findings or impression, not in a wet read or the history."""
        return any(begin <= position < stop and role == "reading" for begin, stop, role in self.parts)

    @cached_property
    def parts(self) -> list[tuple[int, int, str]]:
        """(start, end, role) of the sections."""
        return reading_spans(self.text)

    @cached_property
    def labels(self) -> dict[str, LabelState]:
        """The 14 states."""
        return label_report(self.text)

    @cached_property
    def positives(self) -> tuple[str, ...]:
        """Findings that the report asserts, in CheXpert's order, without No Finding."""
        return tuple(f for f in FINDINGS if f != NO_FINDING and self.labels[f] is LabelState.PRESENT)

    @cached_property
    def asserted(self) -> tuple[str, ...]:
        """Positive findings with a mention of their own; what only follows from a child is no statement to edit."""
        stated = {a.finding for a in self.assertions if a.state is LabelState.PRESENT and a.rule not in SILENT_RULES}
        return tuple(f for f in self.positives if f in stated)

    def of(self, finding: str, *states: LabelState) -> list[Assertion]:
        """Mentions of a finding in any of the states, history and the like left out."""
        return [a for a in self.assertions if a.finding == finding and a.state in states and a.rule not in SILENT_RULES]


def unentailed_change(
    before: Mapping[str, LabelState],
    after: Mapping[str, LabelState],
    fell: Collection[str],
    rose: Collection[str] = (),
) -> str | None:
    """The first label that an edit changed although nothing entails it, or None.

    Entailed are the edited findings themselves, No Finding, a parent that was asserted and falls with ``fell``, and a
    parent that becomes asserted with ``rose``.

    Args:
        before: The 14 states of the source.
        after: The 14 states re-derived after the edit.
        fell: Findings that were taken out or denied.
        rose: Findings that were put in.
    """
    falling = {p for f in fell for p in ancestors(f)}
    rising = {p for f in rose for p in ancestors(f)}
    asserted = {LabelState.PRESENT, LabelState.UNCERTAIN}
    for finding in FINDINGS:
        if finding in fell or finding in rose or finding == NO_FINDING or before[finding] is after[finding]:
            continue
        if finding in falling and before[finding] in asserted and after[finding] is not LabelState.PRESENT:
            continue
        if finding in rising and after[finding] in asserted:
            continue
        return finding
    return None
