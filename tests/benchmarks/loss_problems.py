"""The inputs and the dense peers of the loss benchmarks: what others would run for the same loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import Affinity, Gated, Softmax
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.targets.clinical_similarity import LabelTable
from clinclip.losses.targets.gates import QuantileGate
from clinclip.losses.targets.label_vectors import label_classes

MIX, TAU, DIM, RANK = 0.3, 0.1, 512, 128


@dataclass
class Inputs:
    """Half-trained embeddings and everything the targets are made of."""

    image: Tensor
    text: Tensor
    scale: Tensor
    teacher: Tensor
    labels: Tensor
    graph: Tensor


def inputs(n: int, dim: int = DIM, rank: int = RANK, seed: int = 0, grad: bool = True) -> Inputs:
    """N unit vectors a tower, a teacher of the given rank, label vectors with few distinct values, graph embeddings."""
    g = torch.Generator().manual_seed(seed)

    def unit(width: int, base: Tensor | None = None) -> Tensor:
        vector = torch.randn(n, width, generator=g)
        return F.normalize(vector if base is None else vector + base, dim=-1)

    common = torch.randn(n, dim, generator=g)
    labels = (torch.rand(n, 14, generator=g) < 0.12).float()
    labels[labels.sum(1) == 0, 0] = 1.0
    return Inputs(
        unit(dim, common).requires_grad_(grad),
        unit(dim, common).requires_grad_(grad),
        torch.tensor(14.2857, requires_grad=grad),
        unit(rank),
        labels,
        unit(dim, common + torch.randn(dim, generator=g)),
    )


def teacher_affinities(data: Inputs) -> list[tuple[float, Affinity]]:
    return [(1.0, Softmax(Cosine(data.teacher, normalised=True), TAU))]


def gated_affinities(data: Inputs) -> list[tuple[float, Affinity]]:
    """The three sources of the dynamic soft label, gates included (made as the target sources make them)."""
    n = len(data.image)
    shard = Shard.local(n)
    gate = QuantileGate()
    text, graph = Cosine(data.text.detach(), normalised=True), Cosine(data.graph, normalised=True)
    return [
        (1.0, Gated(text, gate.threshold(text, None, shard))),
        (1.0, clinical_table(data.labels, 0.5)),
        (1.0, Gated(graph, gate.threshold(graph, None, shard))),
    ]


def clinical_table(labels: Tensor, theta: float) -> LabelTable:
    """The gated cosine of label vectors by a table over the distinct ones, as the target source makes it."""
    distinct, (classes,) = label_classes(F.normalize(labels, dim=-1))
    gate = torch.tensor(theta)
    table = Gated(Cosine(distinct, normalised=True), gate).block(slice(0, len(distinct)), slice(0, len(distinct)))[0]
    return LabelTable(classes, classes, table, gate)


def openclip_teacher(data: Inputs) -> Tensor:
    """open_clip's distillation loss from its package, mixed with its contrastive loss."""
    from open_clip.loss import DistillClipLoss

    hard, soft = DistillClipLoss(cache_labels=True)(
        data.image, data.text, data.scale, data.teacher, data.teacher, 1 / TAU
    )
    return (1 - MIX) * hard + MIX * soft


def dense_teacher(data: Inputs) -> Tensor:
    """The leanest dense form: one student product for both directions, one teacher product."""
    with torch.no_grad():
        target = (data.teacher @ data.teacher.T / TAU).softmax(1).mul_(MIX)
        target.diagonal().add_(1 - MIX)
    logits = data.scale * data.image @ data.text.T
    return soft_loss(target, target, logits, logits.T)


def openclip_gated(data: Inputs) -> Tensor:
    """``DistillClipLoss.forward`` with the gated targets of each direction in the place of the teacher's softmax."""
    from open_clip.loss import ClipLoss

    with torch.no_grad():
        affinity = gated_affinity(data)
        back = affinity.T / affinity.T.sum(1, keepdim=True)
        wanted = affinity / affinity.sum(1, keepdim=True)
        del affinity
    peer = ClipLoss(cache_labels=True)
    forward, backward = peer.get_logits(data.image, data.text, data.scale)
    labels = peer.get_ground_truth(forward.device, len(forward))
    hard = (F.cross_entropy(forward, labels) + F.cross_entropy(backward, labels)) / 2
    return (1 - MIX) * hard + MIX * soft_loss(wanted, back, forward, backward)


def dense_gated(data: Inputs) -> Tensor:
    """The leanest dense form: one student product for both directions, one matrix of targets (A is symmetric)."""
    with torch.no_grad():
        target = gated_affinity(data)
        target.div_(target.sum(1, keepdim=True)).mul_(MIX)
        target.diagonal().add_(1 - MIX)
    logits = data.scale * data.image @ data.text.T
    return soft_loss(target, target, logits, logits.T)


def soft_loss(rows: Tensor, cols: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """open_clip's distillation criterion (``DistillClipLoss.dist_loss``) for given targets, both directions."""
    first = -(rows * forward.log_softmax(dim=1)).sum(dim=1).mean(dim=0)
    second = -(cols * backward.log_softmax(dim=1)).sum(dim=1).mean(dim=0)
    return (first + second) / 2


def gated_affinity(data: Inputs) -> Tensor:
    """The gated text + clinical + graph affinity as a matrix, with the gates of the target sources."""
    gate, shard = QuantileGate(), Shard.local(len(data.image))
    text, graph = data.text.detach(), data.graph
    affinity = torch.zeros(len(text), len(text))
    for vectors, fixed in ((text, None), (F.normalize(data.labels, dim=-1), 0.5), (graph, None)):
        theta = gate.threshold(Cosine(vectors, normalised=True), None, shard) if fixed is None else fixed
        affinity += (vectors @ vectors.T).sub_(theta).div_(1 - theta).clamp_(0, 1)
    return affinity.fill_diagonal_(3.0)


__all__ = [
    "MIX",
    "TAU",
    "Inputs",
    "clinical_table",
    "dense_gated",
    "dense_teacher",
    "gated_affinities",
    "inputs",
    "openclip_gated",
    "openclip_teacher",
    "teacher_affinities",
]
