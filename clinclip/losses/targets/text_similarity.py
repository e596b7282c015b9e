"""Soft labels from the wording of reports. Idea: Ko & Park (CVPR 2025); gate and formula are this project's own."""

from __future__ import annotations

from clinclip.distributed import Shard
from clinclip.losses.checks import check_choice
from clinclip.losses.citations import KO_PARK
from clinclip.losses.engine.affinity import Affinity, Gated
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.targets.gates import Gate, QuantileGate
from clinclip.losses.targets.report_vectors import REPORT_VECTORS, VectorsFrom, report_vectors
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class TextSimilarity(TargetSource):
    """Reports with similar text embeddings share a soft label.

    Affinity: ``clip((cos(t_i, t_j) - theta) / (1 - theta), 0, 1)``. No gradient flows into the embeddings.

    Requirements:
        1. ``source="frozen"`` needs ``data.frozen_text``, embeddings written by a frozen encoder.

    Example:
        >>> SoftTargets(text=TextSimilarity(gate=QuantileGate(q=0.8)), mix=0.3)

        or on the command line ``--model.targets.default.text.gate.q=0.8``.

    Recommendations:
        1. "online" similarities mean little in the first steps: let ``mix`` ramp up from 0 (the default).
        2. "frozen" similarities are the same in every run and cost no training signal of their own; they are only as
           good as the encoder that wrote them.

    Relations:
        - :class:`clinclip.losses.ClinicalSimilarity` compares the findings instead of the wording.

    Args:
        weight: relative weight among the sources.
        source: "online" takes the joint embedding of the text tower at this step, "features" its pooled features before
            the projection, "frozen" precomputed embeddings.
        gate: the similarity above which two reports begin to share a label.
    """

    citation = KO_PARK

    def __init__(self, weight: float = 1.0, source: VectorsFrom = "online", gate: Gate = QuantileGate()) -> None:
        super().__init__(weight)
        self.source = check_choice(self, "source", source, tuple(REPORT_VECTORS))
        self.gate = gate
        self.requires = frozenset({REPORT_VECTORS[source]})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        similarity = Cosine(shard.gather(report_vectors(self.source, embeddings, batch)))
        return Gated(similarity, self.gate.threshold(similarity, None, shard))
