from __future__ import annotations

import cv2
import pandas as pd
import pytest

from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS
from clinclip.phantom import generate_chexpert, read_truth
from clinclip.phantom.chexpert import PLUS_COLUMNS, PLUS_FILE, image_labels

ROOT = "CheXpert-v1.0-small"


def test_tables_have_official_columns_and_values(chexpert):
    out, _ = chexpert
    train, valid = (pd.read_csv(out / ROOT / name) for name in ("train.csv", "valid.csv"))
    for table in (train, valid):
        assert list(table.columns) == ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS]
        assert all((out / p).is_file() for p in table.Path)
        lateral = table["Frontal/Lateral"] == "Lateral"
        assert table["AP/PA"].isna().eq(lateral).all()
        assert table.Path.str.contains("_lateral").eq(lateral).all()
        assert table.Age.between(0, 90).all()
    assert train["No Finding"].dropna().eq(1).all()
    assert set(train[list(FINDINGS)].stack().dropna().unique()) <= {1.0, 0.0, -1.0}
    assert "Unknown" in set(train.Sex) | set(valid.Sex) and 0 in set(train.Age) | set(valid.Age)
    assert valid[list(FINDINGS)].isin([0.0, 1.0]).all().all()
    assert train.Path.str.extract(r"patient(\d+)")[0].astype(int).max() < 64541
    assert valid.Path.str.extract(r"patient(\d+)")[0].astype(int).between(64541, 64740).all()


def test_expert_labels_are_what_the_images_show(chexpert):
    out, _ = chexpert
    truths = {t.study_id: t for t in read_truth(out)}
    truth = pd.read_csv(out / ROOT / "groundtruth.csv")
    assert list(truth.columns) == ["Study", *FINDINGS]
    for row in truth.to_dict("records"):
        t = truths[row["Study"].split("/test/")[1]]
        shown = {f["finding"] for f in t.findings if f["on_image"]}
        for name in ("Pleural Effusion", "Pneumothorax", "Support Devices", "Fracture"):
            assert row[name] == (name in shown)
        if row["Pneumonia"]:
            assert row["Consolidation"] and row["Lung Opacity"]
    labels = image_labels(next(iter(truths.values())))
    assert set(labels.values()) <= {"present", "absent"}


def test_images_are_not_equalised(chexpert, mimic):
    def spread(root):
        paths = sorted(root.rglob("*.jpg"))[:12]
        histograms = [cv2.calcHist([cv2.imread(str(p), 0)], [0], None, [16], [0, 256]).ravel() for p in paths]
        return sum(float((h / h.sum()).std()) for h in histograms) / len(paths)

    assert spread(chexpert[0]) != pytest.approx(spread(mimic[0]), rel=0.02)


def test_plus_table_repeats_reports_and_cuts_sections(chexpert):
    out, _ = chexpert
    plus = pd.read_csv(out / PLUS_FILE)
    assert tuple(plus.columns) == PLUS_COLUMNS and len(PLUS_COLUMNS) == 27
    assert plus.path_to_image.str.match(r"(train|valid)/patient\d{5}/study\d+/view\d_(frontal|lateral)\.jpg").all()
    assert all((out / ROOT / p).is_file() for p in plus.path_to_image)
    truths = {t.study_id: t for t in read_truth(out)}
    for row in plus.to_dict("records"):
        t = truths["/".join(row["path_to_image"].split("/")[1:3])]
        assert row["report"] == t.text
        if isinstance(row["section_impression"], str):
            assert row["section_impression"] in t.text
        for m in t.mentions:
            assert " ".join(t.text[m.start : m.end].split()) == m.text
    assert 0.05 < plus.section_findings.notna().mean() < 0.6
    assert plus.section_impression.notna().mean() > 0.9
    assert plus.report.str.startswith("NARRATIVE:").all()


def test_full_release_names(tmp_path):
    out = tmp_path / "full"
    generate_chexpert(out, 4, workers=1, image_size=64, release="full", plus=False, progress=False)
    assert (out / "CheXpert-v1.0" / "train.csv").is_file() and not (out / PLUS_FILE).exists()
    with pytest.raises(ConfigError, match="small, full"):
        generate_chexpert(out, 4, release="medium", progress=False)  # type: ignore[arg-type]
