"""A DataLoader that can be resumed in the middle of an epoch, without replaying or skipping a sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from clinclip.data.sampler import TrainSampler


class ResumableLoader(DataLoader):
    """Counts the batches it handed out; Lightning saves that in checkpoints (``state_dict`` / ``load_state_dict``).

    Batches that worker processes prepared but nobody took are not counted. Expects a
    :class:`clinclip.data.sampler.TrainSampler`.
    """

    _taken = 0
    _resume: dict[str, int] | None = None

    def epoch_length(self) -> float:
        """Batches of an epoch; the data module puts one here that knows ``trainer.limit_train_batches``."""
        return len(self)

    @property
    def _train_sampler(self) -> TrainSampler:
        sampler = self.sampler
        assert isinstance(sampler, TrainSampler)
        return sampler

    def state_dict(self) -> dict[str, Any]:
        """Epoch, batches taken in it, batches that the whole epoch has, and the size of a global batch."""
        return {
            "epoch": self._train_sampler.epoch,
            "batches": self._taken,
            "of": int(self.epoch_length()),
            "global_batch": self._global_batch,
        }

    @property
    def _global_batch(self) -> int:
        return self._train_sampler.batch_size * self._train_sampler.world

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start the next pass over ``state["epoch"]`` behind the batches that were already taken.

        With another size of the global batch the state must be that of an epoch's end.
        """
        before = int(state.get("global_batch", self._global_batch))
        self._resume = {k: int(v) for k, v in state.items()}
        # a checkpoint may follow before the next batch is taken
        self._taken = int(state["batches"]) if before == self._global_batch else int(self.epoch_length())

    def __iter__(self) -> Iterator[Any]:
        sampler = self._train_sampler
        resume, self._resume = self._resume, None
        skip = 0
        if resume is not None and resume["epoch"] == sampler.epoch:
            if resume.get("global_batch", self._global_batch) != self._global_batch:
                # written after the last batch and before the epoch's end: nothing is left, whatever its length is now
                skip = len(self)
            elif resume["batches"] < len(self):
                skip = resume["batches"]
        sampler.start = skip * sampler.batch_size
        self._taken = skip
        for batch in super().__iter__():
            self._taken += 1
            yield batch
