"""Soft labels from one modality's similarity to itself: the idea of SoftCLIP (Gao et al., AAAI 2024)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.checks import check_choice, check_positive
from clinclip.losses.engine.affinity import Affinity, Softmax
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class SelfSimilarity(TargetSource):
    """Soft labels from one modality's similarity to itself: ``softmax_j(cos(e_i, e_j) / temperature)``.

    The idea of SoftCLIP; no gradient flows into the embeddings.

    Example:
        Targets from both modalities:

        >>> SoftTargets(more=[SelfSimilarity(of="text"), SelfSimilarity(of="image")])

    Recommendations:
        1. Early embeddings all look alike, so the softmax is nearly uniform at first: let ``mix`` ramp up from 0.
        2. ``of="image"`` carries what the images look like, also exposure and device: prefer "text" alone at first.

    Args:
        weight: relative weight among the sources.
        of: "image" or "text", joint embeddings of this step.
        temperature: divides cosines.
    """

    citation = "Gao, Y. et al. SoftCLIP: Softer Cross-modal Alignment Makes CLIP Stronger. AAAI 2024."

    def __init__(self, weight: float = 1.0, of: Literal["image", "text"] = "text", temperature: float = 0.1) -> None:
        super().__init__(weight)
        self.of = check_choice(self, "of", of, ("image", "text"))
        self.temperature = check_positive(self, "temperature", temperature)
        self.requires = frozenset({f"embeddings.{of}"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        vectors: Tensor = getattr(embeddings, self.of)
        return Softmax(Cosine(shard.gather(vectors.to(compute_dtype(vectors)))), self.temperature)
