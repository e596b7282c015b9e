"""One process of tests/data/test_ddp_loader.py: trains on a manifest and writes down which samples it saw."""

from __future__ import annotations

import json
from pathlib import Path

import lightning.pytorch as pl
import torch

from clinclip.data.datamodule import CXRDataModule
from clinclip.types import Batch


class Ledger(pl.LightningModule):
    """A model of one number; remembers the samples of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.train_seen: list[list[int]] = []
        self.val_seen: list[list[int]] = []

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.train_seen.append(batch.sample.tolist())
        return self.weight * batch.image.float().mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.val_seen.append(batch.sample.tolist())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main(manifest: str, out: str, batch: str) -> None:
    """Two epochs; each process writes its ledger."""
    data = CXRDataModule([manifest], batch_size=int(batch), num_workers=0, image_size=32, eval_batch_size=2)
    model = Ledger()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data)
    Path(out, f"{trainer.global_rank}.json").write_text(json.dumps([model.train_seen, model.val_seen]))
