"""Every mention of a finding in a text, with its state, the cue and the rule that decided it, and its attributes."""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading.attributes import Attributes, describe
from clinclip.text.reading.mentions import Mention, sentence_key
from clinclip.text.reading.words import fold, word_spans
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.types import Assertion


def find_assertions(text: str) -> list[Assertion]:
    """Every mention of a finding in a report, in order.

    Mentions in history and indication sections are returned too, as uncertain by the rule "context-section": they do
    not say what this image shows. Technique and comparison sections are not read. A statement about anatomy that denies
    several findings ("lungs are clear") gives one assertion for each, with the same span. Observations outside the
    CheXpert vocabulary (emphysema, "acute cardiopulmonary process") have ``finding`` None; where the denial of such a
    mention denies one of the 14 ("no acute osseous abnormality": no fracture), its ``finding`` names that one.

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
            described = describe(sentence_key(folded))
            if described:
                spans = word_spans(folded)
                at = begin + a
                found.extend(_assertion(text, at, begin + b, m, x, spans, role) for m, x in described)
    return found


def _assertion(
    text: str, start: int, end: int, mention: Mention, more: Attributes, spans: list[tuple[int, int]], role: str
) -> Assertion:
    first, last = start + spans[mention.start][0], start + spans[mention.end - 1][1]
    cue_start = cue_end = None
    if mention.cue_start >= 0:
        cue_start, cue_end = start + spans[mention.cue_start][0], start + spans[mention.cue_end - 1][1]
    state, rule, concept = mention.state, mention.rule, mention.concept
    if role == "context" and state is not LabelState.ABSENT:
        state, rule = LabelState.UNCERTAIN, "context-section"
    finding = concept.finding
    if finding is None and state is LabelState.ABSENT and concept.absent:
        finding = concept.absent[0]
    return Assertion(
        concept=concept.name,
        finding=finding,
        start=first,
        end=last,
        text=text[first:last],
        state=state,
        cue=None if cue_start is None else text[cue_start:cue_end],
        cue_start=cue_start,
        cue_end=cue_end,
        rule=rule,
        sentence=(start, end),
        locations=more.locations,
        side=more.side,
        severity=more.severity,
        change=more.change,
    )
