"""One of three processes of tests/test_distributed.py: every collective on parts of different sizes, one of them empty.

What the collective should give is computed here from the parts of all processes, which every process knows.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from clinclip import distributed as cd
from clinclip.distributed import Shard

SIZES = (2, 0, 3)


def parts(width: int, seed: int = 0) -> list[Tensor]:
    """Rows of every process."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(n, width, generator=g, dtype=torch.float64) for n in SIZES]


def check_gather(shard: Shard) -> None:
    every, rank = parts(4), shard.rank
    assert torch.equal(shard.gather(every[rank]), torch.cat(every))
    flags = [p[:, 0] > 0 for p in every]
    found = shard.gather(flags[rank])
    assert found.dtype == torch.bool
    assert torch.equal(found, torch.cat(flags))
    # columns of a transposed tensor are not contiguous
    assert torch.equal(shard.gather(every[rank].T.contiguous().T), torch.cat(every))
    kept = shard.keep(torch.cat(flags))
    assert kept.sizes == tuple(int(f.sum()) for f in flags)
    assert torch.equal(kept.gather(every[rank][flags[rank]]), torch.cat(every)[torch.cat(flags)])


def check_reductions(shard: Shard) -> None:
    rank, total = shard.rank, shard.total
    every = [torch.full((total, 2), 10.0**r) for r in range(3)]
    assert torch.equal(shard.reduce_scatter(every[rank]), torch.full((SIZES[rank], 2), 111.0))
    before = every[rank].clone()
    for op, wanted in (("sum", 111.0), ("max", 100.0), ("min", 1.0)):
        assert torch.equal(shard.all_reduce(every[rank], op), torch.full((total, 2), wanted))
    assert torch.equal(every[rank], before)  # the argument is left alone
    logs = torch.tensor([[0.0, 500.0, -torch.inf], [1.0, -torch.inf, -torch.inf], [2.0, -500.0, -torch.inf]]).double()
    torch.testing.assert_close(shard.logsumexp(logs[rank]), logs.logsumexp(0), rtol=1e-12, atol=0)


def check_gradients(shard: Shard) -> None:
    """Process r weighs the gathered rows by W_r; a row's gradient is the sum of all W_r on it."""
    every, rank = parts(4), shard.rank
    weights = list(torch.randn(3, shard.total, 4, generator=torch.Generator().manual_seed(7)).double())
    wanted = sum(weights)[shard.here]  # type: ignore[index]
    mine = every[rank].clone().requires_grad_()
    (shard.gather_with_grad(mine) * weights[rank]).sum().backward()
    torch.testing.assert_close(mine.grad, wanted, rtol=1e-12, atol=1e-12)
    # a process whose rows need no gradient takes part all the same, or the others would wait for ever
    for without in range(3):
        mine = every[rank].clone().requires_grad_(rank != without)
        (shard.gather_with_grad(mine) * weights[rank]).sum().backward()
        if rank == without:
            assert mine.grad is None
        else:
            torch.testing.assert_close(mine.grad, wanted, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        assert not shard.gather_with_grad(every[rank]).requires_grad


def main(out: str) -> None:
    """All checks."""
    assert (cd.rank(), cd.world_size(), cd.is_distributed()) == (0, 1, False)
    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    assert (cd.rank(), cd.world_size(), cd.is_distributed()) == (rank, 3, True)
    shard = Shard.of(SIZES[rank])
    assert shard == Shard(SIZES, rank)
    check_gather(shard)
    check_reductions(shard)
    check_gradients(shard)
    same = torch.arange(2.0).add(rank).requires_grad_()
    equal = Shard.of(2)
    gathered = equal.gather_with_grad(same)
    assert torch.equal(gathered.detach(), torch.tensor([0, 1, 1, 2, 2, 3.0]))
    (gathered * (rank + 1)).sum().backward()
    assert torch.equal(same.grad, torch.full((2,), 6.0))  # type: ignore[arg-type]
    assert cd.gather_objects({"rank": rank}) == [{"rank": r} for r in range(3)]
    # a local shard talks to nobody: one process alone may use it
    if rank == 0:
        assert torch.equal(Shard.local(2).gather_with_grad(same), same)
    dist.barrier()
    Path(out, str(rank)).write_text("ended well")
    dist.destroy_process_group()
