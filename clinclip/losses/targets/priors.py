"""Soft labels of other methods behind the same interface: MedCLIP, IMITATE, self-similarity (SoftCLIP).

Each is written from the published formula; where a method prescribes the mixture, the docstring gives the
:class:`clinclip.losses.SoftTargets` that reproduces it.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.findings import ENCODINGS
from clinclip.losses.engine.closed import SoftmaxTable
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.factors import Correlation, Factor, Softmax
from clinclip.losses.engine.similarity import Cosine, Dot
from clinclip.losses.targets.soft import TargetSource
from clinclip.losses.targets.sources import (
    MAX_CLASSES,
    REPORT_VECTORS,
    check_choice,
    encode_labels,
    label_classes,
    report_vectors,
)
from clinclip.types import Batch, Embeddings


class LabelSoftmax(TargetSource):
    """MedCLIP's semantic targets: softmax of the products of image labels and report labels.

    Row target ``softmax_j(Y_v,i . Y_t,j / temperature)``, column target the softmax over i. Raw dot products, as in
    MedCLIP. The pair competes like any other entry. MedCLIP itself is ``SoftTargets(mix=1.0)`` with this source.

    Args:
        weight: relative weight among the sources.
        encoding: see :class:`clinclip.losses.ClinicalSimilarity`.
        temperature: divides the products; MedCLIP uses 1.
    """

    citation = "Wang, Z. et al. MedCLIP: Contrastive Learning from Unpaired Medical Images and Text. EMNLP 2022."
    requires = frozenset({"batch.labels", "batch.text_labels"})

    def __init__(
        self,
        weight: float = 1.0,
        encoding: Literal["positive", "signed", "u_zeros", "u_ones"] = "positive",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.temperature = check_temperature(self, temperature)

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        dtype = compute_dtype(embeddings.text)
        image = encode_labels(shard.gather(batch.labels), self.encoding, dtype)
        text = encode_labels(shard.gather(batch.text_labels), self.encoding, dtype)
        distinct, (rows, cols) = label_classes(image, text)
        if len(distinct) > MAX_CLASSES:
            return Softmax(Dot(image, text), self.temperature)
        return SoftmaxTable(rows, cols, distinct @ distinct.T / self.temperature)


class CorrelationPrior(TargetSource):
    """IMITATE's prior: ``Phi_ij = 1 - exp(-rate * max(R_ij, 0))`` with R the Pearson correlation of report features.

    IMITATE's targets ``T = I + tau Phi`` are ``SoftTargets(form="added", normalize=False, mix=0.07)`` with this source
    over frozen features. They do not sum to 1: a report with many similar ones weighs more, and more so in larger
    batches. Set ``normalize=True`` to take that away. Of the published smoothers only this one is offered: the Gaussian
    and the Laplacian fall with R, and those and the sigmoid are above 0 at R = 0.

    Args:
        weight: relative weight among the sources.
        source: "frozen", "features" or "online", see :class:`clinclip.losses.TextSimilarity`.
        rate: lambda of the paper.
    """

    citation = "Liu, C. et al. IMITATE: Clinical Prior Guided Hierarchical Vision-Language Pre-training. IEEE TMI 2024."

    def __init__(
        self,
        weight: float = 1.0,
        source: Literal["frozen", "features", "online"] = "frozen",
        rate: float = 0.2,
    ) -> None:
        super().__init__(weight)
        self.source = check_choice(self, "source", source, tuple(REPORT_VECTORS))
        if not rate > 0:
            raise ConfigError(f"CorrelationPrior(rate={rate}): must be above 0")
        self.rate = float(rate)
        self.requires = frozenset({REPORT_VECTORS[source]})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        vectors = shard.gather(report_vectors(self.source, embeddings, batch))
        # Pearson correlation is the cosine of centred vectors
        return Correlation(Cosine(vectors - vectors.mean(1, keepdim=True)), self.rate)


class SelfSimilarity(TargetSource):
    """Soft labels from one modality's similarity to itself: ``softmax_j(cos(e_i, e_j) / temperature)``.

    The idea of SoftCLIP; no gradient flows into the embeddings. For targets from both modalities list the source twice.

    Args:
        weight: relative weight among the sources.
        of: "image" or "text", joint embeddings of this step.
        temperature: divides cosines.
    """

    citation = "Gao, Y. et al. SoftCLIP: Softer Cross-modal Alignment Makes CLIP Stronger. AAAI 2024."

    def __init__(self, weight: float = 1.0, of: Literal["image", "text"] = "text", temperature: float = 0.1) -> None:
        super().__init__(weight)
        self.of = check_choice(self, "of", of, ("image", "text"))
        self.temperature = check_temperature(self, temperature)
        self.requires = frozenset({f"embeddings.{of}"})

    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        vectors: Tensor = getattr(embeddings, self.of)
        return Softmax(Cosine(shard.gather(vectors.to(compute_dtype(vectors)))), self.temperature)


def check_temperature(owner: object, temperature: float) -> float:
    """Return ``temperature``; raise ConfigError unless it is above 0."""
    if not temperature > 0:
        raise ConfigError(f"{type(owner).__name__}(temperature={temperature}): must be above 0")
    return float(temperature)
