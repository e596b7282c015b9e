"""`clinclip prepare openi`: sections by label, one patient a report, seeded split."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from clinclip.errors import DataError, ImageError, LayoutError
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.openi import OpeniOptions, read
from tests.prepare.trees import write_openi

SMALL = BuildOptions(image_size=32, workers=1)


def found(images: Path, **options: object):
    return read(OpeniOptions(images=images, **options), progress=False)  # type: ignore[arg-type]


def test_whole_way(tmp_path: Path) -> None:
    base = write_openi(tmp_path / "openi")
    source = read(OpeniOptions(images=base, split="0.5,0.25,0.25"), progress=False)
    assert len(source.frame) == 8
    row = source.frame.iloc[0]
    # by label: the order of the sections does not matter, and nothing is chosen by comparing strings
    assert row["findings"] == "Heart size is normal. No pneumothorax. Small left effusion."
    assert row["impression"] == "Small left pleural effusion in patient number 1."
    assert row["text"] == f"{row['findings']}\n{row['impression']}"
    assert any("the collection has 3,955" in note for note in source.notes)
    manifest = build(source, tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    assert manifest.frame.groupby("patient_id")["split"].nunique().max() == 1
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 4, "validate": 2, "test": 2}
    assert not manifest.header["labels"]["table"]


def test_policies_and_layouts(tmp_path: Path) -> None:
    base = write_openi(tmp_path / "openi")
    only = found(base / "NLMCXR_png", reports=base / "ecgen-radiology", text="impression")
    assert only.frame["text"].str.startswith("Small left").all()
    # images given, reports beside them
    assert len(found(base / "NLMCXR_png").frame) == 8
    (base / "ecgen-radiology" / "1.xml").write_text("<eCitation><uId id='CXR1'/></eCitation>")
    assert any("1 reports name no image" in note for note in found(base).notes)


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="NLMCXR_png"):
        found(tmp_path)
    base = write_openi(tmp_path / "openi")
    (base / "NLMCXR_png" / "CXR2_1_IM-0001-3001.png").unlink()
    source = found(base)
    assert any("1 images that the reports name are not there" in note for note in source.notes)
    with pytest.raises(ImageError, match="CXR2_1_IM-0001-3001"):
        build(source, tmp_path / "m", SMALL, progress=False)
    (base / "ecgen-radiology" / "3.xml").write_text("<eCitation><uId")
    with pytest.raises(DataError, match=r"3\.xml: not an Open-i report .*--policy skip"):
        build(found(base), tmp_path / "m", SMALL, progress=False)
    (base / "NLMCXR_png" / "CXR2_1_IM-0001-3001.png").write_bytes(
        (base / "NLMCXR_png" / "CXR1_1_IM-0001-3001.png").read_bytes()
    )
    skipped = build(
        found(base, allow_shared_images=True), tmp_path / "m", replace(SMALL, policy="skip"), progress=False
    )
    assert skipped is not None
    assert skipped.header["drops"]["dropped"]["report unreadable"] == 1
    assert "CXR3" not in set(skipped.frame["study_id"])
    for path in (base / "ecgen-radiology").glob("[0-9]*.xml"):
        path.write_text("<html>")
    with pytest.raises(DataError, match="none of 4 reports can be read; the first: "):
        found(base)


def test_impressions_of_marks_are_no_text_and_files_of_macos_no_reports(tmp_path: Path) -> None:
    base = write_openi(tmp_path / "openi")
    (base / "ecgen-radiology" / "._1.xml").write_bytes(b"\0\5\26\7")
    (base / "NLMCXR_png" / "._CXR1_1_IM-0001-3001.png").write_bytes(b"\0\5\26\7")
    text = (base / "ecgen-radiology" / "1.xml").read_text()
    text = re.sub(r'(<AbstractText Label="(?:FINDINGS|IMPRESSION)">)[^<]*', r"\1XXXX. XXXX", text)
    (base / "ecgen-radiology" / "1.xml").write_text(text)
    source = found(base)
    assert not source.faults
    assert len(source.frame) == 6
    assert source.drops.counts("dropped") == {"no text": 2}
