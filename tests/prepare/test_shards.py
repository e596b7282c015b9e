"""Cluster array jobs: parts joined equal the whole, and nothing that does not belong together is joined."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from clinclip.__main__ import main
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, ManifestError
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.mimic_cxr import MimicOptions, read
from clinclip.prepare.readers.table import TableOptions
from clinclip.prepare.readers.table import read as read_table
from tests.prepare.trees import picture, studies, write_csv, write_mimic

SMALL = {"image_size": 24, "workers": 1}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """Three parts (``1``, ``2``, ``3``) and the same in one piece (``whole``)."""
    base = tmp_path_factory.mktemp("shards")
    tree = write_mimic(base / "tree", studies(12))
    tree.image(tree.studies[0]).write_bytes(b"")
    for i in (1, 2, 3):
        source = read(MimicOptions(images=tree.jpg), progress=False)
        assert (
            build(
                source,
                base / str(i),
                BuildOptions(**SMALL, policy="skip", shard=f"{i}/3"),
                progress=False,
            )
            is None
        )
    source = read(MimicOptions(images=tree.jpg), progress=False)
    whole = build(source, base / "whole", BuildOptions(**SMALL, policy="skip"), progress=False)
    assert whole is not None
    return base, whole


def test_merged_equals_whole(parts: tuple[Path, Manifest], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, whole = parts
    assert main(["prepare", "merge", *(str(base / i) for i in "312"), "--out", str(tmp_path / "m")]) == 0
    assert "11 images" in capsys.readouterr().out
    merged = Manifest.load(tmp_path / "m")
    assert merged.hash == whole.hash
    pd.testing.assert_frame_equal(merged.frame.drop(columns="cache_index"), whole.frame.drop(columns="cache_index"))
    for i in range(len(whole.frame)):
        a = merged.cache[int(merged.frame["cache_index"][i])]
        assert (a == whole.cache[int(whole.frame["cache_index"][i])]).all()
    assert merged.header["drops"] == whole.header["drops"]
    assert merged.header["reports"]["studies"] == whole.header["reports"]["studies"]
    last = {s["step"]: s["images"] for s in merged.header["counts"]}
    assert last["image readable"] == 11
    assert last["downloaded"] == 12


def test_what_cannot_be_merged(parts: tuple[Path, Manifest], tmp_path: Path) -> None:
    from clinclip.prepare.merge import merge

    base, _ = parts
    with pytest.raises(ManifestError, match=r"missing: \[3\]"):
        merge([base / "1", base / "2"], tmp_path / "m")
    with pytest.raises(ManifestError, match=r"more than once: \[2\]"):
        merge([base / "1", base / "2", base / "2", base / "3"], tmp_path / "m")
    with pytest.raises(ManifestError, match=r"whole is not a finished part"):
        merge([base / "1", base / "whole", base / "3"], tmp_path / "m")
    other = tmp_path / "other"
    shutil.copytree(base / "2", other)
    text = (other / "part.json").read_text()
    (other / "part.json").write_text(text.replace('"views": "frontal"', '"views": "all"'))
    with pytest.raises(ManifestError, match=r"other options than .* \(different: views\)"):
        merge([base / "1", other, base / "3"], tmp_path / "m")
    (other / "part.json").write_text(text[:100])
    with pytest.raises(ManifestError, match="damaged"):
        merge([base / "1", other, base / "3"], tmp_path / "m")
    older = []
    for i in "123":
        shutil.copytree(base / i, tmp_path / "older" / i)
        older.append(tmp_path / "older" / i)
        header = json.loads((older[-1] / "part.json").read_text())
        (older[-1] / "part.json").write_text(json.dumps({**header, "schema_version": 1}))
    with pytest.raises(ManifestError, match=r"part of manifest schema version 1, this clinclip writes 3"):
        merge(older, tmp_path / "m")
    assert not (tmp_path / "m" / "header.json").exists()


def test_drawn_splits_are_drawn_when_the_parts_are_together(tmp_path: Path) -> None:
    """Patients of different parts who share an image end in one split."""
    rows = [[f"{i % 9}.png", f"Note {i}.", f"p{i}"] for i in range(18)]
    for i in range(9):
        picture(tmp_path / f"{i}.png", seed=i)
    csv = write_csv(tmp_path / "t.csv", ["file", "note", "patient"], rows)
    options = TableOptions(csv=csv, image_column="file", text_column="note", patient_column="patient")
    for i in (1, 2):
        build(
            read_table(options),
            tmp_path / str(i),
            BuildOptions(**SMALL, shard=f"{i}/2"),
            progress=False,
        )
    from clinclip.prepare.merge import merge

    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "m")
    whole = build(read_table(options), tmp_path / "w", BuildOptions(**SMALL), progress=False)
    assert whole is not None
    assert merged.hash == whole.hash
    split = dict(zip(merged.frame["patient_id"], merged.frame["split"], strict=True))
    assert all(split[f"p{i}"] == split[f"p{i + 9}"] for i in range(9))
    assert len(set(split.values())) == 3


@pytest.mark.parametrize("option", ["--negations", "--swaps"])
def test_a_negative_number_of_twins(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["prepare", "openi", "--images", str(tmp_path), "--out", str(tmp_path / "m"), option, "-1"]
    assert main(argv) == 1
    assert f"{option} -1: must be 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3", "0/3", "4/3", "a/b", "1/"])
def test_wrong_shards(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["prepare", "openi", "--images", str(tmp_path), "--out", str(tmp_path / "m"), "--shard", text]
    assert main(argv) == 1
    assert "--shard" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--shard"):
        BuildOptions(shard="2/1")
