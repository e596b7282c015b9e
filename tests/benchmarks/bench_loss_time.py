"""Soft-target contrastive losses against dense forms and against the floor of their own products.

One thread, process CPU time, forms interleaved. Two kinds of targets: a softmax teacher of rank 128 (open_clip's
``DistillClipLoss`` is the dense peer) and the gated text + clinical + graph mixture (a dense distillation form of it).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import TILE, slices
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.tiled import tiled_softmax
from tests.benchmarks.harness import Row
from tests.benchmarks.loss_problems import (
    MIX,
    Inputs,
    dense_gated,
    dense_teacher,
    gated_affinities,
    inputs,
    openclip_gated,
    openclip_teacher,
    teacher_affinities,
)

N = int(os.environ.get("BENCH_LOSS_N", "8192"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))


def step(loss: Callable[[], Tensor], leaves: list[Tensor]) -> list[Tensor]:
    """Value and gradients, as a training step asks for."""
    value = loss()
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def products(data: Inputs, ranks: list[int]) -> Callable[[], None]:
    """The bare matrix products of the tiled form: 4 of N x N x D and 2 of N x N x r for each factor of the targets."""
    x, y = data.image.detach(), data.text.detach()
    n, dim = x.shape
    factors = [torch.randn(n, r) for r in ranks]
    out, dx, dy = torch.empty(TILE, TILE), torch.zeros(n, dim), torch.zeros(n, dim)

    def run() -> None:
        for rows in slices(0, n, TILE):
            for cols in slices(0, n, TILE):
                for _ in range(2):
                    torch.mm(x[rows], y[cols].T, out=out)
                    for f in factors:
                        torch.mm(f[rows], f[cols].T, out=out)
                dx[rows].addmm_(out, y[cols])
                dy[cols].addmm_(out.T, x[rows])

    return run


def best(forms: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Best process CPU seconds of each form, interleaved."""
    found = dict.fromkeys(forms, float("inf"))
    for _ in range(repeats):
        for name, form in forms.items():
            start = time.process_time()
            form()
            found[name] = min(found[name], time.process_time() - start)
    return found


def close(a: list[Tensor], b: list[Tensor], tolerance: float = 1e-4) -> None:
    for one, other in zip(a, b, strict=True):
        gap = float((one - other).norm() / other.norm())
        assert gap < tolerance, f"the forms differ by {gap:.1e}"


def run() -> list[Row]:
    torch.set_num_threads(1)
    data = inputs(N)
    leaves = [data.image, data.text, data.scale]
    rows = []
    kinds = {
        "softmax teacher r=128": (
            lambda: teacher_affinities(data),
            {"open_clip DistillClipLoss": lambda: openclip_teacher(data), "leanest dense": lambda: dense_teacher(data)},
            [128],
        ),
        "gated text+clinical+graph": (
            lambda: gated_affinities(data),
            {"open_clip's distillation form": lambda: openclip_gated(data), "leanest dense": lambda: dense_gated(data)},
            [512, 512],
        ),
    }
    for name, (affinities, peers, ranks) in kinds.items():

        def ours(affinities: Callable = affinities) -> Tensor:
            # everything a step needs: gates, row sums, loss, gradients
            mixture = Mixture(affinities(), MIX, "mixed", True, Shard.local(N))
            return tiled_softmax(data.image, data.text, data.scale, mixture)

        forms: dict[str, Callable[[], object]] = {"tiled": lambda ours=ours: step(ours, leaves)}
        for peer, form in peers.items():
            close(step(ours, leaves), step(form, leaves))
            forms[peer] = lambda form=form: step(form, leaves)
        forms["floor"] = products(data, ranks)
        seconds = best(forms)
        note = f"N={N}, D=512"
        for peer in peers:
            ratio = seconds[peer] / seconds["tiled"]
            # the leanest dense form needs 3 products of size N x N x D, flat memory 4: not to be slower is the goal
            goal = 1.0 if peer == "leanest dense" else 1.8
            label = f"soft loss time, {name}, against {peer}"
            rows.append(Row(label, seconds["tiled"], seconds[peer], ratio, goal, note=note))
        over = seconds["tiled"] / seconds["floor"]
        rows.append(
            Row(f"soft loss time, {name}, over its own products", seconds["tiled"], seconds["floor"], over, 1.4,
                better="smaller", note=note)
        )  # fmt: skip
    return rows
