"""IMITATE's clinical prior, written from the published formula (Liu et al., IEEE TMI 2024)."""

from __future__ import annotations

from clinclip.distributed import Shard
from clinclip.losses.checks import check_choice, check_positive
from clinclip.losses.engine.affinity import Affinity, Correlation
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.targets.report_vectors import REPORT_VECTORS, VectorsFrom, report_vectors
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class CorrelationPrior(TargetSource):
    """IMITATE's prior: ``Phi_ij = 1 - exp(-rate * max(R_ij, 0))`` with R the Pearson correlation of report features.

    Of the published smoothers only this one is offered: the Gaussian and the Laplacian fall with R, and those and the
    sigmoid are above 0 at R = 0.

    Example:
        IMITATE's own targets ``T = I + tau Phi`` over frozen features:

        >>> SoftTargets(text=CorrelationPrior(), form="added", normalize=False, mix=0.07)

    Recommendations:
        1. IMITATE's targets do not sum to 1: a report with many similar ones weighs more, and more so in larger
           batches. ``normalize=True`` takes that away.

    Args:
        weight: relative weight among the sources.
        source: "frozen", "features" or "online", see :class:`clinclip.losses.TextSimilarity`.
        rate: lambda of the paper.
    """

    citation = "Liu, C. et al. IMITATE: Clinical Prior Guided Hierarchical Vision-Language Pre-training. IEEE TMI 2024."

    def __init__(self, weight: float = 1.0, source: VectorsFrom = "frozen", rate: float = 0.2) -> None:
        super().__init__(weight)
        self.source = check_choice(self, "source", source, tuple(REPORT_VECTORS))
        self.rate = check_positive(self, "rate", rate)
        self.requires = frozenset({REPORT_VECTORS[source]})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        vectors = shard.gather(report_vectors(self.source, embeddings, batch))
        # Pearson correlation is the cosine of centred vectors
        return Correlation(Cosine(vectors - vectors.mean(1, keepdim=True)), self.rate)
