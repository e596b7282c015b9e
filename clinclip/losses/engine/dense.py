"""The dense engine: every logit at once, plain autograd. The reference that the tiled engine is held against.

With one process, one-hot targets and no extra columns this is CLIP's own computation, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.distributed import Shard
from clinclip.losses.engine.columns import ExtraColumns, OwnColumns, SharedColumns
from clinclip.losses.engine.mixture import Mixture


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """Double precision stays, everything else is computed in float32, whatever autocast says."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def promoted(*tensors: Tensor) -> list[Tensor]:
    """The tensors in the precision in which a loss is computed, that of the first; float32 and float64 stay."""
    dtype = compute_dtype(tensors[0])
    return [t.to(dtype) for t in tensors]


def dense_softmax(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    mixture: Mixture | None = None,
    extra: ExtraColumns | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
    shard: Shard | None = None,
) -> Tensor:
    """Soft cross-entropy of x -> y and y -> x over the global batch.

    Args:
        x: float (n, D) unit vectors of this process (images); row i belongs to row i of y.
        y: float (n, D) unit vectors of this process (texts).
        scale: multiplies cosines.
        mixture: soft targets over the same rows, or None for one-hot.
        extra: extra columns of the x -> y direction.
        weights: of the directions x -> y and y -> x; (0.5, 0.5) is their mean.
        shard: rows of this process; None: there is no other process.

    Returns:
        A scalar whose mean over processes is the loss of the global batch (a mean over its rows).
    """
    shard = Shard.local(len(x)) if shard is None else shard
    x, y, scale = promoted(x, y, scale)
    extra = None if extra is None else extra.to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        forward = scale * x @ shard.gather_with_grad(y).T
        backward = forward.T if shard.world == 1 else scale * y @ shard.gather_with_grad(x).T
        own, shared = _extra_logits(x, scale, extra)
        rows = torch.cat([forward, *own, *shared], dim=1) if own or shared else forward
        if mixture is not None:
            row_targets, col_targets = mixture.dense()
            first = soft_cross_entropy(rows, row_targets) * shard.value_factor
            second = soft_cross_entropy(backward, col_targets) * shard.value_factor
        else:
            labels = torch.arange(len(x), device=x.device) + shard.offset
            if shard.world == 1:
                first, second = F.cross_entropy(rows, labels), F.cross_entropy(backward, labels)
            else:
                first = F.cross_entropy(rows, labels, reduction="sum") * shard.value_factor
                second = F.cross_entropy(backward, labels, reduction="sum") * shard.value_factor
        return weights[0] * first + weights[1] * second


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``- sum_ij T_ij log softmax(logits_i)_j``, summed over rows, targets (n, N) not normalised here.

    Args:
        logits: float (n, N + M); the last M columns have target 0.
        targets: float (n, N).
    """
    return -(targets * logits.log_softmax(1)[:, : targets.shape[1]]).sum()


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``. PyTorch switches to x at 20 by default, which costs float64 nine digits."""
    return F.softplus(x, threshold=40.0)


def dense_sigmoid(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    bias: Tensor,
    mixture: Mixture | None = None,
    extra: ExtraColumns | None = None,
    shard: Shard | None = None,
) -> Tensor:
    """SigLIP's criterion: every pair is a binary question; summed over columns, mean over rows.

    Args:
        x: float (n, D) unit vectors of this process (images).
        y: float (n, D) unit vectors of this process (texts).
        scale: multiplies cosines.
        bias: added to logits.
        mixture: targets are 1 on the pair and lambda A_ij elsewhere (never normalised); None: 0 elsewhere.
        extra: extra columns, all with target 0.
        shard: rows of this process; None: there is no other process.

    Returns:
        A scalar whose mean over processes is the loss of the global batch.
    """
    shard = Shard.local(len(x)) if shard is None else shard
    x, y, scale, bias = promoted(x, y, scale, bias)
    extra = None if extra is None else extra.to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        logits = scale * x @ shard.gather_with_grad(y).T + bias
        if mixture is None:
            targets = torch.zeros_like(logits)
            targets.diagonal(shard.offset).fill_(1.0)
        else:
            targets = mixture.pairwise(shard.here)
        total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        own, shared = _extra_logits(x, scale, extra)
        for part in (*own, *shared):
            # softplus(-inf) = 0: a masked column costs nothing
            total = total + softplus(part + bias).sum()
        return total * shard.value_factor


def _extra_logits(x: Tensor, scale: Tensor, extra: ExtraColumns | None) -> tuple[list[Tensor], list[Tensor]]:
    """Logits of the extra columns, -inf where a column does not count for a row."""
    if extra is None:
        return [], []
    return [_own_logits(x, scale, o) for o in extra.own], _shared_logits(x, scale, extra.shared)


def _own_logits(x: Tensor, scale: Tensor, own: OwnColumns) -> Tensor:
    logits = scale * torch.einsum("nd,nkd->nk", x, own.embedding)
    return logits.masked_fill(~own.mask, -torch.inf)


def _shared_logits(x: Tensor, scale: Tensor, shared: Sequence[SharedColumns]) -> list[Tensor]:
    found = []
    for part in shared:
        logits = scale * x @ part.embedding.T
        if part.allowed is not None:
            allowed = part.allowed(slice(0, len(x)), slice(0, len(part.embedding)))
            logits = logits.masked_fill(~allowed, -torch.inf)
        found.append(logits)
    return found
