"""Lightning callbacks of clinclip."""

from clinclip.training.callbacks.embeddings import EmbeddingWriter
from clinclip.training.callbacks.matrices import BatchMatrices

__all__ = ["BatchMatrices", "EmbeddingWriter"]
