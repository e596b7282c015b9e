"""Gates: the similarity above which two reports begin to share a soft label.

Raw cosines between report embeddings are all high; put straight into a target they would leave a few per cent of the
mass on the true pair. A gate returns a threshold theta; the affinity is ``clip((S - theta) / (1 - theta), 0, 1)``.
Thresholds are those of the *global* batch, so they do not depend on the number of processes or on the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.engine.affinity import TILE, slices
from clinclip.losses.engine.similarity import Similarity


class Gate(ABC):
    """Chooses theta for a similarity. A gate never changes after it is made, so sources may share one.

    Example:
        >>> TextSimilarity(gate=NeighboursGate(k=4))

        or ``--model.targets.default.text.gate=NeighboursGate --model.targets.default.text.gate.k=4``.
    """

    @abstractmethod
    def threshold(self, similarity: Similarity, valid: Tensor | None, shard: Shard) -> Tensor:
        """Theta: a scalar tensor, or (N,) with one value a row, below 1.

        Args:
            similarity: over the global batch.
            valid: bool (N,) rows that take part, or None for all.
            shard: rows of this process.
        """


class FixedGate(Gate):
    """The same threshold in every batch.

    Args:
        value: theta, in [-1, 1).
    """

    def __init__(self, value: float = 0.5) -> None:
        if not -1 <= value < 1:
            raise ConfigError(f"FixedGate(value={value}): a threshold on cosines must lie in [-1, 1)")
        self.value = float(value)

    def threshold(self, similarity: Similarity, valid: Tensor | None, shard: Shard) -> Tensor:
        return torch.tensor(self.value, device=similarity.device, dtype=similarity.dtype)


class QuantileGate(Gate):
    """Theta is a quantile of the similarities between different reports of the batch.

    The share of pairs above it is fixed, so the mean pair share of the target falls as the batch grows; see
    :class:`NeighboursGate` for a gate that does not depend on the batch. Linear interpolation between order statistics,
    as ``torch.quantile``, over all off-diagonal entries.

    Args:
        q: the quantile, in [0, 1].
        ceiling: theta is never above this; identical reports keep affinity 1.
        rows: the quantile is taken on a seeded subset of at most this many rows of the global batch.
        seed: of the subset.
    """

    def __init__(self, q: float = 0.9, ceiling: float = 0.99, rows: int = 2048, seed: int = 0) -> None:
        if not 0 <= q <= 1:
            raise ConfigError(f"QuantileGate(q={q}): a quantile lies in [0, 1]")
        if not 0 < ceiling < 1:
            raise ConfigError(f"QuantileGate(ceiling={ceiling}): must lie strictly between 0 and 1")
        if rows < 2:
            raise ConfigError(f"QuantileGate(rows={rows}): at least 2 rows are needed for one pair")
        self.q, self.ceiling, self.rows, self.seed = float(q), float(ceiling), int(rows), int(seed)

    def threshold(self, similarity: Similarity, valid: Tensor | None, shard: Shard) -> Tensor:
        index = torch.arange(similarity.size, device=similarity.device)
        if valid is not None:
            index = index[valid]
        if len(index) > self.rows:
            # drawn on the CPU, so that every process and every device draws the same rows
            generator = torch.Generator().manual_seed(self.seed)
            chosen = torch.randperm(len(index), generator=generator)[: self.rows].sort().values
            index = index[chosen.to(index.device)]
        ceiling = torch.tensor(self.ceiling, device=similarity.device, dtype=similarity.dtype)
        if len(index) < 2:
            return ceiling
        where = slice(0, similarity.size) if len(index) == similarity.size else index
        values = similarity.block(where, where)
        # the diagonal does not count: made the smallest values, it only shifts the ranks
        rows = len(index)
        values.fill_diagonal_(-torch.inf)
        position = self.q * (rows * (rows - 1) - 1)
        low = int(position)
        first, second = neighbours_in_order(values.flatten(), low + rows)
        return torch.minimum(first + (second - first) * (position - low), ceiling)


def neighbours_in_order(values: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The values of rank ``rank`` (from 0) and ``rank + 1``; the last one twice at the end.

    Sorting millions of similarities costs more memory than the whole tiled loss. A sorted sample brackets the ranks,
    and only what lies between is sorted; where the bracket misses them, everything is.
    """
    count = len(values)
    if count > 2**16:
        # an odd step, so that it does not run down one column of the matrix
        sample = values[:: (count // 2**14) | 1].sort().values
        centre, margin = rank / count * len(sample), len(sample) // 50
        low = sample[max(0, int(centre) - margin)]
        high = sample[min(len(sample) - 1, int(centre) + margin)]
        inside = values[values >= low]
        below = count - len(inside)
        inside = inside[inside <= high].sort().values
        if below <= rank and rank + 1 < below + len(inside):
            return inside[rank - below], inside[rank + 1 - below]
    ordered = values.sort().values
    return ordered[rank], ordered[min(rank + 1, count - 1)]


class NeighboursGate(Gate):
    """Each report passes its k most similar others; theta_i is the similarity of the next one.

    The sharpness of the target does not depend on the batch. The affinity is not symmetric: j may be among the nearest
    of i and not the reverse. In a batch of fewer than k + 2 rows, k is the number of others less one. Ties with the
    first report that does not pass do not pass either, except identical reports.

    Args:
        k: neighbours a report.
        ceiling: theta is never above this; identical reports keep affinity 1.
    """

    def __init__(self, k: int = 8, ceiling: float = 0.99) -> None:
        if k < 1:
            raise ConfigError(f"NeighboursGate(k={k}): at least one neighbour")
        if not 0 < ceiling < 1:
            raise ConfigError(f"NeighboursGate(ceiling={ceiling}): must lie strictly between 0 and 1")
        self.k, self.ceiling = int(k), float(ceiling)

    def threshold(self, similarity: Similarity, valid: Tensor | None, shard: Shard) -> Tensor:
        n = similarity.size
        members = n if valid is None else int(valid.sum())
        ceiling = torch.full((n,), self.ceiling, device=similarity.device, dtype=similarity.dtype)
        if members < 2:
            return ceiling
        keep = min(self.k, members - 2) + 1
        parts = [self._next(similarity, valid, rows, keep) for rows in slices(shard.here.start, shard.here.stop, TILE)]
        mine = torch.cat(parts) if parts else ceiling[:0]
        return torch.minimum(shard.gather(mine), ceiling)

    def _next(self, similarity: Similarity, valid: Tensor | None, rows: slice, keep: int) -> Tensor:
        """The ``keep``-th largest similarity of each row to another valid row."""
        best: Tensor | None = None
        for cols in slices(0, similarity.size, TILE):
            block = similarity.block(rows, cols)
            shift = rows.start - cols.start
            if -block.shape[0] < shift < block.shape[1]:
                block.diagonal(shift).fill_(-torch.inf)
            if valid is not None:
                block.masked_fill_(~valid[cols][None, :], -torch.inf)
            candidates = block if best is None else torch.cat([best, block], 1)
            best = candidates.topk(min(keep, candidates.shape[1]), dim=1).values
        assert best is not None
        # an invalid row may see fewer than its share of others; its affinities are masked anyway
        return best[:, -1].clamp(min=-1.0)
