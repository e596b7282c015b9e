"""The state of any phrase in any clinical sentence: the reader for concepts outside the vocabulary."""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading import roles
from clinclip.text.reading.clauses import Clauses
from clinclip.text.reading.cues import Cue, decide
from clinclip.text.reading.lexicon.build import Concept, Entry, lexicon
from clinclip.text.reading.locate import denied_word, locate
from clinclip.text.reading.mentions import find_hits
from clinclip.text.reading.words import fold, split_words, word_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.types import Assertion

_RANK = {LabelState.NOT_MENTIONED: 0, LabelState.ABSENT: 1, LabelState.UNCERTAIN: 2, LabelState.PRESENT: 3}
_CONCEPT = (Concept("(phrase)", None, (), frozenset()),)
#: what the first word of a phrase may tell about the statement it begins: "no masses, normal tone"
_OPENING = roles.EXISTING | roles.PREDICATE
#: Stands for the phrase's own words, so that no cue is found inside it.
_MASK = "\x02"


def _clauses(words: list[str], start: int, end: int) -> Clauses:
    masked = [*words[:start], *[_MASK] * (end - start), *words[end:]]
    hits = find_hits(masked, lexicon())
    opening = 0
    for first, last, entry in find_hits(words[start:end], lexicon()):
        if first == 0:
            opening |= entry.flags & _OPENING
        elif last == end - start and entry.flags & roles.CHANGED:
            opening |= roles.EXISTING  # "no fasciculations, tone increased"
    hits.append((start, end, Entry("(phrase)", roles.CONCEPT | opening, _CONCEPT)))
    hits.sort(key=lambda hit: hit[0])
    return Clauses(hits, len(words))


def phrase_cues(words: list[str], start: int, end: int) -> list[Cue]:
    """The cues of a sentence around the words [start, end) of a phrase."""
    # What was removed had been there, and what is known or past is a fact about the patient.
    ignored = roles.REMOVED | roles.DISEASE_HISTORY
    return [c for c in _clauses(words, start, end).cues() if not c.kind & ignored]


def _state(words: list[str], start: int, end: int) -> tuple[LabelState, str, Cue | None]:
    """State, rule and deciding cue of the words [start, end)."""
    clauses = _clauses(words, start, end)
    ignored = roles.REMOVED | roles.DISEASE_HISTORY
    cue = decide([c for c in clauses.cues() if not c.kind & ignored], start, end)
    if cue is None:
        if words[-1] == "?":
            return LabelState.UNCERTAIN, "question", None
        if clauses.beside_versus(start, end):
            return LabelState.UNCERTAIN, "alternative", None
        return LabelState.PRESENT, "stated", None
    if cue.kind in (roles.HISTORY, roles.COMPARISON):
        return LabelState.PRESENT, cue.rule, cue
    return cue.state, cue.rule, cue


def assert_phrase(sentence: str, phrase: str) -> Assertion:
    """The state of any phrase in any clinical sentence, discharge summaries and operative notes included.

    The phrase is found as it stands, else by its word stems, with a few words between, in another order, or with a
    typing error. Where it occurs several times, a statement wins over a title ("Chest pain: denies chest pain"), and
    present over uncertain over absent. History is the patient's, so "history of stroke" is present; another person's
    disease, a risk, an order ("rule out sepsis") and a condition ("if fever develops") are uncertain.

    Args:
        sentence: a sentence, or several.
        phrase: the concept as words.

    Returns:
        The assertion; its ``finding`` is None. A phrase that is not found has the state not_mentioned, the rule
        "not-found" and an empty span at 0.
    """
    folded = fold(sentence)
    wanted = split_words(fold(phrase))
    best: Assertion | None = None
    best_rank = -1
    for begin, stop in split_sentences(sentence):
        part = folded[begin:stop]
        words = split_words(part)
        if not words:
            continue
        spans = word_spans(part)
        for start, end, quality in locate(words, wanted):
            state, rule, cue = _state(words, start, end)
            title = end < len(words) and words[end] == ":" and end + 1 < len(words) and cue is None
            rank = quality * 10 + (0 if title else _RANK[state])
            if rank > best_rank:
                best_rank, best = rank, _assertion(sentence, phrase, begin, stop, spans, start, end, state, rule, cue)
        if best is None and (place := denied_word(words, wanted)) is not None:
            best = _assertion(
                sentence, phrase, begin, stop, spans, place, place + 1, LabelState.ABSENT, "denied-word", None
            )
            best_rank = 0
    if best is None:
        none = LabelState.NOT_MENTIONED
        return Assertion(phrase, None, 0, 0, "", none, None, None, None, "not-found", (0, len(sentence)))
    return best


def _assertion(
    sentence: str, phrase: str, begin: int, stop: int, spans: list[tuple[int, int]], start: int, end: int,
    state: LabelState, rule: str, cue: Cue | None,
) -> Assertion:  # fmt: skip
    first, last = begin + spans[start][0], begin + spans[end - 1][1]
    cue_start = None if cue is None else begin + spans[cue.start][0]
    cue_end = None if cue is None else begin + spans[cue.end - 1][1]
    words = None if cue is None else sentence[cue_start:cue_end]
    return Assertion(
        phrase, None, first, last, sentence[first:last], state, words, cue_start, cue_end, rule, (begin, stop)
    )
