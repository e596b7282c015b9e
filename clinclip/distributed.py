"""Rank, world size and differentiable collectives, read at run time. The only importer of torch.distributed.

Gradient convention (measured against one process on the same global batch): a loss term returns a value whose mean
over processes is the global loss; :func:`gather_with_grad` sums the gradients that all processes send back to a
slice; DistributedDataParallel then averages parameter gradients over processes. Together these give exactly the
gradient of the global loss.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """True inside an initialised process group of more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Rank of this process; 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if is_distributed() else 1


def barrier() -> None:
    """Wait for all processes; nothing without a process group."""
    if is_distributed():
        dist.barrier()


def all_reduce(tensor: Tensor, op: str = "sum") -> Tensor:
    """Reduce a copy of ``tensor`` over all processes (no gradient). ``op`` is "sum", "max" or "min"."""
    result = tensor.detach().clone()
    if is_distributed():
        ops = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}
        dist.all_reduce(result, op=ops[op])
    return result


def gather(tensor: Tensor) -> Tensor:
    """Concatenate ``tensor`` (n, ...) of all processes along axis 0, in rank order (no gradient).

    The shapes must be equal on all processes; the data module drops ragged last batches in training.
    """
    tensor = tensor.detach()
    if not is_distributed():
        return tensor
    # bool has no gloo/nccl reduction type everywhere: travel as uint8
    source = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
    parts = [torch.empty_like(source) for _ in range(world_size())]
    dist.all_gather(parts, source.contiguous())
    return torch.cat(parts).to(tensor.dtype)


def gather_objects(obj: Any) -> list[Any]:
    """Collect one picklable object from every process, in rank order."""
    if not is_distributed():
        return [obj]
    out: list[Any] = [None] * world_size()
    dist.all_gather_object(out, obj)
    return out


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.length = tensor.shape[0]
        return gather(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        start = rank() * ctx.length
        return total[start : start + ctx.length]


def gather_with_grad(tensor: Tensor) -> Tensor:
    """As :func:`gather`, and the backward pass sums the gradients of all processes for the local slice."""
    if not is_distributed():
        return tensor
    return _Gather.apply(tensor)  # type: ignore[no-any-return]
