"""The graph stream: images and reports aligned with the graph of their report."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.base import LossTerm, pair_similarities
from clinclip.losses.checks import check_choice, check_positive
from clinclip.losses.citations import KO_PARK
from clinclip.losses.engine.choice import Engine, check_engine, softmax_loss
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.schedule import Schedule
from clinclip.losses.targets.soft import Targets
from clinclip.types import Batch, Embeddings, LossOutput

Stream = Literal["image", "text"]


class GraphAlignment(LossTerm):
    """Symmetric soft cross-entropy between images and report graphs, and between reports and their graphs.

    ``L_g`` is the mean over the streams; each stream is the mean of its two directions. Studies with an empty graph are
    left out: their rows and columns are dropped, the targets are renormalised over the rest, and the sum is divided by
    the number kept in the *global* batch. No columns of edited reports. Negatives are gathered from all processes.

    Inputs:
        - ``embeddings.graph``, ``embeddings.graph_valid`` and, by stream, ``embeddings.image``, ``embeddings.text``.

    Logs:
        - ``graphs`` (number kept in the global batch), ``scale``; by stream its loss and the mean cosine of its pairs
          and of its other pairs of rows; of soft targets what :meth:`clinclip.losses.Targets.logs` says of the rest.

    Requirements:
        1. A graph encoder in the model (``model.graph_encoder``) and ``data.graphs=true``. It is not used at inference.

    Example:
        >>> GraphAlignment(weight=0.1, targets="default", streams=("image",))

    Recommendations:
        1. It teaches the graph encoder, and through it the other towers. The graph of a report knows no more than the
           report: compare with ``weight=0`` before keeping it.
        2. With :class:`clinclip.losses.GraphSimilarity` of form "learned" this term is what trains that similarity.

    Args:
        weight: factor of this term in the total; beta of the method.
        schedule: multiplies the weight over training.
        targets: name of the entry of ``model.targets``; null means one-hot targets.
        streams: which modalities are aligned with the graph.
        temperature: fixed temperature; null uses the model's learned logit scale.
        engine: "auto", "dense" or "tiled", as in :class:`clinclip.losses.Contrastive`.
        tile: rows and columns of a tile; null chooses by device.
    """

    citation = KO_PARK
    requires = frozenset({"embeddings.image", "embeddings.text", "embeddings.graph", "batch.graph"})

    def __init__(
        self,
        weight: float = 0.5,
        schedule: Schedule | None = None,
        targets: str | None = None,
        streams: tuple[Stream, ...] | list[Stream] = ("image", "text"),
        temperature: float | None = None,
        engine: Engine = "auto",
        tile: int | None = None,
    ) -> None:
        super().__init__(weight, schedule, targets)
        if not streams:
            raise ConfigError("GraphAlignment(streams=[]): name at least one of 'image', 'text'")
        self.streams = tuple(check_choice(self, "streams", stream, ("image", "text")) for stream in streams)
        self.temperature = None if temperature is None else check_positive(self, "temperature", temperature)
        self.engine: Engine = check_engine(self, engine, tile)
        self.tile = tile

    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The loss of this process's rows."""
        assert embeddings.graph is not None and embeddings.graph_valid is not None  # checked through `requires`
        dtype, device = compute_dtype(embeddings.image), embeddings.image.device
        shard = targets.shard if targets is not None else Shard.of(len(embeddings.graph), device)
        keep = shard.gather(embeddings.graph_valid)
        kept, mine = shard.keep(keep), embeddings.graph_valid
        value = embeddings.image.new_zeros((), dtype=dtype)
        logs: dict[str, Tensor | float] = {"graphs": float(kept.total)}
        if kept.total == 0:
            return LossOutput(value, logs)
        with torch.autocast(device.type, enabled=False):
            graph = embeddings.graph.to(dtype)[mine]
            scale = embeddings.logit_scale.to(dtype)
            if self.temperature is not None:
                scale = torch.full_like(scale, 1 / self.temperature)
            logs["scale"] = scale.detach()
            mixture = None if targets is None else targets.mixture(keep)
            for stream in self.streams:
                other = (embeddings.image if stream == "image" else embeddings.text).to(dtype)[mine]
                part = softmax_loss(self.engine, other, graph, scale, mixture, None, (0.5, 0.5), kept, self.tile)
                value = value + part / len(self.streams)
                logs[stream] = part.detach()
                similarities = pair_similarities(other.detach(), graph.detach())
                logs.update({f"{stream}_{key}": number for key, number in similarities.items()})
            if targets is not None:
                logs.update(targets.logs(mixture))
        return LossOutput(value, logs)
