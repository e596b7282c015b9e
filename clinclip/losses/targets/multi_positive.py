"""Rows that share a patient, a study or a text are positives of each other (Khosla et al., 2020)."""

from __future__ import annotations

from typing import Literal

from clinclip.distributed import Shard
from clinclip.losses.checks import check_choice
from clinclip.losses.citations import KHOSLA
from clinclip.losses.engine.affinity import Affinity
from clinclip.losses.engine.closed import Equal
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class MultiPositive(TargetSource):
    """Rows of the same patient, of the same study or with the same report are positives of each other.

    Affinity 1 where the ids are equal, else 0. In plain CLIP such rows count as negatives: with ``sampling=image`` a
    study would be its own negative, and two patients with the report "no acute process" each other's.

    Example:
        >>> SoftTargets(more=[MultiPositive(by="study")])

    Recommendations:
        1. ``by="study"`` belongs to ``data.sampling=image``; under ``sampling=study`` a batch has no study twice.
        2. ``by="text"`` helps where reports are made from templates; it costs nothing where all differ.

    Args:
        weight: relative weight among the sources.
        by: "patient", "study", or "text" for reports that are equal after white space is normalised.
    """

    citation = KHOSLA

    def __init__(self, weight: float = 1.0, by: Literal["patient", "study", "text"] = "text") -> None:
        super().__init__(weight)
        fields = {"patient": "patient", "study": "study", "text": "text_hash"}
        self.field = fields[check_choice(self, "by", by, tuple(fields))]
        self.requires = frozenset({f"batch.{self.field}"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        return Equal(shard.gather(getattr(batch, self.field)), dtype=compute_dtype(embeddings.text))
