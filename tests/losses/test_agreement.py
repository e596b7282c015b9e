"""Slow loop, dense and tiled engine agree: every target source, every candidate source, both criteria."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clinclip import losses
from clinclip.distributed import Shard
from clinclip.losses import TargetSource
from clinclip.losses.engine.tiled import tiled_sigmoid, tiled_softmax
from tests.losses import reference
from tests.losses.problems import CANDIDATES, CASES, MIXTURES, SOURCES, assert_close, gradients, loss_of, mixed, problem

MIX = 0.4


# every source against the columns of all rows, every mixture against every candidate source
PAIRS = [(case, "all") for case in SOURCES] + [(case, candidates) for case in MIXTURES for candidates in CANDIDATES]


@pytest.mark.parametrize("criterion", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("case", "candidates"), PAIRS)
def test_loop_dense_and_tiled(case: str, candidates: str, criterion: str) -> None:
    sources, form, normalize = CASES[case]
    batch, e = problem()
    soft = mixed(sources, MIX, form, normalize)  # type: ignore[arg-type]
    wanted = slow(batch, e, sources, form, normalize, candidates, criterion)
    for engine in ("dense", "tiled"):
        term = losses.Contrastive(
            criterion=criterion,  # type: ignore[arg-type]
            candidates=CANDIDATES[candidates],
            engine=engine,  # type: ignore[arg-type]
            i2t_weight=0.75,
            t2i_weight=0.25,
            tile=3,  # 7 rows: the last tile is ragged
        )
        assert_close(loss_of(term, batch, e, soft), wanted)


def slow(
    batch, e, sources: dict[str, TargetSource], form: str, normalize: bool, candidates: str, criterion: str
) -> tuple[Tensor, dict[str, Tensor]]:
    targets = reference.soft_targets(sources, e, batch, MIX, form, normalize)
    extra = None if candidates == "none" else reference.twin_columns(e, batch, candidates)
    if criterion == "softmax":
        value = reference.softmax_loss(e.image, e.text, e.logit_scale, targets, extra, (0.75, 0.25))
    else:
        value = reference.sigmoid_loss(e.image, e.text, e.logit_scale, e.logit_bias, targets, extra)
    return value, gradients(value, e)


@pytest.mark.parametrize("case", CASES)
def test_graph_alignment(case: str) -> None:
    sources, form, normalize = CASES[case]
    batch, e = problem(size=8, seed=3)
    keep = e.graph_valid.nonzero()[:, 0].tolist()
    assert 2 < len(keep) < 8
    soft = mixed(sources, MIX, form, normalize)  # type: ignore[arg-type]
    targets = reference.soft_targets(sources, e, batch, MIX, form, normalize, keep)
    value = sum(
        reference.softmax_loss(stream, e.graph, e.logit_scale, targets, keep=keep) / 2 for stream in (e.image, e.text)
    )
    wanted = (value, gradients(value, e))
    for engine in ("dense", "tiled"):
        assert_close(loss_of(losses.GraphAlignment(engine=engine, tile=3), batch, e, soft), wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", ["image", "text"])
def test_one_graph_stream(stream: str) -> None:
    batch, e = problem(size=8, seed=3)
    keep = e.graph_valid.nonzero()[:, 0].tolist()
    value = reference.softmax_loss(getattr(e, stream), e.graph, e.logit_scale, reference.one_hot(8), keep=keep)
    for engine in ("dense", "tiled"):
        term = losses.GraphAlignment(streams=[stream], engine=engine, tile=3)  # type: ignore[arg-type]
        assert_close(loss_of(term, batch, e), (value, gradients(value, e)))


@pytest.mark.parametrize("engine", ["dense", "tiled"])
@pytest.mark.parametrize("encoding", ["positive", "signed", "u_zeros", "u_ones"])
def test_false_negatives_by_encoding(encoding: str, engine: str) -> None:
    batch, e = problem(size=9, seed=5, twins=3)
    term = losses.Contrastive(
        candidates=losses.EditedReports(columns="all", encoding=encoding),  # type: ignore[arg-type]
        engine=engine,  # type: ignore[arg-type]
        tile=4,
    )
    extra = reference.twin_columns(e, batch, "all", encoding)
    value = reference.softmax_loss(e.image, e.text, e.logit_scale, reference.one_hot(9), extra)
    assert_close(loss_of(term, batch, e), (value, gradients(value, e)))


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_several_candidate_sources_add_up(engine: str) -> None:
    batch, e = problem()
    extra = [
        own + every
        for own, every in zip(
            reference.twin_columns(e, batch, "own"), reference.twin_columns(e, batch, "all"), strict=True
        )
    ]
    value = reference.softmax_loss(e.image, e.text, e.logit_scale, reference.one_hot(7), extra)
    for candidates in ([CANDIDATES["own"], CANDIDATES["all"]], {"a": CANDIDATES["own"], "b": CANDIDATES["all"]}):
        term = losses.Contrastive(candidates=candidates, engine=engine, tile=3)  # type: ignore[arg-type]
        assert_close(loss_of(term, batch, e), (value, gradients(value, e)))


# --- gradients of the tiled engine are those of its value -------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", ["none", *CASES])
def test_gradcheck(case: str, criterion: str) -> None:
    batch, e = problem(size=5, dim=2)
    shard = Shard.local(5)
    mixture = None
    if case != "none":
        sources, form, normalize = CASES[case]
        mixture = mixed(sources, MIX, form, normalize).prepare(e, batch).mixture()  # type: ignore[arg-type]
    both = [source.columns(e, batch, shard) for source in CANDIDATES.values() if source is not None]
    extra = both[0] + both[1]

    def value(x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        columns = losses.ExtraColumns(
            (losses.OwnColumns(own, extra.own[0].mask),), (losses.SharedColumns(shared, extra.shared[0].allowed),)
        )
        if criterion == "softmax":
            return tiled_softmax(x, y, scale, mixture, columns, (0.6, 0.4), shard, tile=2)
        return tiled_sigmoid(x, y, scale, bias, mixture, columns, shard, tile=2)

    tensors = (e.image, e.text, e.logit_scale, e.logit_bias, extra.own[0].embedding, extra.shared[0].embedding)
    inputs = tuple(t.detach().clone().requires_grad_() for t in tensors if t is not None)
    if criterion == "softmax":
        inputs = (*inputs[:3], inputs[3].detach(), *inputs[4:])
    # every entry for the richest mixture, one random direction for the rest
    assert torch.autograd.gradcheck(value, inputs, fast_mode=case != "t+c+g")


# --- single precision -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "criterion"), [*((case, "softmax") for case in CASES), *((case, "sigmoid") for case in MIXTURES)]
)
def test_single_precision_keeps_five_digits(case: str, criterion: str) -> None:
    sources, form, normalize = CASES[case]
    soft = mixed(sources, MIX, form, normalize)  # type: ignore[arg-type]
    batch, e32 = problem(size=45, dim=24, dtype=torch.float32, scale=14.2857)
    e64 = e32.apply(lambda t: t.detach().double().requires_grad_() if t.is_floating_point() else t)
    term = losses.Contrastive(criterion=criterion, candidates=CANDIDATES["all"], engine="dense")  # type: ignore[arg-type]
    exact = loss_of(term, batch, e64, soft)
    for engine in ("dense", "tiled"):
        term = losses.Contrastive(criterion=criterion, candidates=CANDIDATES["all"], engine=engine, tile=16)  # type: ignore[arg-type]
        # the gradient of the scale is a sum that cancels: in dense single precision it may lose a digit more
        assert_close(loss_of(term, batch, e32, soft), exact, 1e-5, floor=0.02)


def test_every_source_is_covered() -> None:
    covered = {type(source) for source in SOURCES.values()}
    public = {v for v in (getattr(losses, n) for n in losses.__all__) if isinstance(v, type)}
    assert covered == {c for c in public if issubclass(c, TargetSource) and c is not TargetSource}
