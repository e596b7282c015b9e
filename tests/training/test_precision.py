"""Clipping under every precision, and towers in the mode in which they are trained."""

from __future__ import annotations

import warnings
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader
from transformers import BertConfig, BertModel

from clinclip.errors import ConfigError
from clinclip.models import DualEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch, tiny_model
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupConstant


class Norms(L.Callback):
    """The gradients' norm and largest value as the optimiser sees them."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_before_zero_grad(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        found = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        if found:
            every = torch.cat(found)
            self.seen.append((float(every.norm()), float(every.abs().max())))


def fit(tmp_path, module: L.LightningModule, **options: Any) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu", max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path, **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader([random_batch(6, seed=s) for s in range(2)], batch_size=None))  # type: ignore[arg-type]
    return trainer


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("algorithm", [None, "value"])
def test_gradients_are_clipped_in_every_precision(tmp_path, fused, precision, algorithm) -> None:
    norms = Norms()
    module = ClinClipModule(
        tiny_model(graphs=False),
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-3, fused=fused),
        schedule=WarmupConstant(),
    )
    fit(
        tmp_path,
        module,
        precision=precision,
        gradient_clip_val=1e-3,
        gradient_clip_algorithm=algorithm,
        callbacks=[norms],
    )
    assert norms.seen
    clipped = [seen[algorithm == "value"] for seen in norms.seen]
    assert clipped == pytest.approx([1e-3] * len(norms.seen), rel=1e-3)


def test_a_fused_optimiser_cannot_clip_scaled_gradients(tmp_path) -> None:
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    with pytest.raises(ConfigError, match=r"gradient_clip_val=1\.0 .*16-mixed .* model\.optimizer\.init_args\.fused=f"):
        fit(tmp_path, ClinClipModule(tiny_model()), plugins=[plugin], gradient_clip_val=1.0)


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("bert")
    settings = BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5,
    )  # fmt: skip
    BertModel(settings, add_pooling_layer=False).save_pretrained(folder)
    return str(folder)


class Twice(L.Callback):
    """Embeds one batch twice at every step."""

    equal: bool | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        tower = pl_module.model.text_encoder
        with torch.no_grad():
            self.equal = torch.equal(tower(batch.text).pooled, tower(batch.text).pooled)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pretrained_text_tower_is_trained_with_its_dropout(bert, tmp_path, frozen) -> None:
    tower = TextEncoder(bert, frozen=frozen)
    assert all(m.training is not frozen for m in tower.modules())
    twice = Twice()
    module = ClinClipModule(DualEncoder(ImageEncoder("test_vit", image_size=32), tower, embed_dim=8))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(tmp_path, module, callbacks=[twice])
    assert twice.equal is frozen
    assert any("in eval mode" in str(w.message) for w in said) is frozen
    tower.train()
    assert all(m.training is not frozen for m in tower.modules())
    text = random_batch(4).text
    tower.eval()
    assert torch.equal(tower(text).pooled, tower(text).pooled)


def test_a_tower_left_in_evaluation_mode_is_trained(tmp_path) -> None:
    module = ClinClipModule(tiny_model(graphs=False))
    module.model.text_encoder.eval()
    fit(tmp_path, module)
    assert all(m.training for m in module.model.modules())
