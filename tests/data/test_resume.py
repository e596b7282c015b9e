"""A fit that is stopped in the middle of an epoch goes on with the next batch: a ledger of samples shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from clinclip.data.datamodule import CXRDataModule
from clinclip.types import Batch


class Ledger(pl.LightningModule):
    """Writes down which samples it saw; optionally reads the total number of steps, as schedules do."""

    def __init__(self, read_total: bool = False, stop_at: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []
        self.read_total, self.stop_at = read_total, stop_at

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.seen.append(batch.sample.tolist())
        return self.weight * batch.image.float().mean() / 1000

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        if self.stop_at is not None and self.trainer.global_step >= self.stop_at:
            raise KeyboardInterrupt

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen_val = [*getattr(self, "seen_val", []), *batch.sample.tolist()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.read_total:
            assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD([self.weight], lr=0.1)


def trainer(folder: Path) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(dirpath=folder, save_last=True, every_n_train_steps=1, save_top_k=0)],
    )


@pytest.mark.parametrize(
    ("stop_at", "workers", "read_total"),
    [(2, 0, False), (4, 0, False), (6, 0, False), (4, 0, True), (6, 0, True), (5, 0, True), (6, 2, False)],
)
def test_resume_in_the_middle_of_an_epoch(
    manifest_dir: Path, tmp_path: Path, stop_at: int, workers: int, read_total: bool
) -> None:
    def data() -> CXRDataModule:
        return CXRDataModule([str(manifest_dir)], batch_size=3, num_workers=workers, image_size=32, cache_tokens=False)

    whole = Ledger(read_total)
    trainer(tmp_path / "whole").fit(whole, datamodule=data())
    # 15 training studies, batches of 3: five steps an epoch
    assert len(whole.seen) == 15
    first = Ledger(read_total, stop_at)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer(tmp_path / "parts").fit(first, datamodule=data())
    assert (tmp_path / "parts" / "last.ckpt").is_file()
    committed = torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)["global_step"]
    second = Ledger(read_total)
    last = tmp_path / "parts" / "last.ckpt"
    trainer(tmp_path / "parts").fit(second, datamodule=data(), ckpt_path=last, weights_only=True)
    assert first.seen[:committed] + second.seen == whole.seen
    assert torch.equal(second.weight, whole.weight)
