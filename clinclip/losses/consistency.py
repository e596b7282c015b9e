"""CyCLIP's consistency terms: similarities should not depend on which modality they are measured in."""

from __future__ import annotations

import torch

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.base import LossTerm
from clinclip.losses.engine.affinity import slices
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.schedule import Schedule
from clinclip.losses.targets.soft import Targets
from clinclip.types import Batch, Embeddings, LossOutput


class CyclicConsistency(LossTerm):
    """Squared gaps between similarities that should agree, to be added to a :class:`clinclip.losses.Contrastive` term.

    ``in_modal (1/B) sum_ij (v_i.v_j - t_i.t_j)^2 + cross_modal (1/B) sum_ij (v_i.t_j - v_j.t_i)^2`` with cosines, over
    the global batch. No targets, no directions; rows are gathered from all processes. Computed in strips of rows, but
    autograd keeps them: memory grows with B^2.

    Inputs:
        - ``embeddings.image``, ``embeddings.text``

    Example:
        >>> ClinClipModule(model, losses={"contrastive": Contrastive(), "consistency": CyclicConsistency()})

    Recommendations:
        1. It teaches no pair by itself: keep a contrastive term beside it.
        2. Both B x B matrices are kept for the backward pass: they bound the batch size.

    Args:
        weight: factor of this term in the total.
        schedule: multiplies the weight over training.
        in_modal: weight of the first sum; CyCLIP uses 0.25.
        cross_modal: weight of the second sum; CyCLIP uses 0.25.
    """

    citation = "Goel, S. et al. CyCLIP: Cyclic Contrastive Language-Image Pretraining. NeurIPS 2022."
    requires = frozenset({"embeddings.image", "embeddings.text"})

    def __init__(
        self,
        weight: float = 1.0,
        schedule: Schedule | None = None,
        in_modal: float = 0.25,
        cross_modal: float = 0.25,
    ) -> None:
        super().__init__(weight, schedule, None)
        if in_modal < 0 or cross_modal < 0:
            raise ConfigError(f"CyclicConsistency(in_modal={in_modal}, cross_modal={cross_modal}): both must be >= 0")
        self.in_modal, self.cross_modal = float(in_modal), float(cross_modal)

    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The loss of this process's rows."""
        dtype = compute_dtype(embeddings.image)
        with torch.autocast(embeddings.image.device.type, enabled=False):
            x, y = embeddings.image.to(dtype), embeddings.text.to(dtype)
            shard = Shard.of(len(x), x.device)
            every_x, every_y = shard.gather_with_grad(x), shard.gather_with_grad(y)
            within, across = x.new_zeros(()), y.new_zeros(())
            for rows in slices(0, len(x), 1024):
                within = within + (x[rows] @ every_x.T - y[rows] @ every_y.T).square().sum()
                across = across + (x[rows] @ every_y.T - y[rows] @ every_x.T).square().sum()
            within, across = within * shard.value_factor, across * shard.value_factor
            value = self.in_modal * within + self.cross_modal * across
        return LossOutput(value, {"in_modal": within.detach(), "cross_modal": across.detach()})
