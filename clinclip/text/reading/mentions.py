"""From a sentence to its mentions: lexicon hits, normality statements, and the state of each mention.

Sentences repeat heavily in radiology, and what a sentence says does not depend on where it stands, so readings are
cached by the folded sentence. Positions in a reading are word numbers; :mod:`clinclip.text.reading.assertions` turns
them into offsets.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from clinclip.findings import LabelState
from clinclip.text.reading import roles
from clinclip.text.reading.clauses import Clauses
from clinclip.text.reading.cues import Cue, decide
from clinclip.text.reading.lexicon.build import Concept, Entry, Lexicon, lexicon
from clinclip.text.reading.normality import statements
from clinclip.text.reading.words import split_words

Hit = tuple[int, int, Entry]
#: entries that keep their words against a finding that begins inside them
_FIRM = ~(roles.ANATOMY | roles.MODIFIER | roles.EXISTING | roles.ADJECTIVE)
#: sentences kept in the cache
CACHE_SIZE = 200_000


class Mention:
    """A mention in a sentence; positions are word numbers. ``start``/``end``: the mention, ``cue``: what decided it."""

    __slots__ = ("concept", "cue_end", "cue_start", "end", "rule", "start", "state")

    def __init__(
        self,
        concept: Concept,
        start: int,
        end: int,
        state: LabelState,
        rule: str,
        cue_start: int = -1,
        cue_end: int = -1,
    ) -> None:
        self.concept, self.start, self.end, self.state, self.rule = concept, start, end, state, rule
        self.cue_start, self.cue_end = cue_start, cue_end


def find_hits(words: list[str], lex: Lexicon) -> list[Hit]:
    """Lexicon phrases in a sentence: leftmost, then longest, not overlapping.

    One exception: the description of a place does not swallow the head of a finding ("left lower | lobe collapse").
    """
    hits: list[Hit] = []
    # Matches come in order of their end, so a match can only be replaced by a longer one that begins no later.
    for last, (back, entry) in lex.automaton.iter("".join(map(lex.table.__getitem__, words))):
        last >>= 1  # two symbols a word
        start = last - back
        k = len(hits)
        while k and hits[k - 1][0] >= start:
            k -= 1
        if k and hits[k - 1][1] > start:
            if hits[k - 1][2].flags & _FIRM or not entry.flags & roles.CONCEPT or hits[k - 1][1] > last:
                continue
            k -= 1
        del hits[k:]
        hits.append((start, last + 1, entry))
    return hits


def read_words(words: list[str]) -> tuple[list[Mention], list[Cue]]:
    """Mentions and cues of one sentence."""
    lex = lexicon()
    hits = find_hits(words, lex)
    clauses = Clauses(hits, len(words))
    content = 0
    for flags in clauses.bits:
        content |= flags
    if not content & (roles.CONCEPT | roles.ANATOMY):
        return [], []
    cues = clauses.cues()
    mentions: list[Mention] = []
    question = bool(words) and words[-1] == "?"
    for start, end, entry in hits:
        if entry.flags & roles.CONCEPT:
            cue = decide(cues, start, end)
            mentions.extend(_mention(concept, start, end, cue, question) for concept in entry.concepts)
    if content & roles.ANATOMY and content & roles.PREDICATE:
        for concept, start, end, state, rule, cue_start, cue_end in statements(clauses, cues, lex):
            mentions.append(Mention(concept, start, end, state, rule, cue_start, cue_end))
    if content & roles.OR and len(mentions) > 1:
        _alternatives(mentions, clauses)
    mentions.sort(key=_place)
    return mentions, cues


def _mention(concept: Concept, start: int, end: int, cue: Cue | None, question: bool) -> Mention:
    if cue is not None and cue.kind == roles.REMOVED and "device" not in concept.options:
        cue = None
    if (
        cue is not None and cue.kind == roles.DISEASE_HISTORY
    ):  # a picture that is "known" is there, a diagnosis is history
        options = concept.options
        if "disease" not in options or (cue.rule == "known" and "episode" in options):
            cue = None
    if "removed" in concept.options and (cue is None or cue.state is not LabelState.ABSENT):
        return Mention(concept, start, end, LabelState.ABSENT, "removed")
    if cue is None:
        if question:
            return Mention(concept, start, end, LabelState.UNCERTAIN, "question")
        if "sign" in concept.options:
            return Mention(concept, start, end, LabelState.UNCERTAIN, "sign")
        return Mention(concept, start, end, LabelState.PRESENT, "stated")
    state = cue.state
    if state is LabelState.PRESENT and "sign" in concept.options:
        state = LabelState.UNCERTAIN
    return Mention(concept, start, end, state, cue.rule, cue.start, cue.end)


def _alternatives(mentions: list[Mention], clauses: Clauses) -> None:
    """Two alternatives are both uncertain unless a cue says more: "atelectasis or pneumonia", "edema vs infection"."""
    ordered = sorted(mentions, key=_place)
    for left, right in pairwise(ordered):
        if left.rule != "stated" or right.state is LabelState.ABSENT or left.end > right.start:
            continue
        between = [i for i, s in enumerate(clauses.starts) if left.end <= s < right.start]
        flags = 0
        for i in between:
            flags |= clauses.bits[i]
        if not flags & roles.OR or flags & (roles.VERB | roles.END | roles.EXCEPT | roles.AND | roles.WITH):
            continue
        cue = next(i for i in between if clauses.bits[i] & roles.OR)
        for m in (left, right):
            if m.rule == "stated":
                m.state, m.rule = LabelState.UNCERTAIN, "alternative"
                m.cue_start, m.cue_end = clauses.starts[cue], clauses.ends[cue]


def _place(mention: Mention) -> tuple[int, int]:
    return mention.start, mention.end


def sentence_key(folded: str) -> str:
    """The cache key of a folded sentence: blanks collapsed."""
    return " ".join(folded.split())


@lru_cache(maxsize=CACHE_SIZE)
def read_sentence(folded: str) -> tuple[Mention, ...]:
    """Mentions of a folded sentence (blanks collapsed), from the cache where it was read before."""
    return tuple(read_words(split_words(folded))[0])
