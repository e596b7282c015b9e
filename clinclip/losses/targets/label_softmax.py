"""MedCLIP's semantic targets, written from the published formula (Wang et al., EMNLP 2022)."""

from __future__ import annotations

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.losses.checks import check_choice, check_positive
from clinclip.losses.engine.affinity import Affinity, Softmax
from clinclip.losses.engine.closed import SoftmaxTable
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.engine.similarity import Dot
from clinclip.losses.targets.label_vectors import Encoding, encode_labels, fits_table, label_classes, label_states
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings


class LabelSoftmax(TargetSource):
    """MedCLIP's semantic targets: softmax of the products of image labels and report labels.

    Row target ``softmax_j(Y_v,i . Y_t,j / temperature)``, column target the softmax over i. Raw dot products, as in
    MedCLIP. The pair competes like any other entry.

    Example:
        MedCLIP itself:

        >>> SoftTargets(clinical=LabelSoftmax(), mix=1.0)

    Recommendations:
        1. At the default temperature most of the mass lies on other studies (see the logged ``pair_share``): with
           ``mix=1.0`` the own report is hardly preferred. Lower the temperature, or keep part of the one-hot target.

    Args:
        weight: relative weight among the sources.
        encoding: see :class:`clinclip.losses.ClinicalSimilarity`.
        temperature: divides the products; MedCLIP uses 1.
    """

    citation = "Wang, Z. et al. MedCLIP: Contrastive Learning from Unpaired Medical Images and Text. EMNLP 2022."
    requires = frozenset({"batch.labels", "batch.text_labels"})

    def __init__(self, weight: float = 1.0, encoding: Encoding = "positive", temperature: float = 1.0) -> None:
        super().__init__(weight)
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.temperature = check_positive(self, "temperature", temperature)

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        dtype = compute_dtype(embeddings.text)
        image = encode_labels(label_states("batch", batch, shard), self.encoding, dtype)
        text = encode_labels(label_states("text", batch, shard), self.encoding, dtype)
        distinct, (rows, cols) = label_classes(image, text)
        if not fits_table(distinct):
            return Softmax(Dot(image, text), self.temperature)
        return SoftmaxTable(rows, cols, distinct @ distinct.T / self.temperature)
