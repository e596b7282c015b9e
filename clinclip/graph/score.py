"""Scores of a report parser: span F1 in four strategies, token F1, relation F1.

The strategies follow nervaluate's definitions (SemEval 2013 task 9.1), which the Named Clinical Entity Recognition
Benchmark (Abdul et al., 2024) uses: a prediction is *correct*, *incorrect*, *partial* or *spurious*, a gold entity that
nothing claimed is *missed*.

- strict: same boundaries and same label.
- exact: same boundaries, whatever the label.
- partial: same boundaries count 1, any overlap counts 1/2, whatever the label.
- type: any overlap with the same label.

Token F1 compares the label of every word token, outside being no label. Relations are matched by the exact spans of
both ends and the relation's label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from clinclip.graph.schema import ENTITY_LABELS, Entity, ReportGraph
from clinclip.graph.tokens import Span, covering_tokens, tokenize

STRATEGIES: tuple[str, ...] = ("strict", "exact", "partial", "type")


@dataclass
class Counts:
    """Outcomes of matching, and the scores they give. ``half`` counts partial matches as 1/2."""

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missed: int = 0
    spurious: int = 0
    half: bool = False

    def add(self, other: Counts) -> None:
        """Accumulate the outcomes of another document."""
        self.correct += other.correct
        self.incorrect += other.incorrect
        self.partial += other.partial
        self.missed += other.missed
        self.spurious += other.spurious

    @property
    def hits(self) -> float:
        """Correct, plus half of the partial ones where the strategy says so."""
        return self.correct + (0.5 * self.partial if self.half else 0.0)

    @property
    def actual(self) -> int:
        """Number of predictions."""
        return self.correct + self.incorrect + self.partial + self.spurious

    @property
    def possible(self) -> int:
        """Number of gold entities."""
        return self.correct + self.incorrect + self.partial + self.missed

    @property
    def precision(self) -> float:
        """Hits among the predictions; 0 without any."""
        return self.hits / self.actual if self.actual else 0.0

    @property
    def recall(self) -> float:
        """Hits among the gold entities; 0 without any."""
        return self.hits / self.possible if self.possible else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def _overlaps(a: Entity, b: Entity) -> bool:
    return a.start < b.end and b.start < a.end


def _distance(a: Entity, b: Entity) -> int:
    return abs(a.start - b.start) + abs(a.end - b.end)


def _same_bounds(a: Entity, b: Entity) -> bool:
    return a.start == b.start and a.end == b.end


def match_spans(gold: Sequence[Entity], predicted: Sequence[Entity], strategy: str) -> Counts:
    """Match the entities of one document, each gold entity at most once.

    Predictions are taken in order. One that finds its match claims it; otherwise it claims the first unclaimed gold
    entity that it overlaps, as incorrect (strict, exact, type) or partial; otherwise it is spurious. In "type" the
    match is the overlapping gold entity of the same label whose boundaries are nearest.
    """
    perfect: dict[str, Callable[[Entity, Entity], bool]] = {
        "strict": lambda p, g: _same_bounds(p, g) and p.label == g.label,
        "exact": _same_bounds,
        "partial": _same_bounds,
        "type": lambda p, g: _overlaps(p, g) and p.label == g.label,
    }
    counts = Counts(half=strategy in {"partial", "type"})
    free = dict(enumerate(gold))
    for entity in predicted:
        matches = [i for i, g in free.items() if perfect[strategy](entity, g)]
        if matches:
            best = min(matches, key=lambda i: _distance(entity, gold[i])) if strategy == "type" else matches[0]
            del free[best]
            counts.correct += 1
            continue
        near = next((i for i, g in free.items() if _overlaps(entity, g)), None)
        if near is None:
            counts.spurious += 1
        else:
            del free[near]
            if strategy == "partial":
                counts.partial += 1
            else:
                counts.incorrect += 1
    counts.missed = len(free)
    return counts


def match_tokens(text: str, gold: Sequence[Entity], predicted: Sequence[Entity], label: str) -> Counts:
    """Word tokens that carry ``label`` in gold and prediction, cut by :func:`clinclip.graph.tokens.tokenize`."""
    spans = tokenize(text)
    starts, ends = [s for s, _ in spans], [e for _, e in spans]

    def tokens(entities: Iterable[Entity]) -> set[int]:
        found: set[int] = set()
        for entity in entities:
            if entity.label == label and (hit := covering_tokens((entity.start, entity.end), starts, ends)):
                found.update(range(*hit))
        return found

    g, p = tokens(gold), tokens(predicted)
    return Counts(correct=len(g & p), missed=len(g - p), spurious=len(p - g))


def _edges(graph: ReportGraph) -> set[tuple[Span, Span, str]]:
    spans = [(e.start, e.end) for e in graph.entities]
    return {(spans[r.head], spans[r.tail], r.label) for r in graph.relations}


def match_relations(gold: ReportGraph, predicted: ReportGraph, label: str) -> Counts:
    """Relations of one label whose two spans and label agree."""
    g = {edge for edge in _edges(gold) if edge[2] == label}
    p = {edge for edge in _edges(predicted) if edge[2] == label}
    return Counts(correct=len(g & p), missed=len(g - p), spurious=len(p - g))


@dataclass
class ParserScore:
    """Scores over a corpus.

    Attributes:
        spans: strategy -> overall counts (labels matched as the strategy says).
        spans_by_label: strategy -> label -> counts of the entities of that label alone.
        tokens: label -> token counts.
        relations: label -> relation counts.
        documents: number of reports.
    """

    spans: dict[str, Counts] = field(default_factory=dict)
    spans_by_label: dict[str, dict[str, Counts]] = field(default_factory=dict)
    tokens: dict[str, Counts] = field(default_factory=dict)
    relations: dict[str, Counts] = field(default_factory=dict)
    documents: int = 0

    def token_micro(self) -> Counts:
        """Token counts pooled over the labels."""
        return pooled(self.tokens.values())

    def relation_micro(self) -> Counts:
        """Relation counts pooled over the labels."""
        return pooled(self.relations.values())

    def token_macro_f1(self) -> float:
        """Mean token F1 over the labels that occur in gold or prediction; 0 if none does."""
        present = [c.f1 for c in self.tokens.values() if c.possible or c.actual]
        return sum(present) / len(present) if present else 0.0


def pooled(counts: Iterable[Counts]) -> Counts:
    """The sum of several counts."""
    total = Counts()
    for one in counts:
        total.add(one)
        total.half = one.half
    return total


def score_parser(
    documents: Iterable[tuple[str, ReportGraph, ReportGraph]], labels: Sequence[str] = ENTITY_LABELS
) -> ParserScore:
    """Score predictions against gold.

    Args:
        documents: (text, gold graph, predicted graph), spans in characters of the same text.
        labels: Entity labels that count; entities of other labels are left out on both sides.
    """
    score = ParserScore()
    for strategy in STRATEGIES:
        half = strategy in {"partial", "type"}
        score.spans[strategy] = Counts(half=half)
        score.spans_by_label[strategy] = {label: Counts(half=half) for label in labels}
    score.tokens = {label: Counts() for label in labels}
    for text, gold, predicted in documents:
        score.documents += 1
        g = [e for e in gold.entities if e.label in labels]
        p = [e for e in predicted.entities if e.label in labels]
        for strategy in STRATEGIES:
            score.spans[strategy].add(match_spans(g, p, strategy))
            for label, counts in score.spans_by_label[strategy].items():
                of_label = [e for e in g if e.label == label], [e for e in p if e.label == label]
                counts.add(match_spans(*of_label, strategy))
        for label, counts in score.tokens.items():
            counts.add(match_tokens(text, g, p, label))
        for label in {r.label for r in (*gold.relations, *predicted.relations)}:
            score.relations.setdefault(label, Counts()).add(match_relations(gold, predicted, label))
    return score
