"""Readers to compare with: our own rendition of NegEx's algorithm, and negspacy. Neither knows normality statements.

NegEx (Chapman et al., J Biomed Inform 2001) as published: trigger phrases before and after a concept, pseudo-triggers
that are skipped, and terms that end a scope; a concept inside a scope is negated or possible. The trigger lists here
are ours, of the size of the published ones. For finding rows both get clinclip's own mentions, so that only the
assertion differs: a cue-list reader of chest reports.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from clinclip.findings import FINDINGS
from clinclip.text.reading import roles as r
from clinclip.text.reading.lexicon.build import lexicon
from clinclip.text.reading.mentions import find_hits
from clinclip.text.reading.words import fold, split_words, word_spans
from clinclip.text.sentences import split_sentences
from tests.text.reading.scoring import Row

BEFORE = (
    "absence of|cannot see|checked for|declined|declines|denied|denies|denying|evaluate for|fails to reveal|free of|"
    "negative for|never developed|never had|no|no abnormal|no cause of|no complaints of|no evidence|no evidence of|"
    "no new evidence of|no sign of|no signs of|no significant|no suggestion of|no suspicious|not|not appear|"
    "not demonstrate|not had|not have|not reveal|not see|rather than|ruled out for|unremarkable for|without|"
    "without any evidence of|without evidence|without indication of|without sign of"
)
AFTER = "was ruled out|is ruled out|are ruled out|has been ruled out|have been ruled out|unlikely|free|not seen"
POSSIBLE_BEFORE = (
    "rule out|r/o|be ruled out for|possible|possibly|probable|suspicious for|cannot exclude|may represent|likely"
)
POSSIBLE_AFTER = "be ruled out|cannot be excluded|not excluded|did not rule out|not been ruled out|is possible"
PSEUDO = (
    "no increase|no change|no significant change|no interval change|not only|not necessarily|without difficulty|"
    "gram negative"
)
END = (
    "but|however|nevertheless|yet|though|although|still|aside from|except|apart from|secondary to|as the cause of|"
    "which|who|;"
)


@lru_cache(maxsize=1)
def _triggers() -> tuple[re.Pattern[str], dict[str, str]]:
    kinds: dict[str, str] = {}
    for kind, phrases in (
        ("end", END.split("|")),
        ("possible-after", POSSIBLE_AFTER.split("|")),
        ("after", AFTER.split("|")),
        ("possible-before", POSSIBLE_BEFORE.split("|")),
        ("before", BEFORE.split("|")),
        ("pseudo", PSEUDO.split("|")),
    ):
        kinds.update(dict.fromkeys(phrases, kind))
    longest_first = sorted(kinds, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(p)}(?!\w)" for p in longest_first)), kinds


def negex(sentence: str, start: int, end: int) -> str:
    """NegEx's answer for the characters [start, end) of a lower-case sentence."""
    pattern, kinds = _triggers()
    marks = [(m.start(), m.end(), kinds[m.group()]) for m in pattern.finditer(sentence)]
    state, nearest = "present", len(sentence) + 1
    for at, to, kind in marks:
        if kind in {"pseudo", "end"}:
            continue
        forward = not kind.endswith("after")
        low, high = (to, start) if forward else (end, at)
        if (forward and to > start) or (not forward and at < end):
            continue
        if any(k == "end" and low <= a and b <= high for a, b, k in marks):
            continue
        if high - low < nearest:
            nearest, state = high - low, "uncertain" if kind.startswith("possible") else "absent"
    return state


@lru_cache(maxsize=1)
def _pipeline() -> Any:
    import spacy
    from negspacy.negation import Negex  # noqa: F401 - registers the pipe
    from negspacy.termsets import termset

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("negex", config={"ent_types": ["TARGET"], "neg_termset": termset("en_clinical").get_patterns()})
    return nlp


def negspacy(sentence: str, start: int, end: int) -> str:
    """negspacy's answer: absent or present (it has no uncertain state)."""
    nlp = _pipeline()
    doc = nlp.make_doc(sentence)
    span = doc.char_span(start, end, label="TARGET", alignment_mode="expand")
    doc.ents = [span]
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    return "absent" if doc.ents[0]._.negex else "present"


def mentions(text: str) -> list[tuple[str, str, int, int]]:
    """(finding, sentence, start, end) of every finding that the lexicon knows, by its terms alone."""
    found = []
    for a, b in split_sentences(text):
        sentence = text[a:b].lower()
        folded = fold(text[a:b])
        spans = word_spans(folded)
        for start, end, entry in find_hits(split_words(folded), lexicon()):
            if entry.flags & r.CONCEPT:
                found += [
                    (c.finding, sentence, spans[start][0], spans[end - 1][1]) for c in entry.concepts if c.finding
                ]
    return found


def baseline(row: Row, reader: Any) -> str:
    """What a baseline reads for a row of the table."""
    if row.kind == "phrase":
        for a, b in split_sentences(row.sentence):
            sentence = row.sentence[a:b].lower()
            at = sentence.find(row.target.lower())
            if at >= 0:
                return reader(sentence, at, at + len(row.target))
        return "not_mentioned"
    rank = {"not_mentioned": 0, "absent": 1, "uncertain": 2, "present": 3}
    states = dict.fromkeys(FINDINGS, "not_mentioned")
    for finding, sentence, start, end in mentions(row.sentence):
        state = reader(sentence, start, end)
        if rank[state] > rank[states[finding]]:
            states[finding] = state
    if row.target == "No Finding":
        clean = all(s in {"not_mentioned", "absent"} for f, s in states.items() if f != "Support Devices")
        return "present" if clean else "not_mentioned"
    return states[row.target]
