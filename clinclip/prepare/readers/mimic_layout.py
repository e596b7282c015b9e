"""Finding a MIMIC-CXR download: two projects, several versions, whole or partial, side by side or apart.

MIMIC-CXR (reports and DICOM) and MIMIC-CXR-JPG (JPG and tables) are separate downloads. ``wget -r`` leaves them as
``physionet.org/files/<project>/<version>/``; people also move them, keep only ``files/`` or hand over a folder above.
Every folder here is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clinclip.errors import LayoutError

JPG, DICOM = "jpg", "dicom"
REPORTS_ZIP = "mimic-cxr-reports.zip"
_PROJECTS = ("mimic-cxr-jpg", "mimic-cxr")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_GROUP = re.compile(r"p1\d")
_TABLE = re.compile(r"mimic-cxr-(\d+\.\d+\.\d+)-([a-z-]+)\.csv(\.gz)?")

DOWNLOADS = {
    "images": "the folder files/ of MIMIC-CXR-JPG (physionet.org/content/mimic-cxr-jpg) or of MIMIC-CXR for DICOM",
    "reports": f"{REPORTS_ZIP} of MIMIC-CXR (physionet.org/content/mimic-cxr)",
    "metadata": "mimic-cxr-2.0.0-metadata.csv.gz of MIMIC-CXR-JPG (physionet.org/content/mimic-cxr-jpg)",
    "split": "mimic-cxr-2.0.0-split.csv.gz of MIMIC-CXR-JPG (physionet.org/content/mimic-cxr-jpg)",
    "chexpert": "mimic-cxr-2.0.0-chexpert.csv.gz of MIMIC-CXR-JPG (physionet.org/content/mimic-cxr-jpg)",
    "negbio": "mimic-cxr-2.0.0-negbio.csv.gz of MIMIC-CXR-JPG (physionet.org/content/mimic-cxr-jpg)",
    "test-set-labeled": "mimic-cxr-2.1.0-test-set-labeled.csv of MIMIC-CXR-JPG 2.1.0 (2.0.0 does not have it)",
}


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
        images: folder that holds ``files/``.
        kind: "jpg" or "dicom".
        reports: folder that holds ``files/`` with reports, or the zip.
        tables: table name ("metadata", "split", ...) -> file.
        version: of the image project, where the path tells it.
    """

    images: Path
    kind: str
    reports: Path
    tables: dict[str, Path] = field(default_factory=dict)
    version: str = ""


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    def key(path: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in path.name.split("."))

    return sorted((p for p in paths if _VERSION.fullmatch(p.name)), key=key, reverse=True)


def _roots(start: Path) -> Iterator[Path]:
    """Folders that may be the root of one of the two projects, nearest to ``start`` first, each once."""
    seen: set[Path] = set()

    def fresh(path: Path) -> bool:
        if path in seen or not path.is_dir():
            return False
        seen.add(path)
        return True

    # "files" itself, or one group of patients, was given; a folder of that name may also just hold the download
    if start.name == "files" and any(_GROUP.fullmatch(child.name) for child in _children(start)):
        start = start.parent
    elif _GROUP.fullmatch(start.name) and start.parent.name == "files":
        start = start.parent.parent
    if fresh(start):
        yield start
    # below: start may be physionet.org, physionet.org/files, or a project without its version
    for base in (start, start / "files", start / "physionet.org" / "files"):
        for project in _PROJECTS:
            for version in [*_newest_first(_children(base / project)), base / project]:
                if fresh(version):
                    yield version
    for version in _newest_first(_children(start)):
        if fresh(version):
            yield version
    # beside: start is <base>/<project>/<version> or <base>/<project>
    for base in (start.parent.parent, start.parent):
        for project in _PROJECTS:
            for version in [*_newest_first(_children(base / project)), base / project]:
                if fresh(version):
                    yield version


def studies(root: Path) -> Iterator[Path]:
    """Study folders ``files/p1x/p1xxxxxxx/s5xxxxxxx`` below a root."""
    for group in _children(root / "files"):
        if _GROUP.fullmatch(group.name):
            for patient in _children(group):
                for study in _children(patient):
                    if study.is_dir():
                        yield study


def image_kind(root: Path, limit: int = 200) -> str | None:
    """Either "jpg", "dicom" or None, by the first image among the first ``limit`` study folders below a root."""
    for count, study in enumerate(studies(root)):
        for path in _children(study):
            suffix = path.suffix.lower()
            if suffix == ".jpg":
                return JPG
            if suffix == ".dcm":
                return DICOM
        if count >= limit:
            break
    return None


