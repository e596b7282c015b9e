from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, DataError
from clinclip.export import inference
from clinclip.export.model import Model
from clinclip.images import Preprocessing
from clinclip.testing import tiny_manifest, tiny_model
from clinclip.text.tokens import Tokenizer


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.load(tiny_manifest(tmp_path_factory.mktemp("manifest"), studies=30))


@pytest.fixture
def loaded(manifest: Manifest) -> Model:
    tokenizer = Tokenizer.train(manifest.frame["text"].tolist())
    return Model(tiny_model(graphs=False).eval(), tokenizer, Preprocessing(32, 40, max_tokens=64), sha256="00")


def test_images_are_embedded_as_the_model_sees_them_in_the_order_asked_for(manifest: Manifest, loaded: Model) -> None:
    rows = np.flatnonzero((manifest.frame["split"] == "test").to_numpy())
    got = inference.embed_images(loaded, manifest, rows, 4, "cpu", progress=False)
    see = loaded.preprocessing.see
    pixels = np.stack([see(manifest.cache[int(i)]) for i in manifest.split("test")["cache_index"]])[:, None]
    with torch.no_grad():
        want = loaded.towers.encode_image(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)


def test_batch_size_changes_nothing(manifest: Manifest, loaded: Model) -> None:
    rows = np.arange(11)
    one = inference.embed_images(loaded, manifest, rows, 1, "cpu", progress=False)
    many = inference.embed_images(loaded, manifest, rows, 5, "cpu", progress=False)
    np.testing.assert_allclose(one, many, atol=1e-5)
    reverse = inference.embed_images(loaded, manifest, rows[::-1], 4, "cpu", progress=False)
    np.testing.assert_allclose(one, reverse[::-1], atol=1e-5)


def test_equal_tokens_give_equal_bits(loaded: Model) -> None:
    texts = ["Small left pleural effusion.", "no edema", "Mild pulmonary edema. " * 30, "small LEFT pleural  effusion."]
    texts += ["Mild pulmonary edema. " * 31, texts[0]]  # differ beyond the truncation
    got = inference.embed_texts(loaded, texts, batch_size=2, device="cpu", progress=False)
    np.testing.assert_array_equal(got[0], got[3])
    np.testing.assert_array_equal(got[0], got[5])
    np.testing.assert_array_equal(got[2], got[4])
    assert np.abs(got[0] - got[1]).max() > 1e-3
    alone = np.concatenate([inference.embed_texts(loaded, [t], device="cpu", progress=False) for t in texts])
    np.testing.assert_allclose(got, alone, atol=1e-5)


def test_features_before_the_projection(loaded: Model) -> None:
    got = inference.embed_texts(loaded, ["edema"], device="cpu", progress=False, features=True)
    assert got.shape == (1, loaded.towers.text_encoder.width)


def test_interrupted_run_goes_on(
    manifest: Manifest, loaded: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "PART", 8)
    rows = np.arange(30)
    want = inference.embed_images(loaded, manifest, rows, 4, "cpu", progress=False)
    encode, calls = loaded.towers.encode_image, []

    def counted(image: torch.Tensor, stop: int) -> torch.Tensor:
        calls.append(len(image))
        if len(calls) == stop:
            raise KeyboardInterrupt
        return encode(image)

    monkeypatch.setattr(loaded.towers, "encode_image", lambda image: counted(image, 6))
    with pytest.raises(KeyboardInterrupt):
        inference.embed_images(loaded, manifest, rows, 4, "cpu", progress=False, work=tmp_path)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == 2  # of 8 images each; the third was under way
    parts[0].write_bytes(b"cut off")
    calls.clear()
    monkeypatch.setattr(loaded.towers, "encode_image", lambda image: counted(image, -1))
    got = inference.embed_images(loaded, manifest, rows, 4, "cpu", progress=False, work=tmp_path)
    np.testing.assert_array_equal(got, want)
    assert sum(calls) == 30 - 8  # the damaged part again, the good one not


def test_parts_of_another_model_are_not_used(manifest: Manifest, loaded: Model, tmp_path: Path) -> None:
    from dataclasses import replace

    rows = np.arange(5)
    first = inference.embed_images(loaded, manifest, rows, 4, "cpu", progress=False, work=tmp_path)
    other = replace(loaded, towers=tiny_model(graphs=False, seed=1).eval(), sha256="01")
    second = inference.embed_images(other, manifest, rows, 4, "cpu", progress=False, work=tmp_path)
    assert np.abs(first - second).max() > 1e-3
    texts = inference.embed_texts(loaded, ["edema"], 4, "cpu", progress=False, work=tmp_path)
    assert np.abs(texts - inference.embed_texts(other, ["edema"], 4, "cpu", progress=False, work=tmp_path)).max() > 1e-3


def test_faults_are_named(manifest: Manifest, loaded: Model) -> None:
    with pytest.raises(DataError, match="no text"):
        inference.embed_texts(loaded, [], device="cpu")
    with pytest.raises(DataError, match="no image"):
        inference.embed_images(loaded, manifest, np.zeros(0, dtype=np.int64), device="cpu")
    with pytest.raises(ConfigError, match="--device nonsense"):
        inference.pick_device("nonsense")
