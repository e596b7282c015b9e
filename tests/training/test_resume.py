"""Going on from a checkpoint: the user's options win, and what does not fit is refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from clinclip.data.spec import DataSpec
from clinclip.errors import CheckpointError
from clinclip.images import Preprocessing
from clinclip.models import DualEncoder, GraphEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupConstant
from clinclip.training.resume import newest

TEXT = {"hidden_size": 32, "intermediate_size": 32}


def model(embed_dim: int = 8, graphs: bool = False, frozen: bool = False, hidden: int = 32) -> DualEncoder:
    image = ImageEncoder("test_vit", image_size=32, frozen=frozen)
    text = TextEncoder("tiny", model_kwargs={**TEXT, "hidden_size": hidden})
    return DualEncoder(image, text, GraphEncoder(hidden_size=8) if graphs else None, embed_dim=embed_dim)


def adam(**options: Any) -> Any:
    return lambda groups: torch.optim.AdamW(groups, **{"lr": 1e-3, "weight_decay": 1e-2, **options})


class Data(L.LightningDataModule):
    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.spec = DataSpec(preprocessing=Preprocessing(image_size=image_size), batch_size=4)

    def train_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(4, seed=s) for s in range(2)], batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(4)], batch_size=None)


def run(
    folder: Path,
    module: ClinClipModule,
    epochs: int = 2,
    checkpoint: Path | None = None,
    size: int = 32,
    fn: str = "fit",
) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    getattr(trainer, fn)(module, datamodule=Data(size), ckpt_path=checkpoint, weights_only=True)
    return trainer


def module(optimizer: Any = None, **options: Any) -> ClinClipModule:
    return ClinClipModule(model(**options), optimizer=optimizer or adam(), schedule=WarmupConstant())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    path = folder / "one.ckpt"
    run(folder, module(), epochs=1).save_checkpoint(path)
    return path


def test_options_given_on_resuming_win_and_the_rest_goes_on(checkpoint, tmp_path) -> None:
    second = module(adam(lr=5e-4, betas=(0.8, 0.99)))
    optimizer = run(tmp_path, second, checkpoint=checkpoint).optimizers[0]
    for group, decay in zip(optimizer.param_groups, (1e-2, 0.0), strict=True):
        assert (group["lr"], group["initial_lr"], group["betas"]) == (5e-4, 5e-4, (0.8, 0.99))
        assert group["weight_decay"] == decay
    # moments and their count come from the checkpoint: two steps there, two here
    assert {float(state["step"]) for state in optimizer.state.values()} == {4.0}
    third = run(tmp_path, module(adam(weight_decay=0.5)), checkpoint=checkpoint).optimizers[0]
    assert [g["weight_decay"] for g in third.param_groups] == [0.5, 0.0]
    assert third.param_groups[0]["lr"] == 1e-3


def test_values_that_an_optimiser_keeps_among_its_options_go_on(tmp_path) -> None:
    class Counting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                group["count"] = group.get("count", 0) + 1
            return super().step(closure)

    def counting(groups: Any) -> Counting:
        optimizer = Counting(groups, lr=1e-3)
        for group in optimizer.param_groups:
            group["count"] = 0
        return optimizer

    run(tmp_path, module(counting), epochs=1).save_checkpoint(tmp_path / "c.ckpt")
    groups = run(tmp_path, module(counting), checkpoint=tmp_path / "c.ckpt").optimizers[0].param_groups
    assert [group["count"] for group in groups] == [4, 4]


def test_another_optimiser_is_refused(checkpoint, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"^model\.optimizer is SGD, but .* state of AdamW, which does not fit"):
        run(tmp_path, module(lambda groups: torch.optim.SGD(groups, lr=0.1)), checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"embed_dim": 16}, r"model\.model\.embed_dim is 16 here and 8 in the checkpoint\. Leave"),
        ({"graphs": True}, r"model\.model\.graph_encoder is given here and None in the checkpoint\. Leave"),
        ({"frozen": True}, r"model\.model\.image_encoder\.frozen is True here and False in the checkpoint\. Leave"),
        ({"hidden": 64}, r"text_encoder\.model_kwargs\.hidden_size is 64 here and 32 in the checkpoint\. Leave"),
    ],
)
def test_another_model_is_refused_by_the_option_that_differs(checkpoint, tmp_path, options, words) -> None:
    with pytest.raises(CheckpointError, match=rf"^the checkpoint does not fit this configuration: .*{words}") as caught:
        run(tmp_path, module(**options), checkpoint=checkpoint)
    assert len(str(caught.value)) < 300


def test_another_image_size_is_refused_in_training_only(checkpoint, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r": data\.image_size is 64 here and 32 in the checkpoint\. Leave"):
        run(tmp_path, module(), checkpoint=checkpoint, size=64)
    looking = run(tmp_path, module(frozen=True), checkpoint=checkpoint, size=64, fn="validate")
    assert "val/retrieval/i2t_r1" in looking.callback_metrics


def test_another_network_is_refused_by_its_name(checkpoint, tmp_path) -> None:
    other = ClinClipModule(DualEncoder(ImageEncoder("tiny"), TextEncoder("tiny", model_kwargs=TEXT), embed_dim=8))
    with pytest.raises(CheckpointError, match=r": model\.model\.image_encoder\.name is 'tiny' here and 'test_vit' in"):
        run(tmp_path, other, checkpoint=checkpoint)


def touch(path: Path, at: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (at, at))
    return path


def test_last_and_best_are_those_of_the_newest_run(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=rf"^--ckpt_path=last is looked up below {tmp_path}, but there is no"):
        newest("last", tmp_path)
    old, new = tmp_path / "version_0/checkpoints", tmp_path / "version_1/checkpoints"
    touch(old / "best.ckpt", 1)
    touch(old / "last.ckpt", 2)
    assert newest("last", tmp_path) == old / "last.ckpt"
    touch(new / "last.ckpt", 3)
    assert newest("last", tmp_path) == new / "last.ckpt"
    # an older run's best is not this run's
    with pytest.raises(CheckpointError, match=rf"the newest run there, {new}, has no best\.ckpt"):
        newest("best", tmp_path)
    touch(new / "best.ckpt", 4)
    touch(new / "best-v1.ckpt", 5)
    assert newest("best", tmp_path) == new / "best-v1.ckpt"
