"""Affinities A_ij >= 0 between the reports of a global batch, served block by block: what soft labels are made of.

An :class:`Affinity` holds what the matrix is made of (embeddings, label classes, ids, thresholds), never the matrix
itself (:class:`Matrix` excepted). Two kinds:

- tiled affinities compute a block from their vectors on demand (text, graph, correlation, softmax teacher);
- closed-form affinities (:mod:`clinclip.losses.engine.closed`) also multiply with a matrix without ever forming a block
  (label classes, ids, linear products): the target part of a loss then costs O(N r D) instead of O(N^2 D).

Only ``torch`` is needed. Coordinates are those of the global batch; row i and column i are the same study. Values of a
block on the pair (i, i) are ignored: :meth:`Affinity.pair` says what stands there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.engine.similarity import Similarity

#: rows of a block when an affinity walks over the batch by itself
TILE = 512


def slices(start: int, stop: int, tile: int) -> Iterator[slice]:
    """``[start, stop)`` in pieces of at most ``tile``, the last one ragged."""
    for first in range(start, stop, tile):
        yield slice(first, min(first + tile, stop))


def clear_pairs(block: Tensor, rows: slice, cols: slice) -> Tensor:
    """Set the entries (i, i) of the block ``[rows, cols]`` to zero, in place."""
    shift = rows.start - cols.start
    if -block.shape[0] < shift < block.shape[1]:
        block.diagonal(shift).zero_()
    return block


class Affinity(ABC):
    """One affinity. A_r is the matrix for the direction row -> columns, A_c for column -> rows; mostly the same."""

    #: A_ij == A_ji, and A_r == A_c^T
    symmetric: bool = True

    @property
    @abstractmethod
    def size(self) -> int:
        """N."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the factors live."""

    @abstractmethod
    def select(self, index: Tensor) -> Affinity:
        """The affinity among the rows ``index``, int64 (n,), alone."""

    def fit(self, shard: Shard) -> Affinity:
        """Compute whatever normalises this affinity over the batch; ``shard`` says which rows are this process's."""
        return self

    @abstractmethod
    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        """(A_r, A_c)[rows, cols]; the same tensor twice where the directions agree. The caller may overwrite it."""

    def pair(self) -> tuple[Tensor | float, Tensor | float]:
        """A_r and A_c on the pairs, each (N,) or one number: 1 unless the affinity says otherwise."""
        return 1.0, 1.0

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        """Row sums of A_r and column sums of A_c over the global batch without the pairs, each (N,)."""
        return block_sums(self, shard)

    def logs(self) -> dict[str, Tensor]:
        """Detached scalars worth reporting."""
        return {}


def block_sums(affinity: Affinity, shard: Shard) -> tuple[Tensor, Tensor]:
    """Row and column sums by walking over blocks; half of them if A is symmetric and all rows are here."""
    n, half = affinity.size, shard.world == 1 and affinity.symmetric
    rows_total = cols_total = None
    for rows in slices(shard.here.start, shard.here.stop, TILE):
        for cols in slices(rows.start if half else 0, n, TILE):
            forward, backward = affinity.block(rows, cols)
            clear_pairs(forward, rows, cols)
            if rows_total is None or cols_total is None:
                rows_total, cols_total = forward.new_zeros(n), forward.new_zeros(n)
            rows_total[rows] += forward.sum(1)
            if half:
                if cols.start > rows.start:
                    rows_total[cols] += forward.sum(0)
            else:
                if backward is not forward:
                    clear_pairs(backward, rows, cols)
                cols_total[cols] += backward.sum(0)
    if rows_total is None or cols_total is None:
        # a process without rows: of the same type as the others', which it meets in the reductions
        rows_total = cols_total = affinity.block(slice(0, 0), slice(0, n))[0].new_zeros(n)
    if half:
        return rows_total, rows_total
    return shard.gather(rows_total[shard.here]), shard.all_reduce(cols_total)


class OfSimilarity(Affinity):
    """An affinity computed from one similarity, block by block: it has that one's size and lies where that one lies."""

    similarity: Similarity

    @property
    def size(self) -> int:
        return self.similarity.size

    @property
    def device(self) -> torch.device:
        return self.similarity.device


class Gated(OfSimilarity):
    """A_ij = clip((S_ij - theta_i) / (1 - theta_i), 0, 1) off the pairs.

    Args:
        similarity: S.
        threshold: theta, a scalar tensor or (N,), below 1.
        valid: bool (N,); a pair with an invalid member has affinity 0. None: all valid.
    """

    def __init__(self, similarity: Similarity, threshold: Tensor, valid: Tensor | None = None) -> None:
        self.similarity, self.threshold, self.valid = similarity, threshold, valid
        self.symmetric = similarity.symmetric and threshold.ndim == 0

    def select(self, index: Tensor) -> Gated:
        threshold = self.threshold[index] if self.threshold.ndim else self.threshold
        return Gated(self.similarity.select(index), threshold, None if self.valid is None else self.valid[index])

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        theta = self.threshold if self.threshold.ndim == 0 else self.threshold[rows][:, None]
        gain = 1 / (1 - theta)
        shift = -theta * gain
        if self.valid is not None:
            # (S - theta) / (1 - theta) <= 1, so taking 2 away puts the entry below the gate
            out = 2.0 * (~self.valid).to(self.similarity.dtype)
            shift = shift - out[rows][:, None] - out[cols][None, :]
        shift = shift.expand(rows.stop - rows.start, cols.stop - cols.start)
        affinity = self.similarity.affine(rows, cols, gain, shift).clamp_(0.0, 1.0)
        return affinity, affinity

    def logs(self) -> dict[str, Tensor]:
        return {"threshold": self.threshold.mean()}


class Correlation(OfSimilarity):
    """A_ij = 1 - exp(-rate * max(R_ij, 0)) off the pairs: IMITATE's smoother of a correlation R.

    Args:
        similarity: R.
        rate: lambda of the IMITATE paper.
    """

    def __init__(self, similarity: Similarity, rate: float) -> None:
        self.similarity, self.rate = similarity, rate
        self.symmetric = similarity.symmetric

    def select(self, index: Tensor) -> Correlation:
        return Correlation(self.similarity.select(index), self.rate)

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        affinity = self.similarity.block(rows, cols).clamp_(min=0.0).mul_(-self.rate).expm1_().neg_()
        return affinity, affinity


class Softmax(OfSimilarity):
    """A_r = softmax over columns of S / temperature, A_c = softmax over rows; the pair competes like any other entry.

    Args:
        similarity: S.
        temperature: divides S.
    """

    def __init__(self, similarity: Similarity, temperature: float) -> None:
        self.similarity, self.temperature = similarity, temperature
        self.symmetric = similarity.symmetric
        self.row_lse: Tensor | None = None
        self.col_lse: Tensor | None = None

    def select(self, index: Tensor) -> Softmax:
        return Softmax(self.similarity.select(index), self.temperature)

    def fit(self, shard: Shard) -> Softmax:
        fitted = Softmax(self.similarity, self.temperature)
        row_parts, col_lse, here = [], None, shard.here
        for rows in slices(here.start, here.stop, TILE):
            row_lse = None
            col_parts = []
            for cols in slices(0, self.size, TILE):
                logits = self.similarity.block(rows, cols).div_(self.temperature)
                part = logits.logsumexp(1)
                row_lse = part if row_lse is None else torch.logaddexp(row_lse, part)
                if not self.symmetric:
                    col_parts.append(logits.logsumexp(0))
            if row_lse is not None:
                row_parts.append(row_lse)
            if col_parts:
                part = torch.cat(col_parts)
                col_lse = part if col_lse is None else torch.logaddexp(col_lse, part)
        mine = torch.cat(row_parts) if row_parts else self.similarity.block(slice(0, 0), slice(0, 1))[:, 0]
        fitted.row_lse = shard.gather(mine)
        if self.symmetric:
            fitted.col_lse = fitted.row_lse
        else:
            empty = mine.new_full((self.size,), -torch.inf)
            fitted.col_lse = shard.logsumexp(empty if col_lse is None else col_lse)
        return fitted

    def _normalisers(self) -> tuple[Tensor, Tensor]:
        if self.row_lse is None or self.col_lse is None:
            raise RuntimeError("Softmax affinity: call fit(shard) before reading it")
        return self.row_lse, self.col_lse

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        row_lse, col_lse = self._normalisers()
        logits = self.similarity.block(rows, cols).div_(self.temperature)
        return (logits - row_lse[rows][:, None]).exp_(), (logits - col_lse[cols][None, :]).exp_()

    def pair(self) -> tuple[Tensor, Tensor]:
        row_lse, col_lse = self._normalisers()
        own = torch.cat([self.similarity.block(piece, piece).diagonal() for piece in slices(0, self.size, 64)]).div_(
            self.temperature
        )
        return (own - row_lse).exp(), (own - col_lse).exp()

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        forward, backward = self.pair()
        return 1 - forward, 1 - backward


class Matrix(Affinity):
    """Any affinity given as a matrix: for small batches and for a user's own first try.

    Its diagonal is not read: a study has affinity 1 with itself.

    Args:
        affinity: float (N, N) over the global batch, at least 0.
    """

    symmetric = False

    def __init__(self, affinity: Tensor) -> None:
        self.affinity = affinity

    @property
    def size(self) -> int:
        return self.affinity.shape[0]

    @property
    def device(self) -> torch.device:
        return self.affinity.device

    def select(self, index: Tensor) -> Matrix:
        return Matrix(self.affinity[index][:, index])

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        part = self.affinity[rows, cols].clone()
        return part, part
