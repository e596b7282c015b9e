"""Write the embeddings of ``clinclip predict`` to one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from clinclip.distributed import gather_objects, rank
from clinclip.files import save_arrays


class EmbeddingWriter(BasePredictionWriter):
    """Collects what ``predict`` returns and writes it as one ``.npz`` file, each image once, ordered by sample.

    The file holds ``sample`` (N,), ``study`` (N,) (hashes), ``image`` (N, D) and ``text`` (N, D) float32; no report
    text and no identifier.

    Args:
        path: the file; its folder is created.
    """

    def __init__(self, path: str = "embeddings.npz") -> None:
        super().__init__(write_interval="epoch")
        self.path = path

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Join the batches of all processes and write the file atomically."""
        own = {
            key: np.concatenate([batch[key].cpu().numpy() for batch in predictions])
            for key in (predictions[0] if len(predictions) else {})
        }
        parts = [part for part in gather_objects(own) if part]
        if rank() or not parts:
            return
        data = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        once = np.unique(data["sample"], return_index=True)[1]
        save_arrays(Path(self.path), **{key: value[once] for key, value in data.items()})
