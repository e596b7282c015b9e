"""Soft labels from report graphs. Idea: Ko & Park (CVPR 2025); gate and formula are this project's own."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.checks import check_choice
from clinclip.losses.citations import KO_PARK
from clinclip.losses.engine.affinity import Affinity, Gated
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.similarity import Cosine, Overlap, Similarity
from clinclip.losses.targets.gates import Gate, QuantileGate
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class GraphSimilarity(TargetSource):
    """Reports with similar graphs of entities and relations share a soft label.

    Affinity: ``clip((S_ij - theta) / (1 - theta), 0, 1)``, S the similarity of the two graphs. Pairs in which either
    graph is empty have affinity 0.

    Requirements:
        1. ``data.graphs=true``; ``form="learned"`` also needs a graph encoder in the model.

    Example:
        >>> SoftTargets(graph=GraphSimilarity(form="overlap"))

    Recommendations:
        1. "overlap" needs no graph encoder and is the same in every run: the cheaper first try.
        2. "learned" follows a graph encoder that is itself trained by :class:`clinclip.losses.GraphAlignment`; without
           that term nothing teaches it.

    Args:
        weight: relative weight among the sources.
        form: "learned" takes the cosine of the graph embeddings at this step (no gradient flows into them), "overlap"
            the Jaccard overlap of the sets of (entity text, entity label).
        gate: the similarity above which two reports begin to share a label.
    """

    citation = KO_PARK

    def __init__(
        self, weight: float = 1.0, form: Literal["learned", "overlap"] = "learned", gate: Gate = QuantileGate()
    ) -> None:
        super().__init__(weight)
        self.form = check_choice(self, "form", form, ("learned", "overlap"))
        self.gate = gate
        self.requires = frozenset({"embeddings.graph" if form == "learned" else "batch.graph"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        similarity, valid = self._similarity(embeddings, batch, shard)
        return Gated(similarity, self.gate.threshold(similarity, valid, shard), valid)

    def _similarity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> tuple[Similarity, Tensor]:
        dtype = compute_dtype(embeddings.text)
        if self.form == "learned":
            assert embeddings.graph is not None and embeddings.graph_valid is not None
            return Cosine(shard.gather(embeddings.graph.to(dtype))), shard.gather(embeddings.graph_valid)
        assert batch.graph is not None
        entity = batch.graph.entity
        # processes may pad graphs to different widths
        width = int(shard.all_reduce(torch.tensor(entity.shape[1], device=batch.sample.device), "max"))
        entity = shard.gather(torch.nn.functional.pad(entity, (0, width - entity.shape[1])))
        return Overlap(entity, dtype), (entity != 0).any(dim=1)
