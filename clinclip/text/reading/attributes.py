"""What a sentence says about a mention besides its state: sites, side, severity, change over time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from clinclip.findings import LabelState
from clinclip.text.reading import roles
from clinclip.text.reading.lexicon.build import lexicon
from clinclip.text.reading.mentions import CACHE_SIZE, Hit, Mention, find_hits, read_sentence
from clinclip.text.reading.words import split_words

_STOP = roles.CONCEPT | roles.END | roles.EXCEPT | roles.NEG_PRE | roles.NEG_NOT | roles.OPEN | roles.CLOSE
_LIST = roles.AND | roles.OR | roles.COMMA
#: rules that say that a finding is gone
_GONE = frozenset({"resolved", "resolution", "removed"})
#: rules that say how it changed
_CHANGE_BY_RULE = {"no-change": "unchanged", "not-changed": "unchanged", "not-seen-before": "new"}
#: words without a lexicon entry that may stand between a mention and what describes it
_GAP = 3


class Attributes(NamedTuple):
    """Attributes of one mention; see :class:`clinclip.text.types.Assertion`."""

    locations: tuple[str, ...] = ()
    side: str | None = None
    severity: str | None = None
    change: str | None = None


def _before(hits: list[Hit], start: int) -> list[Hit]:
    """Modifiers before a mention, nearest first: "small right and moderate left effusions"."""
    found: list[Hit] = []
    at = start
    for k in range(len(hits) - 1, -1, -1):
        begin, end, entry = hits[k]
        if end > start:
            continue
        flags = entry.flags
        if at - end > (1 if found else 2) or flags & (_STOP | roles.VERB):
            break
        if flags & _LIST:
            # a list goes on only between two modifiers ("right and left effusions")
            if not (
                found and at == end and k > 0 and hits[k - 1][2].flags & roles.MODIFIER and hits[k - 1][1] == begin
            ):
                break
            if k > 1 and hits[k - 2][2].flags & (roles.WITHIN | roles.THE):
                break  # "consolidation in the lingula and left basilar atelectasis"
        elif flags & roles.MODIFIER:
            found.append(hits[k])
        at = begin
    return found


def _behind(hits: list[Hit], end: int) -> list[Hit]:
    """Modifiers behind a mention: "effusion on the left has increased", "effusion, small"."""
    found: list[Hit] = []
    at = end
    for k, (begin, stop, entry) in enumerate(hits):
        if begin < end:
            continue
        flags = entry.flags
        if begin - at > _GAP or flags & (_STOP | roles.WITH | roles.AFTER | roles.RELATIVE | roles.START):
            break
        if flags & _LIST:
            following = hits[k + 1] if k + 1 < len(hits) else None
            if following is None or following[0] != stop or not following[2].flags & roles.MODIFIER:
                break
            # "effusion and left basilar atelectasis": the modifier belongs to what comes next
            if any(h[2].flags & roles.CONCEPT for h in hits[k + 1 : k + 5]):
                break
        elif flags & roles.MODIFIER:
            found.append((begin, stop, entry))
        at = stop
    return found


def _collect(mention: Mention, words: list[str], hits: list[Hit]) -> Attributes:
    inside = [h for h in hits if h[0] >= mention.start and h[1] <= mention.end and h[2].flags & roles.MODIFIER]
    locations: list[str] = []
    sides: list[str] = []
    severity: str | None = None
    change: str | None = None
    for _, _, entry in [*_before(hits, mention.start), *inside, *_behind(hits, mention.end)]:
        for attribute, value in entry.values:
            if attribute == "location" and value not in locations:
                locations.append(value)
                first = value.split(" ", 1)[0]
                if first in {"left", "right"}:
                    sides.append(first)
                elif value == "lingula":
                    sides.append("left")
            elif attribute == "side":
                sides.append(value)
            elif attribute == "severity":
                severity = severity or value
            elif attribute == "change":
                change = change or value
    side = None
    if sides:
        side = "bilateral" if "bilateral" in sides or len(set(sides)) > 1 else sides[0]
    if mention.state is LabelState.ABSENT:  # "no large effusion": what is not there has neither size nor course
        severity, change = None, "resolved" if mention.rule in _GONE else None
    else:
        change = _CHANGE_BY_RULE.get(mention.rule, change)
        if severity is None and mention.cue_start >= 0:  # "heart is mildly enlarged"
            severity = _severity(words[mention.cue_start : mention.cue_end])
    return Attributes(tuple(locations), side, severity, change)


def _severity(words: list[str]) -> str | None:
    """The first severity word of a predicate."""
    for word in words:
        for _, _, entry in find_hits([word], lexicon()):
            for attribute, value in entry.values:
                if attribute == "severity":
                    return value
    return None


@lru_cache(maxsize=CACHE_SIZE)
def describe(key: str) -> tuple[tuple[Mention, Attributes], ...]:
    """Mentions of a folded sentence with their attributes, from the cache where it was read before."""
    mentions = read_sentence(key)
    if not mentions:
        return ()
    words = split_words(key)
    hits = find_hits(words, lexicon())
    return tuple((mention, _collect(mention, words, hits)) for mention in mentions)
