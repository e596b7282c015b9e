from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from clinclip.errors import ConfigError, DataError
from clinclip.findings import FINDINGS
from clinclip.phantom import PhantomKnobs, generate_mimic_cxr, read_truth

LABELS = sorted(FINDINGS)
REPORTS_ROOT = "physionet.org/files/mimic-cxr/2.1.0"
JPG_ROOT = "physionet.org/files/mimic-cxr-jpg/2.1.0"


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_both_trees_have_the_official_layout(mimic):
    out, summary = mimic
    truths = list(read_truth(out))
    assert summary.studies == len(truths) == 40 and summary.images == sum(len(t.images) for t in truths)
    for t in truths:
        folder = f"files/p{t.patient_id[:2]}/p{t.patient_id}"
        assert (out / REPORTS_ROOT / folder / f"s{t.study_id}.txt").read_text() == t.text
        for i in t.images:
            assert (out / JPG_ROOT / folder / f"s{t.study_id}" / f"{i['image_id']}.jpg").is_file()
            assert (out / REPORTS_ROOT / folder / f"s{t.study_id}" / f"{i['image_id']}.dcm").is_file()
    leftovers = [p for p in out.rglob("*") if ".tmp" in p.name or p.name == ".phantom-parts"]
    assert leftovers == []


def test_tables_have_official_columns_orders_and_values(mimic):
    out, _ = mimic
    jpg, reports = out / JPG_ROOT, out / REPORTS_ROOT
    records = pd.read_csv(reports / "cxr-record-list.csv.gz")
    assert list(records.columns) == ["subject_id", "study_id", "dicom_id", "path"]
    assert list(pd.read_csv(reports / "cxr-study-list.csv.gz").columns) == ["subject_id", "study_id", "path"]
    meta = pd.read_csv(jpg / "mimic-cxr-2.0.0-metadata.csv.gz")
    assert list(meta.columns) == [
        "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
        "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
        "PatientOrientationCodeSequence_CodeMeaning",
    ]  # fmt: skip
    assert set(meta.ViewPosition.dropna()) <= {"AP", "PA", "LATERAL", "LL"}
    assert meta.StudyDate.between(21100101, 22401231).all() and meta.StudyTime.between(0, 240000).all()
    assert set(records.dicom_id) == set(meta.dicom_id)
    for row in meta.itertuples():
        image = cv2.imread(str(next(jpg.rglob(f"{row.dicom_id}.jpg"))), cv2.IMREAD_UNCHANGED)
        assert image.shape == (row.Rows, row.Columns)
    split = pd.read_csv(jpg / "mimic-cxr-2.0.0-split.csv.gz")
    assert list(split.columns) == ["dicom_id", "study_id", "subject_id", "split"]
    assert set(split.split) == {"train", "validate", "test"}
    assert (split.groupby("subject_id").split.nunique() == 1).all()
    names = (jpg / "IMAGE_FILENAMES").read_text().splitlines()
    assert len(names) == len(meta) and all((jpg / n).is_file() for n in names)


def test_label_tables_are_noisy_gappy_and_derived_from_the_reports(mimic):
    out, _ = mimic
    jpg = out / JPG_ROOT
    truths = {int(t.study_id): t for t in read_truth(out)}
    codes = {1.0: "present", 0.0: "absent", -1.0: "uncertain"}
    for tool in ("chexpert", "negbio"):
        table = pd.read_csv(jpg / f"mimic-cxr-2.0.0-{tool}.csv.gz")
        assert list(table.columns) == ["subject_id", "study_id", *LABELS]
        assert len(table) == len(truths) - 1
        blank = table[LABELS].isna().all(axis=1)
        assert blank.sum() == 1
        assert table["No Finding"].dropna().eq(1).all()
        wrong = total = 0
        for row in table[~blank].to_dict("records"):
            for name in LABELS:
                total += 1
                wrong += truths[row["study_id"]].labels[name] != codes.get(row[name], "not_mentioned")
        assert wrong < 0.03 * total
    expert = pd.read_csv(jpg / "mimic-cxr-2.1.0-test-set-labeled.csv")
    assert "Airspace Opacity" in expert and "Lung Opacity" not in expert and "subject_id" not in expert
    test = {s for s, t in truths.items() if t.split == "test"}
    assert set(expert.study_id) == test
    for row in expert.to_dict("records"):
        assert truths[row["study_id"]].labels["Lung Opacity"] == codes.get(row["Airspace Opacity"], "not_mentioned")


def test_zip_holds_the_same_reports(mimic):
    out, _ = mimic
    with zipfile.ZipFile(out / REPORTS_ROOT / "mimic-cxr-reports.zip") as archive:
        names = archive.namelist()
        assert len(names) == 40
        for name in names:
            assert archive.read(name) == (out / REPORTS_ROOT / name).read_bytes()


