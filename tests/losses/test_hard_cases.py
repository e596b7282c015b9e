"""Inputs at which losses break: large scales, identical rows, nothing to negate, nothing at all. Finite, and right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip import losses
from clinclip.losses import NeighboursGate, QuantileGate, TargetSource
from clinclip.losses.targets import gates
from clinclip.testing import random_batch
from clinclip.types import Batch, Embeddings, LossOutput
from tests.losses import reference
from tests.losses.problems import CANDIDATES, assert_close, gradients, mixed, problem

MIX = 0.4
SOURCES: dict[str, TargetSource] = {
    "text": losses.TextSimilarity(),
    "clinical": losses.ClinicalSimilarity(),
    "graph": losses.GraphSimilarity(),
    "overlap": losses.GraphSimilarity(form="overlap"),
    "near": losses.TextSimilarity(source="frozen", gate=NeighboursGate(k=3)),
    "medclip": losses.LabelSoftmax(),
    "prior": losses.CorrelationPrior(source="features"),
    "self": losses.SelfSimilarity(),
    "same": losses.MultiPositive(),
}


def leaf(t: Tensor) -> Tensor:
    return t.detach().clone().requires_grad_()


def scale_100(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    return batch, replace(e, logit_scale=leaf(torch.full_like(e.logit_scale, 100.0)))


def solved(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    """Images equal their reports, reports are orthogonal, the scale is 100: the loss is zero to 40 digits."""
    n = len(e.image)
    eye = F.pad(torch.eye(n, dtype=e.image.dtype), (0, e.image.shape[1] - n))
    return batch, replace(scale_100(batch, e)[1], image=leaf(eye), text=leaf(eye))


def all_alike(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    """Every embedding of every modality is the same vector, every label vector and every text too."""

    def first(t: Tensor | None) -> Tensor | None:
        return None if t is None else leaf(t.flatten(0, -2)[:1].expand(*t.shape))

    e = replace(e, **{k: first(getattr(e, k)) for k in ("image", "text", "twins", "graph", "text_features")})
    same = {k: getattr(batch, k)[:1].expand_as(getattr(batch, k)) for k in ("labels", "text_labels", "text_hash")}
    return replace(batch, frozen_text=torch.ones_like(batch.frozen_text), **same), e  # type: ignore[arg-type]


def third_alike(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    """A third of the reports are identical, as "no acute process" is."""
    index = torch.arange(len(e.text))
    index[index % 3 == 0] = 0
    alike = {k: leaf(getattr(e, k)[index]) for k in ("text", "text_features", "graph")}
    fields = {k: getattr(batch, k)[index] for k in ("labels", "text_labels", "text_hash", "frozen_text")}
    return replace(batch, graph=batch.graph.rows(index), **fields), replace(  # type: ignore[union-attr]
        e,
        **alike,
        graph_valid=e.graph_valid[index],  # type: ignore[index]
    )


def nothing_to_negate(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    assert batch.twins is not None
    return replace(batch, twins=replace(batch.twins, valid=torch.zeros_like(batch.twins.valid))), e


def no_graphs(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    assert batch.graph is not None and e.graph_valid is not None
    graph = replace(batch.graph, mask=batch.graph.mask & False, entity=batch.graph.entity * 0)
    return replace(batch, graph=graph), replace(e, graph_valid=torch.zeros_like(e.graph_valid))


def no_findings(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    """Label vectors are zero: nothing is mentioned anywhere, before and after the edit."""
    assert batch.twins is not None
    nothing = {k: torch.full_like(getattr(batch, k), -2) for k in ("labels", "text_labels")}
    twins = replace(batch.twins, labels=torch.full_like(batch.twins.labels, -2))
    return replace(batch, twins=twins, **nothing), e


def ordinary(batch: Batch, e: Embeddings) -> tuple[Batch, Embeddings]:
    return batch, e


CASES = {
    f.__name__: f
    for f in (ordinary, scale_100, solved, all_alike, third_alike, nothing_to_negate, no_graphs, no_findings)
}


def check(batch: Batch, e32: Embeddings, sources: dict[str, TargetSource], candidates: str, criterion: str) -> None:
    """Both engines in float32 against the slow loop in float64: four digits where affinities are steep."""
    n = len(e32.image)
    e64 = e32.apply(lambda t: leaf(t.double()) if t.is_floating_point() else t)
    soft = mixed(sources, MIX)  # type: ignore[arg-type]
    targets = reference.soft_targets(sources, e64, batch, MIX) if sources else reference.one_hot(n)
    extra = None if candidates == "none" else reference.twin_columns(e64, batch, candidates)
    if criterion == "softmax":
        value = reference.softmax_loss(e64.image, e64.text, e64.logit_scale, targets, extra)
    else:
        value = reference.sigmoid_loss(e64.image, e64.text, e64.logit_scale, e64.logit_bias, targets, extra)
    wanted = (value, gradients(value, e64))
    for engine in ("dense", "tiled"):
        term = losses.Contrastive(
            criterion=criterion,  # type: ignore[arg-type]
            candidates=CANDIDATES[candidates],
            engine=engine,  # type: ignore[arg-type]
            tile=4,
        )
        out = term.compute(e32, batch, soft.prepare(e32, batch))
        assert all(torch.isfinite(torch.as_tensor(v)).all() for v in out.logs.values()), out.logs
        assert_close((out.value, gradients(out.value, e32)), wanted, 1e-4, floor=0.05, least=1e-2)


@pytest.mark.parametrize("candidates", ["own", "all"])
@pytest.mark.parametrize("case", CASES)
def test_softmax(case: str, candidates: str) -> None:
    batch, e = CASES[case](*problem(9, dim=12, dtype=torch.float32))
    check(batch, e, SOURCES, candidates, "softmax")
    check(batch, e, {}, candidates, "softmax")


@pytest.mark.parametrize("case", CASES)
def test_sigmoid(case: str) -> None:
    batch, e = CASES[case](*problem(9, dim=12, dtype=torch.float32))
    check(batch, e, SOURCES, "all", "sigmoid")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_batches(size: int) -> None:
    for seed in range(2):
        batch, e = problem(size, dim=12, dtype=torch.float32, seed=seed)
        for criterion in ("softmax", "sigmoid"):
            check(batch, e, SOURCES, "all", criterion)


def test_a_batch_of_one_has_nothing_to_learn() -> None:
    batch, e = problem(1)
    for engine in ("dense", "tiled"):
        value = losses.Contrastive(engine=engine).compute(e, batch, mixed(SOURCES, MIX).prepare(e, batch)).value  # type: ignore[arg-type]
        assert abs(float(value.detach())) < 1e-14
        assert all(float(g.norm()) < 1e-14 for g in gradients(value, e).values())


def test_a_solved_batch_keeps_its_digits() -> None:
    batch, e = solved(*problem(9, dim=12, dtype=torch.float32))
    value = losses.Contrastive(engine="tiled", tile=4).compute(e, batch, None).value
    assert 0.0 <= float(value.detach()) < 1e-30


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 5, 7, 8, 64])
def test_any_tile(tile: int) -> None:
    batch, e = problem(7)
    targets = mixed(SOURCES, MIX).prepare(e, batch)  # type: ignore[arg-type]
    for criterion in ("softmax", "sigmoid"):
        options = {"criterion": criterion, "candidates": CANDIDATES["all"]}
        wanted = losses.Contrastive(engine="dense", **options).compute(e, batch, targets).value  # type: ignore[arg-type]
        ours = losses.Contrastive(engine="tiled", tile=tile, **options).compute(e, batch, targets).value  # type: ignore[arg-type]
        assert_close((ours, gradients(ours, e)), (wanted, gradients(wanted, e)), 1e-11)


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_graph_alignment_with_few_graphs(engine: str) -> None:
    """No graph and one graph: nothing to learn, and the zero is connected to every embedding."""
    soft = mixed(SOURCES, MIX)  # type: ignore[arg-type]
    for kept in (0, 1):
        batch, e = problem(6)
        e = replace(e, graph_valid=torch.arange(6) < kept)
        value = losses.GraphAlignment(engine=engine, targets="soft")(e, batch, {"soft": soft.prepare(e, batch)}).value  # type: ignore[arg-type]
        value.backward()
        assert abs(float(value.detach())) < 1e-14
        for tensor in (e.image, e.text, e.graph, e.twins, e.logit_scale, e.logit_bias):
            assert tensor is not None and tensor.grad is not None and float(tensor.grad.norm()) < 1e-14


def test_negation_term_without_twins_is_a_connected_zero() -> None:
    batch, e = nothing_to_negate(*problem(6))
    out = losses.NegationHardNegatives()(e, batch)
    out.value.backward()
    assert float(out.value.detach()) == 0.0
    assert out.logs == {"usable_twins": 0.0}
    assert e.twins is not None and e.twins.grad is not None and not e.twins.grad.any()


def test_negation_term_at_scale_100() -> None:
    batch, e = scale_100(*problem(6, dtype=torch.float32))
    value = losses.NegationHardNegatives(margin=50.0).compute(e, batch, None).value
    assert torch.isfinite(value) and float(value.detach()) > 1.0
    assert all(torch.isfinite(g).all() for g in gradients(value, e).values())


class Silent(losses.LossTerm):
    """A user's term with nothing to say of this batch."""

    def compute(self, embeddings: Embeddings, batch: Batch, targets: losses.Targets | None) -> LossOutput:
        return LossOutput(torch.zeros(()))


