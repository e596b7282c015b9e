"""Affinities A_ij >= 0 between the reports of a global batch, served block by block: what soft labels are made of.

A factor holds the *factors* of an affinity (embeddings, label classes, ids, thresholds), never the matrix. Two kinds:

- tiled factors compute a block from their vectors on demand (text, graph, correlation, softmax teacher);
- closed-form factors (:class:`Closed`) also multiply with a matrix without ever forming a block (label classes, ids,
  linear products): the target part of a loss then costs O(N r D) instead of O(N^2 D).

Only ``torch`` is needed. Coordinates are those of the global batch; row i and column i are the same study. Values of a
block on the pair (i, i) are ignored: :meth:`Factor.pair` says what stands there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.similarity import Similarity

#: rows of a block when a factor walks over the batch by itself
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


class Factor(ABC):
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
    def select(self, index: Tensor) -> Factor:
        """The affinity among the rows ``index``, int64 (n,), alone."""

    def fit(self, shard: Shard) -> Factor:
        """Compute whatever normalises this factor over the batch; ``shard`` says which rows are this process's."""
        return self

    @abstractmethod
    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        """(A_r, A_c)[rows, cols]; the same tensor twice where the directions agree. The caller may overwrite it."""

    def pair(self) -> tuple[Tensor | float, Tensor | float]:
        """A_r and A_c on the pairs, each (N,) or one number: 1 unless the factor says otherwise."""
        return 1.0, 1.0

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        """Row sums of A_r and column sums of A_c over the global batch without the pairs, each (N,)."""
        return block_sums(self, shard)

    def logs(self) -> dict[str, Tensor]:
        """Detached scalars worth reporting."""
        return {}


class Closed(Factor):
    """An affinity of the form ``E_rows C E_cols^T`` with narrow E: products with it never form a block.

    ``A_r @ V`` is ``expand(mix(collect(V)))``; a direction of 1 asks for A_c.
    """

    @abstractmethod
    def collect(self, values: Tensor, where: slice, rows: bool) -> Tensor:
        """``E[where]^T values``: (m, D) -> (K, D), with E_rows if ``rows`` else E_cols."""

    def mix(self, code: Tensor, direction: int, transposed: bool) -> Tensor:
        """``C @ code``, or ``C^T @ code``: (K, D) -> (K, D)."""
        return code

    @abstractmethod
    def expand(self, code: Tensor, where: slice, rows: bool) -> Tensor:
        """``E[where] @ code``: (K, D) -> (m, D), with E_rows if ``rows`` else E_cols."""

    @abstractmethod
    def own(self, direction: int) -> Tensor:
        """What the product form puts on the pairs, (N,) or scalar; callers take it away again."""


def block_sums(factor: Factor, shard: Shard) -> tuple[Tensor, Tensor]:
    """Row and column sums by walking over blocks; half of them if A is symmetric and all rows are here."""
    n, half = factor.size, shard.world == 1 and factor.symmetric
    rows_total = cols_total = None
    for rows in slices(shard.here.start, shard.here.stop, TILE):
        for cols in slices(rows.start if half else 0, n, TILE):
            forward, backward = factor.block(rows, cols)
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
        rows_total = cols_total = factor.block(slice(0, 0), slice(0, n))[0].new_zeros(n)
    if half:
        return rows_total, rows_total
    return shard.gather(rows_total[shard.here]), shard.all_reduce(cols_total)


class Gated(Factor):
    """A_ij = clip((S_ij - theta_i) / (1 - theta_i), 0, 1) off the pairs.

    Args:
        similarity: S.
        threshold: theta, a scalar tensor or (N,), below 1.
        valid: bool (N,); a pair with an invalid member has affinity 0. None: all valid.
    """

    def __init__(self, similarity: Similarity, threshold: Tensor, valid: Tensor | None = None) -> None:
        self.similarity, self.threshold, self.valid = similarity, threshold, valid
        self.symmetric = similarity.symmetric and threshold.ndim == 0

    @property
    def size(self) -> int:
        return self.similarity.size

    @property
    def device(self) -> torch.device:
        return self.similarity.device

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


class Correlation(Factor):
    """A_ij = 1 - exp(-rate * max(R_ij, 0)) off the pairs: IMITATE's smoother of a correlation R.

    Args:
        similarity: R.
        rate: lambda of the IMITATE paper.
    """

    def __init__(self, similarity: Similarity, rate: float) -> None:
        self.similarity, self.rate = similarity, rate
        self.symmetric = similarity.symmetric

    @property
    def size(self) -> int:
        return self.similarity.size

    @property
    def device(self) -> torch.device:
        return self.similarity.device

    def select(self, index: Tensor) -> Correlation:
        return Correlation(self.similarity.select(index), self.rate)

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        affinity = self.similarity.block(rows, cols).clamp_(min=0.0).mul_(-self.rate).expm1_().neg_()
        return affinity, affinity


class Softmax(Factor):
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

    @property
    def size(self) -> int:
        return self.similarity.size

    @property
    def device(self) -> torch.device:
        return self.similarity.device

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
            raise RuntimeError("Softmax factor: call fit(shard) before reading it")
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


