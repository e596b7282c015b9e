"""The loss contract: a term answers one question, composes by addition, and owns no parameters.

A contrastive loss is *logits x targets x criterion + extra candidates*. Terms are plain objects (not modules): what is
learned lives in the model, so the checkpoint does not depend on the losses. Rank and world size are read at run time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from clinclip.errors import ConfigError
from clinclip.losses.checks import check_weight
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.hooks import Hooked
from clinclip.losses.schedule import Constant, Schedule
from clinclip.types import Batch, Embeddings, LossOutput

if TYPE_CHECKING:
    from clinclip.losses.targets.soft import Targets


class LossTerm(Hooked, ABC):
    """Base class of every loss term. A subclass in a user's own file works by its class path.

    Call a term to get its loss: the call picks the term's targets and connects the value to every embedding by a zero,
    so :meth:`compute` may return a plain number when nothing in the batch applies.

    Example:
        >>> class Uniformity(LossTerm):
        ...     requires = frozenset({"embeddings.image"})
        ...
        ...     def compute(self, embeddings, batch, targets):
        ...         return LossOutput(torch.pdist(embeddings.image).square().mul(-2).exp().mean().log())

    Recommendations:
        1. Divide by the rows of the global batch, not of the process (``Shard.value_factor``), where a term averages
           over some rows only: the mean over processes must be the loss of the global batch.
        2. Keep no parameters here: what is learned lives in the model and is carried by checkpoints.

    Args:
        weight: factor of this term in the total.
        schedule: multiplies the weight over training; None keeps it constant.
        targets: name of the entry of the module's ``targets`` that this term uses; None means one-hot targets.
    """

    citation: ClassVar[str] = ""

    def __init__(self, weight: float = 1.0, schedule: Schedule | None = None, targets: str | None = None) -> None:
        self.weight = check_weight(self, weight, "a loss weight")
        self.schedule: Schedule = schedule if schedule is not None else Constant(1.0)
        self.targets = targets

    @abstractmethod
    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The unweighted loss of this process's rows; its mean over processes is the loss of the global batch."""

    @property
    def current_weight(self) -> float:
        """The weight after the schedule."""
        return self.weight * self.schedule(self._epoch)

    def __call__(
        self, embeddings: Embeddings, batch: Batch, targets: Mapping[str, Targets | None] | None = None
    ) -> LossOutput:
        """Pick this term's targets by name, compute, and connect the value to every embedding."""
        chosen = None
        if self.targets is not None:
            if not targets or self.targets not in targets:
                known = sorted(targets or ())
                raise ConfigError(
                    f"loss term {type(self).__name__} asks for targets={self.targets!r}, but model.targets has "
                    f"{known}; add that entry or set the term's targets to null"
                )
            chosen = targets[self.targets]
        output = self.compute(embeddings, batch, chosen)
        # every parameter takes part in every step, whatever the term uses: DDP counts on it
        return replace(output, value=output.value + connected_zero(embeddings))


def connected_zero(embeddings: Embeddings) -> Tensor:
    """Exactly zero, with a zero gradient to every embedding, whatever they hold (0 times an overflown sum is NaN)."""
    e = embeddings
    tensors = (e.image, e.text, e.logit_scale, e.twins, e.graph, e.logit_bias)
    dtype = compute_dtype(e.image)
    return torch.stack([t.reshape(-1)[:0].to(dtype).sum() for t in tensors if t is not None]).sum()


def pair_similarities(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Mean cosine of the pairs of rows of two (n, D), and of the other combinations, in O(n D); no key without any."""
    n = len(x)
    if not n:
        return {}
    pairs = (x * y).sum(1)
    logs = {"positive_similarity": pairs.mean()}
    if n > 1:
        # the mean over all pairs of rows is the product of the sums
        logs["negative_similarity"] = (x.sum(0) @ y.sum(0) - pairs.sum()) / (n * (n - 1))
    return logs
