"""Saving and loading named arrays, atomically and without pickle. Each array carries a checksum (that of the zip)."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from clinclip.data.manifest import write_atomically
from clinclip.errors import DataError


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to one .npz file."""

    def write(target: Path) -> None:
        with target.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle for an array

    write_atomically(path, write)


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read these arrays, or all without names.

    Raises:
        DataError: the file is missing, damaged, holds objects, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names or archive.files}
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot read {', '.join(names) or 'arrays'} from it: {error}") from error
