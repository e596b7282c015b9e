"""The loss contract: a term answers one question, composes by addition, and owns no parameters.

A contrastive loss is *logits x targets x criterion + extra candidates*. Terms are plain objects (not modules): what is
learned lives in the model, so the checkpoint does not depend on the losses. Rank and world size are read at run time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from clinclip.errors import ConfigError, MissingFieldError
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.schedule import Constant, Schedule
from clinclip.types import Batch, Embeddings, LossOutput

if TYPE_CHECKING:
    from clinclip.losses.targets.soft import Targets

#: requirement -> how a user provides it. Names starting with "batch." are batch fields, "embeddings." model outputs.
PROVIDERS: dict[str, str] = {
    "embeddings.image": "the image encoder (model.image_encoder)",
    "embeddings.text": "the text encoder (model.text_encoder)",
    "embeddings.twins": "data.twins >= 1 together with a text encoder",
    "embeddings.graph": "a graph encoder (model.graph_encoder) together with data.graphs=true",
    "embeddings.text_features": "a text encoder (model.text_encoder)",
    "embeddings.logit_bias": "model.init_logit_bias (a number, e.g. -10)",
    "batch.labels": "data.labels ('table' or 'read')",
    "batch.text_labels": "a manifest prepared with reading switched on (clinclip prepare, the default)",
    "batch.twins": "data.twins >= 1",
    "batch.graph": "data.graphs=true",
    "batch.frozen_text": "data.frozen_text (an embedding file written by clinclip embed)",
    "batch.patient": "any manifest",
    "batch.study": "any manifest",
    "batch.text_hash": "any manifest",
}


class Hooked:
    """Optional hooks that the module calls, as Lightning calls callbacks."""

    #: keys of PROVIDERS that this object needs; checked at set-up.
    requires: frozenset[str] = frozenset()

    def setup(self, module: Any, datamodule: Any) -> None:
        """Called once before training, on every process."""

    def on_train_epoch_start(self, epoch: int) -> None:
        """Called at the start of every training epoch."""

    def on_train_batch_start(self, step: int, epoch: float) -> None:
        """Called before every optimiser step.

        Args:
            step: global optimiser step, restored on resume.
            epoch: fractional epoch, ``step / steps_per_epoch``.
        """


class LossTerm(Hooked, ABC):
    """Base class of every loss term.

    Args:
        weight: factor of this term in the total.
        schedule: multiplies the weight over training; None keeps it constant.
        targets: name of the entry of the module's ``targets`` that this term uses; None means one-hot targets.
    """

    citation: ClassVar[str] = ""

    def __init__(self, weight: float = 1.0, schedule: Schedule | None = None, targets: str | None = None) -> None:
        if not weight >= 0:
            raise ConfigError(f"weight={weight} of {type(self).__name__}: a loss weight must be >= 0")
        self.weight = float(weight)
        self.schedule: Schedule = schedule if schedule is not None else Constant(1.0)
        self.targets = targets
        self._epoch = 0.0

    @abstractmethod
    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The unweighted loss of this process's rows; its mean over processes is the loss of the global batch."""

    def on_train_batch_start(self, step: int, epoch: float) -> None:
        """Remember where the schedule stands."""
        self._epoch = epoch

    @property
    def current_weight(self) -> float:
        """The weight after the schedule."""
        return self.weight * self.schedule(self._epoch)

    def __call__(
        self, embeddings: Embeddings, batch: Batch, targets: Mapping[str, Targets | None] | None = None
    ) -> LossOutput:
        """Pick this term's targets by name and compute."""
        if self.targets is None:
            return self.compute(embeddings, batch, None)
        if not targets or self.targets not in targets:
            known = sorted(targets or ())
            raise ConfigError(
                f"loss term {type(self).__name__} asks for targets={self.targets!r}, but model.targets has {known}; "
                "add that entry or set the term's targets to null"
            )
        return self.compute(embeddings, batch, targets[self.targets])


def zero_loss(embeddings: Embeddings) -> Tensor:
    """A zero connected to every embedding, so that backward and DDP work when nothing in the batch applies."""
    return connected_zero(
        *(embeddings.image, embeddings.text, embeddings.logit_scale),
        *(embeddings.twins, embeddings.graph, embeddings.logit_bias),
    )


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


def connected_zero(*tensors: Tensor | None) -> Tensor:
    """Exactly zero, with a zero gradient to every tensor, whatever they hold (0 times an overflown sum is NaN)."""
    parts = [t.reshape(-1)[:0].to(compute_dtype(t)).sum() for t in tensors if t is not None]
    return torch.stack([part.to(parts[0].dtype) for part in parts]).sum()


def check_requirements(name: str, requires: frozenset[str], embeddings: Embeddings, batch: Batch) -> None:
    """Raise MissingFieldError naming the option that provides what a term needs and the batch lacks."""
    for key in sorted(requires):
        owner, _, attribute = key.partition(".")
        record = embeddings if owner == "embeddings" else batch
        if getattr(record, attribute) is None:
            raise MissingFieldError(
                f"{name} needs {key}, which this run does not have; provide it with {PROVIDERS[key]}"
            )
