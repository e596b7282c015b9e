"""The target term of label-vector targets in closed form, against the same term through N x N matrices.

The term is what soft targets add to a loss: the row sums that normalise them, the value ``sum_ij T_ij s x_i . y_j`` off
the pairs, and its gradients ``s T Y`` and ``s T' X``. Two kinds of 14-label targets: linear (A = L L') and gated with
theta = 0.5. Both sides begin with the label vectors. One thread, process CPU time, interleaved. Two dense peers: the
term as open_clip's distillation loss is written (two logit products, targets of each direction, autograd), and a form
pared down by hand to the two products that the gradients need.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import Affinity
from clinclip.losses.engine.closed import Linear
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.tiles import Problem, SoftmaxTiles
from tests.benchmarks.harness import Row, interleaved
from tests.benchmarks.loss_problems import MIX, Inputs, clinical_table, inputs

N = int(os.environ.get("BENCH_LABELS_N", "4096"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
THETA = 0.5


def closed(data: Inputs, affinity: Callable[[], Affinity]) -> list[Tensor]:
    """[value, s T Y, s T' X] as the tiled engine computes them."""
    shard = Shard.local(len(data.image))
    mixture = Mixture([(1.0, affinity())], MIX, "mixed", True, shard)
    rows, cols = mixture.targets
    x, y, scale = data.image, data.text, data.scale
    tiles = SoftmaxTiles(Problem(mixture, (0.5, 0.5), shard, 512), True, x, y, scale, torch.zeros(()))
    tiles.closed_form(0.5 * rows.beta, 0.5 * cols.beta)
    return [tiles.cross.sum(), tiles.dx.mul_(-scale), tiles.dy.neg_()]


def dense(data: Inputs, theta: float | None) -> list[Tensor]:
    """The same through the matrix: formed in place, one matrix for both directions (A is symmetric)."""
    labels = F.normalize(data.labels, dim=-1)
    affinity = labels @ labels.T
    if theta is not None:
        affinity.sub_(theta).div_(1 - theta).clamp_(0, 1)
    affinity.fill_diagonal_(1.0)
    beta = 0.5 * MIX / affinity.sum(1)
    target = affinity.fill_diagonal_(0.0).mul_(beta[:, None] + beta[None, :])
    pull = (target @ data.text).mul_(data.scale)
    return [(data.image * pull).sum(), pull, (target.T @ data.image).mul_(data.scale)]


def openclip(data: Inputs, theta: float | None) -> list[Tensor]:
    """The same as ``DistillClipLoss.dist_loss`` forms it: logits of both directions, targets of both, autograd."""
    labels = F.normalize(data.labels, dim=-1)
    affinity = labels @ labels.T
    if theta is not None:
        affinity = ((affinity - theta) / (1 - theta)).clamp(0, 1)
    affinity.fill_diagonal_(1.0)
    wanted = [MIX * a / a.sum(1, keepdim=True) for a in (affinity, affinity.T)]
    for target in wanted:
        target.fill_diagonal_(0.0)
    x, y = data.image.clone().requires_grad_(), data.text.clone().requires_grad_()
    forward, backward = data.scale * x @ y.T, data.scale * y @ x.T
    value = ((wanted[0] * forward).sum() + (wanted[1] * backward).sum()) / 2
    return [value.detach(), *torch.autograd.grad(value, [x, y])]


#: share of the studies with each finding, "No Finding" apart, as in large hospital collections
PREVALENCE = (0.0, 0.05, 0.28, 0.33, 0.04, 0.18, 0.07, 0.10, 0.29, 0.07, 0.35, 0.02, 0.03, 0.40)


def report_labels(n: int) -> Tensor:
    """(n, 14) label vectors of which a third are normal and the others carry findings by their prevalence."""
    g = torch.Generator().manual_seed(1)
    labels = (torch.rand(n, 14, generator=g) < torch.tensor(PREVALENCE)).float()
    labels[torch.rand(n, generator=g) < 1 / 3] = 0.0
    labels[labels.sum(1) == 0, 0] = 1.0
    return labels


def run() -> list[Row]:
    torch.set_num_threads(1)
    data = inputs(N, grad=False)
    data.labels = report_labels(N)
    distinct = len(data.labels.unique(dim=0))
    kinds: dict[str, tuple[Callable[[], Affinity], float | None]] = {
        "linear": (lambda: Linear(F.normalize(data.labels, dim=-1)), None),
        "gated": (lambda: clinical_table(data.labels, THETA), THETA),
    }
    rows = []
    for name, (affinity, theta) in kinds.items():
        for peer, form in (("open_clip's distillation form", openclip), ("leanest dense", dense)):
            for one, other in zip(closed(data, affinity), form(data, theta), strict=True):
                gap = float((one - other).norm() / other.norm())
                assert gap < 1e-5, f"{name}: the forms differ by {gap:.1e}"
            ours, theirs = interleaved(
                lambda f=affinity: closed(data, f), lambda t=theta, form=form: form(data, t), REPEATS
            )
            note = f"N={N}, D=512, {distinct} distinct vectors"
            rows.append(Row(f"label target term, {name}, against {peer}", ours, theirs, theirs / ours, 50.0, note=note))
    return rows
