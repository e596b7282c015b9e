"""``clinclip align build``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinclip.__main__ import main
from clinclip.findings import LabelState
from clinclip.text import label_report
from tests.commands.manifests import write_manifest


def build(tmp_path: Path, *options: str) -> tuple[int, Path]:
    out = tmp_path / "bench" / "align.json"
    manifest = tmp_path / "manifest"
    if not manifest.exists():
        write_manifest(manifest)
    return main(["align", "build", "--manifest", str(manifest), "--out", str(out), "--quiet", *options]), out


def test_the_file_has_the_published_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = build(tmp_path)
    assert code == 0
    content = json.loads(out.read_text())
    assert list(content) == ["toy"]
    assert sorted(content["toy"]) == ["image0pa", "image2pa", "image3pa"]
    for entry in content["toy"].values():
        assert {"chosen", "report", "negation", "omitted", "location"} <= entry.keys()
        assert label_report(entry["report"])[entry["chosen"]] is LabelState.PRESENT
        assert label_report(entry["negation"])[entry["chosen"]] is LabelState.ABSENT
        assert label_report(entry["omitted"])[entry["chosen"]] is LabelState.NOT_MENTIONED
        assert "unchanged" not in entry["report"]
        assert entry["template"].startswith("eval/")
    printed = capsys.readouterr().out
    assert "3 items from 8 images" in printed
    assert "lateral image 4" in printed
    assert "normal study 1" in printed
    assert "effusion." not in printed  # no report text
    summary = json.loads(out.with_suffix(".summary.json").read_text())
    assert summary["items"] == 3
    assert summary["dropped"] == {"lateral image": 4, "normal study": 1}


def test_it_is_repeatable_and_the_seed_matters(tmp_path: Path) -> None:
    first = build(tmp_path)[1].read_bytes()
    assert build(tmp_path)[1].read_bytes() == first
    others = {build(tmp_path, "--seed", str(seed))[1].read_bytes() for seed in range(1, 6)}
    assert len(others - {first}) >= 1


def test_lateral_images_and_a_limit(tmp_path: Path) -> None:
    content = json.loads(build(tmp_path, "--lateral")[1].read_text())
    assert len(content["toy"]) == 6
    content = json.loads(build(tmp_path, "--max", "2")[1].read_text())
    assert len(content["toy"]) == 2


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(tmp_path, "--split", "train")[0] == 1
    assert "split 'train' is empty" in capsys.readouterr().err
    assert build(tmp_path, "--max", "0")[0] == 1
    normal = tmp_path / "normal"
    write_manifest(normal, texts=["The lungs are clear."])
    assert main(["align", "build", "--manifest", str(normal), "--out", str(tmp_path / "x.json"), "--quiet"]) == 1
    assert "normal study 1" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
    assert main(["align", "build", "--manifest", str(tmp_path / "none"), "--out", "x", "--quiet"]) == 1
    assert "not a prepared manifest" in capsys.readouterr().err