def test_truth_boxes_lie_in_the_images_and_know_their_findings(mimic):
    out, _ = mimic
    boxes = 0
    for t in read_truth(out):
        uids = {f["uid"]: f for f in t.findings}
        for i in t.images:
            for b in i["boxes"]:
                boxes += 1
                assert uids[b["uid"]]["kind"] == b["kind"] and uids[b["uid"]]["on_image"]
                assert b["x"] >= 0 and b["x"] + b["width"] <= i["columns"]
                assert b["y"] >= 0 and b["y"] + b["height"] <= i["rows"]
    assert boxes > 60
    header = json.loads((out / "phantom-header.json").read_text())
    assert header["complete"] and header["seed"] == 3 and header["knobs"]["visibility"] == PhantomKnobs().visibility


def test_dicoms_come_in_variety_and_read_as_the_jpgs_were_made(mimic):
    from clinclip.images import read_image

    out, _ = mimic
    kinds, compared = set(), 0
    for path in sorted((out / REPORTS_ROOT).rglob("*.dcm"))[:30]:
        raw = path.read_bytes()
        inverted = b"MONOCHROME1" in raw
        kinds.add(inverted)
        grey = read_image(path, mode="strict", window="minmax")
        jpg = next((out / JPG_ROOT).rglob(f"{path.stem}.jpg"))
        stored = cv2.imread(str(jpg), cv2.IMREAD_UNCHANGED).astype(int)
        error = np.abs(cv2.equalizeHist(grey).astype(int) - stored)
        # JPEG itself changes a few grey levels; an inverted or shifted image would change hundreds
        assert error.mean() < 8, (path, error.mean())
        compared += 1
    assert compared == 30 and kinds == {True, False}


@pytest.fixture
def tiny(tmp_path):
    def make(name="t", studies=14, **options):
        out = tmp_path / name
        options = {"seed": 8, "workers": 1, "image_size": 64, "progress": False} | options
        return out, generate_mimic_cxr(out, studies, **options)

    return make


def test_same_bytes_with_more_workers(tiny):
    one, _ = tiny("one", studies=30)
    two, _ = tiny("two", studies=30, workers=2)
    assert tree(one) == tree(two)


def test_goes_on_after_an_interruption_and_restores_lost_files(tiny, monkeypatch):
    whole, first = tiny("whole", studies=30)
    assert first.written == 30
    calls = 0
    from clinclip.phantom import report

    real = report.write_report

    def interrupted(*args):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(report, "write_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny("part", studies=30)
    monkeypatch.setattr(report, "write_report", real)
    part, second = tiny("part", studies=30)
    assert 0 < second.written < 30
    assert tree(part) == tree(whole)
    lost = next(part.rglob("*.jpg"))
    lost.unlink()
    _, third = tiny("part", studies=30)
    assert 0 < third.written < 30 and tree(part) == tree(whole)
    assert tiny("part", studies=30)[1].written == 0


def test_other_options_in_the_same_folder_are_refused(tiny):
    tiny()
    with pytest.raises(ConfigError, match="seed=8 there, 9 asked for"):
        tiny(seed=9)
    with pytest.raises(ConfigError, match="knobs differ"):
        tiny(knobs=PhantomKnobs(missed=0.5))


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("do not touch")
    with pytest.raises(DataError, match="not empty"):
        generate_mimic_cxr(tmp_path, 3, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 8}, "64 to 4096"),
        ({"image_format": "gif"}, "jpg, dicom, both"),
        ({"reports": "pdf"}, "tree, zip"),
    ],
)
def test_wrong_options_name_what_is_allowed(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        generate_mimic_cxr(tmp_path / "x", 3, progress=False, **options)


def test_dicom_only_writes_no_jpg(tiny):
    out, _ = tiny(studies=4, image_format="dicom", reports="zip")
    assert not list(out.rglob("*.jpg")) and list(out.rglob("*.dcm")) and not list(out.rglob("s5*.txt"))
    assert (out / JPG_ROOT / "mimic-cxr-2.0.0-split.csv.gz").is_file()


def test_reading_truth_elsewhere_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="clinclip phantom"):
        list(read_truth(tmp_path))


def test_release_two_zero_has_no_expert_labels(tiny):
    out, _ = tiny(studies=3, release="2.0.0")
    jpg = out / "physionet.org/files/mimic-cxr-jpg/2.0.0"
    assert (jpg / "mimic-cxr-2.0.0-chexpert.csv.gz").is_file() and not list(jpg.glob("*test-set*"))
    assert list((out / "physionet.org/files/mimic-cxr/2.0.0/files").rglob("s5*.txt"))
