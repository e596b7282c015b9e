"""Multi-positives: studies that are positives of each other because they share something exactly."""

from __future__ import annotations

from typing import Literal

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.losses.engine.closed import Equal
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.factors import Factor
from clinclip.losses.targets.soft import TargetSource
from clinclip.losses.targets.sources import check_choice, encode_labels, label_classes
from clinclip.types import Batch, Embeddings


class LabelEquality(TargetSource):
    """Studies with exactly the same label vector are positives of each other (affinity 1), all others are not.

    A zero vector (nothing found) equals nothing. With ``SoftTargets(mix=1.0)`` the mass is split evenly over the
    studies with the same labels, as in supervised contrastive learning.

    Args:
        weight: relative weight among the sources.
        encoding: see :class:`ClinicalSimilarity`; states with the same number count as equal.
        labels: "batch" or "text", see :class:`ClinicalSimilarity`.
    """

    citation = "Khosla, P. et al. Supervised Contrastive Learning. NeurIPS 2020."

    def __init__(
        self,
        weight: float = 1.0,
        encoding: Literal["positive", "signed", "u_zeros", "u_ones"] = "positive",
        labels: Literal["batch", "text"] = "batch",
    ) -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.labels = check_choice(self, "labels", labels, ("batch", "text"))
        self.requires = frozenset({"batch.labels" if labels == "batch" else "batch.text_labels"})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        states = shard.gather(batch.labels if self.labels == "batch" else batch.text_labels)
        vectors = encode_labels(states, self.encoding)
        _, (classes,) = label_classes(vectors)
        return Equal(classes, vectors.any(dim=1), compute_dtype(embeddings.text))


class MultiPositive(TargetSource):
    """Rows of the same patient, of the same study or with the same report are positives of each other.

    Affinity 1 where the ids are equal, else 0. In plain CLIP such rows count as negatives: with ``sampling=image`` a
    study would be its own negative, and two patients with the report "no acute process" each other's.

    Args:
        weight: relative weight among the sources.
        by: "patient", "study", or "text" for reports that are equal after white space is normalised.
    """

    citation = "Khosla, P. et al. Supervised Contrastive Learning. NeurIPS 2020."

    def __init__(self, weight: float = 1.0, by: Literal["patient", "study", "text"] = "text") -> None:
        super().__init__(weight)
        fields = {"patient": "patient", "study": "study", "text": "text_hash"}
        self.field = fields[check_choice(self, "by", by, tuple(fields))]
        self.requires = frozenset({f"batch.{self.field}"})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        return Equal(shard.gather(getattr(batch, self.field)), dtype=compute_dtype(embeddings.text))
