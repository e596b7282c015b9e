"""What a tower is: three small classes to derive from. A plain ``nn.Module`` of the same form does as well.

A tower of your own is trained by its class path (``--model.model.image_encoder=my_towers.MyTower``) and evaluated by
building the dual encoder again in your own code (``clinclip.load(path, model=...)``, ``--model-factory
my_towers:build``): a checkpoint holds weights and names, never code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from clinclip.errors import ConfigError
from clinclip.types import GraphBatch, TextBatch

#: key in the spec of a tower that is not clinclip's: the name of its class, which only its user can import
OWN = "own"


@dataclass(frozen=True)
class TextOutput:
    """What a text tower returns.

    Attributes:
        pooled: float (B, F), one vector a text, before the projection.
        states: float (B, T, F), last hidden states of the tokens, zero on padding; or None: then there can be no graph
            tower.
    """

    pooled: Tensor
    states: Tensor | None = None


class Tower(nn.Module, ABC):
    """A part of the dual encoder.

    Attributes:
        width: length F of its feature vectors, before the projection.
        frozen: it stays in evaluation mode (a tower that sets this takes no gradients either).
    """

    width: int
    frozen: bool = False

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``; a frozen tower stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def spec(self) -> dict[str, Any]:
        """Names and numbers that rebuild the architecture; of a class that is not clinclip's, its name alone."""
        return own_spec(self)


class ImageTower(Tower):
    """Images to features."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """uint8 images (B, 1, H, W), not normalised -> features (B, F)."""


class TextTower(Tower):
    """Token ids to features.

    Attributes:
        vocab_size: number of token ids that it knows, or None for any.
        max_positions: longest text in tokens, or None for any.
    """

    vocab_size: int | None = None
    max_positions: int | None = None

    @abstractmethod
    def forward(self, text: TextBatch) -> TextOutput | Tensor:
        """Tokens (B, T) -> features: a :class:`TextOutput`, or (B, F) alone."""


class GraphTower(Tower):
    """Report graphs to features; used in training only."""

    @abstractmethod
    def forward(self, states: Tensor, graph: GraphBatch) -> Tensor:
        """Token states (B, T, F) and the graphs whose spans index them -> features (B, G)."""


def own_spec(tower: nn.Module) -> dict[str, Any]:
    """The spec of a class that is not clinclip's."""
    return {OWN: f"{type(tower).__module__}.{type(tower).__qualname__}"}


def width_of(tower: nn.Module, key: str) -> int:
    """``tower.width``. Raises ConfigError naming the configuration key where it has none."""
    width = getattr(tower, "width", None)
    if not isinstance(width, int) or width < 1:
        raise ConfigError(
            f"{key} is {type(tower).__name__}, whose attribute 'width' is {width!r}; it must be the length of the "
            "feature vectors that its forward returns (see clinclip.models.base)"
        )
    return width
