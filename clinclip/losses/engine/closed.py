"""Affinities in product form: label classes, ids, linear products. Their part of a loss needs no tile at all.

With A = E_rows C E_cols^T, E narrow, ``A @ V`` costs O(N K + K^2) rows of length D instead of O(N^2). Only ``torch`` is
needed.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import Affinity


class Closed(Affinity):
    """An affinity of the form ``E_rows C E_cols^T`` with narrow E: products with it never form a block.

    ``A_r @ V`` is ``expand(mix(collect(V)))``; a direction of 1 asks for A_c. Both directions travel together, each
    with its own weight a row, because passing over (N, D) is what costs: weights go into the narrow E.
    """

    @abstractmethod
    def collect(self, values: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        """``E[where]^T diag(w_d) values`` for d = 0, 1, with E_rows if ``rows`` else E_cols.

        Args:
            values: (m, D).
            where: the m rows.
            rows: which E.
            weights: (2, m).

        Returns:
            (2, K, D).
        """

    def mix(self, codes: Tensor, transposed: bool) -> Tensor:
        """``C_d @ codes_d``, or with C_d^T, for d = 0, 1: (2, K, D) -> (2, K, D)."""
        return codes

    @abstractmethod
    def expand(self, codes: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        """``sum_d diag(w_d) E[where] codes_d``: (2, K, D) -> (m, D); arguments as :meth:`collect`."""

    @abstractmethod
    def own(self, direction: int) -> Tensor:
        """What the product form puts on the pairs, (N,) or scalar; callers take it away again."""


def sums_by_class(values: Tensor, classes: Tensor, weights: Tensor, count: int) -> Tensor:
    """Weighted sums of the rows of each class: (m, D), int64 (m,), (2, m) -> (2, count, D); no (m, D) temporary."""
    if not len(values):
        return values.new_zeros(2, count, values.shape[1])
    order = classes.argsort(stable=True)
    start = F.pad(torch.bincount(classes, minlength=count).cumsum(0), (1, 0))[:-1]
    sums = F.embedding_bag(
        order.repeat(2),
        values,
        torch.cat([start, start + len(values)]),
        mode="sum",
        per_sample_weights=weights[:, order].flatten().to(values),
    )
    return sums.view(2, count, -1)


def read_by_class(codes: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """``sum_d w_d,i codes_d[class_i]``: (2, K, D), int64 (m,), (2, m) -> (m, D), in one pass."""
    both = torch.stack([classes, classes + codes.shape[1]], dim=1)
    table = codes.flatten(0, 1)
    return F.embedding_bag(both, table, mode="sum", per_sample_weights=weights.T.to(table).contiguous())


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

    def collect(self, values: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        classes = (self.row_class if rows else self.col_class)[where]
        return sums_by_class(values, classes, weights, len(self.tables[0]))

    def mix(self, codes: Tensor, transposed: bool) -> Tensor:
        forward, backward = (table.T if transposed else table for table in self.tables)
        return torch.stack([forward @ codes[0], backward @ codes[1]])

    def expand(self, codes: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        return read_by_class(codes, (self.row_class if rows else self.col_class)[where], weights)


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

    def collect(self, values: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        total = sums_by_class(values, self.group[where], weights, self.groups + 1)
        total[:, -1] = 0.0
        return total

    def expand(self, codes: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        return read_by_class(codes, self.group[where], weights)

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

    def collect(self, values: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        return (self._weighted(where, weights).T @ values).view(2, -1, values.shape[1])

    def expand(self, codes: Tensor, where: slice, rows: bool, weights: Tensor) -> Tensor:
        return self._weighted(where, weights) @ codes.flatten(0, 1)

    def _weighted(self, where: slice, weights: Tensor) -> Tensor:
        """(m, 2 r): L with the weights of each direction, side by side."""
        return (weights.T[:, :, None] * self.factor[where][:, None, :]).flatten(1)

    def own(self, direction: int) -> Tensor:
        return self.factor.square().sum(1)
