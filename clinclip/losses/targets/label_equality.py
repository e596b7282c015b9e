"""Studies with exactly the same labels are positives of each other (Khosla et al., 2020)."""

from __future__ import annotations

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.losses.checks import check_choice
from clinclip.losses.citations import KHOSLA
from clinclip.losses.engine.affinity import Affinity
from clinclip.losses.engine.closed import Equal
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.targets.label_vectors import (
    LABELS_FROM,
    Encoding,
    LabelsFrom,
    encode_labels,
    label_classes,
    label_states,
)
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class LabelEquality(TargetSource):
    """Studies with exactly the same label vector are positives of each other (affinity 1), all others are not.

    A zero vector (nothing found) equals nothing. With ``SoftTargets(mix=1.0)`` the mass is split evenly over the
    studies with the same labels, as in supervised contrastive learning.

    Example:
        >>> SoftTargets(clinical=LabelEquality(), mix=1.0)

    Recommendations:
        1. With ``mix=1.0`` normal studies are all positives of each other: image and report of one study are then told
           apart by nothing. Keep ``mix`` well below 1 where retrieval of the own report matters.

    Relations:
        - :class:`clinclip.losses.ClinicalSimilarity` is its gradual form.

    Args:
        weight: relative weight among the sources.
        encoding: see :class:`clinclip.losses.ClinicalSimilarity`; states with the same number count as equal.
        labels: "batch" or "text", see :class:`clinclip.losses.ClinicalSimilarity`.
    """

    citation = KHOSLA

    def __init__(self, weight: float = 1.0, encoding: Encoding = "positive", labels: LabelsFrom = "batch") -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.labels = check_choice(self, "labels", labels, tuple(LABELS_FROM))
        self.requires = frozenset({f"batch.{LABELS_FROM[labels]}"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        vectors = encode_labels(label_states(self.labels, batch, shard), self.encoding)
        _, (classes,) = label_classes(vectors)
        return Equal(classes, vectors.any(dim=1), compute_dtype(embeddings.text))
