from __future__ import annotations

import cv2
import numpy as np
import pytest

from clinclip.__main__ import main
from clinclip.errors import ConfigError, DataError
from clinclip.phantom.contact_sheet import contact_sheet


def test_mimic_then_sheet(tmp_path, capsys):
    out = tmp_path / "m"
    arguments = ["phantom", "mimic-cxr", "--out", str(out), "--studies", "9", "--seed", "1", "--workers", "1",
                 "--image-size", "64", "--knob", "markers=0", "--knob", "prevalence.nodule=0.5"]  # fmt: skip
    assert main(arguments) == 0
    assert "9 studies of" in capsys.readouterr().out
    png = tmp_path / "sheet.png"
    assert main(["phantom", "sheet", "--root", str(out), "--out", str(png), "--rows", "1", "--columns", "3"]) == 0
    sheet = cv2.imread(str(png))
    assert sheet is not None
    assert sheet.shape[1] == 660 and np.ptp(sheet) > 200
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*.jpg")}
    assert len(before) >= 9
    assert main(arguments) == 0  # once more: what is there is kept as it is
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*.jpg")} == before


def test_readme_sheet_is_small(mimic, tmp_path):
    path = contact_sheet(mimic[0], tmp_path / "s.png")
    assert path.stat().st_size < 300 * 1024


def test_chexpert(tmp_path, capsys):
    out = str(tmp_path / "c")
    assert main(["phantom", "chexpert", "--out", out, "--studies", "4", "--image-size", "64", "--workers", "1"]) == 0
    assert "4 studies of" in capsys.readouterr().out


def test_knobs_are_listed(capsys):
    assert main(["phantom", "knobs"]) == 0
    assert "list_negation=0.8:" in capsys.readouterr().out


def test_named_errors_end_with_status_one(tmp_path, capsys):
    out = str(tmp_path / "e")
    assert main(["phantom", "mimic-cxr", "--out", out, "--studies", "0"]) == 1
    assert main(["phantom", "mimic-cxr", "--out", out, "--studies", "3", "--knob", "loudness=1"]) == 1
    error = capsys.readouterr().err
    assert "at least 1 study" in error and "loudness" in error and "visibility" in error


def test_sheet_refuses_what_is_no_phantom(tmp_path):
    with pytest.raises(DataError, match="clinclip phantom"):
        contact_sheet(tmp_path, tmp_path / "s.png")


def test_sheet_refuses_an_empty_grid(mimic, tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        contact_sheet(mimic[0], tmp_path / "s.png", rows=0)
