"""What tests/losses/test_world_size.py compares on 1, 2 and 4 processes: global batches, targets, terms.

Everything is made by name, so that a process needs no more than the name of its case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip import losses
from clinclip.losses import EditedReports, FixedGate, LossTerm, NeighboursGate, QuantileGate, SoftTargets, TargetSource
from clinclip.testing import random_batch
from clinclip.types import Batch, Embeddings

ROWS, COPIES, WIDTH, DIM = 16, 3, 20, 6


# --- global batches ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a global batch is spread, and who has what. Sums are over the 16 rows in order.

    Attributes:
        negatives: number of twins of each row, at most 3.
        empty: rows without a graph.
        sizes: world size -> rows of each process; equal where left out.
    """

    negatives: tuple[int, ...]
    empty: frozenset[int] = frozenset()
    sizes: dict[int, tuple[int, ...]] = field(default_factory=dict)


LAYOUTS = {
    # of 4 processes, the second has nothing to negate and the last no graph; of 2, the numbers differ
    "even": Layout((3, 3, 3, 3, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0), frozenset({5, 9, 10, 12, 13, 14, 15})),
    "uneven": Layout(
        (0, 1, 3, 0, 2, 0, 0, 3, 0, 0, 1, 0, 3, 3, 0, 2), frozenset({0, 3, 4, 11}), {2: (11, 5), 4: (6, 3, 5, 2)}
    ),
    # one process has everything: the first of the rows, or the last
    "first": Layout((2, 3, 1, 0, *[0] * 12), frozenset(range(3, 16))),
    "last": Layout((*[0] * 12, 0, 1, 3, 2), frozenset(range(13))),
    "nothing": Layout((0,) * 16, frozenset(range(16))),
    "everything": Layout((3,) * 16),
}


def global_batch(layout: Layout) -> Batch:
    """16 studies with three edited reports at most, ragged graphs, repeated reports, patients and label vectors."""
    batch = random_batch(ROWS, seed=11, twins=COPIES, frozen_text=WIDTH, editable=1.0, empty_graphs=0.0, tokens=4)
    assert batch.twins is not None and batch.graph is not None
    labels, edited, hashes = batch.labels.clone(), batch.twins.labels.clone(), batch.text_hash.clone()
    frozen = batch.frozen_text
    assert frozen is not None
    for copy, original in ((6, 1), (9, 1), (13, 2)):
        labels[copy], hashes[copy], frozen[copy] = labels[original], hashes[original], frozen[original]
    # edited reports of every kind: a denial (label absent), an exchange of sides (labels as before), an omission (label
    # not mentioned), a normal report; some are true of another row, which the mask of false negatives must find
    edited[:, 1], edited[3, 0], edited[14, 2] = labels, labels[8], labels[1]
    edited[2, 2, :] = -2
    labels[4], labels[10] = -2, -2
    valid = torch.arange(COPIES) < torch.tensor(layout.negatives)[:, None]
    present = ~torch.tensor([row in layout.empty for row in range(ROWS)])
    mask = batch.graph.mask & present[:, None]
    graph = replace(batch.graph, mask=mask, entity=batch.graph.entity * mask)
    # labels of the table and of the reader differ somewhere
    table = labels.clone()
    table[7], table[8, 3] = labels[1], 1
    twins = replace(batch.twins, valid=valid, labels=edited)
    return replace(batch, labels=table, text_labels=labels, text_hash=hashes, graph=graph, twins=twins)


