"""Rank, world size and differentiable collectives, read at run time. The only importer of torch.distributed.

Gradient convention (measured against one process on the same global batch): a loss term returns a value whose mean
over processes is the global loss; :meth:`Shard.gather_with_grad` sums the gradients that all processes send back to a
slice; DistributedDataParallel then averages parameter gradients over processes. Together these give exactly the
gradient of the global loss.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def all_reduce(tensor: Tensor, op: str = "sum") -> Tensor:
    """Reduce a copy of ``tensor`` over all processes (no gradient). ``op`` is "sum", "max" or "min"."""
    result = tensor.detach().clone()
    if is_distributed():
        ops = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}
        dist.all_reduce(result, op=ops[op])
    return result


def gather_objects(obj: Any) -> list[Any]:
    """Collect one picklable object from every process, in rank order."""
    if not is_distributed():
        return [obj]
    out: list[Any] = [None] * world_size()
    dist.all_gather_object(out, obj)
    return out


def mean_of_processes(numbers: dict[str, Tensor | float]) -> dict[str, Tensor | float]:
    """The mean of each named number over the processes that have it; one collective, the same result on all.

    Unchanged without other processes.
    """
    if not is_distributed():
        return numbers
    everywhere = gather_objects({k: float(v) for k, v in numbers.items()})
    found: dict[str, list[float]] = {}
    for part in everywhere:
        for name, number in part.items():
            found.setdefault(name, []).append(number)
    return {name: sum(parts) / len(parts) for name, parts in found.items()}


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shard: Shard) -> Tensor:
        ctx.shard = shard
        return shard.gather(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.shard.reduce_scatter(grads[0]), None


@dataclass(frozen=True)
class Shard:
    """Which rows of the global batch this process holds: process r holds ``sizes[r]`` rows, in rank order.

    The sizes may differ between processes (a last validation batch; graphs of which some are empty).

    Attributes:
        sizes: rows of each process.
        rank: position of this process in ``sizes``.
    """

    sizes: tuple[int, ...]
    rank: int = 0

    @classmethod
    def of(cls, rows: int, device: torch.device | str = "cpu") -> Shard:
        """The shard of a batch with ``rows`` rows here; one small collective on ``device`` to learn the others."""
        if not is_distributed():
            return cls((rows,))
        mine = torch.tensor([rows], device=device)
        parts = [torch.empty_like(mine) for _ in range(world_size())]
        dist.all_gather(parts, mine)
        return cls(tuple(torch.cat(parts).tolist()), rank())

    @classmethod
    def local(cls, rows: int) -> Shard:
        """A shard that ignores the other processes: no collectives, negatives of this process alone."""
        return cls((rows,))

    @property
    def world(self) -> int:
        """Number of processes that share the batch."""
        return len(self.sizes)

    @property
    def count(self) -> int:
        """Rows of this process."""
        return self.sizes[self.rank]

    @property
    def total(self) -> int:
        """Rows of the global batch."""
        return sum(self.sizes)

    @property
    def offset(self) -> int:
        """Global index of this process's first row."""
        return sum(self.sizes[: self.rank])

    @property
    def here(self) -> slice:
        """This process's rows in the global batch."""
        return slice(self.offset, self.offset + self.count)

    @property
    def value_factor(self) -> float:
        """Turns a sum over local rows into a value whose mean over processes is the mean over the global batch."""
        return self.world / self.total if self.total else 0.0

    def keep(self, mask: Tensor) -> Shard:
        """The shard of the rows where ``mask``, bool (total,), is True; needs no communication."""
        counts = [part.sum() for part in mask.split(list(self.sizes))]
        return Shard(tuple(torch.stack(counts).tolist()), self.rank)

    def gather(self, tensor: Tensor) -> Tensor:
        """Rows (count, ...) of every process as (total, ...), in rank order (no gradient)."""
        tensor = tensor.detach()
        if self.world == 1:
            return tensor
        # bool has no reduction or gather type on every backend: travel as uint8
        source = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
        longest = max(self.sizes)
        if self.count < longest:
            source = torch.cat([source, source.new_zeros((longest - self.count, *source.shape[1:]))])
        parts = [torch.empty_like(source) for _ in self.sizes]
        dist.all_gather(parts, source.contiguous())
        return torch.cat([part[:n] for part, n in zip(parts, self.sizes, strict=True)]).to(tensor.dtype)

    def gather_with_grad(self, tensor: Tensor) -> Tensor:
        """As :meth:`gather`; the backward pass sums what all processes send back to this process's rows.

        The backward pass is a collective, so every process takes part in it, also one whose ``tensor`` does not
        require a gradient (no report of its batch has twins, so nothing was encoded).
        """
        if self.world == 1:
            return tensor
        if torch.is_grad_enabled() and not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        return _Gather.apply(tensor, self)  # type: ignore[no-any-return]

    def reduce_scatter(self, tensor: Tensor) -> Tensor:
        """Sum (total, ...) over processes and keep this process's rows (count, ...)."""
        if self.world == 1:
            return tensor
        longest = max(self.sizes)
        parts = [
            part if len(part) == longest else torch.cat([part, part.new_zeros((longest - len(part), *part.shape[1:]))])
            for part in tensor.split(list(self.sizes))
        ]
        out = torch.empty_like(parts[0], memory_format=torch.contiguous_format)
        dist.reduce_scatter(out, [part.contiguous() for part in parts])
        return out[: self.count]

    def all_reduce(self, tensor: Tensor, op: str = "sum") -> Tensor:
        """Reduce a copy of ``tensor`` over the processes of this shard (no gradient)."""
        return tensor.detach().clone() if self.world == 1 else all_reduce(tensor, op)

    def logsumexp(self, tensor: Tensor) -> Tensor:
        """Merge log-sum-exps of disjoint parts, elementwise over processes: two collectives of the tensor's size."""
        if self.world == 1:
            return tensor
        top = all_reduce(tensor, "max")
        # where every part is empty the maximum is -inf, and -inf - -inf would be NaN
        safe = top.masked_fill(top == -torch.inf, 0.0)
        return all_reduce((tensor - safe).exp()).log() + safe
