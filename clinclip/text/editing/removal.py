"""Plan how every statement of a finding leaves a report: which sentences go, which are rewritten, where a new one fits.

Sentence by sentence: :mod:`clinclip.text.editing.rewrite` proposes, every proposal is read back alone, the one that
loses least of what else the sentence says wins. Where no cut works, what survives is stated anew ("Left basilar opacity
may represent atelectasis" without the opacity becomes "Possible atelectasis").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clinclip.findings import LabelState
from clinclip.text.editing.agreement import match_initial
from clinclip.text.editing.compounds import split_compounds
from clinclip.text.editing.rewrite import PART_OF_DEVICE, Proposal, proposals
from clinclip.text.editing.subject import Claim, Subject, claim, sentence_claims, statement_spans
from clinclip.text.reading.nounphrases import SpanMention, noun_phrases, words_of
from clinclip.text.reading.wordclasses import ANAPHORA, DETERMINERS, EXPLAINING, FINITE, RELATIONAL
from clinclip.text.types import Assertion

#: "2. ", "- ", "PLEURA: ", "IMPRESSION: 1. ": kept in front of whatever takes the sentence's place.
_PREFIX = re.compile(
    r"(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)?(?:[A-Z][\w /&,()-]{1,40}:(?:\s*\(?\d{1,2}[.)])?\s+(?=\S))?"
    r"(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)?"
)
#: "AP chest compared to ___, 5:13 p.m.: ", the head of many reports
_COMPARED = re.compile(r"[^\n:;]{0,60}?\bcompar(?:ed|ison)\b[^\n;]{0,70}?:\s+(?=\S)", re.IGNORECASE)
_SECTION = re.compile(r"(?i)\b(?:findings?|impressions?|conclusions?|report|history|indication|technique|comparison)\b")
_NOT_ABOUT_IT = re.compile(r"(?i)\b(?:discuss|communicat|notif|report|telephon|page|inform|d/w)\w*")
_VERBLIKE = FINITE | {
    "likely",
    "most",
    "probably",
    "again",
    "is",
    "measures",
    "extends",
    "findings",
    "finding",
    "changes",
}


class CannotRemoveError(ValueError):
    """A sentence cannot be freed of the finding. The message is the reason for the yield report."""


@dataclass(frozen=True, slots=True)
class SentenceChange:
    """What becomes of one sentence.

    Attributes:
        start: first character after the sentence's prefix (list number, title).
        end: one past its last character.
        text: what remains ("" when nothing).
        removed_first: whether what left stood before what remains.
        bare: start of the prefix; deletion of the whole sentence takes the prefix along, unless it is a section title.
    """

    start: int
    end: int
    text: str
    removed_first: bool
    bare: int


def plan_removal(subject: Subject, doomed: Sequence[Assertion]) -> list[SentenceChange]:
    """Changes that take the doomed assertions out, in order of the sentences.

    Raises:
        CannotRemoveError: one of the sentences cannot be rewritten; says why.
    """
    gone = {(a.start, a.end, a.concept) for a in doomed}
    by_sentence: dict[tuple[int, int], list[Assertion]] = {}
    for assertion in subject.assertions:
        by_sentence.setdefault(assertion.sentence, []).append(assertion)
    wanted = {a.sentence for a in doomed}
    changes: list[SentenceChange] = []
    previous_whole = False
    for span in subject.sentences:
        mentions = by_sentence.get(span, [])
        if span in wanted:
            change = _change_sentence(subject.text, span, mentions, gone)
            previous_whole = not change.text
            changes.append(change)
        elif previous_whole and _points_back(subject.text[span[0] : span[1]]):
            change = _change_dependent(subject.text, span, mentions)
            if change is not None:
                changes.append(change)
        else:
            previous_whole = False
    if len(wanted) > sum((c.bare, c.end) in wanted for c in changes):
        raise CannotRemoveError("sentence boundaries differ between reader and editor")
    return changes


def prefix_end(text: str, start: int, end: int, mentions: Sequence[Assertion]) -> int:
    """Where a sentence begins behind its list number and title ("2. PLEURA: ")."""
    match = _PREFIX.match(text, start, end)
    stop = match.end() if match else start
    if (head := _COMPARED.match(text, stop, end)) and all(a.start >= head.end() for a in mentions):
        return head.end()
    if stop >= end or any(a.start < stop for a in mentions):
        number = re.compile(r"\(?\d{1,2}[.)]\s+|[-*•]\s+").match(text, start, end)
        stop = number.end() if number and not any(a.start < number.end() for a in mentions) else start
    return stop


def _change_sentence(
    text: str, span: tuple[int, int], mentions: Sequence[Assertion], gone: set[tuple[int, int, str]]
) -> SentenceChange:
    begin = prefix_end(text, *span, mentions)
    sentence = text[begin : span[1]]
    ordered, places = in_order(mentions)
    spans = [
        SpanMention(start - begin, end - begin, (a.start, a.end, a.concept) in gone)
        for a, (start, end) in zip(ordered, places, strict=True)
    ]
    spans = _with_explanations(sentence, spans, ordered)
    survivors = [a for a, s in zip(ordered, spans, strict=True) if not s.doomed]
    targets = {a.finding for a, s in zip(ordered, spans, strict=True) if s.doomed}
    best: tuple[int, Proposal] | None = None
    for proposal in _ways(sentence, spans, ordered, survivors):
        loss = _loss(proposal.text, survivors, targets)
        if loss is not None and proposal.how == "restated":
            loss += 1  # a cut keeps more words
        if loss is not None and (best is None or loss < best[0]):
            best = (loss, proposal)
        if loss == 0:
            break
    if best is None:
        raise CannotRemoveError("other findings in the sentence do not survive")
    return SentenceChange(begin, span[1], best[1].text, best[1].removed_first, span[0])


def _with_explanations(sentence: str, spans: list[SpanMention], ordered: Sequence[Assertion]) -> list[SpanMention]:
    """Doom what merely explains the doomed: in "a nodule, likely a granuloma" the granuloma is the nodule.

    Only observations outside the 14 do; a named one is a statement of its own and stays ("possible pneumonia").
    """
    result = list(spans)
    for number in range(1, len(spans)):
        before, here = result[number - 1], spans[number]
        if here.doomed or not before.doomed or ordered[number].finding or before.end > here.start:
            continue
        link = {w.low for w in words_of(sentence[before.end : here.start])}
        if ordered[number].state is LabelState.UNCERTAIN and link & EXPLAINING:
            result[number] = SpanMention(here.start, here.end, True)
    return result


def _ways(
    sentence: str, spans: Sequence[SpanMention], ordered: Sequence[Assertion], survivors: Sequence[Assertion]
) -> Iterator[Proposal]:
    """Proposals, the most faithful first: compounds split, clauses and lists cut, survivors stated anew."""
    split = split_compounds(sentence, spans, [a.finding for a in ordered])
    if split is not None:
        text, left = split
        if any(s.doomed for s in left):
            yield from proposals(text, left)
        else:
            yield Proposal(text, "compound", True)
    yield from proposals(sentence, spans)
    yield from restatements(sentence, spans, survivors)


def in_order(mentions: Sequence[Assertion]) -> tuple[list[Assertion], list[tuple[int, int]]]:
    """The mentions of a sentence in order of their statements, and the words of each."""
    pairs = sorted(zip(statement_spans(mentions), range(len(mentions)), strict=True))
    return [mentions[n] for _, n in pairs], [span for span, _ in pairs]


def _loss(text: str, survivors: Sequence[Assertion], targets: set[str | None]) -> int | None:
    """How many qualities of the surviving assertions a rewritten sentence loses; None when it loses one of them."""
    now = sentence_claims(text) if text else ()
    before = [claim(a) for a in survivors]
    said = Counter(_core(c) for c in before)
    if said != Counter(_core(c) for c in now):
        return None
    asserted = {LabelState.PRESENT, LabelState.UNCERTAIN}
    if any(c[1] in targets and c[2] in asserted and _core(c) not in said for c in now):
        return None
    pairs = zip(sorted(before, key=_core), sorted(now, key=_core), strict=True)  # sorting keeps the order of equals
    return sum(_lost(old, new) for old, new in pairs)


def _lost(old: Claim, new: Claim) -> int:
    """Qualities that a claim lost (2 each), or took over from what left (1 each; a shared change is no loss)."""
    lost = sum(2 for a, b in zip(old[3:], new[3:], strict=True) if a and a != b)
    return lost + sum(1 for a, b in zip(old[3:6], new[3:6], strict=True) if b and not a)


def _core(found: Claim) -> tuple[str, LabelState]:
    """What must survive of a claim: the observation (outside the 14, the concept) and its state."""
    return (found[1] or found[0], found[2])


def restatements(sentence: str, spans: Sequence[SpanMention], survivors: Sequence[Assertion]) -> list[Proposal]:
    """State the surviving findings anew, grouped by their state in order of appearance."""
    if not survivors:
        return []
    doomed_at = min((s.start for s in spans if s.doomed), default=0)
    kept = [s for s in spans if not s.doomed]
    final = sentence[len(sentence.rstrip().rstrip(".!?")) :] or ""
    items = noun_phrases(words_of(sentence), kept)
    ordered = survivors
    phrases: dict[int, str] = {}
    for number, assertion in enumerate(ordered):
        phrase = sentence[kept[number].start : kept[number].end]
        item = next((i for i in items or () if number in i.mentions), None)
        if item is not None and not any(s.doomed and s.start < item.end and item.start < s.end for s in spans):
            phrase = sentence[item.start : item.end] if number == item.mentions[0] else ""
        elif assertion.side and assertion.side not in phrase.lower():
            phrase = f"{assertion.side} {phrase}"
        phrases[number] = _without_determiner(phrase)
    groups: list[tuple[LabelState | None, list[str]]] = []
    for number, assertion in enumerate(ordered):
        if not phrases[number]:
            continue
        state = None if _says_itself(phrases[number], assertion) else assertion.state
        if state is not None and groups and groups[-1][0] is state:
            groups[-1][1].append(phrases[number])
        else:
            groups.append((state, [phrases[number]]))
    opener = {LabelState.PRESENT: "", LabelState.ABSENT: "no ", LabelState.UNCERTAIN: "possible "}
    conjunction = {LabelState.PRESENT: "and", LabelState.ABSENT: "or", LabelState.UNCERTAIN: "or"}
    stated = [
        match_initial(
            names[0]
            if state is None
            else opener[state] + _joined([_inside(n) if opener[state] else n for n in names], conjunction[state]),
            sentence,
        )
        for state, names in groups
    ]
    removed_first = not kept or doomed_at < kept[0].start
    return [Proposal(". ".join(stated) + final, "restated", removed_first)] if stated else []


def _says_itself(phrase: str, assertion: Assertion) -> bool:
    """Whether a phrase needs no opener: "heart size is obscured" is a clause, "chest tube removal" denies by itself."""
    if any(w.low in FINITE for w in words_of(phrase)):
        return True
    if assertion.state is LabelState.PRESENT:
        return False
    return any(_core(c) == _core(claim(assertion)) for c in sentence_claims(phrase))


def _without_determiner(phrase: str) -> str:
    """A phrase without article and without the adjective that leaned on what went ("an associated effusion")."""
    words = words_of(phrase)
    while len(words) > 1 and words[0].low in DETERMINERS | RELATIONAL | {"both"}:
        phrase = phrase[words[1].start :]
        words = words_of(phrase)
    return phrase


def _inside(phrase: str) -> str:
    """A phrase that no longer opens its sentence: "Interstitial edema" -> "interstitial edema", "PICC" stays."""
    return phrase[0].lower() + phrase[1:] if phrase[1:2].islower() else phrase


def _joined(names: Sequence[str], conjunction: str) -> str:
    if len(names) < 3:
        return f" {conjunction} ".join(names)
    return f"{', '.join(names[:-1])}, {conjunction} {names[-1]}"


def _points_back(sentence: str) -> bool:
    if PART_OF_DEVICE.match(sentence):
        return True
    words = [w.low for w in words_of(sentence[:60]) if w.is_word][:2]
    if not words or words[0] not in ANAPHORA - {"both", "those"} or _NOT_ABOUT_IT.search(sentence):
        return False
    return len(words) == 1 or words[1] in _VERBLIKE


def _change_dependent(text: str, span: tuple[int, int], mentions: Sequence[Assertion]) -> SentenceChange | None:
    """A sentence that points back to one that went: "This may represent pneumonia." -> "Possible pneumonia."."""
    if not mentions:
        return SentenceChange(span[0], span[1], "", True, span[0])
    sentence = text[span[0] : span[1]]
    ordered, places = in_order(mentions)
    spans = [SpanMention(start - span[0], end - span[0], False) for start, end in places]
    for proposal in restatements(sentence, spans, ordered):
        if _loss(proposal.text, mentions, set()) is not None:
            return SentenceChange(span[0], span[1], proposal.text, True, span[0])
    return None


_BLANK = re.compile(r"[^\S\n]*(?:\n[^\S\n]*)?")
_NEW_ITEM = re.compile(r"\(?\d{1,2}[.)]\s|[-*•]\s|[A-Z][\w /&,()-]{1,40}:")


def deletion(text: str, change: SentenceChange) -> tuple[int, int]:
    """The characters to delete for a sentence that goes: with the blank that divided it from its neighbour.

    Its list number or title goes along, unless more of the same item follows or it is the title of a section.
    """
    match = _BLANK.match(text, change.end)
    stop = match.end() if match else change.end
    continues = change.end < stop < len(text) and text[stop] != "\n"
    goes_on = continues and not _NEW_ITEM.match(text, stop)
    keeps_prefix = goes_on or _SECTION.search(text, change.bare, change.start)
    start = change.start if keeps_prefix else change.bare
    if continues:
        line_start = text.rfind("\n", 0, start) + 1
        if "\n" in text[change.end : stop] and not text[line_start:start].strip():
            return line_start, change.end + text[change.end : stop].index("\n") + 1
        return start, stop
    before = start
    while before and text[before - 1].isspace():
        before -= 1
    # the last sentence of a paragraph, or all of one; a title is not left without its line
    return (start if not before or text[before - 1] == ":" else before), change.end
