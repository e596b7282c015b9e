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

    @property
    def _train_sampler(self) -> TrainSampler:
        sampler = self.sampler
        assert isinstance(sampler, TrainSampler)
        return sampler

    def state_dict(self) -> dict[str, Any]:
        """Epoch and number of batches taken in it."""
        return {"epoch": self._train_sampler.epoch, "batches": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start the next pass over ``state["epoch"]`` behind the batches that were already taken."""
        self._resume = {"epoch": int(state["epoch"]), "batches": int(state["batches"])}

    def __iter__(self) -> Iterator[Any]:
        sampler = self._train_sampler
        resume, self._resume = self._resume, None
        skip = 0
        if resume is not None and resume["epoch"] == sampler.epoch and resume["batches"] < len(self):
            skip = resume["batches"]
        sampler.start = skip * sampler.batch_size
        self._taken = skip
        for batch in super().__iter__():
            self._taken += 1
            yield batch
