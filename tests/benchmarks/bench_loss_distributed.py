"""The contrastive loss on two gloo processes against open_clip's ``local_loss=True, gather_with_grad=True``.

CPU seconds of a process for value and gradients, one thread, both forms alternating in the same processes, best of
several; and the bytes that a process sends through collectives. Half of what open_clip multiplies is the transpose of
what another process has multiplied: the column sums travel instead (N numbers), and only one modality is gathered.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.benchmarks.harness import Row
from tests.processes import check_ranks

WORLD = 2
N = int(os.environ.get("BENCH_DISTRIBUTED_N", "4096"))
DIM = 512
REPEATS = int(os.environ.get("BENCH_REPEATS", "7"))
#: temperature at the start of training, and at its bound, where exponentials have to be shifted
SCALES = (14.2857, 100.0)


class SentBytes(TorchDispatchMode):
    """Counts what this process sends, by the usual algorithms (ring or pairwise), whatever the backend does."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func.namespace == "c10d":
            self.total += self._sent(func._opname, args)
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _sent(name: str, args: tuple) -> float:
        def size(tree: Any) -> int:
            return sum(t.numel() * t.element_size() for t in tree_leaves(tree) if isinstance(t, Tensor))

        share = (WORLD - 1) / WORLD
        if name == "allgather_":  # (outputs, inputs): the own part goes to every other process
            return (WORLD - 1) * size(args[1])
        if name in ("alltoall_", "reduce_scatter_", "scatter_"):  # (outputs, inputs): all parts but the own leave
            return share * size(args[1])  # a scatter has inputs on its source alone
        if name == "allreduce_":  # a reduce-scatter and a gather
            return 2 * share * size(args[0])
        raise AssertionError(f"collective {name} is not counted")


def rows_of(rank: int, scale: float) -> list[Tensor]:
    """This process's images, texts and the scale; pairs have cosine 0.2: not solved at scale 100."""
    g = torch.Generator().manual_seed(0)
    common = 0.5 * torch.randn(N, DIM, generator=g)
    here = slice(rank * N // WORLD, (rank + 1) * N // WORLD)
    towers = [torch.nn.functional.normalize(torch.randn(N, DIM, generator=g) + common, dim=-1) for _ in range(2)]
    return [*(t[here].clone().requires_grad_() for t in towers), torch.tensor(scale, requires_grad=True)]


def step(loss: Callable[[], Tensor], leaves: Iterable[Tensor]) -> list[Tensor]:
    """Value and gradients, as a training step asks for."""
    value = loss()
    return [value.detach(), *torch.autograd.grad(value, list(leaves))]


def check_equal(ours: list[Tensor], theirs: list[Tensor], leaves: list[Tensor]) -> None:
    """The values and the scale's gradients agree as means over processes, the rows' gradients as they are.

    The scale's gradient ``sum_i <x_i, dx_i> / s`` is a small difference of large terms near the optimum, where float32
    costs both forms digits. So it is held against the sum of the terms' magnitudes.
    """
    rows = (leaves[0].detach() * theirs[1]).sum(1).abs().sum() / leaves[2].detach()
    sizes = [theirs[0], theirs[1], theirs[2], rows]
    for index, (a, b, size) in enumerate(zip(ours, theirs, sizes, strict=True)):
        one, other, size = a.clone(), b.clone(), size.clone()
        if not one.ndim:
            for number in (one, other, size):
                dist.all_reduce(number)
        gap = float((one - other).norm() / size.norm())
        assert gap < 1e-5, f"output {index} differs by {gap:.1e}"


def worker(out: str) -> None:
    """One process: measures, and writes what it found."""
    from open_clip.loss import ClipLoss

    from clinclip.losses import Contrastive
    from clinclip.testing import random_batch
    from clinclip.types import Embeddings

    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo")
    batch = random_batch(N // WORLD, twins=0, graphs=False, image_size=1)
    term = Contrastive()
    peer = ClipLoss(local_loss=True, gather_with_grad=True, cache_labels=True, rank=rank, world_size=WORLD)
    found = []
    for scale in SCALES:
        leaves = rows_of(rank, scale)
        x, y, s = leaves
        forms = {
            "ours": lambda x=x, y=y, s=s: term(Embeddings(image=x, text=y, logit_scale=s), batch).value,
            "theirs": lambda x=x, y=y, s=s: peer(x, y, s),
        }
        # equality first, which also warms up both
        check_equal(step(forms["ours"], leaves), step(forms["theirs"], leaves), leaves)
        seconds = dict.fromkeys(forms, float("inf"))
        for _ in range(REPEATS):
            for name, form in forms.items():
                dist.barrier()
                start = time.process_time()
                step(form, leaves)
                seconds[name] = min(seconds[name], time.process_time() - start)
        sent = {}
        for name, form in forms.items():
            with SentBytes() as counter:
                step(form, leaves)
            sent[name] = counter.total
        found.append({"seconds": seconds, "bytes": sent})
    Path(out, str(rank)).write_text(json.dumps(found))
    dist.destroy_process_group()


def run() -> list[Row]:
    """Launch the processes; means over them."""
    with tempfile.TemporaryDirectory() as folder:
        check_ranks("tests.benchmarks.bench_loss_distributed:worker", (WORLD,), folder, timeout=1200)
        parts = [json.loads(Path(folder, str(rank)).read_text()) for rank in range(WORLD)]
    rows = []
    note = f"N={N}, D={DIM}, {WORLD} gloo processes"
    for i, scale in enumerate(SCALES):
        ours, theirs = (sum(p[i]["seconds"][k] for p in parts) / WORLD for k in ("ours", "theirs"))
        name = f"distributed loss, CPU a process, scale {scale:.3g}, against open_clip local_loss + gather_with_grad"
        rows.append(Row(name, ours, theirs, theirs / ours, 1.5, note=note))
    ours, theirs = (sum(p[0]["bytes"][k] for p in parts) / WORLD / 1e6 for k in ("ours", "theirs"))
    # one modality of two is gathered
    rows.append(Row("distributed loss, bytes sent a process", ours, theirs, theirs / ours, 1.9, unit="MB", note=note))
    return rows
