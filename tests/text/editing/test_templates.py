"""The wordings of denials: two sets that share nothing, and sentences that the reader takes for denials."""

from __future__ import annotations

from itertools import product

import pytest

from clinclip.findings import FINDINGS, NO_FINDING, LabelState
from clinclip.text.editing.subject import sentence_claims
from clinclip.text.editing.templates import (
    EVAL,
    NOUNS,
    TEMPLATES,
    TRAIN,
    Noun,
    Place,
    Template,
    fill,
    noun_phrase,
    nouns_for,
)

PLACES = [
    Place(side, site)
    for side, site in product((None, "left", "right", "bilateral"), (None, "apex", "lower lobe", "base"))
]


def realised(templates: tuple[Template, ...], finding: str, noun: Noun) -> set[str]:
    sentences = set()
    for template in templates:
        if template.findings is not None and finding not in template.findings:
            continue
        for place, form in product(PLACES, range(4)):
            text = fill(template, noun_phrase(noun, place, form), noun.plural, place.side)
            if text is not None:
                sentences.add(text)
    return sentences


def test_ids_name_their_set_and_are_unique() -> None:
    assert all(t.id.startswith("train/") for t in TRAIN)
    assert all(t.id.startswith("eval/") for t in EVAL)
    ids = [t.id for t in (*TRAIN, *EVAL)]
    assert len(ids) == len(set(ids))
    assert len(TRAIN) >= 25
    assert len(EVAL) >= 20


def test_no_template_of_one_set_lies_inside_one_of_the_other() -> None:
    for ours, theirs in product(TRAIN, EVAL):
        a, b = ours.pattern.lower(), theirs.pattern.lower()
        assert a not in b, (ours.id, theirs.id)
        assert b not in a, (ours.id, theirs.id)


def test_no_finished_sentence_of_one_set_lies_inside_one_of_the_other() -> None:
    for finding, nouns in NOUNS.items():
        train = {s.lower() for noun in nouns for s in realised(TRAIN, finding, noun)}
        held_out = {s.lower() for noun in nouns for s in realised(EVAL, finding, noun)}
        joined_train, joined_eval = "\n".join(sorted(train)), "\n".join(sorted(held_out))
        assert not [s for s in held_out if s in joined_train], finding
        assert not [s for s in train if s in joined_eval], finding


@pytest.mark.parametrize("finding", [f for f in FINDINGS if f != NO_FINDING])
def test_the_reader_takes_most_wordings_for_a_denial_of_just_that_finding(finding: str) -> None:
    for name, templates in TEMPLATES.items():
        good: set[str] = set()
        total: set[str] = set()
        for noun in NOUNS[finding]:
            for sentence in realised(templates, finding, noun):
                claims = sentence_claims(f"{sentence}.")
                total.add(sentence)
                if claims and all(c[1] == finding and c[2] is LabelState.ABSENT for c in claims):
                    good.add(sentence)
        assert len(good) >= 0.8 * len(total), (name, sorted(total - good)[:5])


def test_side_and_place_get_into_the_noun_phrase() -> None:
    noun = Noun("pleural effusion")
    forms = {noun_phrase(noun, Place("left", "base"), form) for form in range(8)}
    assert forms == {
        "pleural effusion",
        "left pleural effusion",
        "left basilar pleural effusion",
        "pleural effusion at the left base",
    }
    assert "pleural effusion on either side" in {noun_phrase(noun, Place("bilateral"), form) for form in range(4)}
    assert {noun_phrase(Noun("cardiomegaly", sided=False), Place("left", "base"), f) for f in range(4)} == {
        "cardiomegaly"
    }


def test_a_sided_sentence_needs_a_side() -> None:
    sided = next(t for t in TRAIN if t.id == "train/angle-side-sharp")
    assert fill(sided, "", False, "right") == "The right costophrenic angle is sharp"
    assert fill(sided, "", False, None) is None
    assert fill(sided, "", False, "bilateral") is None


def test_verbs_agree() -> None:
    template = next(t for t in TRAIN if t.id == "train/there-is-no")
    assert fill(template, "rib fractures", True, None) == "There are no rib fractures"
    assert fill(template, "rib fracture", False, None) == "There is no rib fracture"


def test_special_nouns_only_where_all_mentions_are_special() -> None:
    assert "lung mass" in {n.text for n in nouns_for("Lung Lesion", ("spiculated mass",))}
    assert "lung mass" not in {n.text for n in nouns_for("Lung Lesion", ("mass", "nodule"))}
