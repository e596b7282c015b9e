"""Contrastive losses with soft targets in O(N) memory: one tile of logits for both directions, gradient in closed form.

Derivation. Let x_i, y_j be unit vectors, s the scale, S = s X Y^T (N x N), S_u = s X U^T extra columns of the rows.
Rows have targets T^r (row i sums to M^r_i), columns have targets T^c (column j sums to M^c_j). With weights a and b of
the two directions the loss is

    N L = a sum_i [ M^r_i lse^r_i - sum_j T^r_ij S_ij ] + b sum_j [ M^c_j lse^c_j - sum_i T^c_ij S_ij ]
    lse^r_i = log( sum_j exp S_ij + sum_k exp S_u,ik ),    lse^c_j = log sum_i exp S_ij

because sum_j T_ij log softmax_j = sum_j T_ij S_ij - M_i lse_i. The targets are constants, so

    N dL/dS_ij = G_ij = a M^r_i exp(S_ij - lse^r_i) + b M^c_j exp(S_ij - lse^c_j) - a T^r_ij - b T^c_ij
    N dL/dS_u,ik = H_ik = a M^r_i exp(S_u,ik - lse^r_i)
    N dX = s (G Y + H U),   N dY = s G^T X,   N dU = s H^T X,   dL/d(log s) = sum_i <x_i, dX_i>

The last holds because every logit is s times a product with x_i. Both soft targets have the form "a number on the pair,
a row number times an affinity elsewhere": T^r_ij = beta^r_i A_ij, T^c_ij = beta^c_j A_ij. So two passes over tiles are
enough. Pass 1 makes lse^r and lse^c online (the mixture's row sums, which give beta and M, come from a walk over the
mixture alone). Pass 2 makes each tile of S again, forms G in place and multiplies it with Y and X. Nothing N x N is
ever stored, gradients are ready when the forward pass ends, and the backward pass only scales them: 4 products of size
N x N x D where plain autograd on dense logits needs 3 (one matrix of logits) or 6 (one matrix a direction).

Affinities of low rank with an exact product form (label classes, ids, linear) never need a tile:
sum_j (a beta^r_i + b beta^c_j) A_ij y_j = a beta^r_i (A Y)_i + (A (b beta^c Y))_i costs O(N K D).

Several processes: each keeps its rows of X and all columns. lse^r is then local, lse^c is merged with two collectives
of N numbers, dX is complete, dY is summed over processes by the backward pass of the gather. Values and gradients
follow the convention of :mod:`clinclip.distributed`: the mean of the values over processes is the global loss.

Numerics. Everything is taken relative to the pair: with o_i the log-sum-exp of a row *without* its pair, lse_i - S_ii =
softplus(o_i - S_ii) = r_i, so M lse_i - sum_j T_ij S_ij = M r_i + sum_j beta A_ij (S_ii - S_ij), and on the pair
G_ii = M expm1(-r_i) + (M - T_ii): a solved batch loses no digits, and sums are taken per row before they are averaged.
While |S| <= 60 the exponentials of a tile fit float32 as they are, so one exp serves both directions; above that (a
scale of 100, say) each direction subtracts its own maximum.

Half-precision inputs are computed in float32, under autocast too.

The functions need torch alone: nothing of clinclip is imported but the files that this one names. Example:
    >>> mixture = Mixture([(1.0, Gated(Cosine(reports), torch.tensor(0.8)))], 0.3, "mixed", True, Shard.local(n))
    >>> tiled_softmax(images, texts, scale, mixture).backward()
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clinclip.distributed import Shard
from clinclip.losses.engine.columns import ExtraColumns
from clinclip.losses.engine.dense import promoted
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.tiles import Problem, SigmoidTiles, SoftmaxTiles


def default_tile(device: torch.device) -> int:
    """Rows of a tile: what fits the cache of a CPU core, or keeps a GPU busy."""
    return 512 if device.type == "cpu" else 4096


def tiled_softmax(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    mixture: Mixture | None = None,
    extra: ExtraColumns | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
    shard: Shard | None = None,
    tile: int | None = None,
) -> Tensor:
    """Soft cross-entropy of x -> y and y -> x; equals :func:`clinclip.losses.engine.dense.dense_softmax`.

    Args:
        x: float (n, D) unit vectors of this process (images); row i belongs to row i of y.
        y: float (n, D) unit vectors of this process (texts).
        scale: scalar tensor that multiplies cosines, above 0.
        mixture: soft targets over the same rows, or None for one-hot.
        extra: extra columns of the x -> y direction.
        weights: of the directions x -> y and y -> x; (0.5, 0.5) is their mean.
        shard: rows of this process; None: there is no other process.
        tile: rows and columns of a tile; None: 512 on a CPU, 4096 elsewhere. The last tiles may be ragged.

    Returns:
        A scalar whose mean over processes is the loss of the global batch (a mean over its rows).
    """
    return _run(x, y, scale, torch.zeros_like(scale), mixture, extra, weights, shard, tile, sigmoid=False)


def tiled_sigmoid(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    bias: Tensor,
    mixture: Mixture | None = None,
    extra: ExtraColumns | None = None,
    shard: Shard | None = None,
    tile: int | None = None,
) -> Tensor:
    """SigLIP's criterion with soft targets; equals :func:`clinclip.losses.engine.dense.dense_sigmoid`.

    One pass: logits l = S + b are independent, G = sigmoid(l) - T with T = 1 on the pair and lambda A elsewhere.

    Args:
        x: float (n, D) unit vectors of this process (images).
        y: float (n, D) unit vectors of this process (texts).
        scale: scalar tensor that multiplies cosines, above 0.
        bias: scalar tensor added to logits.
        mixture: soft targets over the same rows, or None for one-hot.
        extra: extra columns, all with target 0.
        shard: rows of this process; None: there is no other process.
        tile: as in :func:`tiled_softmax`.

    Returns:
        A scalar whose mean over processes is the loss of the global batch.
    """
    return _run(x, y, scale, bias, mixture, extra, (1.0, 0.0), shard, tile, sigmoid=True)


def _run(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    bias: Tensor,
    mixture: Mixture | None,
    extra: ExtraColumns | None,
    weights: tuple[float, float],
    shard: Shard | None,
    tile: int | None,
    sigmoid: bool,
) -> Tensor:
    shard = Shard.local(len(x)) if shard is None else shard
    x, y, scale, bias = promoted(x, y, scale, bias)
    extra = ExtraColumns() if extra is None else extra.to(x.dtype)
    columns = shard.gather_with_grad(y)
    problem = Problem(
        mixture,
        weights,
        shard,
        tile or default_tile(x.device),
        [o.mask for o in extra.own],
        list(extra.shared),
        sigmoid,
    )
    tensors = (x, columns, scale, bias, *[o.embedding for o in extra.own], *[s.embedding for s in extra.shared])
    want = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    with torch.autocast(x.device.type, enabled=False):
        return _Tiled.apply(problem, want, *tensors)  # type: ignore[no-any-return]


class _Tiled(torch.autograd.Function):
    """Forms value and gradients at once; the first backward pass scales the gradients in place and gives them away.

    A second one (``retain_graph=True``) forms them again from the inputs, so that nothing N x D is held twice.
    """

    @staticmethod
    def forward(ctx: Any, problem: Problem, want: bool, *tensors: Tensor) -> Tensor:
        engine = _engine(problem, want, tensors)
        value = engine.run()
        if want:
            ctx.problem, ctx.ready = problem, engine.gradients()
            ctx.save_for_backward(*tensors)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        grads = ctx.ready
        ctx.ready = None
        if grads is None:
            engine = _engine(ctx.problem, True, ctx.saved_tensors)
            engine.run()
            grads = engine.gradients()
        needed = ctx.needs_input_grad[2:]
        return None, None, *(g.mul_(upstream[0]) if w else None for g, w in zip(grads, needed, strict=True))


def _engine(problem: Problem, want: bool, tensors: tuple[Tensor, ...]) -> SoftmaxTiles | SigmoidTiles:
    return (SigmoidTiles if problem.sigmoid else SoftmaxTiles)(problem, want, *(t.detach() for t in tensors))
