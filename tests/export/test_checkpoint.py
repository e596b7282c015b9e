"""Loading a trained model: the same numbers, offline, and never any code from the file."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clinclip.data.spec import DataSpec, Provenance
from clinclip.errors import CheckpointError
from clinclip.export.checkpoint import RECORD, LoadedModel, load_model, save_model, sha256_of, training_record
from clinclip.images import Preprocessing
from clinclip.models import DualEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch, tiny_model
from clinclip.text.tokens import Tokenizer

TOKENIZER = Tokenizer.train(["No pneumothorax. Small effusion."] * 3)


PREPROCESSING = Preprocessing(32, 40, "crop", "voi", "published", "strict", "centre", 48)


def facts() -> DataSpec:
    seen = Provenance(("abc",), ("toy",), np.array([5, -7], dtype=np.int64))
    return DataSpec(TOKENIZER, PREPROCESSING, provenance=seen)


def checkpoint(path: Path, model: DualEncoder | None = None, **changes) -> Path:
    model = model or tiny_model(bias=-10.0)
    content = {
        "state_dict": {f"model.{k}": v for k, v in model.state_dict().items()},
        RECORD: training_record(model, facts()),
    }
    torch.save({**content, **changes}, path)
    return path


def test_a_loaded_model_computes_the_same(tmp_path) -> None:
    model = tiny_model(bias=-10.0).eval()
    path = checkpoint(tmp_path / "a.ckpt", model)
    loaded = load_model(path)
    batch = random_batch(size=4)
    ours, theirs = loaded.model(batch), model(batch)
    for name in ("image", "text", "graph", "twins", "logit_scale", "logit_bias"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.tokenizer.hash == TOKENIZER.hash
    assert loaded.preprocessing == PREPROCESSING
    assert loaded.sha256 == sha256_of(path)
    assert loaded.train["patients"].tolist() == [5, -7]
    assert loaded.train["datasets"] == ["toy"]


@pytest.mark.parametrize("patients", [False, True])
def test_a_folder_holds_the_same_model_without_pickle(tmp_path, patients) -> None:
    loaded = load_model(checkpoint(tmp_path / "a.ckpt"))
    folder = save_model(loaded, tmp_path / "export", with_patients=patients)
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors", "tokenizer.json"]
    again = load_model(folder)
    batch = random_batch(size=3)
    assert torch.equal(again.model(batch).image, loaded.model(batch).image)
    assert torch.equal(again.model(batch).text, loaded.model(batch).text)
    assert again.tokenizer.hash == loaded.tokenizer.hash
    assert again.preprocessing == PREPROCESSING
    assert {**again.train, "patients": None} == {**loaded.train, "patients": None}
    # hashed ids of a public data set can be searched: they leave only when asked for
    assert (again.train["patients"] is not None) is patients
    assert ("-7" in (folder / "config.json").read_text()) is patients


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOMB"],))


@pytest.mark.parametrize("place", ["top", "record", "weights", "hyper_parameters"])
def test_code_in_a_file_is_never_run(tmp_path, monkeypatch, place) -> None:
    target = tmp_path / "boom"
    monkeypatch.setenv("BOMB", str(target))
    path = tmp_path / "evil.ckpt"
    if place == "top":
        path.write_bytes(pickle.dumps(Bomb()))
    elif place == "record":
        checkpoint(path, **{RECORD: Bomb()})
    elif place == "weights":
        checkpoint(path, state_dict={"model.x": Bomb()})
    else:
        checkpoint(path, hyper_parameters=Bomb())
    with pytest.raises(CheckpointError, match=r"refused|damaged"):
        load_model(path)
    assert not target.exists()


def test_class_paths_in_a_file_are_ignored(tmp_path) -> None:
    hostile = {"_class_path": "os.system", "_instantiator": "os.system", "model": {"class_path": "subprocess.Popen"}}
    path = checkpoint(tmp_path / "a.ckpt", hyper_parameters=hostile)
    assert isinstance(load_model(path).model, DualEncoder)


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "text", "other", "record", "format", "weights", "shapes"])
def test_damage_is_named(tmp_path, kind) -> None:
    path = tmp_path / "a.ckpt"
    model = tiny_model()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "other":
        torch.save({"state_dict": model.state_dict()}, path)
    elif kind == "record":
        checkpoint(path, **{RECORD: {"format": 2, "model": {"embed_dim": 3}}})
    elif kind == "format":
        checkpoint(path, **{RECORD: {**training_record(model, facts()), "format": 99}})
    elif kind == "weights":
        checkpoint(path, state_dict={})
    elif kind == "shapes":
        checkpoint(path, state_dict={f"model.{k}": v.flatten() for k, v in model.state_dict().items()})
    elif kind == "cut":
        data = checkpoint(path).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"a\.ckpt"):
        load_model(path)


def test_own_towers_cannot_be_loaded_from_a_file(tmp_path) -> None:
    class MyTower(ImageEncoder):
        pass

    model = DualEncoder(MyTower("test_vit", image_size=32), TextEncoder(), embed_dim=8)
    with pytest.raises(CheckpointError, match=r"of the user's own.*load_state_dict"):
        load_model(checkpoint(tmp_path / "a.ckpt", model))


def test_a_run_without_data_module_says_what_is_missing(tmp_path) -> None:
    model = tiny_model()
    path = checkpoint(tmp_path / "a.ckpt", model, **{RECORD: training_record(model, DataSpec())})
    with pytest.raises(CheckpointError, match="tokenizer and preprocessing"):
        load_model(path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_folders_are_named(tmp_path, name) -> None:
    folder = save_model(load_model(checkpoint(tmp_path / "a.ckpt")), tmp_path / "export")
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(CheckpointError):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_model(folder)


def test_weights_with_false_offsets_are_refused(tmp_path) -> None:
    folder = save_model(load_model(checkpoint(tmp_path / "a.ckpt")), tmp_path / "export")
    data = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = next(k for k in header if k != "__metadata__")
    header[name]["data_offsets"] = [0, 1 << 40]
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(folder)


def test_an_interrupted_export_leaves_no_half_folder(tmp_path, monkeypatch) -> None:
    loaded = load_model(checkpoint(tmp_path / "a.ckpt"))

    class Unserializable:
        hash = ""

        def to_json(self) -> str:
            raise KeyboardInterrupt

    broken = LoadedModel(**{**vars(replace(loaded)), "tokenizer": Unserializable()})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        save_model(broken, tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []
