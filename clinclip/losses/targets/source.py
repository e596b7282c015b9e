"""What every source of soft labels is: an answer to "which other reports of this batch say something similar?"."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from clinclip.distributed import Shard
from clinclip.losses.checks import check_weight
from clinclip.losses.engine.affinity import Affinity
from clinclip.losses.hooks import Hooked
from clinclip.types import Batch, Embeddings


class TargetSource(Hooked, ABC):
    """Base class of every source of soft labels. A subclass in a user's own file works by its class path.

    Example:
        A source of your own needs one method. A dense matrix is enough for a first try:

        >>> class SameWard(TargetSource):
        ...     requires = frozenset({"batch.study"})
        ...
        ...     def affinity(self, embeddings, batch, shard):
        ...         ward = shard.gather(batch.study) % 7
        ...         return Matrix((ward[:, None] == ward[None, :]).float())

    Recommendations:
        1. :class:`clinclip.losses.Matrix` takes any N x N matrix, and N² memory. For large batches return
           :class:`clinclip.losses.Gated` over a :class:`clinclip.losses.Cosine` of vectors, which is never written out.
        2. Gather what the affinity is made of with ``shard.gather``, so that several processes see the global batch.

    Args:
        weight: relative weight among the sources of one :class:`clinclip.losses.SoftTargets`.
    """

    citation: ClassVar[str] = ""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = check_weight(self, weight, "the weight of a target source")

    @abstractmethod
    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        """The affinity of the global batch. No gradient flows through it.

        Args:
            embeddings: of this process's rows.
            batch: of this process's rows.
            shard: which rows of the global batch these are; ``shard.gather(t)`` collects a tensor of all of them.
        """
