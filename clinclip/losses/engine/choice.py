"""Which engine computes a contrastive loss: the dense reference, or the tiled one that is flat in memory."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.engine.columns import ExtraColumns
from clinclip.losses.engine.dense import dense_sigmoid, dense_softmax
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.tiled import tiled_sigmoid, tiled_softmax

Engine = Literal["auto", "dense", "tiled"]

#: "auto" takes the tiled engine where a process would hold more logits than this (2,048 x 2,048)
AUTO_LOGITS = 2**22


def check_engine(owner: object, engine: Engine, tile: int | None) -> Engine:
    """Return ``engine``; raise ConfigError where it or the tile is not allowed."""
    if engine not in ("auto", "dense", "tiled"):
        raise ConfigError(f"{type(owner).__name__}(engine={engine!r}): allowed are 'auto', 'dense', 'tiled'")
    if tile is not None and tile < 1:
        raise ConfigError(f"{type(owner).__name__}(tile={tile}): a tile has at least one row")
    return engine


def is_tiled(engine: Engine, shard: Shard) -> bool:
    """Whether the tiled engine runs; the same on every process, whatever their numbers of rows."""
    if engine == "auto":
        return max(shard.sizes) * shard.total > AUTO_LOGITS
    return engine == "tiled"


def softmax_loss(
    engine: Engine,
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    mixture: Mixture | None,
    extra: ExtraColumns | None,
    weights: tuple[float, float],
    shard: Shard,
    tile: int | None = None,
) -> Tensor:
    """Soft cross-entropy in both directions; arguments as :func:`clinclip.losses.engine.tiled.tiled_softmax`."""
    if is_tiled(engine, shard):
        return tiled_softmax(x, y, scale, mixture, extra, weights, shard, tile)
    return dense_softmax(x, y, scale, mixture, extra, weights, shard)


def sigmoid_loss(
    engine: Engine,
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    bias: Tensor,
    mixture: Mixture | None,
    extra: ExtraColumns | None,
    shard: Shard,
    tile: int | None = None,
) -> Tensor:
    """SigLIP's criterion; arguments as :func:`clinclip.losses.engine.tiled.tiled_sigmoid`."""
    if is_tiled(engine, shard):
        return tiled_sigmoid(x, y, scale, bias, mixture, extra, shard, tile)
    return dense_sigmoid(x, y, scale, bias, mixture, extra, shard)
