"""Where downloads of MIMIC-CXR end up, whole, partial, copied, unpacked and linked: all of them are found."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from clinclip.errors import LayoutError
from clinclip.prepare.readers.mimic_cxr import MimicOptions, read
from tests.prepare.trees import MimicTree, write_mimic


def found(images: Path, **options: object):
    return read(MimicOptions(images=images, **options), progress=False)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> MimicTree:
    return write_mimic(tmp_path / "download")


def whole(source, tree: MimicTree) -> bool:
    """All studies, with their images where the rows say and their text."""
    frame = source.frame
    there = all((source.root / path).is_file() for path in frame["image_path"])
    return there and set(frame["study_id"]) == {str(s.study) for s in tree.studies} and (frame["text"] != "").all()


@pytest.mark.parametrize("count", [205, 1200])
def test_study_folders_without_images_come_first(tree, count):
    for n in range(count):
        folder = tree.jpg / f"files/p10/p1000{n:04d}/s5900{n:04d}"
        folder.mkdir(parents=True)
        (folder / "index.html").touch()
        (tree.reports / f"files/p10/p1000{n:04d}").mkdir(parents=True, exist_ok=True)
    assert whole(found(tree.jpg), tree)
    (tree.jpg / tree.studies[0].folder / "index.html").touch()
    assert whole(found(tree.jpg.parents[2]), tree)


@pytest.mark.parametrize(
    ("jpg", "reports"),
    [
        ("mimic-cxr-jpg-2.1.0.physionet.org", "mimic-cxr-2.1.0.physionet.org"),
        ("mimic-cxr-jpg-2.1.0", "mimic-cxr-2.1.0"),
        ("MIMIC-CXR-JPG", "MIMIC-CXR"),
        ("mimic-cxr-jpg-2.1.0.physionet.org", "mimic-cxr-reports"),
        ("mimic-cxr-jpg/2.1.0", "mimic-cxr-reports"),
        (".", "mimic-cxr-reports"),
        (".", "files"),
        (".", "files/mimic-cxr-reports"),
        (".", "my reports"),
    ],
)
def test_copies_and_unpacked_reports(tmp_path, tree, jpg, reports):
    base = tmp_path / "copies"
    shutil.copytree(tree.jpg, base / jpg, dirs_exist_ok=True)
    shutil.copytree(tree.reports, base / reports, dirs_exist_ok=True)
    source = found(base)
    assert whole(source, tree)
    assert whole(found(base / jpg), tree)
    assert source.layout["version"] == ("2.1.0" if "2.1.0" in jpg else "")


def test_folders_of_any_name_below_the_one_that_is_given(tmp_path, tree):
    shutil.copytree(tree.jpg, tmp_path / "mine" / "x-rays")
    shutil.copytree(tree.reports, tmp_path / "mine" / "texts")
    assert whole(found(tmp_path / "mine"), tree)
    with pytest.raises(LayoutError, match=r"no reports found .*--reports DIR or ZIP"):
        found(tmp_path / "mine" / "x-rays")


def test_a_zip_of_the_whole_download(tmp_path, tree):
    where = tmp_path / "all.zip"
    with zipfile.ZipFile(where, "w") as archive:
        for path in (tmp_path / "download").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "download"))
        member = f"files/p10/p{tree.studies[0].subject}/._s{tree.studies[0].study}.txt"
        archive.writestr(f"__MACOSX/{member}", b"\0\5\26\7")
    assert whole(found(tree.jpg, reports=where), tree)
    with pytest.raises(LayoutError, match=r"all\.zip: it is a file; unpack it"):
        found(where)


def test_jpg_and_dicom_in_one_tree(tree):
    for path in list(tree.jpg.rglob("*.jpg")):
        path.with_suffix(".dcm").touch()
    shutil.copytree(tree.reports, tree.jpg, dirs_exist_ok=True)
    for kind, suffix in (("jpg", ".jpg"), ("dicom", ".dcm"), (None, ".jpg")):
        source = found(tree.jpg, image_type=kind)
        assert whole(source, tree)
        assert source.frame["image_path"].str.endswith(suffix).all()


def test_linked_projects(tmp_path, tree):
    place = tmp_path / "links"
    place.mkdir()
    (place / "jpg").symlink_to(tree.jpg)
    assert whole(found(place / "jpg"), tree)  # the reports lie beside what the link leads to
    moved = tmp_path / "elsewhere"
    shutil.copytree(tree.jpg, moved / "store")
    (place / "mimic-cxr-jpg").symlink_to(moved / "store")
    (place / "mimic-cxr").symlink_to(tree.reports)
    assert whole(found(place / "mimic-cxr-jpg"), tree)  # or beside the link
    assert whole(found(place), tree)
    (moved / "tables").mkdir()
    (moved / "tables" / "files").symlink_to(tree.jpg / "files")
    for path in tree.jpg.glob("*.csv.gz"):
        os.symlink(path, moved / "tables" / path.name)
    assert whole(found(moved / "tables", reports=tree.reports), tree)


def test_files_of_macos_are_no_files(tree):
    for path in [*tree.jpg.rglob("*.jpg"), *tree.reports.rglob("*.txt"), *tree.jpg.glob("*.gz")]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\26\7")
        (path.parent / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert whole(found(tree.jpg), tree)
    for path in list(tree.jpg.rglob("*.jpg")):
        if not path.name.startswith("."):
            path.unlink()
    with pytest.raises(LayoutError, match="no images of the form"):
        found(tree.jpg)
