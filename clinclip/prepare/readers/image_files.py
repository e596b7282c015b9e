"""Finding the image files that a table names: in nested folders, or named without an extension."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

#: Extensions tried for names that have none, in this order.
SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".PNG", ".JPG", ".JPEG", ".DCM")


def find_images(root: Path, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Where the named images are.

    A name is completed by the first extension under which it is there, and, where most names lead nowhere, by the one
    folder below ``root`` in which it is found: the whole name must agree, so that ``p1/view1.png`` never becomes
    ``p2/view1.png``. A name that is found in two folders stays as it is.

    Args:
        root: folder that the paths count from.
        paths: relative, with forward slashes.

    Returns:
        The paths, those that were not found unchanged, and notes about what was completed.
    """
    direct = {path: _with_suffix(root, path) for path in dict.fromkeys(paths)}
    nested: dict[str, str] = {}
    missing = [path for path, found in direct.items() if found is None]
    if 2 * len(missing) > len(direct):
        nested = _nested(root, missing)
    out = [direct[path] or nested.get(path, path) for path in paths]
    notes = []
    completed = sum(found is not None and found != path for path, found in direct.items())
    if completed:
        notes.append(f"{completed:,} images are named without their extension")
    if nested:
        notes.append(f"{len(nested):,} images lie in folders that the table does not name")
    return out, notes


def _with_suffix(root: Path, path: str) -> str | None:
    return next((path + suffix for suffix in SUFFIXES if (root / (path + suffix)).is_file()), None)


def _nested(root: Path, missing: Sequence[str]) -> dict[str, str]:
    """Missing path -> the only file below ``root`` that ends in it, with or without an extension."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for path in missing:
        for suffix in SUFFIXES:
            wanted.setdefault(PurePosixPath(path).name + suffix, []).append((path, f"/{path}{suffix}"))
    found: dict[str, set[str]] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            for path, end in wanted.get(name, ()):
                file = (Path(folder) / name).relative_to(root).as_posix()
                if file.endswith(end):
                    found.setdefault(path, set()).add(file)
    return {path: files.pop() for path, files in found.items() if len(files) == 1}
