"""`clinclip prepare table`: what people's tables do."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from clinclip.__main__ import main
from clinclip.commands.prepare import report
from clinclip.data.manifest import Manifest
from clinclip.errors import DataError, ImageError, LayoutError, LeakageError, TableError
from clinclip.images.cache_entry import CONSTANT
from clinclip.images.dicom_luts import NONE_LEFT
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.table import TableOptions, read
from clinclip.text import RULESET_VERSION, label_report
from clinclip.text.twins import twins_from_column
from tests.images.dicom_files import dataset, save, set_raw
from tests.prepare.trees import picture, write_csv

COLUMNS = ["file", "note", "patient"]
SMALL = BuildOptions(image_size=32, workers=1)
NOTES = ["There is a pleural effusion.", "No pneumothorax.", "Cardiomegaly. Caf\ufffd.", "The lungs are clear."]


def table(base: Path, rows: list[list[object]] | None = None, columns: list[str] | None = None) -> Path:
    if rows is None:
        rows = [[f"images/{i}.png", NOTES[i % 4], f"p{i}"] for i in range(8)]
    for row in rows:
        if row[0] and not Path(str(row[0])).is_absolute():
            picture(base / str(row[0]), seed=zlib.crc32(str(row[0]).encode()))
    return write_csv(base / "t.csv", columns or COLUMNS, rows)


def found(csv: Path, **options: object):
    given = {"image_column": "file", "text_column": "note", "patient_column": "patient", "split": "0.5,0.25,0.25"}
    return read(TableOptions(csv=csv, **{**given, "allow_shared_images": True, **options}))  # type: ignore[arg-type]


def test_whole_way(tmp_path: Path) -> None:
    manifest = build(found(table(tmp_path)), tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    frame = Manifest.load(tmp_path / "m").frame
    assert frame["split"].value_counts().to_dict() == {"train": 4, "validate": 2, "test": 2}
    assert frame["image_id"].tolist() == [f"images/{i}" for i in range(8)]
    assert not manifest.header["labels"]["table"]
    for text, column in zip(frame["text"], frame["twins"], strict=True):
        for twin in twins_from_column(column, text):
            assert twin.labels == tuple(state.code for state in label_report(twin.text).values())
    assert manifest.header["reports"]["with_twin"]["negate"] == 2
    assert manifest.header["options"]["ruleset"] == RULESET_VERSION
    notes = " | ".join(manifest.header["notes"])
    assert "2 texts hold U+FFFD" in notes
    assert "8 rows have 4 distinct texts" in notes
    # another seed, another split; the same seed, the same
    again = build(found(tmp_path / "t.csv"), tmp_path / "m2", SMALL, progress=False)
    assert again is not None
    assert again.hash == manifest.hash


def test_sections_are_found_by_titles_in_general(tmp_path: Path) -> None:
    rows = [[f"{i}.png", f"Findings: Left effusion {i}.\r\nImpression: Effusion.", f"p{i}"] for i in range(4)]
    rows += [["4.png", "FINDINGS: XXXX. IMPRESSION: ___.", "p4"], ["5.png", "nan", "p5"]]
    frame = found(table(tmp_path, rows), text="findings").frame
    assert frame["text"].tolist() == [f"Left effusion {i}." for i in range(4)]
    assert frame["impression"].tolist() == ["Effusion."] * 4
    assert len(found(tmp_path / "t.csv").frame) == 5  # as a whole, titles are words


def test_ids_and_ages_of_any_form(tmp_path: Path) -> None:
    columns = [*COLUMNS, "age"]
    ages = ["058Y", "58", "", "nan", "old"]
    rows = [[f"{i}.png", NOTES[i % 4], p, ages[i]] for i, p in enumerate(["5e0", "5", "5E0", "50", "05"])]
    source = found(table(tmp_path, rows, columns), age_column="age")
    assert source.frame["patient_id"].nunique() == 5
    aged = source.frame.set_index("patient_id")["age"]
    assert (aged["5e0"], aged["5"]) == (58, 58)
    assert aged.isna().sum() == 3
    assert "column 'age': 1 cells are no age in years: kept as unknown" in source.notes


def test_images_in_nested_folders_and_without_extension(tmp_path: Path) -> None:
    names = ["a", "b", "1.2.840.3", "p1/view", "p2/view"]
    for i, name in enumerate(names):
        picture(tmp_path / "deep" / str(i) / f"{name}.png", seed=i)
    csv = write_csv(tmp_path / "t.csv", COLUMNS, [[n, NOTES[i % 4], f"p{i}"] for i, n in enumerate(names)])
    source = found(csv)
    paths = dict(zip(source.frame["patient_id"], source.frame["image_path"], strict=True))
    assert paths == {f"p{i}": f"deep/{i}/{name}.png" for i, name in enumerate(names)}
    assert any("5 images lie in folders that the table does not name" in note for note in source.notes)
    for name in names[:4]:
        picture(tmp_path / f"{name}.png")
    few = dict(zip((frame := found(csv).frame)["patient_id"], frame["image_path"], strict=True))
    assert few == {**{f"p{i}": f"{name}.png" for i, name in enumerate(names[:4])}, "p4": "p2/view"}  # one is a fault


def test_a_name_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        picture(tmp_path / folder / "a.png")
    csv = write_csv(tmp_path / "t.csv", COLUMNS, [["a.png", "Clear.", "p"]])
    with pytest.raises(LayoutError, match=r"none of the 1 images .* in no folder there.*--image-root"):
        found(csv)
    picture(tmp_path / "p1" / "view.png")
    csv = write_csv(tmp_path / "t.csv", COLUMNS, [["p2/view.png", "Clear.", "p"]])
    with pytest.raises(LayoutError, match="none of the 1 images"):
        found(csv)


def test_missing_text_is_never_called_a_missing_image(tmp_path: Path) -> None:
    rows = [[f"{i}.png", "IMPRESSION: XXXX.", f"p{i}"] for i in range(4)]
    csv = table(tmp_path, rows)
    for policy in ("findings", "impression"):
        with pytest.raises(DataError, match=rf"none of 4 images has a text .*no section of --text {policy}"):
            found(csv, text=policy)
    blank = table(tmp_path / "b", [["0.png", "", "p"], ["1.png", "N/A", "q"]])
    with pytest.raises(DataError, match=r"none of 2 images has a text .*column 'note' is blank"):
        found(blank)
    viewed = table(tmp_path / "v", [["0.png", "Clear.", "p", "LL"], ["1.png", "Clear.", "q", ""]], [*COLUMNS, "view"])
    with pytest.raises(LayoutError, match=r"--views PA leaves none of 2 images; their views: LL 1, \(blank\) 1"):
        found(viewed, view_column="view", views="PA")


def test_images_that_are_not_as_their_file_says_are_counted(tmp_path: Path) -> None:
    rows = [[f"{i}.png", NOTES[i % 4], f"p{i}"] for i in range(6)]
    csv = table(tmp_path, rows)
    for number, width in ((0, "0"), (1, "wide"), (2, "900")):
        ds = set_raw(dataset(), WindowCenter=b"2000", WindowWidth=width.encode())
        save(ds, tmp_path / f"{number}.png")  # content decides, not the name
    cv2.imwrite(str(tmp_path / "3.png"), np.full((40, 40), 7, np.uint8))
    manifest = build(found(csv), tmp_path / "m", replace(SMALL, window="voi"), progress=False)
    assert manifest is not None
    kept = manifest.header["drops"]["kept"]
    assert kept[NONE_LEFT] == 2
    assert kept[CONSTANT] == 1
    assert f"kept, but: 2 ({NONE_LEFT})" in report(manifest.header)
    assert len(manifest.frame) == 6


def test_rows_that_share_an_image_stay_and_share_a_split(tmp_path: Path) -> None:
    rows = [[f"{i}.png", NOTES[i % 4], f"p{i}"] for i in range(8)]
    rows += [["0.png", "Another note.", "p7"], ["1.png", "Other.", "p0"]]
    source = found(table(tmp_path, rows))
    assert any(
        "2 image files are named by more than one row (2 of them by more than one patient)" in n for n in source.notes
    )
    manifest = build(source, tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    frame = manifest.frame.set_index("image_id")
    assert {"0", "0#2", "1", "1#2"} <= set(frame.index)
    linked = frame[frame["patient_id"].isin(["p0", "p1", "p7"])]
    assert linked["split"].nunique() == 1
    assert manifest.header["duplicates"]["images"] == 2
    assert manifest.header["duplicates"]["cross_patient_images"] == 2
    assert manifest.header["duplicates"]["cross_split_images"] == 0


def test_repeated_rows_are_one(tmp_path: Path) -> None:
    rows = [[f"{i}.png", NOTES[i], f"p{i}"] for i in range(4)]
    source = found(table(tmp_path, [*rows, rows[1], rows[1]]))
    assert len(source.frame) == 4
    assert source.drops.counts("dropped") == {"repeated row": 2}


def test_studies(tmp_path: Path) -> None:
    rows = [["a.png", "Same.", "p1"], ["b.png", "Same.", "p1"], ["c.png", "Other.", "p1"], ["d.png", "Same.", "p2"]]
    frame = found(table(tmp_path, rows)).frame.set_index("image_id")
    assert frame.loc["a", "study_id"] == frame.loc["b", "study_id"]
    assert frame["study_id"].nunique() == 3
    named = [[*row, n] for row, n in zip(rows, ["1", "2", "2", "1"], strict=True)]
    frame = found(table(tmp_path, named, [*COLUMNS, "study"]), study_column="study").frame.set_index("image_id")
    # study numbers count within a patient
    assert frame["study_id"].tolist() == ["p1/1", "p1/2", "p1/2", "p2/1"]


def test_image_ids_are_unique_and_readable(tmp_path: Path) -> None:
    rows = [["a.png", "One.", "p1"], ["a.jpg", "Two.", "p2"], ["s/a.png", "Three.", "p3"], ["b.png", "Four.", "p4"]]
    frame = found(table(tmp_path, rows)).frame
    assert set(frame["image_id"]) == {"a.png", "a.jpg", "s/a", "b"}


def test_labels_by_name_and_other_columns(tmp_path: Path) -> None:
    columns = [*COLUMNS, "Edema", "No Finding", "view", "sex", "age"]
    rows = [
        ["a.png", "Edema.", "p1", "1", "", "AP", "female", "61"],
        ["b.png", "Clear.", "p2", "-1", "0", "L", "M", ""],
    ]
    options = {"view_column": "view", "sex_column": "sex", "age_column": "age", "views": "ap"}
    source = found(table(tmp_path, rows, columns), **options)
    row = source.frame.iloc[0]
    assert (row["table_edema"], row["table_no_finding"], row["sex"], row["age"]) == (1, -2, "F", 61)
    assert source.drops.counts("dropped") == {"view": 1}
    assert "table_edema" not in found(tmp_path / "t.csv", no_labels=True).frame


def test_sections_from_a_column_of_reports(tmp_path: Path) -> None:
    report = "\n FINDINGS: \n \n Clear lungs.\n \n IMPRESSION: \n \n Normal.\n"
    rows = [["a.png", report, "p1"], ["b.png", "No header here.", "p2"]]
    source = found(table(tmp_path, rows), text="impression")
    assert source.frame["text"].tolist() == ["Normal."]
    assert source.drops.counts("dropped") == {"no text": 1}


def test_user_splits(tmp_path: Path) -> None:
    columns = [*COLUMNS, "fold"]
    names = ["Training", "val", "TEST", "dev"]
    rows = [[f"{i}.png", NOTES[i], f"p{i}", names[i]] for i in range(4)]
    options = {"split_column": "fold"}
    frame = found(table(tmp_path, rows, columns), **options).frame
    assert frame["split"].tolist() == ["train", "validate", "test", "validate"]
    rows[1][3] = "holdout"
    with pytest.raises(TableError, match="column 'fold', row 2: split 'holdout'"):
        found(table(tmp_path, rows, columns), **options)
    rows[1][3] = "train"
    rows[2][2] = "p1.0"
    rows[1][2] = "p1"
    with pytest.raises(LeakageError, match="1 of 3 patients have images in more than one split"):
        found(table(tmp_path, rows, columns), **options)
    # byte-identical files of two patients in two splits
    rows[2][2] = "p2"
    csv = table(tmp_path, rows, columns)
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes())
    with pytest.raises(LeakageError, match=r"1 images \(byte for byte\).*--allow-shared-images"):
        build(found(csv, **options, allow_shared_images=False), tmp_path / "m", SMALL, progress=False)
    manifest = build(found(csv, **options), tmp_path / "m2", SMALL, progress=False)
    assert manifest is not None
    assert manifest.header["duplicates"]["cross_split_images"] == 1


def test_paths(tmp_path: Path) -> None:
    absolute = [[str(tmp_path / "x" / f"{i}.png"), NOTES[i], f"p{i}"] for i in range(3)]
    for row in absolute:
        picture(Path(str(row[0])))
    source = found(write_csv(tmp_path / "t.csv", COLUMNS, absolute))
    assert source.root == tmp_path / "x"
    assert source.frame["image_path"].tolist() == ["0.png", "1.png", "2.png"]
    windows = write_csv(tmp_path / "w.csv", COLUMNS, [["x\\0.png", "Clear.", "p"]])
    assert found(windows).frame["image_path"].tolist() == ["x/0.png"]
    outside = write_csv(tmp_path / "x" / "o.csv", COLUMNS, [["../secret.png", "Clear.", "p"]])
    with pytest.raises(TableError, match="leads out of the image root"):
        found(outside)
    nowhere = write_csv(tmp_path / "n.csv", COLUMNS, [["gone.png", "Clear.", "p"]])
    with pytest.raises(LayoutError, match=r"none of the 1 images.*--image-root"):
        found(nowhere)
    with pytest.raises(LayoutError, match="no such folder"):
        found(nowhere, image_root=tmp_path / "missing")


def test_missing_files_by_policy(tmp_path: Path) -> None:
    csv = table(tmp_path)
    (tmp_path / "images" / "3.png").unlink()
    (tmp_path / "images" / "5.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"[35]\.png"):
        build(found(csv), tmp_path / "strict", SMALL, progress=False)
    skip = BuildOptions(image_size=32, workers=1, policy="skip")
    manifest = build(found(csv), tmp_path / "skip", skip, progress=False)
    assert manifest is not None
    assert {f"images/{i}" for i in range(8)} - set(manifest.frame["image_id"]) == {"images/3", "images/5"}
    drops = (tmp_path / "skip" / "drops.csv").read_text()
    assert "dropped,images/3" in drops
    assert "dropped,images/5" in drops


def test_without_text(tmp_path: Path) -> None:
    source = found(table(tmp_path), text_column=None)
    assert not source.has_text
    manifest = build(source, tmp_path / "m", SMALL, progress=False)
    assert manifest is not None
    assert not manifest.has_text


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = table(tmp_path)
    columns = ["--image-column", "file", "--text-column", "note", "--patient-column", "patient"]
    rest = ["--out", str(tmp_path / "m"), "--image-size", "32", "--quiet"]
    argv = ["prepare", "table", "--csv", str(csv), *columns, *rest]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "8 images" in out
    assert "manifest" in out
    # no report text, file name or patient id in what is printed
    assert not any(word in out for word in ("effusion.", "images/0", "p0", "p7"))
    argv[argv.index("file")] = "files"
    assert main(argv) == 1
    assert "did you mean 'file'" in capsys.readouterr().err
