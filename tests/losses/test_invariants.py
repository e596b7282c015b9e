"""What must hold of any batch: plain CLIP as a special case, distributions, order, monotonicity, finite numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip import losses
from clinclip.losses import SoftTargets
from tests.losses.problems import CANDIDATES, CASES, assert_close, gradients, loss_of, mixed, problem


def clip_loss(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """The published pseudo-code of CLIP."""
    logits = scale * image @ text.T
    labels = torch.arange(len(image))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def siglip_loss(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The published pseudo-code of SigLIP."""
    n = len(image)
    logits = image @ text.T * scale + bias
    labels = 2 * torch.eye(n, dtype=image.dtype) - 1
    return -F.logsigmoid(labels * logits).sum() / n


@pytest.mark.parametrize("soft", [None, mixed({"text": losses.TextSimilarity()}, 0.0)], ids=["none", "zero"])
@pytest.mark.parametrize("size", [1, 2, 37])
def test_without_soft_labels_it_is_clip(size: int, soft: SoftTargets | None) -> None:
    batch, e = problem(size, dim=16, dtype=torch.float32, bias=None)
    value = clip_loss(e.image, e.text, e.logit_scale)
    wanted = (value, gradients(value, e))
    dense = loss_of(losses.Contrastive(engine="dense"), batch, e, soft)
    assert torch.equal(dense[0], wanted[0])
    for name, grad in wanted[1].items():
        assert torch.equal(dense[1][name], grad), name
    assert_close(loss_of(losses.Contrastive(engine="tiled", tile=16), batch, e, soft), wanted, 1e-6, floor=0.5)


def test_without_soft_labels_it_is_siglip() -> None:
    batch, e = problem(19, dim=16)
    value = siglip_loss(e.image, e.text, e.logit_scale, e.logit_bias)
    for engine in ("dense", "tiled"):
        term = losses.Contrastive(criterion="sigmoid", engine=engine, tile=8)  # type: ignore[arg-type]
        assert_close(loss_of(term, batch, e), (value, gradients(value, e)), 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_targets_are_distributions(case: str) -> None:
    sources, form, normalize = CASES[case]
    batch, e = problem(11)
    targets = mixed(sources, 0.4, form, normalize).prepare(e, batch)  # type: ignore[arg-type]
    mixture = targets.mixture()
    assert mixture is not None
    for rows, numbers in zip(mixture.dense(), mixture.targets, strict=True):
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(1), numbers.mass.double())
        if normalize:
            torch.testing.assert_close(rows.sum(1), torch.ones(11, dtype=torch.float64))
        assert not rows.requires_grad


@pytest.mark.parametrize("case", CASES)
def test_order_of_the_batch_does_not_matter(case: str) -> None:
    sources, form, normalize = CASES[case]
    soft = mixed(sources, 0.4, form, normalize)  # type: ignore[arg-type]
    batch, e = problem(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled, moved = batch.rows(order), e.rows(order)
    first, second = soft.prepare(e, batch).matrix(), soft.prepare(moved, shuffled).matrix()
    torch.testing.assert_close(second, first[order][:, order])
    for term in (losses.Contrastive(candidates=CANDIDATES["all"]), losses.GraphAlignment()):
        one = term.compute(e, batch, soft.prepare(e, batch)).value
        other = term.compute(moved, shuffled, soft.prepare(moved, shuffled)).value
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("engine", ["dense", "tiled"])
@pytest.mark.parametrize("criterion", ["softmax", "sigmoid"])
def test_twins_raise_the_loss_and_masked_ones_do_nothing(criterion: str, engine: str) -> None:
    batch, e = problem(9)
    assert batch.twins is not None
    soft = mixed({"text": losses.TextSimilarity()}, 0.3)

    def value(candidates: str, of=batch) -> tuple[Tensor, dict[str, Tensor]]:
        term = losses.Contrastive(criterion=criterion, candidates=CANDIDATES[candidates], engine=engine, tile=4)  # type: ignore[arg-type]
        return loss_of(term, of, e, soft)

    none, own, every = value("none"), value("own"), value("all")
    assert float(none[0].detach()) < float(own[0].detach()) < float(every[0].detach())
    masked = replace(batch, twins=replace(batch.twins, valid=torch.zeros_like(batch.twins.valid)))
    for candidates in ("own", "all"):
        assert_close(value(candidates, masked), none, 1e-12)
        assert not value(candidates, masked)[1]["twins"].any()


def test_soft_labels_send_no_gradient() -> None:
    # the loss with targets held fixed has the same gradient: targets are constants
    batch, e = problem(9)
    soft = mixed({k: CASES[k][0]["only"] for k in ("text-online", "graph-learned", "self-image")}, 0.4)
    term = losses.Contrastive(engine="dense")
    rows, cols = soft.prepare(e, batch).mixture().dense()  # type: ignore[union-attr]
    logits = e.logit_scale * e.image @ e.text.T
    value = -((rows * logits.log_softmax(1)).sum() + (cols * logits.T.log_softmax(1)).sum()) / 18
    assert_close(loss_of(term, batch, e, soft), (value, gradients(value, e)), 1e-12)
    _, grads = loss_of(term, batch, e, soft)
    assert not grads["graph"].any()


def test_targets_of_one_prepare_serve_every_term() -> None:
    batch, e = problem(9)
    targets = mixed({"text": losses.TextSimilarity()}, 0.3).prepare(e, batch)
    assert targets.mixture() is targets.mixture()
    by_name = losses.Contrastive(targets="default")(e, batch, {"default": targets}).value
    torch.testing.assert_close(by_name, losses.Contrastive().compute(e, batch, targets).value)


def test_fixed_temperature_leaves_the_scale_alone() -> None:
    batch, e = problem(6)
    value = clip_loss(e.image, e.text, torch.tensor(1 / 0.07, dtype=torch.float64))
    for engine in ("dense", "tiled"):
        ours = loss_of(losses.Contrastive(temperature=0.07, engine=engine, tile=4), batch, e)  # type: ignore[arg-type]
        assert_close(ours, (value, gradients(value, e)), 1e-12)
        assert float(ours[1]["logit_scale"]) == 0.0


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_a_second_backward_pass_gives_the_same_gradient(engine: str) -> None:
    batch, e = problem(6)
    value = losses.Contrastive(engine=engine, tile=4).compute(e, batch, None).value  # type: ignore[arg-type]
    first = gradients(value, e)
    second = gradients(value * 3, e)
    for name, grad in first.items():
        torch.testing.assert_close(second[name], 3 * grad)
