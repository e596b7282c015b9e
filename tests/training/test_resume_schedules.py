"""A run that goes on from a checkpoint goes on with every schedule: learning rate, term weights, lambda."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from clinclip.data.spec import DataSpec
from clinclip.losses import CosineRamp, LinearRamp, SoftTargets, TextSimilarity
from clinclip.losses.contrastive import Contrastive
from clinclip.losses.negation import NegationHardNegatives
from clinclip.testing import random_batch, tiny_model
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupCosine

STEPS, EPOCHS = 4, 3


class Ledger(L.Callback):
    """Writes down what the schedules say at every step, and stops after some."""

    def __init__(self, stop_at: int | None = None, end_of_epoch: bool = False) -> None:
        self.stop_at, self.end_of_epoch, self.seen = stop_at, end_of_epoch, []

    def on_before_zero_grad(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: object) -> None:
        assert isinstance(pl_module, ClinClipModule)
        terms, targets = pl_module.losses, pl_module.targets["default"]
        assert targets is not None
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        weights = [term.current_weight for term in terms.values()]
        self.seen.append((trainer.global_step, rate, targets.current_mix, *weights))

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        if trainer.global_step == self.stop_at:
            if not self.end_of_epoch:
                trainer.save_checkpoint(Path(trainer.default_root_dir) / "stopped.ckpt")
            trainer.should_stop = True
            trainer.limit_val_batches = 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.end_of_epoch and trainer.global_step == self.stop_at:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "stopped.ckpt")


class Batches(L.LightningDataModule):
    """The same batches in every epoch; says how many of them are taken, as the data module does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        # the longer the epoch, the smaller the batch: the number is all that counts here
        self.steps, self.spec = steps, DataSpec(batch_size=64 // steps)

    def train_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(4, seed=s) for s in range(self.steps)], batch_size=None)

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        taken = self.trainer.global_step % self.steps or self.steps
        return {"loader": {"batches": taken, "of": self.steps, "global_batch": self.spec.batch_size}}


def fit(folder: Path, ledger: Ledger, checkpoint: Path | None = None, steps: int = STEPS, **limits: int) -> list[tuple]:
    """Train with three schedules, from new objects."""
    module = ClinClipModule(
        tiny_model(embed_dim=8),
        {
            "contrastive": Contrastive(targets="default", schedule=CosineRamp(1.0, 0.5, epochs=2.0)),
            "negation": NegationHardNegatives(weight=0.5, schedule=LinearRamp(0.0, 1.0, epochs=2.5, delay=0.25)),
        },
        {"default": SoftTargets(text=TextSimilarity(), mix=LinearRamp(0.0, 0.4, epochs=2.0))},
        schedule=WarmupCosine(warmup_epochs=1.0),
    )
    L.Trainer(
        accelerator="cpu",
        **{"max_epochs": EPOCHS, **limits},
        min_steps=ledger.stop_at,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ledger],
        default_root_dir=folder,
    ).fit(module, datamodule=Batches(steps), ckpt_path=checkpoint, weights_only=True)
    return ledger.seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[tuple]:
    torch.manual_seed(0)
    return fit(tmp_path_factory.mktemp("whole"), Ledger())


def test_the_schedules_move_at_every_step(whole) -> None:
    assert [row[0] for row in whole] == list(range(STEPS * EPOCHS))
    assert len({row[1] for row in whole}) == len(whole)  # learning rate
    # lambda: a straight line to the end of the second epoch
    wanted = [min(0.4, 0.4 * step / (2 * STEPS)) for step in range(len(whole))]
    assert [row[2] for row in whole] == pytest.approx(wanted)
    assert whole[0][3:] == (1.0, 0.0)
    assert whole[-1][3:] == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("stop_at", [STEPS, STEPS + 2])
def test_a_resumed_run_has_the_same_schedules(whole, tmp_path, stop_at) -> None:
    first = fit(tmp_path, Ledger(stop_at))
    assert first[:stop_at] == whole[:stop_at]
    second = fit(tmp_path, Ledger(), tmp_path / "stopped.ckpt")
    # to the bit, from the very next step on
    assert second[0][0] == stop_at
    assert second == whole[stop_at : stop_at + len(second)]
    assert len(second) >= STEPS


def test_a_run_that_goes_on_with_more_steps_an_epoch_stays_in_place(whole, tmp_path) -> None:
    """Twice as many, half as large batches from the second epoch on: schedules count epochs, not steps."""
    fit(tmp_path, Ledger(STEPS, end_of_epoch=True))
    second = fit(tmp_path, Ledger(), tmp_path / "stopped.ckpt", steps=2 * STEPS)
    assert [row[0] for row in second] == list(range(STEPS, STEPS + 2 * STEPS * (EPOCHS - 1)))
    # every other step begins where a step of the whole run begins
    for mine, theirs in zip(second[::2], whole[STEPS:], strict=True):
        assert mine[2:] == pytest.approx(theirs[2:])
    rates = [WarmupCosine(1.0)(1 + (n + 0.5) / (2 * STEPS), EPOCHS) for n in range(len(second))]
    assert [row[1] / 5e-5 for row in second] == pytest.approx(rates)


def test_the_end_in_steps_stays_the_end(tmp_path) -> None:
    """max_steps = 12, four of them taken in an epoch of four: eight more, at eight an epoch, are one epoch more."""
    fit(tmp_path, Ledger(STEPS))
    second = fit(tmp_path, Ledger(), tmp_path / "stopped.ckpt", steps=2 * STEPS, max_steps=12)
    assert [row[0] for row in second] == list(range(4, 12))
    rates = [WarmupCosine(1.0)(1 + (n + 0.5) / 8, 2.0) for n in range(8)]
    assert [row[1] / 5e-5 for row in second] == pytest.approx(rates)
