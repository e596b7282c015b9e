"""Parameter groups and learning-rate schedules. Schedules are stateless functions of progress, so resuming is exact."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from clinclip.errors import ConfigError


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: with the optimiser's weight decay, and without.

    No decay for biases, normalisation weights, scalars (logit scale and bias) and what a timm trunk names in
    ``no_weight_decay()`` (position embeddings).
    """
    excluded: set[int] = set()
    for part in module.modules():
        names: Any = getattr(part, "no_weight_decay", None)
        if names is not None:
            own = dict(part.named_parameters())
            excluded |= {id(own[n]) for n in names() if n in own}
    decay, plain = [], []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim <= 1 or id(parameter) in excluded else decay).append(parameter)
    if not decay and not plain:
        raise ConfigError("nothing to train: both towers and all projections are frozen")
    return [group for group in ({"params": decay}, {"params": plain, "weight_decay": 0.0}) if group["params"]]


class LearningRateSchedule(ABC):
    """A factor of every group's initial learning rate as a function of progress."""

    @abstractmethod
    def __call__(self, epoch: float, total_epochs: float) -> float:
        """The factor.

        Args:
            epoch: fractional epochs done, in the middle of the coming step.
            total_epochs: fractional length of the whole training.
        """


class WarmupCosine(LearningRateSchedule):
    """A straight line from 0 to 1, then half a cosine down to ``final_factor`` at the end of training.

    Args:
        warmup_epochs: length of the line; at most half of the training is used for it.
        final_factor: factor at the end.
    """

    def __init__(self, warmup_epochs: float = 1.0, final_factor: float = 0.0) -> None:
        if warmup_epochs < 0 or not 0 <= final_factor <= 1:
            raise ConfigError(
                f"WarmupCosine(warmup_epochs={warmup_epochs}, final_factor={final_factor}): warm-up must be >= 0 and "
                "the factor in [0, 1]"
            )
        self.warmup_epochs, self.final_factor = float(warmup_epochs), float(final_factor)

    def __call__(self, epoch: float, total_epochs: float) -> float:
        """The factor."""
        warmup = min(self.warmup_epochs, total_epochs / 2)
        if epoch < warmup:
            return epoch / warmup
        if total_epochs <= warmup:
            return 1.0
        fraction = min((epoch - warmup) / (total_epochs - warmup), 1.0)
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * fraction)) / 2


class WarmupConstant(LearningRateSchedule):
    """A straight line from 0 to 1, then constant.

    Args:
        warmup_epochs: length of the line; 0 starts at full rate.
    """

    def __init__(self, warmup_epochs: float = 0.0) -> None:
        if warmup_epochs < 0:
            raise ConfigError(f"WarmupConstant(warmup_epochs={warmup_epochs}): must be >= 0")
        self.warmup_epochs = float(warmup_epochs)

    def __call__(self, epoch: float, total_epochs: float) -> float:
        """The factor."""
        return min(epoch / self.warmup_epochs, 1.0) if self.warmup_epochs else 1.0
