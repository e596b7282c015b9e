"""Take findings out of a sentence so that the others survive: clauses, lists and attachments.

The rules work on one sentence and on the positions of its mentions; they know no lexicon. They *propose*; the caller
reads every proposal back and keeps the first that says the same about the findings that stay.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from clinclip.text.editing.agreement import agree, is_singular, like, match_initial
from clinclip.text.reading.nounphrases import Item, SpanMention, Word, noun_phrases, words_of
from clinclip.text.reading.wordclasses import (
    ANAPHORA,
    APPOSITIVE,
    BOUNDARY,
    CHANGE_NOUNS,
    FINITE,
    INTERPRETIVE,
    ORGAN_ADJECTIVES,
    OTHER_NOUNS,
    PLURAL_OF,
    PREDICATIVE,
    RELATIONAL,
    SIDES,
    SINGULAR_OF,
)

_FINITE = "|".join(sorted(FINITE, key=len, reverse=True))
_BREAK = re.compile(
    r"""(?ix)
      \s*;\s*
    | ,?\s+(?:but|while|whereas|although|though|however,?|yet)\s+(?:with\s+)?
    | ,\s*(?:and\s+|with\s+)?(?=(?:no|without|there)\b)
    | \s+and\s+(?=(?:no|there)\b)
    | \s+with\s+(?=no\b)
    | \s+(?=without\b)
    | (?P<soft>,?\s+and\s+|,\s+(?=(?:the|a|an|heart|lungs)\b))
    | (?P<full>(?<=[a-z\)]{2})\.\s+(?=[A-Z]))
    """
)
_NUMBERED = frozenset(SINGULAR_OF) | frozenset(PLURAL_OF)
_HAS_FINITE = re.compile(rf"(?i)\b(?:{_FINITE})\b")
_COORD = re.compile(
    r"(?is)\s*(?:,\s*(?P<c1>and/or|and|or|as well as|plus|versus|vs\.?|&)?|(?P<c2>and/or|and|or|as\s+well\s+as|plus|"
    r"versus|vs\.?|&|/))\s*(?:(?:also|possibly|probably|likely|perhaps)\s+)?"
)
_ADDITIVE = re.compile(
    r"(?is),?\s*(?:\band\s+)?(?:along\s+with|together\s+with|in\s+addition\s+to|accompanied\s+by"
    r"|associated\s+with|with)\s*"
)
#: "The bones are demineralized with rib fractures": the bones stay so without the fractures.
_BACKGROUND = re.compile(
    r"(?i)((?:[\w-]+\s+){1,4}(?:is|are|appears?|remains?)\s+(?:\w+ly\s+)?(?:demineralized|osteopenic|osteoporotic|"
    r"rotated|kyphotic|scoliotic|hyperinflated|hyperexpanded|low|tortuous|calcified|elevated|unfolded)),?\s+with\s"
)
_SUBORDINATE = re.compile(r"(?i)\s*(?:and\s+)?(?:while|although|though|if)\b")
_UNATTACHED = re.compile(
    rf"(?i)((?:(?:again\s+)?(?:seen|noted)|there)\s+(?:is|are)\s+)?(?:(an?)\s+)?(?:{'|'.join(sorted(RELATIONAL))})\s+(?=\w)"
)
#: "The tip projects over the stomach" says nothing without its tube.
PART_OF_DEVICE = re.compile(r"(?i)\s*(?:with\s+)?(?:the|its)\s+(?:distal\s+)?(?:tips?|side\s?-?(?:ports?|holes?))\b")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A sentence without the doomed mentions.

    Attributes:
        text: what remains ("" when nothing does).
        how: name of the rule.
        removed_first: whether a doomed mention stood before all that remained.
    """

    text: str
    how: str
    removed_first: bool


