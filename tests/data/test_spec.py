"""What a data module says of itself, and how it looks at pictures when nothing is trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
from torch.utils.data import DataLoader

from clinclip.data.datamodule import CXRDataModule
from clinclip.data.manifest import Manifest
from clinclip.data.spec import OPTIONAL_FIELDS, DataSpec, spec_of
from clinclip.draws import stable_hashes
from clinclip.errors import ConfigError
from clinclip.testing import random_batch, tiny_manifest, tiny_model
from clinclip.text.tokens import Tokenizer
from clinclip.training.module import ClinClipModule


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("small"), studies=12, image_size=40)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("large"), studies=12, image_size=80)


def module(*manifests: Path, **options: Any) -> CXRDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "image_size": 32, "max_tokens": 48, "cache_tokens": False}
    return CXRDataModule([str(m) for m in manifests], **{**defaults, **options})


def test_it_says_what_training_is_made_of(small) -> None:
    data, manifest = module(small, twins=1, augment="crop"), Manifest.load(small)
    data.setup("fit")
    spec = data.spec
    assert spec.tokenizer is data.tokenizer_
    assert spec.absent == OPTIONAL_FIELDS - {"twins"}
    assert spec.batch_size == 4
    assert spec.provenance.manifests == (manifest.hash,)
    assert spec.provenance.datasets == ("toy",)
    train = manifest.split("train")
    assert spec.provenance.patients is not None
    want = np.unique(stable_hashes(train["dataset"], train["patient_id"]))
    np.testing.assert_array_equal(spec.provenance.patients, want)
    seen = spec.preprocessing
    assert seen is not None
    assert (seen.image_size, seen.stored_size, seen.view, seen.fit, seen.max_tokens) == (32, 40, "centre", "pad", 48)
    data = module(small)
    data.setup("test")
    assert data.spec.provenance.patients is None
    assert data.spec.preprocessing is not None
    assert data.spec.preprocessing.view == "whole"


def test_validation_looks_as_the_preprocessing_says(small) -> None:
    manifest = Manifest.load(small)
    entries = manifest.split("validate")["cache_index"].to_numpy()
    for augment in ("full", "crop", "none"):
        data = module(small, augment=augment)
        data.setup("fit")
        batch = next(iter(data.val_dataloader()))
        assert data.preprocessing is not None
        np.testing.assert_array_equal(
            batch.image[:, 0].numpy(), data.preprocessing.from_cache(manifest.cache, entries)[:4]
        )


def test_a_checkpoint_is_validated_on_other_manifests_as_it_was_trained(small, large, caplog) -> None:
    trained, other = module(small, augment="crop"), module(large, augment="crop")
    trained.setup("fit")
    assert trained.preprocessing is not None
    other.setup("validate")
    assert other.preprocessing is not None
    assert other.preprocessing.stored_size == 80
    other.load_state_dict(trained.state_dict())
    assert other.preprocessing == trained.preprocessing
    cache = Manifest.load(large).cache
    entry = int(other.dataset("validate").records.cache_index[0])
    np.testing.assert_array_equal(
        other.dataset("validate")[0].image[0, 0].numpy(), trained.preprocessing.see(cache[entry])
    )
    # a training that goes on has manifests of its own
    resumed = module(large, augment="crop")
    resumed.setup("fit")
    state = {**trained.state_dict(), "tokenizer": None}
    resumed.load_state_dict(state)
    assert resumed.preprocessing is not None
    assert resumed.preprocessing.stored_size == 80
    unlike = {**state, "preprocessing": {**state["preprocessing"], "fit": "crop"}}
    with caplog.at_level(logging.WARNING):
        judged = module(small, augment="crop")
        judged.setup("test")
        judged.load_state_dict(unlike)
    assert "unlike the checkpoint's manifests: fit 'crop' in training, 'pad' here" in caplog.text


class Mine(L.LightningDataModule):
    """A data module of the user's own, without anything that clinclip asks for."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(size=4, seed=i) for i in range(2)], batch_size=None)  # type: ignore[arg-type]

    val_dataloader = train_dataloader


def test_a_data_module_of_ones_own_trains_and_may_say_more(tmp_path) -> None:
    def fit(data: Mine) -> L.Trainer:
        quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        run = L.Trainer(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, enable_checkpointing=False, **quiet)
        run.fit(ClinClipModule(tiny_model()), datamodule=data)
        return run

    assert "val/retrieval/i2t_r1" in fit(Mine()).callback_metrics
    more = Mine()
    more.spec = DataSpec(tokenizer=Tokenizer.train(["No pneumothorax."] * 3))  # type: ignore[attr-defined]
    assert "val/zero_shot/auroc_macro" in fit(more).callback_metrics
    more.spec = {"tokenizer": None}  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"Mine\.spec is dict; it must be a clinclip DataSpec"):
        fit(more)
    assert spec_of(None) == DataSpec()
