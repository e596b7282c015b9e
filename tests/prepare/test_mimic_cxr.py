"""`clinclip prepare mimic-cxr` on hand-made downloads: layouts, versions, quirks, refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, DataError, ImageError, LayoutError, TableError
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers import mimic_cxr
from clinclip.prepare.readers.mimic_cxr import MimicOptions, read
from tests.prepare.trees import Study, dicom_id, studies, write_csv, write_mimic


def source(images: Path, **kwargs: object):
    return read(MimicOptions(images=images, **kwargs), progress=False)  # type: ignore[arg-type]


def prepared(images: Path, out: Path, policy: Literal["strict", "skip"] = "strict", **kwargs: object) -> Manifest:
    manifest = build(
        source(images, **kwargs), out, BuildOptions(image_size=32, policy=policy, workers=1), progress=False
    )
    assert manifest is not None
    return manifest


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory):
    return write_mimic(tmp_path_factory.mktemp("mimic"))


def test_whole_way(tree, tmp_path: Path) -> None:
    manifest = prepared(tree.jpg, tmp_path / "m")
    frame = Manifest.load(tmp_path / "m").frame
    assert list(frame["view"].unique()) == ["PA"]
    assert len(frame) == 6
    assert frame["split"].value_counts().to_dict() == {"train": 4, "validate": 1, "test": 1}
    row = frame[frame["study_id"] == "50000000"].iloc[0]
    assert row["text"] == "There is a small left pleural effusion. No pneumothorax.\nSmall left pleural effusion."
    assert row["findings"] == "There is a small left pleural effusion. No pneumothorax."
    assert row["table_pleural_effusion"] == 1
    assert row["table_pneumothorax"] == 0
    assert row["table_edema"] == -2
    assert row["read_pleural_effusion"] == 1
    assert row["read_pneumothorax"] == 0
    assert manifest.cache[int(row["cache_index"])].shape == (32, 32)
    assert len(row["source_sha256"]) == 64
    # the laterals are in the drop report, with their reason
    drops = pd.read_csv(tmp_path / "m" / "drops.csv", dtype=str)
    assert (drops["reason"] == "view").sum() == 6
    assert manifest.header["drops"]["dropped"] == {"view": 6}
    assert manifest.header["roots"]["images"] == str(tree.jpg.resolve())


@pytest.mark.parametrize("given", ["", "files", "..", "../..", "../../..", "../../../.."])
def test_found_from_any_folder_around_it(tree, given: str) -> None:
    found = source((tree.jpg / given).resolve())
    assert found.root == tree.jpg.resolve()
    assert found.layout["reports"] == str(tree.reports.resolve())
    assert len(found.frame) == 6


def test_found_below_a_folder_that_happens_to_be_called_files(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path / "files")
    assert source(tmp_path / "files").root == tree.jpg.resolve()


def test_reports_from_a_zip_beside_the_images(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path, zipped_reports=True, reports="physionet.org/files/mimic-cxr/2.1.0")
    found = source(tree.jpg)
    assert found.layout["reports"].endswith("mimic-cxr-reports.zip")
    assert found.frame["text"].str.len().min() > 10
    # and given by hand, from elsewhere
    moved = tmp_path / "elsewhere.zip"
    shutil.move(tree.reports / "mimic-cxr-reports.zip", moved)
    assert len(source(tree.jpg, reports=moved).frame) == 6
    with pytest.raises(LayoutError, match=r"mimic-cxr-reports\.zip"):
        source(tree.jpg)


def test_damaged_zip(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path, zipped_reports=True)
    path = tree.reports / "mimic-cxr-reports.zip"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LayoutError, match="cut off"):
        source(tree.jpg)


@pytest.mark.parametrize("gz", [True, False])
def test_tables_zipped_or_not_and_moved(tmp_path: Path, gz: bool) -> None:
    tree = write_mimic(tmp_path, jpg="jpg", reports="jpg", gz=gz)
    elsewhere = tmp_path / "tables"
    elsewhere.mkdir()
    for path in tree.jpg.glob("*.csv*"):
        shutil.move(path, elsewhere / path.name)
    with pytest.raises(LayoutError, match=r"metadata.*split.*chexpert.*--tables"):
        source(tree.jpg)
    assert len(source(tree.jpg, tables=elsewhere).frame) == 6


def test_both_projects_in_one_folder_with_dicom_beside(tmp_path: Path) -> None:
    """mimic-cxr holds reports and DICOM: JPG is preferred, --image-type chooses."""
    tree = write_mimic(tmp_path)
    for s in tree.studies:
        for n in s.dicoms:
            path = tree.reports / s.folder / f"{dicom_id(n)}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"DICM")
    assert source(tmp_path).layout["kind"] == "jpg"
    found = source(tmp_path, image_type="dicom")
    assert found.layout["kind"] == "dicom"
    assert found.frame["image_path"].str.endswith(".dcm").all()
    # the DICOM project has no tables of its own: they come from the JPG project
    assert "table:split" in found.layout


def test_views_are_chosen_explicitly(tmp_path: Path) -> None:
    content = [Study(10000001, 50000001, [1, 2, 3, 4], views=["AP", "LL", "", "AP AXIAL"])]
    tree = write_mimic(tmp_path, content)
    table = next(tree.jpg.glob("*metadata*"))
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    frame.loc[2, "ViewCodeSequence_CodeMeaning"] = "postero-anterior"
    frame.to_csv(table, index=False)

    def ids(views: str) -> set[str]:
        return set(source(tree.jpg, views=views).frame["view"])

    # a blank ViewPosition falls back on the view code
    assert ids("frontal") == {"AP", "PA"}
    assert ids("frontal-any") == {"AP", "PA", "AP AXIAL"}
    assert ids("lateral") == {"LL"}
    assert ids("all") == {"AP", "LL", "PA", "AP AXIAL"}
    assert ids("ll, ap axial") == {"LL", "AP AXIAL"}
    with pytest.raises(ConfigError, match="--views"):
        ids(",")


def test_studies_without_a_label_row_are_kept(tmp_path: Path) -> None:
    content = studies(5)
    content[1].labels = None
    content[2].labels = {}
    found = source(write_mimic(tmp_path, content).jpg)
    assert len(found.frame) == 5
    for study in (content[1], content[2]):
        codes = found.frame.loc[found.frame["study_id"] == str(study.study)].filter(like="table_")
        assert (codes.to_numpy() == -2).all()
    assert any("1 studies have no row" in note for note in found.notes)
    assert any("1 studies with no label at all" in note for note in found.notes)


def test_label_tables(tmp_path: Path) -> None:
    content = studies(5)
    content[0].labels = {"Lung Opacity": -1.0}
    tree = write_mimic(tmp_path, content, test_labeled=True)
    found = source(tree.jpg, labels="negbio")
    assert found.frame.iloc[0]["table_lung_opacity"] == -1
    radiologists = source(tree.jpg, labels="test-2.1").frame
    test = radiologists[radiologists["split"] == "test"]
    assert (test["table_edema"] == 1).all()
    # "Airspace Opacity" is Lung Opacity
    assert (test["table_lung_opacity"] == 0).all()
    assert radiologists.iloc[0]["table_lung_opacity"] == -1
    notes = source(tree.jpg, labels="test-2.1").notes
    assert "table test-set-labeled: 1 rows; the full release has 687" in notes
    nothing = source(tree.jpg, labels="none")
    assert not [c for c in nothing.frame if c.startswith("table_")]
    next(tree.jpg.glob("*test-set-labeled*")).unlink()
    with pytest.raises(LayoutError, match=r"2\.1\.0-test-set-labeled"):
        source(tree.jpg, labels="test-2.1")
    next(tree.jpg.glob("*negbio*")).unlink()
    with pytest.raises(LayoutError, match="negbio"):
        source(tree.jpg, labels="negbio")


def test_another_division_into_splits_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_mimic(tmp_path)
    monkeypatch.setitem(mimic_cxr.KNOWN_ROWS, "split", 12)
    assert any("divided into {'train': 8, 'validate': 2, 'test': 2}" in note for note in source(tree.jpg).notes)
    monkeypatch.setattr(mimic_cxr, "KNOWN_SPLITS", {"train": 8, "validate": 2, "test": 2})
    assert not any("divided into" in note for note in source(tree.jpg).notes)


def test_of_two_versions_the_newer_is_taken(tmp_path: Path) -> None:
    write_mimic(tmp_path, jpg="physionet.org/files/mimic-cxr-jpg/2.0.0", reports="physionet.org/files/mimic-cxr/2.0.0")
    newer = write_mimic(
        tmp_path, studies(4), "physionet.org/files/mimic-cxr-jpg/2.1.0", "physionet.org/files/mimic-cxr/2.1.0"
    )
    found = source(tmp_path)
    assert found.root == newer.jpg.resolve()
    assert found.layout["version"] == "2.1.0"
    assert found.layout["reports"] == str(newer.reports.resolve())
    # one that is given is taken, whatever lies beside it
    assert source(tmp_path / "physionet.org/files/mimic-cxr-jpg/2.0.0").layout["version"] == "2.0.0"


def test_partial_download_is_fine_and_reported(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    shutil.rmtree(tree.jpg / tree.studies[0].folder)
    (tree.reports / f"{tree.studies[1].folder}.txt").unlink()
    found = source(tree.jpg)
    assert set(found.frame["study_id"]) == {str(s.study) for s in tree.studies[2:]}
    assert found.drops.counts("dropped") == {"view": 6, "not downloaded": 1, "no report": 1}
    assert any("partial download: 1 of 6" in note for note in found.notes)
    assert any("the full release has 377,110" in note for note in found.notes)
    shutil.rmtree(tree.jpg / "files")
    with pytest.raises(LayoutError, match="no images"):
        source(tree.jpg)


def test_missing_file_in_a_study_that_is_there_is_a_fault(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    tree.image(tree.studies[0]).unlink()
    with pytest.raises(ImageError) as caught:
        prepared(tree.jpg, tmp_path / "strict")
    assert dicom_id(tree.studies[0].dicoms[0]) in str(caught.value)
    assert not (tmp_path / "strict" / "header.json").exists()
    manifest = prepared(tree.jpg, tmp_path / "skip", policy="skip")
    assert len(manifest.frame) == 5
    assert manifest.header["drops"]["dropped"] == {"view": 6, "image unreadable": 1}


def test_tables_must_tell_the_same_story(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    rows = [[dicom_id(n), s.study, s.subject, s.split] for s in tree.studies for n in s.dicoms]
    rows[0][1] = 59999999
    write_csv(tree.jpg / "mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], rows)
    with pytest.raises(TableError, match=r"another study_id.*different releases"):
        source(tree.jpg)


def test_text_policies(tmp_path: Path) -> None:
    content = studies(3)
    content[0].report = "\n FINDINGS: \n \n There is a large\n right pneumothorax.\n"
    content[1].report = "\n IMPRESSION: \n \n 1. No effusion\n 2. Cardiomegaly\n"
    content[2].report = "\n EXAMINATION:  CHEST\n \n INDICATION:  ___\n"
    tree = write_mimic(tmp_path, content)

    def texts(policy: str) -> dict[str, str]:
        found = source(tree.jpg, text=policy)
        return dict(zip(found.frame["study_id"], found.frame["text"], strict=True))

    one, two, three = (str(s.study) for s in content)
    both = texts("findings_impression")
    assert both[one] == "There is a large right pneumothorax."
    # list items without full stops stay apart
    assert both[two] == "1. No effusion\n2. Cardiomegaly"
    assert three not in both
    assert set(texts("findings")) == {one}
    assert set(texts("impression")) == {two}
    assert set(texts("report")) == {one, two, three}
    with pytest.raises(ConfigError, match="--text 'nonsense'"):
        texts("nonsense")


def test_addenda_come_first_and_lines_may_end_in_crlf(tmp_path: Path) -> None:
    content = studies(2)
    addendum = (
        "                                 FINAL REPORT\n ADDENDUM  Findings were told to Dr. ___.\n" + "_" * 79 + "\n"
    )
    content[0].report = addendum + content[0].text
    content[1].report = content[1].text.replace("\n", "\r\n")
    frame = source(write_mimic(tmp_path, content).jpg).frame.set_index("study_id")
    assert frame.loc[str(content[0].study), "findings"] == content[0].findings
    assert frame.loc[str(content[1].study), "impression"] == content[1].impression


def test_mixed_grey_level_pipelines_are_warned_of(
    tree, frontal_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from clinclip.data.datamodule import CXRDataModule
    from clinclip.data.manifest import save

    frontal = Manifest.load(frontal_dir)

    def warned(equalize: bool) -> bool:
        other = tmp_path / str(equalize)
        options = BuildOptions(image_size=frontal.cache.options.size, equalize=equalize, workers=1)
        manifest = build(source(tree.jpg), other, options, progress=False)
        assert manifest is not None
        options = {**manifest.header["options"], "kind": "dicom"}  # DICOM files are not equalised as published
        header = {k: v for k, v in manifest.header.items() if k not in ("schema_version", "hash", "files")}
        save(other, manifest.frame, {**header, "options": options}, [])
        caplog.clear()
        with caplog.at_level("WARNING"):
            CXRDataModule([str(frontal_dir), str(other)], num_workers=0, cache_tokens=False).setup("validate")
        return "was prepared unlike" in caplog.text

    assert warned(False)
    assert not warned(True)


def test_undecodable_report_is_named(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    (tree.reports / f"{tree.studies[2].folder}.txt").write_bytes(b" FINDINGS: \xff\xfe")
    with pytest.raises(DataError, match=rf"s{tree.studies[2].study}\.txt: the report is not UTF-8.*--policy skip"):
        prepared(tree.jpg, tmp_path / "m")


@pytest.mark.parametrize("zipped", [False, True])
def test_skip_leaves_unreadable_reports_out_and_lists_them(tmp_path: Path, zipped: bool) -> None:
    tree = write_mimic(tmp_path)
    lost = tree.studies[2]
    report = tree.reports / f"{lost.folder}.txt"
    report.write_bytes(b" FINDINGS: Caf\xe9.")
    options: dict = {}
    if zipped:
        options["reports"] = tmp_path / "mimic-cxr-reports.zip"
        with zipfile.ZipFile(options["reports"], "w") as archive:
            for path in tree.reports.rglob("s*.txt"):
                archive.write(path, path.relative_to(tree.reports))
    manifest = prepared(tree.jpg, tmp_path / "m", "skip", **options)
    assert str(lost.study) not in set(manifest.frame["study_id"])
    assert manifest.header["drops"]["dropped"]["report unreadable"] == 1  # its frontal image
    listed = pd.read_csv(tmp_path / "m" / "drops.csv", dtype=str)
    row = listed[listed["reason"] == "report unreadable"].iloc[0]
    assert row["study_id"] == str(lost.study)
    assert "not UTF-8" in row["detail"]


def test_a_member_of_the_zip_that_is_damaged_is_one_report(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    where = tmp_path / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(where, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tree.reports.rglob("s*.txt")):
            archive.write(path, path.relative_to(tree.reports))
        first = archive.infolist()[0]
    data = bytearray(where.read_bytes())
    at = first.header_offset + 30 + len(first.filename) + first.compress_size // 2
    data[at] ^= 0xFF
    where.write_bytes(data)
    found = source(tree.jpg, reports=where)
    assert len(found.faults) == 1
    assert "the zip is damaged there" in found.faults[0]
    assert len(found.frame) > 0


def test_reports_with_windows_line_ends_are_the_same(tmp_path: Path) -> None:
    tree = write_mimic(tmp_path)
    before = source(tree.jpg).frame[["study_id", "findings", "impression", "text"]]
    for path in tree.reports.rglob("s*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert source(tree.jpg).frame[["study_id", "findings", "impression", "text"]].equals(before)


def test_wrong_folders_say_what_was_found(tree, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no such folder"):
        source(tmp_path / "nowhere")
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"")
    with pytest.raises(LayoutError, match=r"holds beach\.jpg.*Download"):
        source(tmp_path / "holiday")
    alone = tmp_path / "alone"
    shutil.copytree(tree.reports, alone)
    with pytest.raises(LayoutError, match=r"reports \(\.txt\)"):
        source(alone)
    images = tmp_path / "images"
    shutil.copytree(tree.jpg, images)
    with pytest.raises(LayoutError, match="not part of MIMIC-CXR-JPG"):
        source(images)
    with pytest.raises(LayoutError, match="no reports found"):
        source(images, reports=images)


def test_the_download_is_never_written_to(tree, tmp_path: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in tree.jpg.rglob("*"))
    prepared(tree.jpg, tmp_path / "m")
    assert sorted((p, p.stat().st_mtime_ns) for p in tree.jpg.rglob("*")) == before
    with pytest.raises(ConfigError, match="only read"):
        prepared(tree.jpg, tree.jpg / "files" / "manifest")


def test_shuffled_tables_and_another_place_give_the_same_hash(tree, tmp_path: Path) -> None:
    first = prepared(tree.jpg, tmp_path / "a")
    copy = tmp_path / "copy"
    shutil.copytree(tree.jpg.parent.parent, copy)
    for path in copy.rglob("*.csv.gz"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False).sample(frac=1, random_state=1)
        frame.to_csv(path, index=False)
    second = prepared(copy, tmp_path / "b")
    assert second.hash == first.hash
    pd.testing.assert_frame_equal(first.frame, second.frame)
    # running again changes nothing; another option is another manifest
    assert prepared(tree.jpg, tmp_path / "a").hash == first.hash
    with pytest.raises(ConfigError, match=r"other options \(changed: views\)"):
        prepared(tree.jpg, tmp_path / "a", views="all")
    assert prepared(tree.jpg, tmp_path / "c", views="all").hash != first.hash


def test_section_rules_of_the_user(tree, tmp_path: Path) -> None:
    study = tree.studies[0]
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"sections": {f"s{study.study}": "indication"}}))
    found = source(tree.jpg, section_rules=rules)
    assert found.options["section_rules"] == hashlib.sha256(rules.read_bytes()).hexdigest()
    text = found.frame.loc[found.frame["study_id"] == str(study.study), "text"].iloc[0]
    assert text.startswith("___-year-old with cough")
