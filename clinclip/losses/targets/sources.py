"""The three similarities of the dynamic soft label: text, clinical labels, graphs.

They follow the ideas of Ko & Park, "Bringing CLIP to the Clinic" (CVPR 2025); gates and formulas are this
project's own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.findings import ENCODINGS
from clinclip.losses.engine.closed import Linear, Table
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.factors import Factor, Gated
from clinclip.losses.engine.similarity import Cosine, Overlap, Similarity
from clinclip.losses.targets.gates import FixedGate, Gate, QuantileGate
from clinclip.losses.targets.soft import TargetSource
from clinclip.types import Batch, Embeddings

#: with more distinct label vectors than this, affinities are computed by blocks instead of looked up
MAX_CLASSES = 2048

KO_PARK = (
    "Ko, H. & Park, C. M. Bringing CLIP to the Clinic: Dynamic Soft Labels and Negation-Aware Learning for Medical "
    "Analysis. CVPR 2025."
)


def check_choice(owner: object, key: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is allowed, raise ConfigError naming the choices otherwise."""
    if value not in allowed:
        raise ConfigError(f"{type(owner).__name__}({key}={value!r}): allowed are {', '.join(map(repr, allowed))}")
    return value


def encode_labels(states: Tensor, encoding: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Label states, int8 (..., 14), as numbers of a named encoding (see :data:`clinclip.findings.ENCODINGS`)."""
    # codes are -2 .. 1: one look-up
    table = [0.0] * 4
    for state, number in ENCODINGS[encoding].items():
        table[state.code + 2] = number
    return torch.tensor(table, dtype=dtype, device=states.device)[states.long() + 2]


def label_classes(*vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Distinct label vectors (K, r), and for each argument (n, r) the class of every row, int64 (n,)."""
    distinct, inverse = torch.cat(vectors).unique(dim=0, return_inverse=True)
    return distinct, list(inverse.split([len(v) for v in vectors]))


#: where report vectors can come from -> what that requires
REPORT_VECTORS = {
    "online": "embeddings.text",
    "features": "embeddings.text_features",
    "frozen": "batch.frozen_text",
}


def report_vectors(source: str, embeddings: Embeddings, batch: Batch) -> Tensor:
    """Report vectors of this process by the name of their source, without gradient."""
    owner, _, attribute = REPORT_VECTORS[source].partition(".")
    vectors: Tensor = getattr(embeddings if owner == "embeddings" else batch, attribute)
    return vectors.detach().to(compute_dtype(embeddings.text))


class TextSimilarity(TargetSource):
    """Reports with similar text embeddings share a soft label.

    Affinity: ``clip((cos(t_i, t_j) - theta) / (1 - theta), 0, 1)``. No gradient flows into the embeddings.

    Requirements:
        1. ``source="frozen"`` needs ``data.frozen_text``, embeddings written by a frozen encoder.

    Relations:
        - :class:`ClinicalSimilarity` compares the findings instead of the wording.

    Args:
        weight: relative weight among the sources.
        source: "online" takes the joint embedding of the text tower at this step, "features" its pooled features before
            the projection, "frozen" precomputed embeddings.
        gate: default :class:`QuantileGate` with q = 0.9.
    """

    citation = KO_PARK

    def __init__(
        self,
        weight: float = 1.0,
        source: Literal["online", "features", "frozen"] = "online",
        gate: Gate | None = None,
    ) -> None:
        super().__init__(weight)
        self.source = check_choice(self, "source", source, tuple(REPORT_VECTORS))
        self.gate = QuantileGate() if gate is None else gate
        self.requires = frozenset({REPORT_VECTORS[source]})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        similarity = Cosine(shard.gather(report_vectors(self.source, embeddings, batch)))
        return Gated(similarity, self.gate.threshold(similarity, None, shard))


class ClinicalSimilarity(TargetSource):
    """Studies with similar findings share a soft label.

    Affinity: the gated cosine of label vectors over the 14 CheXpert observations; 0 where either vector is zero.
    "No Finding" is a dimension of its own, so two normal studies have affinity 1.

    Args:
        weight: relative weight among the sources.
        encoding: turns the four label states into numbers: "positive" (present 1, uncertain 0.5, else 0), "signed"
            (absent -1, so shared negatives count), "u_zeros", "u_ones".
        labels: "batch" takes the label source of the data module, "text" the labels read from the report itself.
        gate: default :class:`FixedGate` with theta = 0.5.
    """

    citation = KO_PARK

    def __init__(
        self,
        weight: float = 1.0,
        encoding: Literal["positive", "signed", "u_zeros", "u_ones"] = "positive",
        labels: Literal["batch", "text"] = "batch",
        gate: Gate | None = None,
    ) -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.labels = check_choice(self, "labels", labels, ("batch", "text"))
        self.gate = FixedGate(0.5) if gate is None else gate
        self.requires = frozenset({"batch.labels" if labels == "batch" else "batch.text_labels"})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        states = shard.gather(batch.labels if self.labels == "batch" else batch.text_labels)
        vectors = encode_labels(states, self.encoding, compute_dtype(embeddings.text))
        similarity = Cosine(vectors)
        some = vectors.any(dim=1)
        theta = self.gate.threshold(similarity, some, shard)
        if theta.ndim or similarity.size < 2:
            return Gated(similarity, theta, some)
        distinct, (classes,) = label_classes(similarity.rows)
        if len(distinct) > MAX_CLASSES:
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


class GraphSimilarity(TargetSource):
    """Reports with similar graphs of entities and relations share a soft label.

    Pairs in which either graph is empty have affinity 0.

    Requirements:
        1. ``data.graphs=true``; ``form="learned"`` also needs a graph encoder in the model.

    Args:
        weight: relative weight among the sources.
        form: "learned" takes the cosine of the graph embeddings at this step (no gradient flows into them), "overlap"
            the Jaccard overlap of the sets of (entity text, entity label).
        gate: default :class:`QuantileGate` with q = 0.9.
    """

    citation = KO_PARK

    def __init__(
        self, weight: float = 1.0, form: Literal["learned", "overlap"] = "learned", gate: Gate | None = None
    ) -> None:
        super().__init__(weight)
        self.form = check_choice(self, "form", form, ("learned", "overlap"))
        self.gate = QuantileGate() if gate is None else gate
        self.requires = frozenset({"embeddings.graph" if form == "learned" else "batch.graph"})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        similarity, valid = self._similarity(embeddings, batch, shard)
        return Gated(similarity, self.gate.threshold(similarity, valid, shard), valid)

    def _similarity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> tuple[Similarity, Tensor]:
        dtype = compute_dtype(embeddings.text)
        if self.form == "learned":
            assert embeddings.graph is not None and embeddings.graph_valid is not None
            return Cosine(shard.gather(embeddings.graph.to(dtype))), shard.gather(embeddings.graph_valid)
        assert batch.graph is not None
        # ranks may pad graphs to different widths
        widest = int(shard.all_reduce(torch.tensor(batch.graph.entity.shape[1], device=shard_device(batch)), "max"))
        entity = torch.nn.functional.pad(batch.graph.entity, (0, widest - batch.graph.entity.shape[1]))
        entity = shard.gather(entity)
        return Overlap(entity, dtype), (entity != 0).any(dim=1)


def shard_device(batch: Batch) -> torch.device:
    """The device on which collectives of this batch run."""
    return batch.sample.device
