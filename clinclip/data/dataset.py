"""The data set: index lists in, finished batches out. Pixels come from the mapped cache, tokens from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from clinclip import draws
from clinclip.data import collate
from clinclip.data.sampler import decode
from clinclip.distributed import rank, world_size
from clinclip.images import Preprocessing
from clinclip.types import Batch

if TYPE_CHECKING:
    from clinclip.data.plan import Plan
    from clinclip.images.cache import ImageCache
    from clinclip.images.transforms import ImageTransform


@dataclass(frozen=True)
class View:
    """How a split is looked at.

    Attributes:
        role: which rows of the plan: "train", "validate", "test" or "predict".
        pictures: augmentation of training images, seeded by (seed, epoch, sample) only; or what evaluation sees.
        sections: section policy, one of :data:`clinclip.data.collate.SECTIONS`.
        twins: edited reports a sample in training batches.
        evaluation: add evaluation twins and omissions instead.
        labels: "table" or "read": the source of ``Batch.labels``.
        seed: of every draw.
    """

    role: str
    pictures: ImageTransform | Preprocessing
    sections: str = "text"
    twins: int = 0
    evaluation: bool = False
    labels: str = "table"
    seed: int = 0


class StudyDataset(Dataset):
    """Batches of one split. ``dataset[i]`` is a batch of one; the loader uses ``__getitems__``.

    Args:
        plan: the rows of every role, their texts, tokens and graphs.
        view: which rows, and how to look at them.
        caches: image caches, one a manifest.
        frozen: float32 (n, E) report embeddings of each row, or None.
    """

    def __init__(self, plan: Plan, view: View, caches: Sequence[ImageCache], frozen: np.ndarray | None = None) -> None:
        # not the plan itself: a worker has no use for the rows of the other roles
        self.records, self.view, self.caches, self.frozen = plan.records[view.role], view, caches, frozen
        self.store, self.graphs = plan.tokens, plan.graphs
        self.text_hashes, self.text_labels = plan.hashes, plan.text_labels

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, index: Sequence[int]) -> Batch:
        """The batch of these indices (see :mod:`clinclip.data.sampler` for indices that carry an epoch)."""
        rows, epoch = decode(index)
        records, view = self.records, self.view
        text = collate.choose_sections(records, rows, view.sections, view.seed, epoch)
        twins = omitted = graph = None
        if view.evaluation:
            if records.eval_negations is not None:
                twins = collate.eval_negations(records, rows, text, self.store)
                if records.omissions is not None:
                    omitted = collate.eval_omissions(records, rows, text, twins, self.store)
        elif view.twins:
            twins = collate.train_twins(records, rows, text, view.twins, self.store, view.seed, epoch)
        if self.graphs is not None:
            graph = self.graphs.batch(records.text[rows])
        read = records.read_labels[rows] if self.text_labels is None else self.text_labels[text]
        labels = records.table_labels[rows] if view.labels == "table" else read
        return Batch(
            image=self._images(rows, epoch),
            text=self.store.batch(text),
            labels=torch.from_numpy(labels),
            text_labels=torch.from_numpy(read),
            sample=torch.from_numpy(records.sample[rows]),
            study=torch.from_numpy(records.study[rows]),
            patient=torch.from_numpy(records.patient[rows]),
            text_hash=torch.from_numpy(np.where(text >= 0, self.text_hashes[text], 0)),
            twins=twins,
            omitted=omitted,
            graph=graph,
            frozen_text=None if self.frozen is None else torch.from_numpy(self.frozen[rows]),
        )

    def spread(self, count: int) -> Batch:
        """This process's part of ``count`` studies a process at equal distances, as in epoch 0; fewer if there are."""
        first = np.sort(np.unique(self.records.study, return_index=True)[1])
        world = world_size()
        count = min(count, len(first) // world)
        chosen = first[np.linspace(0, len(first) - 1, count * world).round().astype(int)]
        return self.__getitems__(chosen[rank() :: world].tolist())

    def _images(self, rows: np.ndarray, epoch: int) -> torch.Tensor:
        """uint8 (B, 1, S, S)."""
        records = self.records
        transform = self.view.pictures
        size = transform.image_size if isinstance(transform, Preprocessing) else transform.size
        images = np.empty((len(rows), size, size), np.uint8)
        # one column each: seed, epoch, sample, purpose
        keys = np.stack(np.broadcast_arrays(self.view.seed, epoch, records.sample[rows], draws.AUGMENTATION), axis=1)
        source = records.source[rows]
        for number in np.unique(source):
            at = np.flatnonzero(source == number)
            cache, entries = self.caches[number], records.cache_index[rows[at]]
            if isinstance(transform, Preprocessing):
                images[at] = transform.from_cache(cache, entries)
            else:
                images[at] = transform.from_cache(cache, entries, keys[at])
        return torch.from_numpy(images)[:, None]
