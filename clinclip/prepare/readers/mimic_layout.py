"""Finding a MIMIC-CXR download: two projects, several versions, whole or partial, side by side or apart.

MIMIC-CXR (reports and DICOM) and MIMIC-CXR-JPG (JPG and tables) are separate downloads. ``wget -r`` leaves them as
``physionet.org/files/<project>/<version>/``, cloud copies as ``<project>-<version>.physionet.org/``, an unpacked zip of
reports as ``mimic-cxr-reports/``; people also move and link them, keep only ``files/`` or hand over a folder above. An
unfinished ``wget -r`` leaves study folders with nothing but an ``index.html``. Every folder here is only read.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clinclip.errors import LayoutError

JPG, DICOM = "jpg", "dicom"
REPORTS_ZIP = "mimic-cxr-reports.zip"
_PROJECTS = ("mimic-cxr-jpg", "mimic-cxr")
_COPY = re.compile(r"mimic-cxr\b.*", re.IGNORECASE)
#: study folders without an image, and patients without a report, after which a tree is taken to have none
_PATIENCE = 20_000
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
    """What is in a folder, but for hidden files: macOS leaves ``._name`` beside every file that it copies."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _projects(base: Path) -> Iterator[Path]:
    """Folders below ``base`` named like a project or a copy of one, those of the JPG project and new versions first."""
    for project in _PROJECTS:
        yield from [*_newest_first(_children(base / project)), base / project]
    copies = [child for child in _children(base) if _COPY.fullmatch(child.name) and child.name not in _PROJECTS]
    for copy in sorted(copies, key=lambda path: ("jpg" in path.name.lower(), path.name), reverse=True):
        yield from [*_newest_first(_children(copy)), copy]


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
        for root in _projects(base):
            if fresh(root):
                yield root
    if fresh(start / "files"):  # a zip of reports unpacked in there
        yield start / "files"
    for version in _newest_first(_children(start)):
        if fresh(version):
            yield version
    # beside: start is <base>/<project>/<version> or <base>/<project>
    for base in (start.parent.parent, start.parent):
        for root in _projects(base):
            if fresh(root):
                yield root
    # inside, whatever people call it
    for root in _children(start)[:200]:
        if (root / "files").is_dir() and fresh(root):
            yield root


def _patients(root: Path) -> Iterator[Path]:
    """Patient folders ``files/p1x/p1xxxxxxx`` below a root, the first ones."""
    groups = (group for group in _children(root / "files") if _GROUP.fullmatch(group.name))
    return itertools.islice(itertools.chain.from_iterable(map(_children, groups)), _PATIENCE)


def image_kind(root: Path, wanted: str | None = None) -> str | None:
    """The kind of images below a root: "jpg", "dicom" or None. JPG where a study folder has both.

    Args:
        root: folder that holds ``files/``.
        wanted: look for this kind only, which may lie beside the other.
    """
    folders = (path for patient in _patients(root) for path in _children(patient) if path.suffix != ".txt")
    for study in itertools.islice(folders, _PATIENCE):
        suffixes = {path.suffix.lower() for path in _children(study)}
        for suffix, kind in ((".jpg", JPG), (".dcm", DICOM)):
            if suffix in suffixes and wanted in (None, kind):
                return kind
    return None


def has_reports(root: Path) -> bool:
    """True where ``files/p1x/p1xxxxxxx/s5xxxxxxx.txt`` exist below a root."""
    return any(path.suffix == ".txt" for patient in _patients(root) for path in _children(patient))


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


def _find_images(places: list[Path], wanted: str | None) -> tuple[Path, str]:
    images = places[0]
    roots = dict.fromkeys(root for place in places for root in _roots(place))
    found = [(root, kind) for root in roots if (kind := image_kind(root, wanted))]
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
    # a link's neighbours may be what belongs to it, or those of the folder that it leads to
    places = list(dict.fromkeys((Path(os.path.abspath(images)), images.resolve())))
    if images.is_file():
        raise LayoutError(f"--images {images}: it is a file; unpack it and give the folder")
    if not images.is_dir():
        raise LayoutError(f"--images {images}: no such folder; download {DOWNLOADS['images']}")
    root, found_kind = _find_images(places, kind)
    near = list(dict.fromkeys((root, root.resolve(), *places)))
    if tables is not None:
        found = find_tables(tables.resolve())
        searched = [tables.resolve()]
    else:
        found, searched = {}, []
        for folder in dict.fromkeys([root, *(below for place in near for below in _roots(place))]):
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
    where = _find_reports(reports.resolve() if reports else None, near)
    names = [p.name for p in (root, *root.parents) if _VERSION.fullmatch(p.name) or _COPY.fullmatch(p.name)]
    version = next((match[0] for name in names if (match := _VERSION.search(name))), "")
    return Layout(root, found_kind, where, found, version)
