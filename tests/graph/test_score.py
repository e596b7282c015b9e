"""Span, token and relation F1: small cases by hand, and parity with nervaluate on random documents."""

from __future__ import annotations

import random

import pytest
from nervaluate.evaluator import Evaluator

from clinclip.graph.schema import ENTITY_LABELS, Entity, Relation, ReportGraph
from clinclip.graph.score import STRATEGIES, match_spans, match_tokens, score_parser


def entity(start: int, end: int, label: str = "OBS-DP") -> Entity:
    return Entity(start, end, "x" * (end - start), label)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [  # correct, incorrect, partial, missed, spurious
        ("strict", (1, 2, 0, 1, 1)),
        ("exact", (2, 1, 0, 1, 1)),
        ("partial", (2, 0, 1, 1, 1)),
        ("type", (2, 1, 0, 1, 1)),
    ],
)
def test_the_four_strategies_by_hand(strategy: str, expected: tuple[int, ...]) -> None:
    gold = [entity(0, 4), entity(10, 14), entity(20, 28), entity(40, 44)]
    predicted = [entity(0, 4), entity(10, 14, "OBS-DA"), entity(24, 30), entity(60, 64)]
    counts = match_spans(gold, predicted, strategy)
    assert (counts.correct, counts.incorrect, counts.partial, counts.missed, counts.spurious) == expected


def test_token_f1_by_hand() -> None:
    text = "small left effusion , no mass"
    counts = match_tokens(text, [entity(0, 19)], [entity(6, 29)], "OBS-DP")
    assert (counts.correct, counts.missed, counts.spurious) == (2, 1, 3)
    assert counts.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 3))


def random_document(rng: random.Random) -> tuple[list[Entity], list[Entity]]:
    def entities() -> list[Entity]:
        spans = {(s := rng.randrange(60), s + rng.randrange(1, 9)) for _ in range(rng.randrange(8))}
        return [entity(*span, rng.choice(ENTITY_LABELS)) for span in sorted(spans)]

    gold = entities()
    predicted = [e if rng.random() < 0.5 else entity(e.start, e.end + 1, e.label) for e in gold if rng.random() < 0.8]
    return gold, sorted(predicted + entities()[:3], key=lambda e: (e.start, e.end))


def test_parity_with_nervaluate() -> None:
    rng = random.Random(5)
    documents = [random_document(rng) for _ in range(400)]

    def theirs(entities: list[Entity]) -> list[dict]:
        return [{"label": e.label, "start": e.start, "end": e.end - 1} for e in entities]  # their ends are inclusive

    evaluator = Evaluator(
        [theirs(g) for g, _ in documents], [theirs(p) for _, p in documents], tags=list(ENTITY_LABELS), loader="dict"
    )
    reference = evaluator.evaluate()
    ours = score_parser(("", ReportGraph(tuple(g), ()), ReportGraph(tuple(p), ())) for g, p in documents)
    for strategy in STRATEGIES:
        name = {"type": "ent_type"}.get(strategy, strategy)
        pairs = [(ours.spans[strategy], reference["overall"][name])]
        pairs += [(ours.spans_by_label[strategy][k], v[name]) for k, v in reference["entities"].items()]
        for mine, their in pairs:
            fields = ("correct", "incorrect", "partial", "missed", "spurious")
            assert [getattr(mine, f) for f in fields] == [getattr(their, f) for f in fields]
            assert mine.f1 == pytest.approx(their.f1)
            assert mine.precision == pytest.approx(their.precision)


def test_relations_and_empty_documents() -> None:
    gold = ReportGraph((entity(0, 4), entity(10, 14)), (Relation(0, 1, "modify"), Relation(1, 0, "located_at")))
    predicted = ReportGraph((entity(0, 4), entity(10, 14)), (Relation(0, 1, "modify"), Relation(0, 1, "located_at")))
    score = score_parser([("", gold, predicted), ("", ReportGraph((), ()), ReportGraph((), ()))])
    assert score.relations["modify"].f1 == 1.0
    assert score.relations["located_at"].f1 == 0.0
    assert score.relation_micro().f1 == pytest.approx(0.5)
    assert score.documents == 2
    empty = score_parser([])
    assert empty.spans["strict"].f1 == 0.0
    assert empty.token_macro_f1() == 0.0