def has_reports(root: Path, limit: int = 200) -> bool:
    """True where ``files/p1x/p1xxxxxxx/s5xxxxxxx.txt`` exist below a root."""
    count = 0
    for group in _children(root / "files"):
        if not _GROUP.fullmatch(group.name):
            continue
        for patient in _children(group):
            if any(path.suffix == ".txt" for path in _children(patient)):
                return True
            count += 1
            if count >= limit:
                return False
    return False


def find_tables(folder: Path) -> dict[str, Path]:
    """The tables in a folder by name; the newest version wins, and the publisher's .gz over an unpacked copy."""
    best: dict[str, tuple[tuple[int, ...], bool, Path]] = {}
    for path in _children(folder):
        if match := _TABLE.fullmatch(path.name):
            rank = (tuple(int(n) for n in match[1].split(".")), match[3] is not None, path)
            best[match[2]] = max(best.get(match[2], rank), rank)
    return {name: rank[2] for name, rank in best.items()}


def describe(folder: Path) -> str:
    """What a folder holds, in one clause, for messages."""
    if not folder.exists():
        return f"{folder} does not exist"
    if folder.is_file():
        return f"{folder} is a file"
    parts = []
    if kind := image_kind(folder):
        parts.append(f"{kind} images")
    if has_reports(folder):
        parts.append("reports (.txt)")
    if tables := find_tables(folder):
        parts.append(f"tables {', '.join(sorted(tables))}")
    if (folder / REPORTS_ZIP).is_file():
        parts.append(REPORTS_ZIP)
    if not parts:
        names = [p.name + ("/" if p.is_dir() else "") for p in _children(folder)]
        parts.append(", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing")
    return f"{folder} holds {'; '.join(parts)}"


def _find_images(images: Path, wanted: str | None) -> tuple[Path, str]:
    found = [(root, kind) for root in _roots(images) if (kind := image_kind(root))]
    if wanted:
        found = [pair for pair in found if pair[1] == wanted]
    # both projects below one folder: the smaller download with the tables first
    found.sort(key=lambda pair: pair[1] != JPG)
    if not found:
        kind = f"{wanted} images" if wanted else "images"
        raise LayoutError(
            f"--images: no {kind} of the form files/p10/p10000032/s50414267/<dicom_id>.jpg|.dcm found in or near it; "
            f"{describe(images)}. Download {DOWNLOADS['images']} and give its folder"
        )
    return found[0]


def _find_reports(reports: Path | None, near: list[Path]) -> Path:
    if reports is not None:
        if reports.is_file():
            return reports
        near = [reports]
    for start in near:
        for root in _roots(start):
            if has_reports(root):
                return root
            for folder in (root, root.parent):
                if (folder / REPORTS_ZIP).is_file():
                    return folder / REPORTS_ZIP
    looked = describe(reports) if reports is not None else "; ".join(describe(p) for p in near)
    raise LayoutError(
        f"no reports found ({'--reports' if reports is not None else 'searched near --images'}): {looked}. "
        f"Reports are not part of MIMIC-CXR-JPG: download {DOWNLOADS['reports']} and give --reports DIR or ZIP"
    )


def locate(
    images: Path,
    reports: Path | None = None,
    tables: Path | None = None,
    required: tuple[str, ...] = ("metadata", "split"),
    kind: str | None = None,
) -> Layout:
    """Find images, reports and tables.

    Args:
        images: the download, a folder above it, or its ``files`` folder.
        reports: folder or zip; None searches near the images.
        tables: folder; None searches near the images.
        required: tables that must be there.
        kind: "jpg" or "dicom" where both exist; None prefers JPG.

    Raises:
        LayoutError: says what was looked for, what was found, and what to download.
    """
    images = images.resolve()
    if not images.is_dir():
        raise LayoutError(f"--images {images}: no such folder; download {DOWNLOADS['images']}")
    root, found_kind = _find_images(images, kind)
    if tables is not None:
        found = find_tables(tables.resolve())
        searched = [tables.resolve()]
    else:
        found, searched = {}, []
        for folder in [root, *_roots(root), *_roots(images)]:
            searched.append(folder)
            for name, path in find_tables(folder).items():
                found.setdefault(name, path)
    missing = [name for name in required if name not in found]
    if missing:
        where = "; ".join(describe(folder) for folder in dict.fromkeys(searched[:4]))
        raise LayoutError(
            f"missing table{'s' if len(missing) > 1 else ''} {', '.join(missing)}: {where}. Download "
            + "; ".join(DOWNLOADS.get(name, name) for name in missing)
            + " and put it beside the images, or give --tables DIR"
        )
    where = _find_reports(reports.resolve() if reports else None, [root, images])
    version = next((p.name for p in (root, *root.parents) if _VERSION.fullmatch(p.name)), "")
    return Layout(root, found_kind, where, found, version)
