"""Using a model: files, arrays and manifests in, embeddings and probabilities out; mistakes are explained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import clinclip
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, DataError, ImageError
from clinclip.export.model import Model
from clinclip.images import Preprocessing
from clinclip.metrics.zero_shot import zero_shot_scores
from clinclip.testing import tiny_manifest, tiny_model
from clinclip.text.prompts import load_prompts, prompts_of, template
from clinclip.text.tokens import Tokenizer


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return Manifest.load(tiny_manifest(tmp_path_factory.mktemp("m"), studies=18))


@pytest.fixture(scope="module")
def model(manifest) -> Model:
    tokenizer = Tokenizer.train(manifest.frame["text"].tolist())
    seen = replace(Preprocessing.of(manifest.cache.options), image_size=32, max_tokens=64)
    provenance = {"datasets": ["toy"], "manifests": [manifest.hash], "patients": None, "version": "0"}
    return Model(tiny_model(graphs=False).eval(), tokenizer, seen, "ab" * 32, provenance, "runs/best.ckpt")


def sources(manifest: Manifest, split: str = "test") -> list[Path]:
    return [manifest.path / "source" / name for name in manifest.split(split)["image_path"]]


@pytest.mark.parametrize("view", ["whole", "centre"])
def test_files_arrays_and_the_manifest_give_the_same_bits(model, manifest, view) -> None:
    seen = replace(model, preprocessing=replace(model.preprocessing, view=view))
    files = sources(manifest)
    stored = seen.encode_image(manifest, split="test")
    assert stored.shape == (len(files), 16)
    assert stored.dtype == torch.float32
    assert stored.device.type == "cpu"
    assert torch.equal(seen.encode_image(files), stored)
    assert torch.equal(seen.encode_image([str(file) for file in files]), stored)
    assert torch.equal(seen.encode_image(cv2.imread(str(file), 0) for file in files), stored)
    torch.testing.assert_close(stored.norm(dim=1), torch.ones(len(files)))
    with torch.no_grad():
        pixels = np.stack(
            [seen.preprocessing.see(manifest.cache[int(i)]) for i in manifest.split("test")["cache_index"]]
        )
        assert torch.equal(seen.towers.encode_image(torch.from_numpy(pixels)[:, None]), stored)


def test_texts(model) -> None:
    texts = ["Small left pleural effusion.", "No edema.", "Small left pleural effusion."]
    got = model.encode_text(texts)
    assert torch.equal(got[0], got[2])
    assert float((got[0] - got[1]).abs().max()) > 1e-3
    torch.testing.assert_close(got.norm(dim=1), torch.ones(3))


def test_zero_shot_by_hand(model, manifest) -> None:
    files = sources(manifest)
    table = model.zero_shot(files, ["edema", "Tuberculosis"])
    assert list(table.columns) == ["edema", "Tuberculosis"]
    assert list(table.index) == [str(file) for file in files]
    image = model.encode_image(files)
    known = load_prompts("report-v1")
    for name, sides in {
        "edema": (known.positive["Edema"], known.negative["Edema"]),
        "Tuberculosis": (["tuberculosis"], ["no tuberculosis"]),
    }.items():
        vectors = [torch.nn.functional.normalize(model.encode_text(side).double().mean(0), dim=0) for side in sides]
        want = torch.sigmoid(model.logit_scale * (image.double() @ (vectors[0] - vectors[1])))
        np.testing.assert_allclose(table[name], want, atol=1e-6)
    own = model.zero_shot(manifest, ["Tuberculosis"], {"Tuberculosis": ("TB", ["no TB", "clear"])}, split="test")
    assert list(own.index) == manifest.split("test")["image_id"].tolist()
    positive, negative = model.encode_text(["TB"]), model.encode_text(["no TB", "clear"]).double().mean(0, keepdim=True)
    negative = torch.nn.functional.normalize(negative, dim=1)
    want = zero_shot_scores(image, positive, negative, model.logit_scale)
    np.testing.assert_allclose(own, want, atol=1e-6)
    assert list(model.zero_shot([np.zeros((9, 9), np.uint8), files[0]], ["Edema"]).index) == [0, str(files[0])]


def test_templates_keep_words_in_capitals() -> None:
    assert template("COPD") == (("COPD",), ("no COPD",))
    assert template("Hiatal Hernia") == (("hiatal hernia",), ("no hiatal hernia",))
    assert prompts_of(["pneumothorax"], load_prompts("plain-v1")) == {
        "pneumothorax": (("pneumothorax",), ("no pneumothorax",))
    }


def test_mistakes_are_explained(model, manifest, tmp_path) -> None:
    with pytest.raises(DataError, match=r"images is one str; give a list, as in encode_image\(\['a\.dcm'\]\)"):
        model.encode_image("a.dcm")
    with pytest.raises(DataError, match="images is one ndarray"):
        model.encode_image(np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match="list of images is empty"):
        model.encode_image([])
    with pytest.raises(ImageError, match=r"missing\.dcm: there is no such file"):
        model.encode_image([*sources(manifest), tmp_path / "missing.dcm"])
    with pytest.raises(ConfigError, match="say which split"):
        model.encode_image(manifest)
    with pytest.raises(DataError, match=r"no image in split 'tset'; there are: train"):
        model.encode_image(manifest, split="tset")
    with pytest.raises(DataError, match=r"texts is one str; give a list"):
        model.encode_text("No edema.")
    with pytest.raises(DataError, match="list of texts is empty"):
        model.encode_text([])
    with pytest.raises(DataError, match="int is no text"):
        model.encode_text(["a", 3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="names='Edema'"):
        model.zero_shot(sources(manifest), "Edema")
    with pytest.raises(ConfigError, match="prompts of 'B' are None"):
        model.zero_shot(sources(manifest), ["B"], {"A": ("a", "no a")})
    with pytest.raises(ConfigError, match="every side needs at least one text"):
        model.zero_shot(sources(manifest), ["A"], {"A": ("a", [])})


def test_a_manifest_that_was_prepared_otherwise_is_refused(model, manifest) -> None:
    other = replace(model, preprocessing=replace(model.preprocessing, fit="crop", window="voi"))
    with pytest.raises(ConfigError, match=r"runs/best\.ckpt: fit 'crop' in training, 'pad' here .*window.*--allow-pre"):
        other.encode_image(manifest, split="test")
    assert len(other.encode_image(manifest, split="test", allow_preprocessing_difference=True))
    assert len(other.check_preprocessing(manifest, allow=True)) == 2
    assert model.check_preprocessing(manifest) == ()


def test_a_saved_folder_is_the_same_model(model, manifest, tmp_path) -> None:
    again = clinclip.load(model.save(tmp_path / "export"), device="cpu")
    assert (again.preprocessing, again.provenance) == (model.preprocessing, model.provenance)
    assert again.logit_scale == model.logit_scale
    files = sources(manifest)
    assert torch.equal(again.encode_image(files), model.encode_image(files))
    assert torch.equal(again.encode_text(["No edema."]), model.encode_text(["No edema."]))


def test_it_says_what_it_is(model, manifest) -> None:
    said = repr(model)
    for part in ("runs/best.ckpt", "test_vit, 32 x 32 pixels, whole picture, fit pad", "64 at most a text", "16 dim"):
        assert part in said
    assert f"on toy (manifest {manifest.hash[:12]})" in said
    assert {"load", "Model", "Manifest", "TargetSource", "DualEncoder"} <= set(dir(clinclip))
