"""Lightning callbacks of clinclip."""

from clinclip.callbacks.embeddings import EmbeddingWriter

__all__ = ["EmbeddingWriter"]