def test_a_zero_is_connected_and_stays_zero() -> None:
    # in half precision the sum of these is infinite, and 0 times infinity is not a number
    huge = torch.full((4, 8), 60000.0, dtype=torch.float16, requires_grad=True)
    e = Embeddings(image=huge, text=huge, logit_scale=torch.tensor(float("inf"), requires_grad=True))
    value = Silent()(e, random_batch(4)).value
    value.backward()
    assert float(value.detach()) == 0.0 and huge.grad is not None and not huge.grad.any()


def test_identical_reports_do_not_close_the_gate() -> None:
    """A third of the reports identical: rounding above 1 must not turn the rest of the batch into positives."""
    batch, e = third_alike(*problem(30, dim=12, dtype=torch.float32))
    rows = mixed({"text": losses.TextSimilarity(gate=QuantileGate(0.95))}, 1.0).prepare(e, batch).matrix()
    same = (torch.arange(30) % 3 == 0).float()
    wanted = torch.where(same[:, None] * same[None] > 0, 1 / 10, 0.0)
    wanted.diagonal().copy_(torch.where(same > 0, 1 / 10, 1.0))
    torch.testing.assert_close(rows, wanted, atol=1e-4, rtol=0)


def test_a_large_quantile_is_exact() -> None:
    """The bracket of a sorted sample gives the same order statistics as sorting everything."""
    g = torch.Generator().manual_seed(0)
    for values in (torch.randn(300_000, generator=g), torch.randint(0, 5, (300_000,), generator=g).float()):
        ordered = values.sort().values
        for rank in (0, 1, 1000, 150_000, 269_999, 299_998, 299_999):
            first, second = gates.neighbours_in_order(values, rank)
            assert first == ordered[rank] and second == ordered[min(rank + 1, 299_999)]


def test_the_quantile_is_that_of_a_seeded_subset() -> None:
    batch, e = problem(40, dtype=torch.float32)
    first = losses.TextSimilarity(gate=QuantileGate(rows=8, seed=1))
    thresholds = [
        float(mixed({"text": s}, 0.3).prepare(e, batch).logs()["threshold_text"])
        for s in (first, first, losses.TextSimilarity(gate=QuantileGate(rows=8, seed=2)))
    ]
    assert thresholds[0] == thresholds[1] != thresholds[2]
