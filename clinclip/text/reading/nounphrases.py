"""The noun phrase around a mention: "a [small left pleural effusion in the base]", found with closed word classes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from clinclip.text.reading.wordclasses import (
    ADJECTIVES,
    APPOSITIVE,
    BOUNDARY,
    CONTINUING,
    DETERMINERS,
    FINITE,
    LINKING_ADJECTIVES,
    ORDINAL,
    PLACE_NOUNS,
    SHARING,
)

_WORD = re.compile("\\d+(?:[.,]\\d+)*|\\w+(?:[-'\u2019]\\w+)*|[^\\w\\s]")
#: No phrase reaches further than this many words from its mention; keeps the work linear on text without punctuation.
REACH = 24


@dataclass(frozen=True, slots=True)
class Word:
    """A word or punctuation mark of a sentence; ``low`` is its lower-case form."""

    start: int
    end: int
    low: str

    @property
    def is_word(self) -> bool:
        """Whether it is more than punctuation."""
        return self.low[0].isalnum()


@dataclass(frozen=True, slots=True)
class SpanMention:
    """Where a sentence mentions something, and whether that mention must go."""

    start: int
    end: int
    doomed: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A mention with its noun phrase.

    Attributes:
        start: first character of the noun phrase in the sentence.
        end: one past its last character.
        mentions: positions in the list of mentions that it holds.
        doomed: whether it must go.
    """

    start: int
    end: int
    mentions: tuple[int, ...]
    doomed: bool


def words_of(text: str) -> list[Word]:
    """Words and punctuation marks with their spans."""
    return [Word(m.start(), m.end(), m.group().lower()) for m in _WORD.finditer(text)]


def noun_phrases(words: Sequence[Word], mentions: Sequence[SpanMention]) -> list[Item] | None:
    """Extend every mention to its noun phrase; mentions that share one become one item.

    Returns:
        Items in order, or None when a phrase holds both a mention that must go and one that must stay: such a sentence
        cannot be cut.
    """
    starts = [w.start for w in words]
    ends = [w.end for w in words]
    raw: list[tuple[int, int, int]] = []
    for number, mention in enumerate(mentions):
        first = bisect_left(ends, mention.start + 1)
        last = bisect_left(starts, mention.end) - 1
        if first > last:
            return None
        raw.append((first, last, number))
    raw.sort()
    items: list[Item] = []
    floor = 0
    position = 0
    while position < len(raw):
        first, last, number = raw[position]
        group = [number]
        position += 1
        while position < len(raw) and raw[position][0] <= last + 1:  # overlapping or directly adjacent mentions
            last = max(last, raw[position][1])
            group.append(raw[position][2])
            position += 1
        ceiling = raw[position][0] if position < len(raw) else len(words)
        left = _extend_left(words, first, floor)
        right = _extend_right(words, last, ceiling)
        doomed = {mentions[i].doomed for i in group}
        if len(doomed) > 1:
            return None
        items.append(Item(words[left].start, words[right].end, tuple(group), doomed.pop()))
        floor = right + 1
    return items


def _ends_phrase(words: Sequence[Word], at: int) -> bool:
    """Whether a word cannot belong to a noun phrase. "Suspicious for" links, "suspicious nodule" describes."""
    low = words[at].low
    if low == "near" and at + 1 < len(words) and words[at + 1].low in {"complete", "total"}:
        return False
    between = low in {"through", "to"} and 0 < at < len(words) - 1
    if between and ORDINAL.fullmatch(words[at - 1].low) and ORDINAL.fullmatch(words[at + 1].low):
        return False
    if low == "from" and any(w.low == "carina" for w in words[at + 1 : at + 3]):
        return False
    if low in LINKING_ADJECTIVES:
        return at + 1 < len(words) and words[at + 1].low in {"for", "of", "with"}
    return low in BOUNDARY


