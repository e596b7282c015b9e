"""The state of any phrase in any clinical sentence."""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text import roles as r
from clinclip.text.lexicon.build import lexicon
from clinclip.text.reading import find_hits
from clinclip.text.scopes import Clauses, decide
from clinclip.text.types import Assertion
from clinclip.text.words import fold, split_words, word_spans


def _locate(words: list[str], phrase: list[str]) -> list[tuple[int, int]]:
    n = len(phrase)
    return [(i, i + n) for i in range(len(words) - n + 1) if words[i : i + n] == phrase]


def assert_phrase(sentence: str, phrase: str) -> Assertion:
    """The state of ``phrase`` in ``sentence``."""
    folded = fold(sentence)
    words = split_words(folded)
    spans = word_spans(folded)
    places = _locate(words, split_words(fold(phrase)))
    if not places:
        return Assertion(
            phrase, None, 0, 0, "", LabelState.NOT_MENTIONED, None, None, None, "not-found", (0, len(sentence))
        )
    lex = lexicon()
    best: Assertion | None = None
    for start, end in places:
        masked = [*words[:start], *["\x02"] * (end - start), *words[end:]]
        clauses = Clauses(find_hits(masked, lex), len(words))
        cue = decide(clauses.cues(), start, end)
        state, rule = (LabelState.PRESENT, "stated") if cue is None else (cue.state, cue.rule)
        if cue is not None and cue.kind in (r.HISTORY, r.REMOVED):
            state = LabelState.PRESENT
        first, last = spans[start][0], spans[end - 1][1]
        cue_span = (None, None) if cue is None else (spans[cue.start][0], spans[cue.end - 1][1])
        here = Assertion(
            phrase, None, first, last, sentence[first:last], state,
            None if cue is None else sentence[cue_span[0] : cue_span[1]], *cue_span, rule, (0, len(sentence)),
        )  # fmt: skip
        best = best or here
    assert best is not None
    return best
