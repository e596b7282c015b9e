"""Loading a trained model: the same numbers, offline, and never any code from the file."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clinclip.data.spec import DataSpec, Provenance
from clinclip.errors import CheckpointError, OutputError
from clinclip.export.checkpoint import RECORD, load, save_model, training_record
from clinclip.export.model import Model
from clinclip.files import sha256_file
from clinclip.images import Preprocessing
from clinclip.models import DualEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch, tiny_model
from clinclip.text.tokens import Tokenizer

TOKENIZER = Tokenizer.train(["No pneumothorax. Small effusion."] * 3)


PREPROCESSING = Preprocessing(32, 40, "crop", "voi", "published", "strict", "centre", 48)


def facts() -> DataSpec:
    seen = Provenance(("abc",), ("toy",), np.array([5, -7], dtype=np.int64))
    return DataSpec(TOKENIZER, PREPROCESSING, provenance=seen)


def checkpoint(path: Path, model: DualEncoder | None = None, **changes: Any) -> Path:
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
    loaded = load(path)
    batch = random_batch(size=4)
    ours, theirs = loaded.towers(batch), model(batch)
    for name in ("image", "text", "graph", "twins", "logit_scale", "logit_bias"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert not loaded.towers.training
    assert not any(p.requires_grad for p in loaded.towers.parameters())
    assert loaded.tokenizer.hash == TOKENIZER.hash
    assert loaded.preprocessing == PREPROCESSING
    assert loaded.sha256 == sha256_file(path)
    assert loaded.provenance["patients"].tolist() == [5, -7]
    assert loaded.provenance["datasets"] == ["toy"]


@pytest.mark.parametrize("patients", [False, True])
def test_a_folder_holds_the_same_model_without_pickle(tmp_path, patients) -> None:
    loaded = load(checkpoint(tmp_path / "a.ckpt"))
    folder = save_model(loaded, tmp_path / "export", with_patients=patients)
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors", "tokenizer.json"]
    again = load(folder)
    batch = random_batch(size=3)
    assert torch.equal(again.towers(batch).image, loaded.towers(batch).image)
    assert torch.equal(again.towers(batch).text, loaded.towers(batch).text)
    assert again.tokenizer.hash == loaded.tokenizer.hash
    assert again.preprocessing == PREPROCESSING
    assert {**again.provenance, "patients": None} == {**loaded.provenance, "patients": None}
    # hashed ids of a public data set can be searched: they leave only when asked for
    assert (again.provenance["patients"] is not None) is patients
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
        load(path)
    assert not target.exists()


def test_class_paths_in_a_file_are_ignored(tmp_path) -> None:
    hostile = {"_class_path": "os.system", "_instantiator": "os.system", "model": {"class_path": "subprocess.Popen"}}
    path = checkpoint(tmp_path / "a.ckpt", hyper_parameters=hostile)
    assert isinstance(load(path).towers, DualEncoder)


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
        load(path)


def test_own_towers_come_from_the_caller_and_never_from_the_file(tmp_path) -> None:
    class MyTower(ImageEncoder):
        pass

    def build() -> DualEncoder:
        return DualEncoder(MyTower("test_vit", image_size=32), TextEncoder(), embed_dim=8)

    trained, batch = build().eval(), random_batch(size=3)
    path = checkpoint(tmp_path / "a.ckpt", trained)
    with pytest.raises(CheckpointError, match=r"a\.ckpt cannot be built.*MyTower.*model=\.\.\..*--model-factory"):
        load(path)
    for given in (build(), build):
        assert torch.equal(load(path, "cpu", given).towers(batch).image, trained(batch).image)
    folder = save_model(load(path, "cpu", build), tmp_path / "export")
    assert torch.equal(load(folder, "cpu", build).towers(batch).image, trained(batch).image)
    with pytest.raises(CheckpointError, match="do not fit the model that was given"):
        load(path, "cpu", tiny_model())
    with pytest.raises(CheckpointError, match="is a Linear; it must be a clinclip"):
        load(path, "cpu", lambda: torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    # a file that says its own architecture needs no help, also when it is compared with one that does
    plain = checkpoint(tmp_path / "plain.ckpt")
    assert load(plain, "cpu", build).towers.embed_dim == 16


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (b"", "empty"),
        (bytes(128) + b"DICM" + bytes(60), "a DICOM image"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "a JPEG image"),
        (b"trainer: {}", "a text file"),
        ((2).to_bytes(8, "little") + b"{}", "safetensors"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, seems) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.ckpt is no checkpoint of clinclip fit: it seems to be .*{seems}"):
        load(path)


@pytest.mark.parametrize(
    ("file", "seems"),
    [
        ("header.json", "a manifest of clinclip prepare"),
        ("open_clip_config.json", "an open_clip model"),
        ("config.json", "a Hugging Face model"),
        ("checkpoints/best.ckpt", r"give one of them: checkpoints/best\.ckpt"),
    ],
)
def test_what_is_no_exported_folder_is_named(tmp_path, file, seems) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("{}")
    with pytest.raises(CheckpointError, match=f"no folder written by clinclip's export; it .*{seems}"):
        load(tmp_path)


def test_a_weight_file_of_another_program_is_named(tmp_path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="a checkpoint or weight file of another program"):
        load(tmp_path / "a.ckpt")


def test_a_damaged_preprocessing_is_named(tmp_path) -> None:
    record = training_record(tiny_model(), facts())
    record["preprocessing"]["fit"] = "squeeze"
    with pytest.raises(CheckpointError, match=r"fit is 'squeeze'; allowed: pad, crop, stretch"):
        load(checkpoint(tmp_path / "a.ckpt", tiny_model(), **{RECORD: record}))


def test_a_run_without_data_module_says_what_is_missing(tmp_path) -> None:
    model = tiny_model()
    path = checkpoint(tmp_path / "a.ckpt", model, **{RECORD: training_record(model, DataSpec())})
    with pytest.raises(CheckpointError, match="tokenizer and preprocessing"):
        load(path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_folders_are_named(tmp_path, name) -> None:
    folder = save_model(load(checkpoint(tmp_path / "a.ckpt")), tmp_path / "export")
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(CheckpointError):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load(folder)


def test_weights_with_false_offsets_are_refused(tmp_path) -> None:
    folder = save_model(load(checkpoint(tmp_path / "a.ckpt")), tmp_path / "export")
    data = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = next(k for k in header if k != "__metadata__")
    header[name]["data_offsets"] = [0, 1 << 40]
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_an_interrupted_export_leaves_no_half_folder(tmp_path, monkeypatch) -> None:
    loaded = load(checkpoint(tmp_path / "a.ckpt"))

    class Unserializable:
        hash = ""

        def to_json(self) -> str:
            raise KeyboardInterrupt

    broken = Model(**{**vars(replace(loaded)), "tokenizer": Unserializable()})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        save_model(broken, tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []
    before = {p.name: p.read_bytes() for p in save_model(loaded, tmp_path / "export").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        save_model(broken, tmp_path / "export")
    assert {p.name: p.read_bytes() for p in (tmp_path / "export").iterdir()} == before


def test_an_export_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/config\.json"):
        save_model(load(checkpoint(tmp_path / "a.ckpt")), tmp_path / "file")
    (tmp_path / "export" / "model.safetensors").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"^cannot write \S*model\.safetensors: Is a directory$"):
        save_model(load(checkpoint(tmp_path / "a.ckpt")), tmp_path / "export")
    assert os.listdir(tmp_path / "export") == ["model.safetensors"]
