"""`clinclip prepare chexpert`: releases, labels, and the three ways to text or none."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest

from clinclip.data.datamodule import CXRDataModule
from clinclip.errors import ConfigError, LayoutError, TableError
from clinclip.findings import FINDINGS, LabelState
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.chexpert import ChexpertOptions, read
from clinclip.prepare.readers.prompt_text import prompt_text
from tests.prepare.trees import CHEXPERT_HEADER, picture, write_chexpert, write_csv, write_plus

SMALL = BuildOptions(image_size=32, workers=1)


def found(root: Path, plus: Path | None = None, **options: object):
    return read(ChexpertOptions(images=root, plus_csv=plus, **options), progress=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("release", ["CheXpert-v1.0-small", "CheXpert-v1.0"])
def test_tables_and_labels(tmp_path: Path, release: str) -> None:
    write_chexpert(tmp_path, release, test=True)
    source = found(tmp_path, views="all")
    frame = source.frame.set_index("image_id")
    assert len(frame) == 7
    assert frame["split"].value_counts().to_dict() == {"train": 5, "validate": 1, "test": 1}
    row = frame.loc["train/patient00002/study1/view1_frontal"]
    assert (row["patient_id"], row["study_id"], row["view"]) == ("patient00002", "patient00002/study1", "AP")
    assert (row["sex"], row["age"]) == ("M", 42)
    assert (row["table_edema"], row["table_pneumonia"], row["table_pneumothorax"]) == (1, -1, 0)
    assert row["table_fracture"] == -2
    assert frame.loc["train/patient00002/study1/view2_lateral", "view"] == "LATERAL"
    tested = frame.loc["test/patient64741/study1/view1_frontal"]
    assert (tested["table_fracture"], tested["view"]) == (1, "FRONTAL")
    # No Finding says nothing about Support Devices here
    assert frame.loc["train/patient00001/study1/view1_frontal", "table_support_devices"] == -2
    assert len(found(tmp_path / release).frame) == 6
    assert any("the release has 223,414" in note for note in source.notes)


def test_values_that_occur_in_the_release(tmp_path: Path) -> None:
    """One patient of unknown sex, three of age 0, LL and RL for 17 frontal images, 91 studies of one patient."""
    root = write_chexpert(tmp_path)
    rows = []
    for n, (sex, age, view) in enumerate([("Unknown", 0, "LL"), ("Female", 90, "RL"), ("Male", 41, "PA")], 1):
        path = f"train/patient00009/study{n + 88}/view1_frontal.jpg"
        picture(root / path, seed=n)
        rows.append([f"CheXpert-v1.0-small/{path}", sex, age, "Frontal", view, 1.0, *[""] * 13])
    write_csv(root / "train.csv", CHEXPERT_HEADER, rows)
    frame = found(root, views="all").frame.set_index("study_id")
    assert frame["patient_id"].nunique() == 2
    assert frame.loc["patient00009/study89", ["sex", "age", "view"]].tolist() == ["", 0, "FRONTAL LL"]
    assert frame.loc["patient00009/study90", ["sex", "age", "view"]].tolist() == ["F", 90, "FRONTAL RL"]
    # neither lateral nor known to be AP or PA
    for views, studies in (
        ("frontal", {"study91", "study1"}),
        ("frontal-any", {"study89", "study90", "study91", "study1"}),
    ):
        kept = found(root, views=views).frame["study_id"]
        assert {study.split("/")[1] for study in kept} == studies
    with pytest.raises(LayoutError, match="--views lateral leaves none of 4 images; their views: "):
        found(root, views="lateral")


def test_test_labels_may_lie_one_folder_down(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path, test=True)
    (root / "labels").mkdir()
    (root / "groundtruth.csv").rename(root / "labels" / "groundtruth.csv")
    assert (found(root).frame["split"] == "test").sum() == 1
    (root / "labels" / "groundtruth.csv").unlink()
    assert (found(root).frame["split"] == "test").sum() == 0


def test_batches_of_the_full_release(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path, "whole", prefix="CheXpert-v1.0")
    first, second = (
        tmp_path / "full" / "CheXpert-v1.0 batch 1 (validate & csv)",
        tmp_path / "full" / "CheXpert-v1.0 batch 2 (train 1)",
    )
    first.mkdir(parents=True)
    for name in ("train.csv", "valid.csv", "valid"):
        (root / name).rename(first / name)
    (root / "train").rename(second)
    for given in (tmp_path / "full", first):
        source = found(given)
        assert all((source.root / path).is_file() for path in source.frame["image_path"])
        assert len(source.frame) == 5


def test_without_text_fit_refuses_and_evaluation_works(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    manifest = build(found(root), tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    assert not manifest.has_text
    data = CXRDataModule([str(tmp_path / "m")], batch_size=2, num_workers=0, image_size=32)
    with pytest.raises(ConfigError, match=r"no report text.*--plus-csv.*--prompts"):
        data.setup("fit")
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    assert batch.image.shape == (1, 1, 32, 32)
    assert batch.labels[0, FINDINGS.index("Edema")] == 1
    assert not batch.text.mask.any()


def test_text_from_chexpert_plus(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    plus = write_plus(
        tmp_path / "df_chexpert_plus_240401.csv",
        {
            "train/patient00001/study1/view1_frontal.jpg": ("", "1. No acute\n   disease."),
            "train/patient00002/study1/view1_frontal.jpg": ("Mild edema.", "Edema."),
            "train/patient00003/study1/view1_frontal.jpg": ("", "___"),
            "valid/patient64541/study1/view1_frontal.jpg": ("Edema is noted.", ""),
        },
    )
    source = found(root, plus)
    texts = dict(zip(source.frame["patient_id"], source.frame["text"], strict=True))
    assert texts == {
        "patient00001": "1. No acute disease.",
        "patient00002": "Mild edema.\nEdema.",
        "patient64541": "Edema is noted.",
    }
    assert source.drops.counts("dropped") == {"view": 1, "no report": 1, "no text": 1}
    assert any("1 images have no report and are left out" in note for note in source.notes)
    assert any("2 of 4 reports have findings" in note for note in source.notes)
    manifest = build(source, tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    assert manifest.has_text
    data = CXRDataModule([str(tmp_path / "m")], batch_size=2, num_workers=0, image_size=32)
    data.setup("fit")
    assert next(iter(data.train_dataloader())).text.mask.any(dim=1).all()


IMAGES = {
    "train/patient00001/study1/view1_frontal.jpg": ("", "No acute disease."),
    "train/patient00002/study1/view1_frontal.jpg": ("Mild edema.", "Edema."),
    "train/patient00002/study1/view2_lateral.jpg": ("Mild edema.", "Edema."),
    "valid/patient64541/study1/view1_frontal.jpg": ("Edema is noted.", ""),
}


def as_png(root: Path) -> None:
    for path in list(root.rglob("*.jpg")):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)))
        path.unlink()


@pytest.mark.parametrize("folder", [".", "PNG"])
@pytest.mark.parametrize("prefix", ["", "PNG/", "PNG\\"])
def test_chexpert_plus_alone(tmp_path: Path, folder: str, prefix: str) -> None:
    root = write_chexpert(tmp_path)
    as_png(root)
    base = tmp_path / "plus"
    for name in ("train", "valid"):
        shutil.copytree(root / name, base / folder / name)
    plus = write_plus(base / "df_chexpert_plus_240401.csv", IMAGES)
    with plus.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        path = row["path_to_image"]
        lateral = "lateral" in path
        row |= {"frontal_lateral": "Lateral" if lateral else "Frontal", "ap_pa": "nan" if lateral else "AP"}
        row |= {"sex": "Female", "age": "61", "path_to_image": prefix + path.replace("/", prefix[-1:] or "/")}
    write_csv(plus, list(rows[0]), [list(row.values()) for row in rows])
    source = found(base, plus)
    frame = source.frame.set_index("patient_id")
    assert frame["split"].to_dict() == {"patient00001": "train", "patient00002": "train", "patient64541": "validate"}
    assert frame["text"].to_dict()["patient00002"] == "Mild edema.\nEdema."
    assert set(frame["view"]) == {"AP"}
    assert set(frame["sex"]) == {"F"}
    assert set(frame["age"]) == {61}
    assert all((source.root / path).is_file() and path.endswith(".png") for path in frame["image_path"])
    assert len(found(base, plus, views="lateral").frame) == 1
    manifest = build(source, tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    assert not manifest.header["labels"]["table"]
    with pytest.raises(LayoutError, match=r"no train\.csv or valid\.csv there .*--plus-csv"):
        found(base)


@pytest.mark.parametrize("plus", [False, True])
def test_png_where_the_tables_say_jpg_and_backslashes(tmp_path: Path, plus: bool) -> None:
    root = write_chexpert(tmp_path)
    before = found(root).frame["image_id"].tolist()
    as_png(root)
    for name in ("train.csv", "valid.csv"):
        text = (root / name).read_text()
        cells = re.sub(r"^CheXpert[^,]*", lambda m: m[0].replace("/", "\\"), text, flags=re.MULTILINE)
        (root / name).write_text(cells)
    table = write_plus(tmp_path / "plus.csv", IMAGES) if plus else None
    source = found(root, table)
    assert source.frame["image_id"].tolist() == (before if not plus else [i for i in before if f"{i}.jpg" in IMAGES])
    assert all((source.root / path).is_file() for path in source.frame["image_path"])
    assert any("images have another suffix than the tables say" in note for note in source.notes)


def test_text_from_prompts(tmp_path: Path) -> None:
    source = found(write_chexpert(tmp_path), prompts="statements")
    texts = dict(zip(source.frame["patient_id"], source.frame["text"], strict=True))
    assert texts["patient00001"] == "No acute cardiopulmonary abnormality."
    assert texts["patient00002"] == "There is pulmonary edema. Possible pneumonia. There is no pneumothorax."
    assert any("made from labels" in note for note in source.notes)
    states = [LabelState.NOT_MENTIONED] * 14
    for name in ("Cardiomegaly", "Fracture", "Edema"):
        states[FINDINGS.index(name)] = LabelState.PRESENT
    assert prompt_text(states, "present") == "There is cardiomegaly, pulmonary edema and a fracture."
    assert prompt_text([LabelState.ABSENT] * 14, "present") == ""
    assert prompt_text([LabelState.ABSENT] * 14, "statements").endswith("fracture or support devices.")
    with pytest.raises(ConfigError, match="--prompts 'poem'"):
        found(tmp_path, prompts="poem")
    with pytest.raises(ConfigError, match="exclude each other"):
        found(tmp_path, tmp_path / "plus.csv", prompts="present")


def test_excluded_patients(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    listed = write_csv(tmp_path / "chexpert_5x200.csv", ["Path", "Edema"],
                       [["CheXpert-v1.0/train/patient00002/study1/view1_frontal.jpg", 1]])  # fmt: skip
    source = found(root, exclude=listed)
    assert "patient00002" not in set(source.frame["patient_id"])
    assert len(source.frame) == 4
    empty = tmp_path / "empty.txt"
    empty.write_text("nothing\n")
    with pytest.raises(TableError, match="names no patient"):
        found(root, exclude=empty)


def test_chexbert_labels(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    record = {"path_to_image": "train/patient00002/study1/view1_frontal.jpg", **dict.fromkeys(FINDINGS)}
    path = tmp_path / "report_fixed.json"
    path.write_text(json.dumps({**record, "Edema": 0.0, "Fracture": 1.0, "Pneumonia": -1.0}) + "\n")
    frame = found(root, chexbert=path).frame.set_index("patient_id")
    assert frame.loc["patient00002", ["table_edema", "table_fracture", "table_pneumonia"]].tolist() == [0, 1, -1]
    assert (frame.loc["patient00003"].filter(like="table_") == -2).all()
    for data, words in (
        (json.dumps({**record, "Edema": 2}).encode(), "Edema is 2"),
        (b'{"path_to_image": \xff}', "line 1 is not JSON"),
        (b"[1, 2]", "line 1 holds list, not one object"),
        (b'{"path_to_image": "a"}', "line 1 lacks No Finding"),
    ):
        path.write_bytes(data + b"\n")
        with pytest.raises(TableError, match=words):
            found(root, chexbert=path)
    with pytest.raises(TableError, match=r"--chexbert .*No such file.*download .*report_fixed\.json"):
        found(root, chexbert=tmp_path / "elsewhere.json")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no train\.csv or valid\.csv"):
        found(tmp_path)
    root = write_chexpert(tmp_path)
    with pytest.raises(LayoutError, match=r"--plus-csv .*no such file; download df_chexpert_plus_240401\.csv"):
        found(root, tmp_path / "plus.csv")
    rows = [
        ["CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg", "Male", 73, "Frontal", "AP", *[""] * 14]
    ]
    write_csv(root / "valid.csv", CHEXPERT_HEADER, rows)
    with pytest.raises(TableError, match=r"valid\.csv: column 'No Finding', line 2.*must not occur"):
        found(root)