def _extend_left(words: Sequence[Word], first: int, floor: int) -> int:
    at = first
    lowest = max(floor, first - REACH)
    while at > lowest:
        word = words[at - 1]
        if word.is_word:
            if _ends_phrase(words, at - 1):
                joint = _shared_noun(words, at, lowest)
                if joint is None:
                    break
                at = joint
                continue
            at -= 1
            if word.low in DETERMINERS:
                break
            continue
        joined = word.low in "/-" and at - 2 >= lowest and words[at - 2].is_word
        loose_comma = (
            word.low == ","
            and at - 2 >= lowest
            and words[at - 2].low in ADJECTIVES
            and words[at].low not in DETERMINERS
            and (at - 2 == 0 or words[at - 3].low != ",")
        )
        if not (joined or loose_comma):
            break
        at -= 1
    return at


def _shared_noun(words: Sequence[Word], at: int, lowest: int) -> int | None:
    """Where the phrase goes on before "right and | left effusions", "mild to | moderate edema", or None.

    The word before the joint is an adjective without a noun of its own: "on the right and small left effusion" ends.
    """
    joint = words[at - 1].low
    if at - 2 < lowest or words[at].low not in SHARING:
        return None
    before = at - 2
    if joint == "than" and words[before].low in {"greater", "larger", "more", "less", "smaller"} and before > lowest:
        before -= 1
    elif joint not in {"and", "or", "to"}:
        return None
    if words[before].low not in SHARING:
        return None
    if before - 2 >= lowest and words[before - 1].low == "the" and words[before - 2].low in {"on", "in", "at", "to"}:
        return None
    return before


def _extend_right(words: Sequence[Word], last: int, ceiling: int) -> int:
    at = last
    highest = min(ceiling, last + 1 + REACH)
    while at + 1 < highest:
        word = words[at + 1]
        if word.low == "(":
            stop = next((i for i in range(at + 2, highest) if words[i].low == ")"), None)
        elif word.low == ",":
            stop = _apposition(words, at + 1, highest)
        elif word.low in {"and", "or", "/", "-"}:
            stop = _place(words, at + 1, highest)
        elif word.is_word and (word.low in CONTINUING or not _ends_phrase(words, at + 1)):
            stop = at + 1
        else:
            stop = None
        if stop is None:
            break
        at = stop
    hanging = CONTINUING - {"bilaterally", "throughout"} | DETERMINERS
    while at > last and words[at].low in hanging:
        at -= 1
    return at


def _apposition(words: Sequence[Word], comma: int, highest: int) -> int | None:
    """Last word of ", left greater than right" or ", unchanged", if such an apposition starts at the comma."""
    at = comma + 1
    while at < highest and words[at].low in APPOSITIVE:
        at += 1
    if at == comma + 1:
        return None
    # the apposition must end the phrase: at the sentence's end, punctuation or a conjunction - not before a noun
    if at < len(words) and words[at].is_word and words[at].low not in {"and", "but", "with", "or"} | FINITE:
        return None
    if at < len(words) and words[at].low in {"and", "or"} and words[at - 1].low in ADJECTIVES:
        return None  # "a, small and b": the adjective belongs to what follows
    return at - 1


def _place(words: Sequence[Word], conjunction: int, highest: int) -> int | None:
    """Last word of "and right lower lobes" after a conjunction, if only a place follows."""
    at = conjunction + 1
    while at < highest and words[at].low in DETERMINERS | CONTINUING - {"about", "to"}:
        at += 1
    begin = at
    while at < highest and words[at].is_word and words[at].low in PLACE_NOUNS | ADJECTIVES:
        at += 1
    if at == begin or words[at - 1].low not in PLACE_NOUNS:
        return None
    if words[begin].low not in PLACE_NOUNS and at < len(words) and words[at].low in {"and", "or"}:
        return None  # "edema and small right and moderate left effusions"
    return at - 1 if at >= len(words) or not words[at].is_word or words[at].low in BOUNDARY else None
