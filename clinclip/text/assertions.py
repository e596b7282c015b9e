"""Every mention of a finding in a text, with its state, the cue and the rule that decided it, and its attributes."""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading import Mention, read_sentence, sentence_key
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.types import Assertion
from clinclip.text.words import fold, word_spans


def find_assertions(text: str) -> list[Assertion]:
    """Every mention of a finding in a report, in order.

    Mentions in history and indication sections are returned too, as uncertain by the rule "context-section": they do not
    say what this image shows. A statement about anatomy that denies several findings ("lungs are clear") gives one
    assertion for each, with the same span.

    Args:
        text: a report or a part of it, in any form.

    Returns:
        Assertions in order of their position; spans count in ``text``.
    """
    found: list[Assertion] = []
    for begin, stop, role in reading_spans(text):
        if role == "technique":
            continue
        part = text[begin:stop]
        folded_part = fold(part)
        for a, b in split_sentences(part):
            folded = folded_part[a:b]
            mentions = read_sentence(sentence_key(folded))
            if mentions:
                spans = word_spans(folded)
                found.extend(_assertion(text, begin + a, begin + b, m, spans, role) for m in mentions)
    return found


def _assertion(text: str, start: int, end: int, mention: Mention, spans: list[tuple[int, int]], role: str) -> Assertion:
    first, last = start + spans[mention.start][0], start + spans[mention.end - 1][1]
    cue_start = cue_end = None
    if mention.cue_start >= 0:
        cue_start, cue_end = start + spans[mention.cue_start][0], start + spans[mention.cue_end - 1][1]
    state, rule = mention.state, mention.rule
    if role == "context" and state is not LabelState.ABSENT:
        state, rule = LabelState.UNCERTAIN, "context-section"
    return Assertion(
        concept=mention.concept.name,
        finding=mention.concept.finding
        or (mention.concept.absent[0] if state is LabelState.ABSENT and mention.concept.absent else None),
        start=first,
        end=last,
        text=text[first:last],
        state=state,
        cue=None if cue_start is None else text[cue_start:cue_end],
        cue_start=cue_start,
        cue_end=cue_end,
        rule=rule,
        sentence=(start, end),
    )
