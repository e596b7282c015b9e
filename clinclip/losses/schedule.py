"""Schedules in epochs: stateless functions of the fractional epoch, so resuming restores them exactly."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from clinclip.errors import ConfigError


class Schedule(ABC):
    """A number as a function of the fractional epoch."""

    @abstractmethod
    def __call__(self, epoch: float) -> float:
        """The value at ``epoch`` (0 at the first step)."""


class Constant(Schedule):
    """The same value throughout.

    Args:
        value: the value.
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = float(value)

    def __call__(self, epoch: float) -> float:
        return self.value


class LinearRamp(Schedule):
    """From ``start`` to ``end`` in a straight line over ``epochs`` epochs after ``delay`` epochs, then constant.

    Args:
        start: value until ``delay``.
        end: value from ``delay + epochs`` on.
        epochs: length of the ramp; 0 is a step.
        delay: epochs before the ramp begins.
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, epochs: float = 1.0, delay: float = 0.0) -> None:
        if epochs < 0 or delay < 0:
            raise ConfigError(f"LinearRamp(epochs={epochs}, delay={delay}): both must be >= 0")
        self.start, self.end, self.epochs, self.delay = float(start), float(end), float(epochs), float(delay)

    def __call__(self, epoch: float) -> float:
        if epoch < self.delay:
            return self.start
        if self.epochs == 0:
            return self.end
        fraction = min((epoch - self.delay) / self.epochs, 1.0)
        return self.start + (self.end - self.start) * fraction


class CosineRamp(LinearRamp):
    """As :class:`LinearRamp`, along half a cosine."""

    def __call__(self, epoch: float) -> float:
        if epoch < self.delay:
            return self.start
        fraction = 1.0 if self.epochs == 0 else min((epoch - self.delay) / self.epochs, 1.0)
        return self.start + (self.end - self.start) * (1 - math.cos(math.pi * fraction)) / 2