class Table(Closed):
    """A_ij looked up by the classes of i and j: exact for label vectors, of which a batch has few distinct ones.

    Args:
        row_class: int64 (N,).
        col_class: int64 (N,).
        table: float (K, K), at least 0.
        table_back: the table of the direction column -> rows, (K, K) indexed [row class, column class]; None: the same.
    """

    def __init__(self, row_class: Tensor, col_class: Tensor, table: Tensor, table_back: Tensor | None = None) -> None:
        self.row_class, self.col_class = row_class, col_class
        self.tables = (table, table if table_back is None else table_back)
        self.symmetric = row_class is col_class and table_back is None

    @property
    def size(self) -> int:
        return self.row_class.shape[0]

    @property
    def device(self) -> torch.device:
        return self.row_class.device

    def select(self, index: Tensor) -> Self:
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        new.row_class = self.row_class[index]
        new.col_class = new.row_class if self.col_class is self.row_class else self.col_class[index]
        return new

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        forward, backward = (table[self.row_class[rows]][:, self.col_class[cols]] for table in self.tables)
        return forward, forward if self.tables[0] is self.tables[1] else backward

    def own(self, direction: int) -> Tensor:
        return self.tables[direction][self.row_class, self.col_class]

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        forward, backward = self.tables
        columns = torch.bincount(self.col_class, minlength=len(forward)).to(forward.dtype)
        rows = torch.bincount(self.row_class, minlength=len(forward)).to(forward.dtype)
        return (
            (forward @ columns)[self.row_class] - self.own(0),
            (backward.T @ rows)[self.col_class] - self.own(1),
        )

    def collect(self, values: Tensor, where: slice, rows: bool) -> Tensor:
        classes = self.row_class if rows else self.col_class
        return values.new_zeros(len(self.tables[0]), values.shape[1]).index_add_(0, classes[where], values)

    def mix(self, code: Tensor, direction: int, transposed: bool) -> Tensor:
        table = self.tables[direction]
        return (table.T if transposed else table) @ code

    def expand(self, code: Tensor, where: slice, rows: bool) -> Tensor:
        return code[(self.row_class if rows else self.col_class)[where]]


class SoftmaxTable(Table):
    """A_r = softmax over columns of a table of logits, A_c = softmax over rows, by the classes' counts.

    Args:
        row_class: int64 (N,).
        col_class: int64 (N,).
        logits: float (K, K) indexed [row class, column class].
    """

    def __init__(self, row_class: Tensor, col_class: Tensor, logits: Tensor) -> None:
        super().__init__(row_class, col_class, logits)
        self.logits = logits

    def fit(self, shard: Shard) -> SoftmaxTable:
        count = len(self.logits)
        columns = torch.bincount(self.col_class, minlength=count).to(self.logits.dtype).log()
        rows = torch.bincount(self.row_class, minlength=count).to(self.logits.dtype).log()
        fitted = SoftmaxTable(self.row_class, self.col_class, self.logits)
        fitted.tables = (
            (self.logits - (self.logits + columns[None, :]).logsumexp(1, keepdim=True)).exp(),
            (self.logits - (self.logits + rows[:, None]).logsumexp(0, keepdim=True)).exp(),
        )
        return fitted

    def pair(self) -> tuple[Tensor, Tensor]:
        return self.own(0), self.own(1)


class Equal(Closed):
    """A_ij = 1 where i and j carry the same id.

    Args:
        ids: int64 (N,).
        valid: bool (N,); an invalid row equals nothing. None: all valid.
        dtype: of the blocks and sums.
    """

    def __init__(self, ids: Tensor, valid: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
        _, group, count = ids.unique(return_inverse=True, return_counts=True)
        if valid is not None:
            count = torch.bincount(group[valid], minlength=len(count))
        # ids that stand alone equal nothing: they share the last number, which means "no group"
        shared = count > 1
        self.groups = int(shared.sum())
        number = torch.full_like(count, self.groups)
        number[shared] = torch.arange(self.groups, device=ids.device)
        self.group = number[group]
        if valid is not None:
            self.group = self.group.masked_fill(~valid, self.groups)
        self.dtype = dtype

    @property
    def size(self) -> int:
        return self.group.shape[0]

    @property
    def device(self) -> torch.device:
        return self.group.device

    def select(self, index: Tensor) -> Equal:
        return Equal(self.group[index], self.group[index] < self.groups, self.dtype)

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        mine = self.group[rows][:, None]
        same = ((mine == self.group[cols][None, :]) & (mine < self.groups)).to(self.dtype)
        return same, same

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        others = (torch.bincount(self.group)[self.group] - 1).to(self.dtype) * self.own(0)
        return others, others

    def collect(self, values: Tensor, where: slice, rows: bool) -> Tensor:
        total = values.new_zeros(self.groups + 1, values.shape[1]).index_add_(0, self.group[where], values)
        total[-1] = 0.0
        return total

    def expand(self, code: Tensor, where: slice, rows: bool) -> Tensor:
        return code[self.group[where]]

    def own(self, direction: int) -> Tensor:
        return (self.group < self.groups).to(self.dtype)


class Linear(Closed):
    """A = L L^T off the pairs, for factors whose products are never negative (label vectors).

    Args:
        factor: L, float (N, r), at least 0.
    """

    def __init__(self, factor: Tensor) -> None:
        self.factor = factor

    @property
    def size(self) -> int:
        return self.factor.shape[0]

    @property
    def device(self) -> torch.device:
        return self.factor.device

    def select(self, index: Tensor) -> Linear:
        return Linear(self.factor[index])

    def block(self, rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
        affinity = self.factor[rows] @ self.factor[cols].T
        return affinity, affinity

    def sums(self, shard: Shard) -> tuple[Tensor, Tensor]:
        total = self.factor @ self.factor.sum(0) - self.factor.square().sum(1)
        return total, total

    def collect(self, values: Tensor, where: slice, rows: bool) -> Tensor:
        return self.factor[where].T @ values

    def expand(self, code: Tensor, where: slice, rows: bool) -> Tensor:
        return self.factor[where] @ code

    def own(self, direction: int) -> Tensor:
        return self.factor.square().sum(1)


class Matrix(Factor):
    """Any affinity given as a matrix: for small batches and for a user's own first try.

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
