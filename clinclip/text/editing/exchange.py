"""Exchange words in the statements of a finding, and read the result back: what the swaps have in common.

Words change where the finding is stated; everything else stays byte for byte. The result is read back: the finding must
have changed as asked, and no label may change that the edit does not entail. Such twins are false in exactly one
respect, so they test (or train) whether a model reads sides and sizes at all.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from clinclip.draws import Draws
from clinclip.text.editing.base import ASSERTED, ReportEdit
from clinclip.text.editing.edits import apply_edits, merge_spans
from clinclip.text.editing.subject import Subject, claim, statement_span
from clinclip.text.reading.nounphrases import Item, SpanMention, noun_phrases, words_of
from clinclip.text.types import Assertion, EditedReport

#: "Slightly increased" tells a course, not a size.
_CHANGED = re.compile(r"increas|decreas|improv|wors|larger|smaller|progress|diminish|enlarging|chang|less|more")


class WordSwap(ReportEdit):
    """Exchange one quality of a finding, told by single words, wherever the finding is stated.

    Attributes:
        unnamed: why there is no twin of a report that does not tell the quality.
    """

    unnamed: ClassVar[str]

    @abstractmethod
    def exchange(self, word: str, finding: str, draws: Draws) -> str | None:
        """What a word (lower case) becomes; None leaves it."""

    @abstractmethod
    def quality(self, mention: Assertion) -> str | None:
        """The quality that must have changed, as the reader reads it."""

    def refuses(self, phrase: str) -> str | None:
        """Why a noun phrase cannot be changed, or None."""
        return None

    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        """Exchange the words in the noun phrases (adverbs: in the sentences) of all mentions."""
        mentions = subject.of(finding, *ASSERTED)
        items = _items(subject, mentions)
        if items is None:
            return "the statement is shared with another finding"
        spans: list[tuple[int, int, str]] = []
        for offset, item in items:
            phrase = subject.text[offset + item.start : offset + item.end]
            if reason := self.refuses(phrase):
                return reason
            words = words_of(phrase)
            for position, word in enumerate(words):
                new = self.exchange(word.low, finding, draws)
                if new is not None and not (position + 1 < len(words) and _CHANGED.match(words[position + 1].low)):
                    start = offset + item.start + word.start
                    old = subject.text[start : start + word.end - word.start]
                    spans.append((start, start + len(old), in_case(new, old)))
        if not spans:
            return self.unnamed
        after = Subject(apply_edits(subject.text, merge_spans(subject.text, spans)))
        reason = self._doubt(subject, after, finding, mentions)
        return reason or exchanged(self.kind, subject, after, finding, spans)

    def _doubt(self, before: Subject, after: Subject, finding: str, mentions: Sequence[Assertion]) -> str | None:
        """Why the result does not say what it should, or None."""
        if after.labels != before.labels:
            return "a label changed"
        now = after.of(finding, *ASSERTED)
        if len(now) != len(mentions) or len(after.assertions) != len(before.assertions):
            return "mentions were lost or gained"
        moved = [(self.quality(a), self.quality(b)) for a, b in zip(mentions, now, strict=True)]
        if not any(a != b for a, b in moved) or any(a is not None and a == b and a != "bilateral" for a, b in moved):
            return "does not read back as exchanged"
        others = [Counter(claim(a) for a in s.assertions if a.finding != finding) for s in (before, after)]
        return None if others[0] == others[1] else "another finding changed"


def _items(subject: Subject, mentions: Sequence[Assertion]) -> list[tuple[int, Item]] | None:
    """(offset of the sentence, noun phrase) of each mention; None where one shares its phrase with another finding."""
    chosen = {(a.start, a.end) for a in mentions}
    found: list[tuple[int, Item]] = []
    for sentence in dict.fromkeys(a.sentence for a in mentions):
        inside = sorted((a for a in subject.assertions if a.sentence == sentence), key=lambda a: (a.start, a.end))
        unique = list({(a.start, a.end): a for a in inside}.values())
        spans = []
        for assertion in unique:
            start, end = statement_span(assertion)
            doomed = (assertion.start, assertion.end) in chosen
            spans.append(SpanMention(start - sentence[0], end - sentence[0], doomed))
        items = noun_phrases(words_of(subject.text[sentence[0] : sentence[1]]), spans)
        if items is None:
            return None
        found += [(sentence[0], item) for item in items if item.doomed]
    return found


def in_case(new: str, old: str) -> str:
    """A word in the letters of the one it replaces."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def exchanged(
    kind: str, subject: Subject, after: Subject, finding: str, spans: Sequence[tuple[int, int, str]]
) -> EditedReport:
    """The edited report of exchanged words, read before and after."""
    return EditedReport(
        text=after.text,
        source=subject.text,
        kind=kind,
        finding=finding,
        edits=merge_spans(subject.text, spans),
        template=None,
        labels_before=dict(subject.labels),
        labels_after=dict(after.labels),
    )
