"""A fit that is stopped in the middle of an epoch goes on with the next batch: a ledger of samples shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from clinclip.data.datamodule import CXRDataModule
from clinclip.errors import ConfigError
from clinclip.training.resume import check_position
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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        in_steps = self.trainer.max_steps >= 0
        check_position(checkpoint, self.trainer.datamodule.options.batch_size, in_steps)  # type: ignore[attr-defined]

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen_val = [*getattr(self, "seen_val", []), *batch.sample.tolist()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.read_total:
            assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD([self.weight], lr=0.1)


def trainer(folder: Path, **saving: Any) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, save_last=True, **(saving or {"every_n_train_steps": 1, "save_top_k": 0}))],
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


@pytest.mark.parametrize("in_steps", [False, True])
@pytest.mark.parametrize("when", ["batch", "validation", "epoch"])
@pytest.mark.parametrize("sizes", [(3, 2), (3, 5)])
def test_another_batch_size_goes_on_with_the_next_epoch(
    manifest_dir: Path, tmp_path: Path, sizes: tuple[int, int], when: str, in_steps: bool
) -> None:
    """15 training studies: the checkpoint stands behind the last batch of the second epoch."""
    before, after = sizes
    options: dict[str, Any] = {
        "batch": {"every_n_train_steps": 1, "save_top_k": 0},
        "epoch": {"save_on_train_epoch_end": True},
    }

    def fit(module: Ledger, size: int, ckpt_path: Path | None = None) -> None:
        data = CXRDataModule([str(manifest_dir)], batch_size=size, num_workers=0, image_size=32, cache_tokens=False)
        run = trainer(tmp_path, **options.get(when, {"save_on_train_epoch_end": False}))
        if in_steps:
            run.fit_loop.epoch_loop.max_steps = 2 * (15 // before) + 15 // after
        run.fit(module, datamodule=data, weights_only=True, ckpt_path=ckpt_path)

    first = Ledger(stop_at=2 * (15 // before) + (when != "batch"))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(first, before)
    last = tmp_path / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 2 * (15 // before)
    second = Ledger()
    if when == "epoch" and in_steps:
        with pytest.raises(ConfigError, match=r"written at an epoch's end .* Use trainer\.max_epochs"):
            fit(second, after, ckpt_path=last)
        return
    fit(second, after, ckpt_path=last)
    # the third epoch, whole, and nothing else
    samples = [s for batch in second.seen for s in batch]
    assert len(second.seen) == 15 // after
    assert len(set(samples)) == len(samples)


def test_another_batch_size_within_an_epoch_is_refused(manifest_dir: Path, tmp_path: Path) -> None:
    def fit(module: Ledger, size: int, **options: Any) -> None:
        data = CXRDataModule([str(manifest_dir)], batch_size=size, num_workers=0, image_size=32, cache_tokens=False)
        trainer(tmp_path).fit(module, datamodule=data, weights_only=True, **options)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(Ledger(stop_at=7), 3)
    with pytest.raises(ConfigError, match=r"epoch 1, after 2 of 5 batches of 3 samples .* here a global batch has 5"):
        fit(Ledger(), 5, ckpt_path=tmp_path / "last.ckpt")


def test_an_epoch_ended_by_a_limit_is_over(manifest_dir: Path, tmp_path: Path) -> None:
    """``trainer.limit_train_batches=2`` of 5: its checkpoint stands at an epoch's end."""

    def fit(module: Ledger, size: int, ckpt_path: Path | None = None) -> None:
        data = CXRDataModule([str(manifest_dir)], batch_size=size, num_workers=0, image_size=32, cache_tokens=False)
        run = trainer(tmp_path, save_on_train_epoch_end=True)
        run.limit_train_batches = 2
        run.fit(module, datamodule=data, weights_only=True, ckpt_path=ckpt_path)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(Ledger(stop_at=5), 3)
    second = Ledger()
    fit(second, 5, tmp_path / "last.ckpt")
    assert [len(batch) for batch in second.seen] == [5, 5], "the third epoch, with the same limit"


def test_looking_at_a_checkpoint_of_another_batch_size_is_no_resumption(manifest_dir: Path, tmp_path: Path) -> None:
    """``clinclip validate`` on other hardware, with a configuration that ends training by steps."""
    from clinclip.testing import tiny_model
    from clinclip.training.module import ClinClipModule

    def data(size: int) -> CXRDataModule:
        return CXRDataModule([str(manifest_dir)], batch_size=size, num_workers=0, image_size=32, graphs=True)

    trainer(tmp_path, save_on_train_epoch_end=True).fit(ClinClipModule(tiny_model()), datamodule=data(5))
    looking = trainer(tmp_path)
    looking.fit_loop.epoch_loop.max_steps = 30
    looking.validate(
        ClinClipModule(tiny_model()), datamodule=data(3), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert "val/retrieval/i2t_r1" in looking.callback_metrics
    resumed = trainer(tmp_path)
    resumed.fit_loop.epoch_loop.max_steps = 30
    with pytest.raises(ConfigError, match=r"trainer\.max_steps cannot go on"):
        resumed.fit(
            ClinClipModule(tiny_model()), datamodule=data(3), ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )
