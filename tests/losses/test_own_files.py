"""A loss, a source of soft labels or of candidates of one's own: one file, a class path, no registration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from clinclip.cli import build
from clinclip.export.checkpoint import load
from clinclip.testing import tiny_manifest

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  devices: 1
  max_steps: 2
  log_every_n_steps: 1
  num_sanity_val_steps: 0
  limit_val_batches: 0
  enable_progress_bar: false
  enable_model_summary: false
  logger: {class_path: CSVLogger, init_args: {save_dir: ROOT, name: run, version: ""}}
data: {manifests: [MANIFEST], image_size: 32, batch_size: 4, max_tokens: 48, num_workers: 0}
model:
  model:
    image_encoder: {name: test_resnet}
    text_encoder: {name: tiny, model_kwargs: {hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1}}
    embed_dim: 16
  targets:
    default: {class_path: SoftTargets, init_args: {clinical: ClinicalSimilarity, mix: 0.3}}
  losses:
    contrastive: {class_path: Contrastive, init_args: {targets: default}}
"""
SOURCE = """
from clinclip.losses import Matrix, TargetSource

class Mine(TargetSource):
    def __init__(self, weight: float = 1.0, value: float = 1.0) -> None:
        super().__init__(weight)
        self.value = value

    def affinity(self, embeddings, batch, shard):
        n = shard.total
        return Matrix(embeddings.image.new_full((n, n), self.value))
"""
LOSS = '''
from clinclip.losses import LossTerm, Schedule
from clinclip.types import LossOutput

class Mine(LossTerm):
    """Overrides every hook, none with super()."""

    def __init__(self, weight: float = 1.0, schedule: Schedule | None = None, power: float = 1.0) -> None:
        super().__init__(weight, schedule)
        self.power, self.calls = power, []

    def setup(self, module, datamodule):
        self.calls.append("setup")

    def on_train_epoch_start(self, epoch):
        self.calls.append("epoch")

    def on_train_batch_start(self, step, epoch):
        self.calls.append("batch")

    def compute(self, embeddings, batch, targets):
        gap = (embeddings.image - embeddings.text).square().sum(1).pow(self.power).mean()
        return LossOutput(gap, {"now": self.current_weight})
'''
CANDIDATES = '''
import torch
from clinclip.losses import CandidateSource, ExtraColumns, OwnColumns

class Mine(CandidateSource):
    """The report of another study once more, as a column of this row."""

    requires = frozenset({"embeddings.text"})

    def __init__(self, step: int = 1) -> None:
        self.step = step

    def columns(self, embeddings, batch, shard):
        moved = embeddings.text.roll(self.step, 0)[:, None]
        mask = torch.ones(moved.shape[:2], dtype=torch.bool)
        return ExtraColumns(own=(OwnColumns(moved, mask),), logs={"step": float(self.step)})
'''


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("data") / "toy")


def fit(folder: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch, code: str, *options: str):
    """Train two steps with the user's file ``my_losses.py``: the command line's object, and what was logged."""
    monkeypatch.chdir(folder)
    (folder / "my_losses.py").write_text(code)
    (folder / "run.yaml").write_text(CONFIG.replace("ROOT", str(folder)).replace("MANIFEST", str(manifest)))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("my_losses", None)
    try:
        cli = build(["fit", "--config", str(folder / "run.yaml"), *options])
    finally:
        sys.modules.pop("my_losses", None)
    head, *rows = [line.split(",") for line in (folder / "run" / "metrics.csv").read_text().splitlines()]
    return cli, [{k.removeprefix("train/loss/"): float(v) for k, v in zip(head, row, strict=True) if v} for row in rows]


def test_a_target_source_needs_one_file(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform soft labels over a batch of 4: the pair keeps 0.7 of the target and a quarter of 0.3."""
    more = "--model.targets.default.more+={class_path: my_losses.Mine, init_args: {weight: 2, value: 0.5}}"
    options = ["--model.targets.default.clinical=null", more]
    cli, (first, _) = fit(tmp_path, manifest, monkeypatch, SOURCE, *options)
    source = cli.model.targets["default"].sources["Mine"]
    assert (type(source).__name__, source.weight, source.value) == ("Mine", 2.0, 0.5)
    # 0.5 for three others, 1 for the pair
    assert first["contrastive/pair_share"] == pytest.approx(0.7 + 0.3 / 2.5)


def test_a_target_source_can_take_another_ones_place(
    tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--model.targets.default.clinical=my_losses.Mine", "--model.targets.default.clinical.value=1"]
    _, (first, _) = fit(tmp_path, manifest, monkeypatch, SOURCE, *options)
    assert first["contrastive/pair_share"] == pytest.approx(0.7 + 0.3 / 4)


def test_a_loss_needs_one_file(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hooks are called and its schedule moves, although no hook calls super(); the checkpoint loads without it."""
    ramp = "{class_path: LinearRamp, init_args: {start: 0, end: 1, epochs: 1}}"
    options = ["--model.losses.mine=my_losses.Mine", "--model.losses.mine.weight=0.5", "--model.losses.mine.power=2"]
    cli, rows = fit(tmp_path, manifest, monkeypatch, LOSS, *options, f"--model.losses.mine.schedule={ramp}")
    assert cli.model.losses["mine"].calls == ["setup", "epoch", "batch", "batch"]
    steps = cli.model.steps_per_epoch
    assert steps > 1
    assert [row["mine/now"] for row in rows] == [0.0, pytest.approx(0.5 / steps)]
    for row in rows:
        assert row["total"] == pytest.approx(row["contrastive"] + row["mine/now"] * row["mine"], rel=1e-5)
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["model"]["losses"]["mine"]["class_path"] == "my_losses.Mine"
    cli.trainer.save_checkpoint(tmp_path / "last.ckpt")
    (tmp_path / "my_losses.py").unlink()
    assert load(tmp_path / "last.ckpt").towers.embed_dim == 16


def test_a_candidate_source_needs_one_file(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--model.losses.contrastive.candidates=my_losses.Mine", "--model.losses.contrastive.candidates.step=2"]
    _, (first, _) = fit(tmp_path, manifest, monkeypatch, CANDIDATES, *options)
    assert first["contrastive/step"] == 2.0