def proposals(sentence: str, mentions: Sequence[SpanMention]) -> list[Proposal]:
    """Ways to take the doomed mentions out, the most faithful first.

    Args:
        sentence: One sentence, its final punctuation included.
        mentions: All mentions in it, in order.

    Returns:
        Possibly none. Texts keep the sentence's final punctuation and its initial capital.
    """
    doomed_at = min(m.start for m in mentions if m.doomed)
    kept_at = min((m.start for m in mentions if not m.doomed), default=None)
    removed_first = kept_at is None or doomed_at < kept_at
    body, final = _split_final(sentence)
    found: list[Proposal] = []
    segments = _segments(body, mentions)
    for share in (False, True):
        text = _cut(body, segments, share)
        if text is not None:
            text = _finish(_unattached(text) if removed_first else text, sentence, final)
            if all(text != p.text for p in found):
                found.append(Proposal(text, "list" if text else "whole", removed_first))
    text = _cut_conjunct(body, mentions)
    if text is not None:
        conjunct = Proposal(_finish(text, sentence, final), "conjunct", removed_first)
        if found and found[0].how != "whole":
            found.append(conjunct)
        else:  # a long sentence that names the finding in passing is kept without it
            found.insert(0, conjunct)
    return found


def _split_final(sentence: str) -> tuple[str, str]:
    body = sentence.rstrip()
    end = len(body)
    while end and body[end - 1] in ".!?":
        end -= 1
    return body[:end], sentence[end:]


def _finish(text: str, sentence: str, final: str) -> str:
    text = _opened(text.strip().lstrip(",;").strip())
    if not _HAS_FINITE.search(text):  # the clause that it was an exception to is gone
        text = re.sub(r"(?i)^(?:except for|aside from|other than|apart from|with the exception of)\s+", "", text)
    if not text:
        return ""
    if re.match(r"(?i)an?\s", text) and not _HAS_FINITE.search(text) and _HAS_FINITE.search(sentence):
        text = f"there is {text[0].lower()}{text[1:]}"  # "An opacity represents pneumonia" has lost its verb
    return match_initial(text, sentence) + final


def _unattached(text: str) -> str:
    """Without the adjective that leaned on what went: "an associated small effusion" -> "a small effusion"."""
    match = _UNATTACHED.match(text)
    if match is None:
        return text
    rest = text[match.end() :]
    article = match.group(2)
    if article:
        rest = like("an" if rest[0].lower() in "aeiou" else "a", article) + " " + rest
    return (match.group(1) or "") + rest


#: A sentence with this many words beside its findings says more than that they are there.
_IN_PASSING = 12
_JOINT_BEFORE = re.compile(r"(?:\s*,?\s*(?:and|or)\s+|\s*,\s*)$", re.IGNORECASE)
_JOINT = re.compile(r"\s*,?\s*(?:and|or)\s+|\s*,\s*", re.IGNORECASE)


def _cut_conjunct(body: str, mentions: Sequence[SpanMention]) -> str | None:
    """Take the doomed phrases out of lists whose other members are no findings ("with pneumonia and influenza").

    None unless each stands beside a comma or conjunction, and the sentence is about something else.
    """
    words = words_of(body)
    items = noun_phrases(words, mentions)
    if items is None:
        return None
    inside = sum(len(words_of(body[i.start : i.end])) for i in items)
    if len(words) - inside < _IN_PASSING:
        return None
    text = body
    for item in reversed([i for i in items if i.doomed]):
        after = _JOINT.match(body, item.end)
        following = _word_at(words, after.end()) if after else None
        before = _JOINT_BEFORE.search(body, max(0, item.start - 12), item.start)
        preceding = _word_before(words, before.start()) if before else None
        explains = following is not None and (
            following.low in BOUNDARY | INTERPRETIVE | APPOSITIVE | CHANGE_NOUNS
            or following.low[0].isdigit()
            or following.low.endswith("ing")
        )
        behind = _word_at(words, item.end)
        if behind is not None and behind.low in FINITE:  # the phrase is a subject
            return None
        if after and following and not explains and not (before and preceding):
            text = text[: item.start] + text[after.end() :]
        elif before and preceding and preceding.is_word and preceding.low not in BOUNDARY:
            text = text[: before.start()] + text[item.end :]
        else:
            return None
    return text


def _word_at(words: Sequence[Word], start: int) -> Word | None:
    """The first word that begins at a position or after it."""
    at = bisect_left(words, start, key=lambda w: w.start)
    return words[at] if at < len(words) else None


