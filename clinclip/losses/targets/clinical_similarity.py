"""Soft labels from the findings of studies. Idea: Ko & Park (CVPR 2025); gate and formula are this project's own."""

from __future__ import annotations

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.losses.checks import check_choice
from clinclip.losses.citations import KO_PARK
from clinclip.losses.engine.affinity import Affinity, Gated
from clinclip.losses.engine.closed import Linear, Table
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.targets.gates import FixedGate, Gate
from clinclip.losses.targets.label_vectors import (
    LABELS_FROM,
    Encoding,
    LabelsFrom,
    encode_labels,
    fits_table,
    label_classes,
    label_states,
)
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class ClinicalSimilarity(TargetSource):
    """Studies with similar findings share a soft label.

    Affinity: the gated cosine of label vectors over the 14 CheXpert observations; 0 where either vector is zero.
    "No Finding" is a dimension of its own, so two normal studies have affinity 1.

    Example:
        >>> SoftTargets(clinical=ClinicalSimilarity(encoding="signed", gate=FixedGate(value=0.7)))

    Recommendations:
        1. ``labels="text"`` where the label table is poor or missing: the findings then come from the report itself.
        2. Many normal studies in a batch all share one label. Where that spreads the target too thin (see the logged
           ``pair_share``), give this source a smaller weight or lower ``mix``.

    Relations:
        - :class:`clinclip.losses.LabelEquality` counts only studies whose labels are all the same.

    Args:
        weight: relative weight among the sources.
        encoding: turns the four label states into numbers: "positive" (present 1, uncertain 0.5, else 0), "signed"
            (absent -1, so shared negatives count), "u_zeros", "u_ones".
        labels: "batch" takes the label source of the data module, "text" the labels read from the report itself.
        gate: the similarity above which two studies begin to share a label.
    """

    citation = KO_PARK

    def __init__(
        self,
        weight: float = 1.0,
        encoding: Encoding = "positive",
        labels: LabelsFrom = "batch",
        gate: Gate = FixedGate(),
    ) -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.labels = check_choice(self, "labels", labels, tuple(LABELS_FROM))
        self.gate = gate
        self.requires = frozenset({f"batch.{LABELS_FROM[labels]}"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        vectors = encode_labels(label_states(self.labels, batch, shard), self.encoding, compute_dtype(embeddings.text))
        similarity = Cosine(vectors)
        some = vectors.any(dim=1)
        theta = self.gate.threshold(similarity, some, shard)
        if theta.ndim or similarity.size < 2:
            return Gated(similarity, theta, some)
        distinct, (classes,) = label_classes(similarity.rows)
        if not fits_table(distinct):
            return Gated(similarity, theta, some)
        if isinstance(self.gate, FixedGate) and self.gate.value == 0 and self.encoding != "signed":
            return Linear(similarity.rows)
        # label vectors repeat: gate the K x K table once
        between = Gated(Cosine(distinct, normalised=True), theta, distinct.any(dim=1))
        everything = slice(0, len(distinct))
        table = between.block(everything, everything)[0]
        return LabelTable(classes, classes, table, theta)


class LabelTable(Table):
    """A table over distinct label vectors that remembers its threshold."""

    def __init__(self, row_class: Tensor, col_class: Tensor, table: Tensor, theta: Tensor) -> None:
        super().__init__(row_class, col_class, table)
        self.theta = theta

    def logs(self) -> dict[str, Tensor]:
        return {"threshold": self.theta, "classes": torch.tensor(float(len(self.tables[0])))}