def sizes(layout: Layout, world: int) -> tuple[int, ...]:
    """Rows of each process."""
    return layout.sizes.get(world, (ROWS // world,) * world)


class Towers:
    """Linear towers over fixed features, 20 for 16 rows: equal weight gradients mean equal gradients of every row."""

    def __init__(self, scale: float = 14.3) -> None:
        g = torch.Generator().manual_seed(5)
        common = torch.randn(ROWS, WIDTH, generator=g, dtype=torch.float64)

        def features(*shape: int) -> Tensor:
            noise = torch.randn(ROWS, *shape, WIDTH, generator=g, dtype=torch.float64)
            return noise + common.view(ROWS, *[1] * len(shape), WIDTH)

        self.image, self.text, self.graph, self.twins = features(), features(), features(), features(COPIES)
        for copy, original in ((6, 1), (9, 1)):
            self.text[copy] = self.text[original]

        def weight() -> Tensor:
            return torch.randn(WIDTH, DIM, generator=g, dtype=torch.float64).requires_grad_()

        self.weights = {name: weight() for name in ("image", "text", "graph")}
        self.weights["log_scale"] = torch.tensor(scale, dtype=torch.float64).log().requires_grad_()
        self.weights["bias"] = torch.tensor(-3.0, dtype=torch.float64, requires_grad=True)

    def __call__(self, batch: Batch, rows: slice) -> Embeddings:
        """Embed some rows. As in the dual encoder, edited reports are only encoded where there are any."""
        assert batch.twins is not None and batch.graph is not None
        w = self.weights
        twins = torch.zeros(rows.stop - rows.start, COPIES, DIM, dtype=torch.float64)
        where = batch.twins.valid
        if bool(where.any()):
            encoded = F.normalize(self.twins[rows][where] @ w["text"], dim=-1)
            twins = twins.masked_scatter(where[..., None], encoded)
        return Embeddings(
            image=F.normalize(self.image[rows] @ w["image"], dim=-1),
            text=F.normalize(self.text[rows] @ w["text"], dim=-1),
            logit_scale=w["log_scale"].exp(),
            logit_bias=w["bias"],
            twins=twins,
            graph=F.normalize(self.graph[rows] @ w["graph"], dim=-1),
            graph_valid=batch.graph.mask.any(1),
            text_features=self.text[rows],
        )


# --- soft labels ------------------------------------------------------------------------------------------------------

Source = Callable[[], TargetSource]

#: every target source with each of its options; the gates that look at the batch on a subset of it too
SOURCES: dict[str, Source] = {
    "text": lambda: losses.TextSimilarity(),
    "text-subset": lambda: losses.TextSimilarity(gate=QuantileGate(0.7, rows=7)),
    "text-neighbours": lambda: losses.TextSimilarity(gate=NeighboursGate(3)),
    "text-fixed": lambda: losses.TextSimilarity(gate=FixedGate(0.2)),
    "text-features": lambda: losses.TextSimilarity(source="features"),
    "text-frozen": lambda: losses.TextSimilarity(source="frozen", gate=QuantileGate(0.6)),
    "clinical": lambda: losses.ClinicalSimilarity(),
    "clinical-text": lambda: losses.ClinicalSimilarity(labels="text"),
    "clinical-signed": lambda: losses.ClinicalSimilarity(encoding="signed", gate=FixedGate(0.1)),
    "clinical-zeros": lambda: losses.ClinicalSimilarity(encoding="u_zeros", gate=QuantileGate(0.7)),
    "clinical-ones": lambda: losses.ClinicalSimilarity(encoding="u_ones", gate=NeighboursGate(2)),
    "clinical-linear": lambda: losses.ClinicalSimilarity(gate=FixedGate(0.0)),
    "graph": lambda: losses.GraphSimilarity(),
    "graph-neighbours": lambda: losses.GraphSimilarity(gate=NeighboursGate(2)),
    "graph-overlap": lambda: losses.GraphSimilarity(form="overlap", gate=QuantileGate(0.7)),
    "graph-overlap-neighbours": lambda: losses.GraphSimilarity(form="overlap", gate=NeighboursGate(2)),
    "label-equality": lambda: losses.LabelEquality(encoding="u_ones"),
    "label-equality-text": lambda: losses.LabelEquality(labels="text"),
    "patient": lambda: losses.MultiPositive(by="patient"),
    "study": lambda: losses.MultiPositive(by="study"),
    "duplicates": lambda: losses.MultiPositive(by="text"),
    "label-softmax": lambda: losses.LabelSoftmax(),
    "label-softmax-signed": lambda: losses.LabelSoftmax(encoding="signed", temperature=0.5),
    "correlation": lambda: losses.CorrelationPrior(),
    "correlation-online": lambda: losses.CorrelationPrior(source="online", rate=1.0),
    "correlation-features": lambda: losses.CorrelationPrior(source="features"),
    "self-image": lambda: losses.SelfSimilarity(of="image"),
    "self-text": lambda: losses.SelfSimilarity(of="text", temperature=0.3),
}

#: mixtures: tiled, closed-form and softmax affinities together, in each form of the target
MIXED = ("text", "text-neighbours", "clinical", "graph", "label-softmax", "self-image", "correlation", "patient")
FORMS: dict[str, dict] = {
    "mixed": {},
    "mixed-raw": {"normalize": False},
    "added": {"form": "added"},
    "added-raw": {"form": "added", "normalize": False},
}


def make_targets(name: str) -> SoftTargets | None:
    """Targets by name: "none", a source, or "all-FORM" for the mixture."""
    if name == "none":
        return None
    if name == "three":
        three = {k: SOURCES[k]() for k in ("text", "clinical", "graph")}
        return SoftTargets(**three, mix=0.3)
    if name.startswith("all-"):
        sources = [SOURCES[k]() for k in MIXED]
        for i, source in enumerate(sources):
            source.weight = 1.0 + i
        return SoftTargets(more=sources, mix=0.4, **FORMS[name[4:]])
    return SoftTargets(more=[SOURCES[name]()], mix=0.3)


# --- extra columns ----------------------------------------------------------------------------------------------------

CANDIDATES: dict[str, Callable[[], list]] = {
    "none": list,
    "own": lambda: [EditedReports()],
    "all": lambda: [EditedReports("all")],
    "all-table": lambda: [EditedReports("all", labels="batch", encoding="signed")],
    "own+all": lambda: [EditedReports("own"), EditedReports("all", encoding="u_ones")],
}


# --- cases ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Several terms on one global batch that share their targets, as in a training step. Processes cost by the step.

    Attributes:
        terms: name -> maker of a term. Their sum is taken with different weights, so that errors cannot cancel.
        targets: name for :func:`make_targets`.
        layout: name of the layout.
        scale: logit scale.
        few_classes: pretend that a batch has too many distinct label vectors for a look-up table.
    """

    terms: dict[str, Callable[[], LossTerm]]
    targets: str = "none"
    layout: str = "even"
    scale: float = 14.3
    few_classes: bool = False


ENGINES: tuple[Literal["dense", "tiled"], ...] = ("dense", "tiled")
Terms = dict[str, Callable[[], LossTerm]]


def contrastive(targets: str, candidates: str, **options: Any) -> Terms:
    """Both criteria in both engines. An odd tile makes ragged tiles that cross the processes' borders."""
    name = None if targets == "none" else "default"

    def maker(criterion: Any, engine: Any) -> Callable[[], LossTerm]:
        return lambda: losses.Contrastive(
            targets=name, candidates=CANDIDATES[candidates](), tile=5, criterion=criterion, engine=engine, **options
        )

    return {f"{c} {e}": maker(c, e) for c in ("softmax", "sigmoid") for e in ENGINES}


def graph(targets: str, streams: tuple[Literal["image", "text"], ...] = ("image", "text")) -> Terms:
    """The graph stream in both engines."""
    name = None if targets == "none" else "default"

    def maker(engine: Any) -> Callable[[], LossTerm]:
        return lambda: losses.GraphAlignment(targets=name, streams=streams, tile=3, engine=engine)

    return {f"graph of {'+'.join(streams)} {e}": maker(e) for e in ENGINES}


def _cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for number, name in enumerate(("none", *SOURCES, *(f"all-{form}" for form in FORMS))):
        stream: Literal["image", "text"] = "text" if number % 2 else "image"
        cases[f"target/{name}"] = Case(contrastive(name, "own") | graph(name, (stream,)), name)
    for name in ("clinical", "label-softmax"):
        cases[f"target/{name} by blocks"] = Case(contrastive(name, "none"), name, few_classes=True)
    for layout in LAYOUTS:
        # the extreme batches differ where columns are gathered
        for name in CANDIDATES if layout in ("even", "uneven") else ("all", "own+all"):
            # soft labels from all that the batch has, or none
            targets = "none" if layout in ("first", "everything") else "three"
            cases[f"candidates/{name}/{layout}"] = Case(contrastive(targets, name), targets, layout)
        one_by_one = graph("three", ("image",)) | graph("none", ("text",))
        both = graph("three") | graph("none")
        others: Terms = {
            "negation": lambda: losses.NegationHardNegatives(margin=0.5),
            "consistency": lambda: losses.CyclicConsistency(),
        }
        cases[f"streams/{layout}"] = Case(one_by_one | others, "three", layout)
        if layout != "even":
            cases[f"both streams/{layout}"] = Case(both, "three", layout)
    # the exponentials of the tiled engine are shifted at a scale of 100
    for targets, weights in (("three", (1.0, 0.0)), ("text-neighbours", (0.25, 0.75)), ("none", (0.0, 1.0))):
        terms = contrastive(targets, "own+all", i2t_weight=weights[0], t2i_weight=weights[1])
        cases[f"scale 100/{targets}"] = Case(terms, targets, "uneven", scale=100.0)
    cases["temperature"] = Case(contrastive("three", "all", temperature=0.1), "three", "uneven")
    return cases


CASES = _cases()
