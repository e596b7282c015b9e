"""A second opinion on negated reports: negspacy, which shares neither lexicon nor rules with clinclip."""

from __future__ import annotations

import spacy
from negspacy.negation import Negex  # noqa: F401 - registers the pipe
from negspacy.termsets import termset

from clinclip.text import negate
from clinclip.text.editing.templates import NOUNS, TEMPLATES
from tests.text.phantom_reports import phantom_texts

#: Templates about anatomy ("heart size is normal") hold no noun that negspacy could look at.
GENERAL = {t.id for templates in TEMPLATES.values() for t in templates if t.findings is None}
#: Wordings that negspacy's English terms do not know.
UNKNOWN_TO_NEGSPACY = {"eval/negative", "eval/study-negative"}


def checker() -> spacy.language.Language:
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    ruler = pipeline.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": finding, "pattern": noun.text} for finding, nouns in NOUNS.items() for noun in nouns])
    terms = termset("en_clinical")
    terms.add_patterns({"following_negations": ["is not", "are not", "is absent", "are absent"]})  # it has "was not"
    pipeline.add_pipe("negex", config={"neg_termset": terms.get_patterns()})
    return pipeline


def test_negspacy_agrees_that_the_finding_is_denied() -> None:
    pipeline = checker()
    seen = agreed = 0
    wrong: list[str] = []
    for number, text in enumerate(phantom_texts(120, seed=31)):
        templates = "train" if number % 2 else "eval"
        edited = negate(text, seed=number, templates=templates)
        if edited is None or edited.template not in GENERAL - UNKNOWN_TO_NEGSPACY:
            continue
        inserted = next(e.new for e in edited.edits if e.new)
        entities = [e for e in pipeline(inserted).ents if e.label_ == edited.finding]
        assert entities, inserted
        seen += 1
        if all(e._.negex for e in entities):
            agreed += 1
        else:
            wrong.append(inserted)
    print(f"\nnegspacy agrees on {agreed} of {seen} denials")
    assert seen >= 30
    assert agreed >= 0.95 * seen, wrong
