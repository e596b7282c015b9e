"""Files: written whole or not at all, hashed, and read without running what they hold. The only copy of each."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clinclip.errors import ConfigError, DataError, OutputError


def shipped_configs() -> Path:
    """The folder of the shipped configuration files: ``configs`` of the repository, or of the installed package."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_file(name: str) -> Path:
    """A shipped configuration file, e.g. ``protocols/align-v1.json``.

    Raises:
        ConfigError: there is no such file.
    """
    path = shipped_configs() / name
    if not path.is_file():
        raise ConfigError(f"no configuration {name!r} beside the package ({shipped_configs()})")
    return path


def compact_json(value: object) -> str:
    """JSON without blanks, keys sorted, text as it is: one spelling for one value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well; a failure leaves nothing behind.

    Args:
        path: the final name; its folder is made.
        sync: force the content to disk before the file gets its name (for what a crash of the machine must not cut).

    Raises:
        OutputError: it cannot be written; names ``path``.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays: writers such as numpy's choose the format, or add a suffix, by it
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if sync:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
        # mkstemp makes private files; a result may be shared with the group as the umask allows
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OutputError:
        raise  # of a block within this one, which has named its file
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill the temporary file of :func:`replacing`.

    Raises:
        OutputError: it cannot be written; names ``path``.
    """
    with replacing(path) as temporary:
        write(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there. Raises OutputError."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """:func:`write_bytes` of a text in UTF-8. Raises OutputError."""
    write_bytes(path, content.encode())


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
