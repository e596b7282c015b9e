"""Precomputed report embeddings of a frozen text encoder: one file, keyed by the hash of the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clinclip.errors import DataError
from clinclip.files import load_arrays, save_arrays


def write_frozen_text(path: Path, text_hash: np.ndarray, embedding: np.ndarray) -> None:
    """Save embeddings.

    Args:
        path: .npz file to write.
        text_hash: int64 (n,) as ``Batch.text_hash``; repeated texts are stored once.
        embedding: float (n, E).
    """
    keys, first = np.unique(np.asarray(text_hash, dtype=np.int64), return_index=True)
    values = np.asarray(embedding, dtype=np.float32)[first]
    save_arrays(path, text_hash=keys, embedding=values)


def read_frozen_text(path: Path, text_hash: np.ndarray) -> np.ndarray:
    """Embeddings of these texts, float32 (n, E), in their order.

    Raises:
        DataError: the file is missing, is something else, or lacks texts.
    """
    try:
        arrays = load_arrays(path, "text_hash", "embedding")
    except DataError as error:
        raise DataError(f"data.frozen_text: not a file of frozen report embeddings: {error}") from error
    keys, values = arrays["text_hash"], arrays["embedding"]
    if not len(keys):
        raise DataError(f"data.frozen_text={path}: holds no embedding")
    order = np.argsort(keys)
    at = np.minimum(np.searchsorted(keys[order], text_hash), len(keys) - 1)
    found = keys[order][at] == text_hash
    if not found.all():
        raise DataError(
            f"data.frozen_text={path}: lacks {int((~found).sum())} of {len(text_hash)} texts; it was made from another "
            "manifest or another text policy"
        )
    return values[order][at].astype(np.float32)
