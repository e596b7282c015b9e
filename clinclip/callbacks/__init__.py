"""Lightning callbacks of clinclip."""

from clinclip.callbacks.embeddings import EmbeddingWriter
from clinclip.callbacks.matrices import BatchMatrices

__all__ = ["BatchMatrices", "EmbeddingWriter"]
