from __future__ import annotations

import random

import pytest

from clinclip.phantom.catalog import KINDS
from clinclip.phantom.grammar import Draft, Scope, parse
from clinclip.phantom.mention import Detail, denied_scope, finding_scope
from clinclip.phantom.wording import devices, normal, phrases, specific, statements
from clinclip.phantom.wording.headers import HEADER_NONTERMINALS, INDICATION
from clinclip.phantom.world import Finding

WORDS = {**statements.NONTERMINALS, **HEADER_NONTERMINALS}


def draft(seed: int = 0) -> Draft:
    return Draft(random.Random(seed), WORDS)


def effusion(**changes) -> Finding:
    return Finding(
        **{"uid": 1, "kind": "effusion", "side": "left", "zone": "base", "extent": 0.3, "contrast": 1.0} | changes
    )


@pytest.mark.parametrize("source", ["(a|b", "a)b", "[word]", "[word:Q]", "{slot", "x|y"])
def test_wrong_templates_are_refused_with_their_text(source):
    with pytest.raises(ValueError, match="template"):
        parse(source)


def test_entities_relations_and_the_mention_are_where_the_words_are():
    d = draft()
    scope = finding_scope(d, effusion(), "O", Detail(side=1, severity=1, zone=1))
    scope.np = parse("{sev} {side} <[pleural:Aa] [effusion:Fh@a]>")
    d.sentence("There {is} {a} {np} {loc}", scope)
    assert d.text.startswith(("There is a ", "There is an ")) and d.text.endswith(" left pleural effusion.")
    words = [d.text[s:e] for s, e, _ in d.entities]
    labels = dict(zip(words, (label for *_, label in d.entities), strict=True))
    assert labels["effusion"] == "OBS-DP" and labels["pleural"] == labels["left"] == "ANAT-DP"
    edges = {(words[h], words[t], label) for h, t, label in d.relations}
    assert ("effusion", "pleural", "located_at") in edges and ("left", "pleural", "modify") in edges
    (mention,) = d.mentions
    assert d.text[mention.start : mention.end] == mention.text == "pleural effusion"
    assert (mention.state, mention.side, mention.severity, mention.lesion) == ("present", "left", "mild", 1)


def test_lists_share_one_negation_and_agree_in_number():
    d = draft(1)
    frame = Scope()
    frame.items = [denied_scope(d, k) for k in ("effusion", "consolidation", "pneumothorax")]
    frame.number = frame.items[0].number
    d.sentence("No {list}", frame)
    assert d.text.startswith("No ") and d.text.count(",") in (1, 2) and " or " in d.text
    assert [m.state for m in d.mentions] == ["absent"] * 3
    assert {m.finding for m in d.mentions} == {"Pleural Effusion", "Consolidation", "Pneumothorax"}


def test_a_named_mention_stands_beside_the_own_one():
    d = draft()
    scope = finding_scope(d, effusion(kind="atelectasis"), "U", Detail())
    d.sentence("<[atelectasis:Fh]> versus <pneumonia.U:[infection:U]>", scope)
    assert [(m.concept, m.state, m.text) for m in d.mentions] == [
        ("atelectasis", "uncertain", "Atelectasis"),
        ("pneumonia", "uncertain", "infection"),
    ]


@pytest.mark.parametrize(("word", "article"), [("effusion", "an"), ("small", "a"), ("unilateral", "a"), ("old", "an")])
def test_articles(word, article):
    d = draft()
    d.sentence(f"{{a}} [{word}:O]", Scope())
    assert d.text == f"{article.capitalize()} {word}."


def every_finding_template():
    for name in ("PRESENT", "STABLE", "STABLE_PSEUDO", "DECREASED", "INCREASED", "NEW", "UNCERTAIN", "RESOLVED"):
        for template in getattr(statements, name):
            yield template, "effusion"
    for kind, by_name in specific.SPECIFIC.items():
        for options in by_name.values():
            yield from ((t, kind) for t in options)
    for kind, options in phrases.PHRASES.items():
        yield from ((t, kind) for t in options)
    for kind, options in devices.DEVICE_PRESENT.items():
        yield from ((t, kind) for t in options)
    for kind, template in devices.DEVICE_GONE.items():
        yield template, kind


def test_every_template_renders_with_every_side_and_leaves_no_syntax():
    rendered = 0
    for template, kind in every_finding_template():
        for i, side in enumerate(("left", "right", "bilateral")):
            sides = [s for s, _ in KINDS[kind].sides]
            zones = [z for z, _ in KINDS[kind].zones] or [None]
            f = effusion(
                kind=kind, side=side if side in sides else None, zone=zones[i % len(zones)], extent=0.3 * i + 0.1
            )
            d = draft(i)
            scope = finding_scope(d, f, "O", Detail())
            if not parse(template).fits(scope.tags):
                continue
            d.sentence(template, scope)
            rendered += 1
            assert not set(d.text) & set("{}[]<>|()"), (template, d.text)
            assert "  " not in d.text and " ." not in d.text and " ," not in d.text, (template, d.text)
            assert d.text[-1] in ".?", d.text
    assert rendered > 700
    for template, denies in (x for options in normal.NORMAL.values() for x in options):
        d = draft()
        d.sentence(template, Scope(implies=tuple((k, KINDS[k].finding, "absent") for k in denies)))
        assert [m.concept for m in d.mentions] == list(denies), template


def test_indications_name_what_they_ask_for_as_history():
    for i, template in enumerate(INDICATION):
        d = draft(i)
        scope = Scope(slots={"sex": "F", "man": "woman", "why": "<PNA>", "why2": "<PTX>", "past": "<CHF>"})
        scope.concept, scope.role = "pneumonia", "history"
        d.sentence(template, scope, end="")
        assert all(m.role == "history" for m in d.mentions)