def _word_before(words: Sequence[Word], end: int) -> Word | None:
    """The last word that ends at a position or before it."""
    at = bisect_right(words, end, key=lambda w: w.end)
    return words[at - 1] if at else None


@dataclass(slots=True)
class _Segment:
    start: int
    end: int
    separator: str
    mentions: list[SpanMention]

    def text(self, body: str) -> str:
        return body[self.start : self.end]


def _segments(body: str, mentions: Sequence[SpanMention]) -> list[_Segment]:
    """Cut at clause boundaries. A soft boundary ("and") counts only between two clauses with verbs of their own."""
    breaks = list(_BREAK.finditer(body))
    verbs = [m.start() for m in _HAS_FINITE.finditer(body)]
    segments = [_Segment(0, len(body), "", [])]
    upcoming = 0
    for number, match in enumerate(breaks):
        while upcoming < len(mentions) and mentions[upcoming].end <= match.start():
            upcoming += 1
        if upcoming < len(mentions) and mentions[upcoming].start < match.end():
            continue  # inside a mention
        current = segments[-1]
        if match.start() <= current.start:
            continue
        if match.group("soft"):
            stop = breaks[number + 1].start() if number + 1 < len(breaks) else len(body)
            if not (_any_in(verbs, current.start, match.start()) and _any_in(verbs, match.end(), stop)):
                continue
            subject = words_of(body[match.end() : min(stop, match.end() + 80)])
            if not subject or subject[0].low in FINITE | PREDICATIVE | ANAPHORA:
                continue
        current.end = match.start()
        segments.append(_Segment(match.end(), len(body), match.group(), []))
    position = 0
    for mention in mentions:
        while position + 1 < len(segments) and mention.start >= segments[position + 1].start:
            position += 1
        segments[position].mentions.append(mention)
    return segments


def _any_in(positions: Sequence[int], start: int, stop: int) -> bool:
    """Whether any of the ascending positions lies in [start, stop)."""
    first = bisect_left(positions, start)
    return first < len(positions) and positions[first] < stop


def _cut(body: str, segments: Sequence[_Segment], share: bool) -> str | None:
    """Drop or shorten the clauses that hold doomed mentions; None when one of them cannot be cut."""
    remains: list[str | None] = []  # None: decided by the neighbours
    for segment in segments:
        text = segment.text(body)
        if not segment.mentions:
            remains.append(text if _stands_alone(text) else None)
        elif any(m.doomed for m in segment.mentions):
            shifted = [SpanMention(m.start - segment.start, m.end - segment.start, m.doomed) for m in segment.mentions]
            cut = _cut_segment(text, shifted, share)
            if cut is None:
                return None
            remains.append(cut)
        else:
            remains.append(text)
    for number, text in enumerate(remains):
        if text is None:  # "..., but unchanged" goes with the clause it belongs to: the one before, else the one after
            before = next((remains[n] for n in range(number - 1, -1, -1) if segments[n].mentions), None)
            after = next((remains[n] for n in range(number + 1, len(segments)) if segments[n].mentions), None)
            owner = before if before is not None else after
            remains[number] = segments[number].text(body) if owner else ""
    result = ""
    gap = False
    for segment, text in zip(segments, remains, strict=True):
        if not text:
            gap = True
        elif not result:
            result, gap = text, False
        elif gap and "." not in segment.separator:
            result, gap = f"{result}. {match_initial(_opened(text), body)}", False
        else:
            result, gap = result + segment.separator + text, False
    return result


def _opened(text: str) -> str:
    """A clause as the beginning of a sentence: "without edema" -> "no edema"."""
    return re.sub(r"(?i)^without\s+", "no ", text)


def _stands_alone(text: str) -> bool:
    """Whether a clause without a known mention says something of its own that is worth keeping."""
    words = [w.low for w in words_of(text) if w.is_word]
    if not words or words[0] in FINITE | PREDICATIVE | ANAPHORA | {"which", "that"} or PART_OF_DEVICE.match(text):
        return False
    return any(w in OTHER_NOUNS for w in words) or (words[0] == "there" and len(words) > 3)


