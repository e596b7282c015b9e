"""Similarities between the reports of a global batch, served block by block from their factors.

A similarity never stores an N x N matrix: it keeps what it needs to compute any block of it, so that the dense
reference and the tiled engine read the same object. N is the number of rows of the global batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

Index = slice | Tensor


class Similarity(ABC):
    """Numbers in [-1, 1] between row i and column j of the global batch."""

    #: S_ij == S_ji for all i, j
    symmetric: bool = True

    @property
    @abstractmethod
    def size(self) -> int:
        """N."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the factors live."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the blocks: float32 or float64."""

    @abstractmethod
    def select(self, index: Tensor) -> Similarity:
        """The similarity among the rows ``index``, int64 (n,), alone."""

    @abstractmethod
    def block(self, rows: Index, cols: Index) -> Tensor:
        """S[rows, cols], a new tensor that the caller may overwrite."""

    def affine(self, rows: Index, cols: Index, gain: Tensor, shift: Tensor) -> Tensor:
        """``gain * S[rows, cols] + shift``; ``gain`` is a scalar or (rows, 1), ``shift`` broadcasts to the block."""
        return self.block(rows, cols).mul_(gain).add_(shift)


class Cosine(Similarity):
    """Cosine between row vectors and column vectors.

    Args:
        rows: float (N, r); normalised here, rows of zeros stay zero (similarity 0 to everything).
        cols: float (N, r) if the columns have other vectors than the rows, else None.
        normalised: True if the vectors already have unit length.
    """

    def __init__(self, rows: Tensor, cols: Tensor | None = None, normalised: bool = False) -> None:
        self.rows = rows if normalised else F.normalize(rows, dim=-1)
        self.cols = self.rows if cols is None else (cols if normalised else F.normalize(cols, dim=-1))
        self.symmetric = cols is None

    @property
    def size(self) -> int:
        return self.rows.shape[0]

    @property
    def device(self) -> torch.device:
        return self.rows.device

    @property
    def dtype(self) -> torch.dtype:
        return self.rows.dtype

    def select(self, index: Tensor) -> Cosine:
        return Cosine(self.rows[index], None if self.symmetric else self.cols[index], normalised=True)

    def block(self, rows: Index, cols: Index) -> Tensor:
        return (self.rows[rows] @ self.cols[cols].T).clamp_(-1.0, 1.0)

    def affine(self, rows: Index, cols: Index, gain: Tensor, shift: Tensor) -> Tensor:
        # the gain goes into the narrow factor and the shift into the product's accumulator: one pass over the block
        return torch.addmm(shift, self.rows[rows] * gain, self.cols[cols].T)


class Dot(Cosine):
    """Plain products of row vectors and column vectors, not bounded.

    Args:
        rows: float (N, r).
        cols: float (N, r) if the columns have other vectors than the rows, else None.
    """

    def __init__(self, rows: Tensor, cols: Tensor | None = None) -> None:
        super().__init__(rows, cols, normalised=True)

    def select(self, index: Tensor) -> Dot:
        return Dot(self.rows[index], None if self.symmetric else self.cols[index])

    def block(self, rows: Index, cols: Index) -> Tensor:
        return self.rows[rows] @ self.cols[cols].T


class Overlap(Similarity):
    """Jaccard overlap |a & b| / |a | b| of two sets of entities; 0 where both are empty.

    Args:
        entities: int64 (N, n) entity hashes, 0 on padding; repeats count once.
        dtype: of the result.
    """

    def __init__(self, entities: Tensor, dtype: torch.dtype = torch.float32) -> None:
        ids, owners = entities.sort(dim=1).values, torch.arange(len(entities), device=entities.device)
        fresh = ids != 0
        fresh[:, 1:] &= ids[:, 1:] != ids[:, :-1]
        self.count = fresh.sum(1).to(dtype)
        # an entity of one report alone cannot be shared: leaving it out keeps the vocabulary small
        known, inverse, times = ids[fresh].unique(return_inverse=True, return_counts=True)
        number = torch.full_like(known, -1)
        common = times > 1
        number[common] = torch.arange(int(common.sum()), device=ids.device)
        self.entity = number[inverse]
        self.owner = owners[:, None].expand_as(ids)[fresh]
        self.vocabulary = int(common.sum())
        keep = self.entity >= 0
        self.entity, self.owner = self.entity[keep], self.owner[keep]
        self.start = torch.searchsorted(self.owner, torch.arange(len(entities) + 1, device=ids.device))

    @property
    def size(self) -> int:
        return self.count.shape[0]

    @property
    def device(self) -> torch.device:
        return self.count.device

    @property
    def dtype(self) -> torch.dtype:
        return self.count.dtype

    def select(self, index: Tensor) -> Overlap:
        new = object.__new__(Overlap)
        new.count, new.vocabulary = self.count[index], self.vocabulary
        lengths = self.start[index + 1] - self.start[index]
        new.start = F.pad(lengths.cumsum(0), (1, 0))
        position = torch.arange(int(new.start[-1]), device=self.device)
        new.owner = torch.repeat_interleave(torch.arange(len(index), device=self.device), lengths)
        new.entity = self.entity[self.start[index][new.owner] + position - new.start[new.owner]]
        return new

    def block(self, rows: Index, cols: Index) -> Tensor:
        shared = self._multi_hot(rows) @ self._multi_hot(cols).T
        union = self.count[rows][:, None] + self.count[cols][None, :] - shared
        return shared.div_(union.clamp_(min=1.0))

    def _multi_hot(self, index: Index) -> Tensor:
        if isinstance(index, Tensor):
            part = self.select(index)
            return part._multi_hot(slice(0, part.size))
        first, last, _ = index.indices(self.size)
        hot = self.count.new_zeros(max(last - first, 0), self.vocabulary)
        span = slice(int(self.start[first]), int(self.start[last])) if last > first else slice(0, 0)
        hot[self.owner[span] - first, self.entity[span]] = 1.0
        return hot
