"""The order of samples: one image a study an epoch, the same global batches at any number of processes, resumable.

Each index carries its epoch in the upper bits, so that worker processes with old copies of the data set draw the right
augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DistributedSampler

from clinclip import draws
from clinclip.errors import ConfigError

EPOCH_SHIFT = 40
_ROW_MASK = (1 << EPOCH_SHIFT) - 1


def encode(rows: np.ndarray, epoch: int) -> np.ndarray:
    """Indices that carry their epoch."""
    return rows.astype(np.int64) | np.int64(epoch << EPOCH_SHIFT)


def decode(index: Sequence[int]) -> tuple[np.ndarray, int]:
    """(rows, epoch) of indices of one batch; plain row numbers mean epoch 0."""
    codes = np.asarray(index, dtype=np.int64)
    return codes & _ROW_MASK, int(codes[0] >> EPOCH_SHIFT) if len(codes) else 0


# Lightning leaves samplers of this class alone instead of wrapping them
#: what an epoch goes over: one image a study, or every image
SAMPLING: tuple[str, ...] = ("study", "image")


class TrainSampler(DistributedSampler):
    """Random order, a new one every epoch, dropping the ragged end.

    Global batch g of an epoch holds the same samples at any number of processes; process r takes the r-th part of it,
    so gathering in rank order gives the batch of a single process.

    Args:
        study: int64 (n,) study of each row.
        source: int64 (n,) manifest of each row.
        weights: passes over each manifest's studies an epoch: 1 each once, 0.5 a random half, 2 twice.
        batch_size: samples of one process.
        sampling: "study" (one random image a study an epoch) or "image" (every image once).
        seed: of the order.
        rank: this process.
        world: number of processes.

    Raises:
        ConfigError: fewer samples an epoch than one global batch.
    """

    def __init__(
        self,
        study: np.ndarray,
        source: np.ndarray,
        weights: Sequence[float],
        batch_size: int,
        sampling: str = "study",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if sampling not in SAMPLING:
            raise ConfigError(f"data.sampling={sampling!r}: allowed are 'study' and 'image'")
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        self.num_replicas = world
        self.weights = [float(w) for w in weights]
        self.epoch = 0
        #: samples of this process to leave out at the start of the next pass, set on resume
        self.start = 0
        key = study if sampling == "study" else np.arange(len(study))
        # rows grouped by unit (a study or an image): unit u has rows order[first[u]:first[u + 1]]
        _, self._unit = np.unique(key, return_inverse=True)
        self._order = np.argsort(self._unit, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(self._unit))]).astype(np.int64)
        unit_source = source[self._order[self._first[:-1]]]
        self._units = [np.flatnonzero(unit_source == s) for s in range(len(self.weights))]
        self.batches = sum(self._wanted()) // (batch_size * world)
        if self.batches == 0:
            raise ConfigError(
                f"the training split gives {sum(self._wanted())} samples an epoch (sampling={sampling!r}), fewer than "
                f"one global batch of {batch_size} x {world} processes; lower data.batch_size or prepare more studies"
            )

    def _wanted(self) -> list[int]:
        return [round(weight * len(units)) for weight, units in zip(self.weights, self._units, strict=True)]

    def epoch_rows(self, epoch: int) -> np.ndarray:
        """The rows of one epoch in global order, ragged end included: int64."""
        chosen: list[np.ndarray] = []
        for number, (units, wanted) in enumerate(zip(self._units, self._wanted(), strict=True)):
            done = turn = 0
            while done < wanted:
                # a pass takes each unit once; the last one takes a random part
                purpose = draws.SUBSET + 16 * (number + 1) + 4096 * turn
                part = units[draws.permutation(self.seed, epoch, purpose, len(units))[: wanted - done]]
                chosen.append(part)
                done, turn = done + len(part), turn + 1
        units = np.concatenate(chosen)
        units = units[draws.permutation(self.seed, epoch, draws.ORDER, len(units))]
        size = self._first[units + 1] - self._first[units]
        # a second pass over a study within an epoch may show another image: the position is part of the key
        pick = draws.uniform(self.seed, epoch, draws.IMAGE_CHOICE, np.arange(len(units)))
        return self._order[self._first[units] + np.minimum((pick * size).astype(np.int64), size - 1)]

    def __iter__(self) -> Iterator[int]:
        rows = self.epoch_rows(self.epoch)[: self.batches * self.batch_size * self.world]
        mine = rows.reshape(self.batches, self.world, self.batch_size)[:, self.rank].reshape(-1)
        start, self.start = self.start, 0
        return iter(encode(mine, self.epoch)[start:].tolist())

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        self.epoch = int(epoch)


class EvalSampler(DistributedSampler):
    """Every row once over all processes: process r takes rows r, r + world, ... Nothing is repeated to fill up.

    Args:
        count: number of rows.
        rank: this process.
        world: number of processes.
    """

    def __init__(self, count: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.rank, self.world = count, rank, world
        self.num_replicas = world
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.count, self.world))

    def __len__(self) -> int:
        return len(range(self.rank, self.count, self.world))

    def set_epoch(self, epoch: int) -> None:
        """Nothing: evaluation looks the same in every epoch."""
