"""Vectors of the reports of a batch, by the name of where they come from."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from clinclip.losses.engine.dense import compute_dtype
from clinclip.types import Batch, Embeddings

#: "online": the joint embedding of the text tower at this step, "features": its pooled features before the projection,
#: "frozen": precomputed embeddings (``data.frozen_text``)
VectorsFrom = Literal["online", "features", "frozen"]

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
