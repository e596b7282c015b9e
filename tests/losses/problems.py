"""Batches, embeddings and the lists of sources and candidates that the loss tests walk through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clinclip import losses
from clinclip.losses import FixedGate, LossTerm, NeighboursGate, QuantileGate, Schedule, SoftTargets, TargetSource
from clinclip.losses.engine.mixture import Form
from clinclip.testing import random_batch, random_embeddings
from clinclip.types import Batch, Embeddings

#: every target source with every form, encoding and gate that it offers
SOURCES: dict[str, TargetSource] = {
    "text-online": losses.TextSimilarity(),
    "text-frozen": losses.TextSimilarity(source="frozen"),
    "text-features": losses.TextSimilarity(source="features", gate=QuantileGate(q=0.5)),
    "text-fixed": losses.TextSimilarity(gate=FixedGate(0.6)),
    "text-neighbours": losses.TextSimilarity(gate=NeighboursGate(k=2)),
    "clinical": losses.ClinicalSimilarity(),
    "clinical-signed": losses.ClinicalSimilarity(encoding="signed", labels="text"),
    "clinical-u-zeros": losses.ClinicalSimilarity(encoding="u_zeros", gate=FixedGate(0.0)),
    "clinical-u-ones": losses.ClinicalSimilarity(encoding="u_ones", gate=QuantileGate(q=0.3)),
    "clinical-neighbours": losses.ClinicalSimilarity(gate=NeighboursGate(k=1)),
    "graph-learned": losses.GraphSimilarity(gate=QuantileGate(q=0.4)),
    "graph-overlap": losses.GraphSimilarity(form="overlap", gate=QuantileGate(q=0.3)),
    "label-equality": losses.LabelEquality(labels="text"),
    "label-softmax": losses.LabelSoftmax(temperature=0.7),
    "correlation": losses.CorrelationPrior(),
    "self-image": losses.SelfSimilarity(of="image", temperature=0.3),
    "self-text": losses.SelfSimilarity(of="text", temperature=0.3),
    "same-patient": losses.MultiPositive(by="patient"),
    "same-study": losses.MultiPositive(by="study"),
    "same-text": losses.MultiPositive(by="text"),
}
#: mixtures, open and closed forms together; (sources, form, normalize)
MIXTURES: dict[str, tuple[dict[str, TargetSource], str, bool]] = {
    "t+c+g": ({k: SOURCES[k] for k in ("text-online", "clinical", "graph-learned")}, "mixed", True),
    "uneven": (
        {
            "text": losses.TextSimilarity(weight=2.0, gate=NeighboursGate(k=2)),
            "labels": losses.LabelSoftmax(weight=0.5),
            "same": losses.MultiPositive(by="patient"),
        },
        "mixed",
        True,
    ),
    "not-normalised": ({"text": SOURCES["text-fixed"], "same": SOURCES["same-text"]}, "mixed", False),
    "imitate": ({"prior": SOURCES["correlation"]}, "added", False),
    "added-normalised": ({"prior": SOURCES["correlation"], "labels": SOURCES["label-softmax"]}, "added", True),
}
CASES: dict[str, tuple[dict[str, TargetSource], str, bool]] = {
    **{name: ({"only": source}, "mixed", True) for name, source in SOURCES.items()},
    **MIXTURES,
}
CANDIDATES = {
    "none": None,
    "own": losses.EditedReports(columns="own"),
    "all": losses.EditedReports(columns="all"),
}


def mixed(
    sources: Mapping[str, TargetSource],
    mix: Schedule | float | None = None,
    form: Form = "mixed",
    normalize: bool = True,
) -> SoftTargets:
    """Soft targets of sources by any name: those whose name is no slot are the further ones."""
    slots = {name: sources.get(name) for name in ("text", "clinical", "graph")}
    more = [source for name, source in sources.items() if name not in slots]
    return SoftTargets(**slots, more=more, mix=mix, form=form, normalize=normalize)


def problem(
    size: int = 7,
    dim: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    scale: float = 7.0,
    bias: float | None = -1.5,
    twins: int = 2,
    **options: float,
) -> tuple[Batch, Embeddings]:
    """A batch with repeated labels, texts, patients and graphs, and embeddings that are leaves with gradient."""
    options = {"duplicates": 0.35, "empty_graphs": 0.3, "editable": 0.7, **options}
    batch = random_batch(size, seed, twins=twins, frozen_text=6, **options)  # type: ignore[arg-type]
    assert batch.frozen_text is not None
    table = batch.labels.clone()
    table[-1] = batch.labels[0]  # the table does not always agree with the text
    batch = replace(batch, labels=table, frozen_text=batch.frozen_text + 1.0)
    embeddings = random_embeddings(batch, dim, seed, dtype, scale, bias, requires_grad=True)
    return batch, embeddings


def leaves(e: Embeddings) -> dict[str, Tensor]:
    """What can receive a gradient."""
    names = ("image", "text", "twins", "graph", "logit_scale", "logit_bias")
    return {k: getattr(e, k) for k in names if getattr(e, k) is not None}


def gradients(value: Tensor, e: Embeddings) -> dict[str, Tensor]:
    """Gradient of a value with respect to every leaf, zero where it does not take part."""
    named = leaves(e)
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True, retain_graph=True)
    return {k: torch.zeros_like(t) if g is None else g for (k, t), g in zip(named.items(), found, strict=True)}


def loss_of(
    term: LossTerm, batch: Batch, e: Embeddings, soft: SoftTargets | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Value and gradients of a term."""
    targets = None if soft is None else soft.prepare(e, batch)
    value = term.compute(e, batch, targets).value
    return value, gradients(value, e)


def assert_close(
    ours: tuple[Tensor, dict[str, Tensor]],
    wanted: tuple[Tensor, dict[str, Tensor]],
    relative: float = 1e-9,
    floor: float = 1e-3,
    least: float = 1e-12,
) -> None:
    """Value and every gradient, by relative norm.

    A gradient smaller than ``floor`` times the largest one, or than ``least``, is held against that norm.
    """
    assert torch.isfinite(ours[0]).all(), ours[0]
    value, right = float(ours[0].detach()), float(wanted[0].detach())
    assert abs(value - right) <= relative * max(abs(right), 1e-3), (value, right)
    largest = max(float(g.double().norm()) for g in wanted[1].values())
    for name, grad in wanted[1].items():
        mine = ours[1][name].double()
        assert torch.isfinite(mine).all(), name
        norm = max(float(grad.double().norm()), floor * largest, least)
        assert float((mine - grad.double()).norm()) <= relative * norm, name
