"""Encoders of a user's own, in one file of theirs: trained by class path, evaluated, exported; no line of clinclip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import clinclip
from clinclip.__main__ import main
from clinclip.errors import CheckpointError, ConfigError
from clinclip.testing import tiny_manifest

MINE = '''
import torch
from torch import nn

import clinclip


class Rows(nn.Module):
    """An image is the mean of each of its rows: a plain module with a width."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.width = width
        self.layer = nn.Linear(32, width)

    def forward(self, image):
        return self.layer(image.float().mean(-1)[:, 0] / 255)


class Words(nn.Module):
    """A text is the mean of its words."""

    width = 10

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(2048, 10)

    def forward(self, text):
        return (self.table(text.token_ids) * text.mask[..., None]).sum(1) / text.mask.sum(1, keepdim=True)


def build():
    return clinclip.DualEncoder(Rows(width=7), Words(), embed_dim=8)
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "my_own_towers.py").write_text(MINE)
    tiny_manifest(folder / "m", studies=24)
    return folder


def test_one_file_trains_and_is_evaluated(place: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.chdir(place)
    towers = ("--model.model.image_encoder=my_own_towers.Rows", "--model.model.image_encoder.width=7")
    options = ("--model.model.text_encoder=my_own_towers.Words", "--model.model.embed_dim=8", "--data.image_size=32")
    trainer = ("--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false")
    data = (f"--data.manifests=[{place / 'm'}]", "--data.batch_size=4", "--data.num_workers=0", "--data.max_tokens=64")
    assert main(["fit", *towers, *options, *trainer, *data, f"--trainer.default_root_dir={place / 'run'}"]) == 0
    (path,) = place.glob("run/**/*.ckpt")

    import my_own_towers  # type: ignore[import-not-found]

    with pytest.raises(CheckpointError, match=r"image_encoder my_own_towers\.Rows, text_encoder my_own_towers\.Words"):
        clinclip.load(path)
    model = clinclip.load(path, "cpu", my_own_towers.build())
    manifest = clinclip.Manifest.load(place / "m")
    with torch.no_grad():
        start = my_own_towers.build()
    image = model.encode_image(manifest, split="test")
    assert image.shape == (8, 8)
    assert not torch.equal(start.image_encoder.layer.weight, model.towers.image_encoder.layer.weight)
    assert "Rows, 32 x 32 pixels" in repr(model)
    again = clinclip.load(model.save(place / "export"), "cpu", my_own_towers.build)
    assert torch.equal(again.encode_image(manifest, split="test"), image)

    common = [
        "--manifest",
        str(place / "m"),
        "--quiet",
        "--device",
        "cpu",
        "--resamples",
        "0",
        "--out",
        str(place / "o"),
    ]
    command = ["evaluate", "retrieval", "--checkpoint", str(path), *common]
    assert main([*command, "--model-factory", "my_own_towers:build"]) == 0
    found = json.loads((place / "o" / "results.json").read_text())
    want = clinclip.evaluate(model, manifest, "retrieval", device="cpu", resamples=0)
    assert found["models"][0]["sha256"] == model.sha256
    assert str(want) in capsys.readouterr().out
    # without the option the command says what is missing
    assert main(command) != 0 or pytest.fail("no factory, yet no error")
    assert "--model-factory my_towers:build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_own_towers", "give MODULE:FUNCTION"),
        ("no_such_module:build", "PYTHONPATH=FOLDER"),
        ("my_own_towers:biuld", "no function 'biuld'"),
    ],
)
def test_wrong_factories_are_explained(place: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    from clinclip.export.factory import find_factory

    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(ConfigError, match=message):
        find_factory(name)
