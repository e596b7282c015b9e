"""How a text was read: every cue with its reach, for users who disagree with a state."""

from __future__ import annotations

from dataclasses import dataclass

from clinclip.findings import LabelState
from clinclip.text.reading.assertions import find_assertions
from clinclip.text.reading.mentions import read_words
from clinclip.text.reading.phrases import assert_phrase, phrase_cues
from clinclip.text.reading.words import fold, split_words, word_spans
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.types import Assertion


@dataclass(frozen=True, slots=True)
class CueTrace:
    """A cue and how far it reaches, in characters of the text.

    Attributes:
        start: first character of the cue.
        end: one past its last.
        text: its words.
        state: what it says about mentions in its reach.
        rule: name of the rule.
        reach: (start, end) of its reach; empty where it reaches nothing.
    """

    start: int
    end: int
    text: str
    state: LabelState
    rule: str
    reach: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SentenceTrace:
    """One sentence: its place and section role, its cues and its assertions."""

    start: int
    end: int
    role: str
    cues: tuple[CueTrace, ...]
    assertions: tuple[Assertion, ...]


def trace(text: str, phrase: str | None = None) -> list[SentenceTrace]:
    """Read a text and tell how.

    Args:
        text: a report or sentence.
        phrase: explain the state of this phrase instead of the findings of the vocabulary.

    Returns:
        One entry for each sentence, in order.
    """
    found: list[SentenceTrace] = []
    if phrase is None:
        assertions = find_assertions(text)
        roles = reading_spans(text)
    else:
        answer = assert_phrase(text, phrase)
        assertions = [] if answer.state is LabelState.NOT_MENTIONED else [answer]
        roles = [(0, len(text), "reading")]
    for begin, stop, role in roles:
        part = text[begin:stop]
        folded_part = fold(part)
        for a, b in split_sentences(part):
            start, end = begin + a, begin + b
            here = tuple(x for x in assertions if start <= x.start < end)
            folded = folded_part[a:b]
            words, spans = split_words(folded), word_spans(folded)
            if phrase is None:
                cues = read_words(words)[1]
            else:
                cues = [c for x in here for c in phrase_cues(words, *_words_of(spans, x, start))]
            traces = tuple(
                CueTrace(
                    start + spans[c.start][0],
                    start + spans[c.end - 1][1],
                    text[start + spans[c.start][0] : start + spans[c.end - 1][1]],
                    c.state,
                    c.rule,
                    (start + spans[c.low][0], start + spans[c.high - 1][1]) if c.low < c.high else (start, start),
                )
                for c in cues
            )
            found.append(SentenceTrace(start, end, role, traces, here))
    return found


def _words_of(spans: list[tuple[int, int]], assertion: Assertion, offset: int) -> tuple[int, int]:
    inside = [i for i, (a, b) in enumerate(spans) if a + offset >= assertion.start and b + offset <= assertion.end]
    return inside[0], inside[-1] + 1