def _cut_segment(text: str, mentions: Sequence[SpanMention], share: bool) -> str | None:
    """Remove the doomed items of one clause: "" when the clause goes, None when it cannot be cut."""
    words = words_of(text)
    items = noun_phrases(words, mentions)
    if items is None:
        return None
    if all(i.doomed for i in items):
        return _keep_unlisted(text, words, mentions, items, share)
    return _cut_items(text, items, share)


def _keep_unlisted(
    text: str, words: Sequence[Word], mentions: Sequence[SpanMention], items: Sequence[Item], share: bool
) -> str:
    """Keep what stands beside the doomed items but is no finding: "small effusion and tortuous aorta"."""
    head = _BACKGROUND.match(text)
    if head and all(i.start >= head.end() for i in items):
        return head.group(1)
    others = [
        SpanMention(w.start, w.end, False)
        for w in words
        if w.low in OTHER_NOUNS and not any(i.start <= w.start < i.end for i in items)
    ]
    if not others:
        return ""
    extended = noun_phrases(words, sorted((*mentions, *others), key=lambda m: m.start))
    # None: the noun is an argument of the finding itself ("effusion obscures the hemidiaphragm") and goes with it
    kept = _cut_items(text, extended, share) if extended else None
    return kept or ""


def _cut_items(text: str, items: Sequence[Item], share: bool) -> str | None:
    lists = _lists(text, items)
    pieces: list[tuple[int, int, str]] = []
    for number, (first, last) in enumerate(lists):
        group = items[first : last + 1]
        if not any(i.doomed for i in group):
            continue
        if all(i.doomed for i in group):
            cut = _drop_list(text, items, lists, number)
            if cut is None:
                return None
            pieces.append(cut)
        else:
            pieces.append((group[0].start, group[-1].end, _rejoin(text, group, share)))
    result = text
    for start, end, new in sorted(pieces, reverse=True):
        result = result[:start] + new + result[end:]
        alive = [i for i in items if not i.doomed and start <= i.start < end]
        if new and len(alive) == 1:
            result, shift = _uncoupled(result, start)
            start += shift
            if not _is_attached(text, items, lists, alive[0]):  # else the verbs belong to the head
                result = agree(result, start, start + len(new))
        elif not new and (number := next((n for n, (first, _) in enumerate(lists) if items[first].start == end), None)):
            first, last = lists[number]
            if first < last and is_singular(result[start : start + items[first].end - items[first].start]):
                result = re.sub(r"(?i)\b(there\s+)are(?=\s+$)", r"\1is", result[:start]) + result[start:]
            if first == last:  # the head of an attachment went; its dependant takes over the verbs
                stop = start + items[first].end - items[first].start
                if (comma := re.match(r",(?=\s+(\w+))", result[stop:])) and comma.group(1).lower() in _NUMBERED:
                    result = result[:stop] + result[stop + 1 :]
                result = agree(result, start, start + items[first].end - items[first].start)
    return result


def _is_attached(text: str, items: Sequence[Item], lists: Sequence[tuple[int, int]], item: Item) -> bool:
    """Whether a surviving item hangs on another that stays: "[cardiomegaly] with [small effusions]"."""
    number = next(n for n, (first, last) in enumerate(lists) if item in items[first : last + 1])
    if number == 0:
        return False
    before, here = items[lists[number][0] - 1], items[lists[number][0]]
    return not before.doomed and bool(_ADDITIVE.fullmatch(text, before.end, here.start))


def _uncoupled(text: str, start: int) -> tuple[str, int]:
    """Take "both", "either", "a combination of" from before the only survivor of a list; the text and the shift."""
    match = re.search(r"(?i)\b(both|either|neither|(?:(?:a|some)\s+)?combination\s+of(?:\s+both)?)\s+$", text[:start])
    if match is None:
        return text, 0
    new = like("no ", match.group(1)) if match.group(1).lower() == "neither" else ""
    return text[: match.start()] + new + text[start:], match.start() + len(new) - start


