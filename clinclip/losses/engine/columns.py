"""Extra columns of the image -> text direction, as the engines see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class OwnColumns:
    """Columns that only their own row sees.

    Attributes:
        embedding: (n, K, D) with gradient.
        mask: bool (n, K), True where the column counts.
    """

    embedding: Tensor
    mask: Tensor


@dataclass(frozen=True)
class SharedColumns:
    """Columns that every row of the global batch sees.

    Attributes:
        embedding: (M, D) of all processes, in rank order, with gradient.
        allowed: maps slices of *local* rows and of columns to bool (rows, columns), False where the text may be true of
            the row's image. None: all count.
    """

    embedding: Tensor
    allowed: Callable[[slice, slice], Tensor] | None = None


@dataclass(frozen=True)
class ExtraColumns:
    """What one or several candidate sources add to a batch.

    Attributes:
        own: columns of single rows.
        shared: columns of all rows.
        logs: detached scalars.
    """

    own: tuple[OwnColumns, ...] = ()
    shared: tuple[SharedColumns, ...] = ()
    logs: dict[str, Tensor | float] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> ExtraColumns:
        """The same columns with embeddings of another floating type."""
        return replace(
            self,
            own=tuple(replace(o, embedding=o.embedding.to(dtype)) for o in self.own),
            shared=tuple(replace(s, embedding=s.embedding.to(dtype)) for s in self.shared),
        )

    def __add__(self, other: ExtraColumns) -> ExtraColumns:
        return ExtraColumns(self.own + other.own, self.shared + other.shared, {**self.logs, **other.logs})