def _lists(text: str, items: Sequence[Item]) -> list[tuple[int, int]]:
    """(first, last) items of each coordination."""
    runs: list[tuple[int, int]] = []
    # "while this might be atelectasis, pneumonia should be considered": that comma ends a clause
    subordinate = bool(_SUBORDINATE.match(text))
    for number in range(len(items)):
        gap = _COORD.fullmatch(text, items[number - 1].end, items[number].start) if runs else None
        if gap and not (subordinate and not (gap.group("c1") or gap.group("c2"))):
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _drop_list(
    text: str, items: Sequence[Item], lists: Sequence[tuple[int, int]], number: int
) -> tuple[int, int, str] | None:
    """Span to delete when a whole list goes although the clause has other items."""
    first, last = lists[number]
    start, end = items[first].start, items[last].end
    if number > 0:
        link_start = items[first - 1].end
        link = text[link_start:start]
        if _ADDITIVE.fullmatch(link) or _is_interpretive(link):
            follows = number + 1 < len(lists)
            if not follows or not items[lists[number + 1][0]].doomed:
                return link_start, end, ""
    if number + 1 < len(lists) and number == 0:
        after = items[lists[1][0]].start
        if _ADDITIVE.fullmatch(text, end, after):
            return start, after, ""
    return None


def _is_interpretive(link: str) -> bool:
    words = [w.low for w in words_of(link)]
    return bool(words) and all(w in INTERPRETIVE or w == "," for w in words) and words != [","]


def _rejoin(text: str, group: Sequence[Item], share: bool) -> str:
    """The survivors of a list, with commas and the conjunction where they belong."""
    gaps = [text[a.end : b.start] for a, b in pairwise(group)]
    conjunction = ""
    for gap in gaps:
        match = _COORD.fullmatch(gap)
        if match and (match.group("c1") or match.group("c2")):
            conjunction = (match.group("c1") or match.group("c2")) or conjunction
    alive = [n for n, item in enumerate(group) if not item.doomed]
    parts: list[str] = []
    for rank, n in enumerate(alive):
        phrase = _with_head(text, group, n)
        if len(alive) == 1 and n == 0 and is_singular(phrase):
            phrase = re.sub(r"(?i)^both\s+", "", phrase)
        if rank == 0:
            if n > 0:
                phrase = _unattached(phrase)
            if n > 0 and share:
                phrase = _shared_prefix(text[group[0].start : group[0].end], phrase)
            parts.append(phrase)
            continue
        gap = gaps[n - 1]
        if conjunction and rank == len(alive) - 1:
            space = re.search(r"\s+$", gap)
            joint = f" {conjunction}{space.group() if space else ' '}"
            gap = ("," + joint) if len(alive) > 2 and "," in gaps[-1] else joint
        elif (conjunction and "," not in gap) or (
            len(alive) > 2 and conjunction and _COORD.fullmatch(gap) and conjunction in gap.split()
        ):
            gap = ", "
        parts += (gap, phrase)
    return "".join(parts)


def _with_head(text: str, group: Sequence[Item], number: int) -> str:
    """A survivor with the noun it shared: "cardiac" of "cardiac and mediastinal contours" -> "cardiac contours"."""
    phrase = text[group[number].start : group[number].end]
    last = group[-1]
    if not last.doomed or words_of(phrase)[-1].low not in ORGAN_ADJECTIVES:
        return phrase
    shared = words_of(text[last.start : last.end])
    while len(shared) > 1 and (shared[0].low in ORGAN_ADJECTIVES or shared[0].low in {"the", "and", ",", "/"}):
        shared.pop(0)
    return f"{phrase} {text[last.start + shared[0].start : last.end]}"


def _shared_prefix(removed: str, phrase: str) -> str:
    """Give a side that the removed first item shared with its neighbour: "left effusion and atelectasis"."""
    side = next((w for w in words_of(removed) if w.low in SIDES or w.low == "bilateral"), None)
    if side is None or any(w.low in SIDES or w.low == "bilateral" for w in words_of(phrase)):
        return phrase
    return f"{removed[side.start : side.end]} {phrase}"
