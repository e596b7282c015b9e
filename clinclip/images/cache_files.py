"""Files of an image cache: blocks of pixels with their index in one file, and the table of contents.

A block holds pixel data first (so that it can be memory-mapped from offset 0), then its index as JSON, then a trailer
of fixed length: byte length of the index, CRC-32 of the index, magic. One file means that pixels and checksums can only
ever change together, by one renaming. Its name carries a digest of the options and of the keys it holds: a block
built for other options or items has another name, so that a stale hit is impossible.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from clinclip.errors import CacheError, OutputError
from clinclip.files import replacing

MAGIC = b"CXRSHRD1"
_TRAILER = struct.Struct("<QI8s")
CONTENTS = "cache.json"
FORMAT = 1


@dataclass
class Entry:
    """One image of a block.

    Attributes:
        key: The caller's name of the image.
        reason: Why it could not be read, or None.
        height: Rows of the original.
        width: Columns of the original.
        source_bytes: Size of the source file.
        source_mtime_ns: Its modification time.
        source_sha256: Its content.
        crc32: Checksum of the stored bytes.
        offset: Where they start in the block.
        length: How many they are; 0 for an image that could not be read in a JPEG block.
        remarks: Fixed sentences about what was not taken as the file says it.
    """

    key: str
    reason: str | None = None
    height: int = 0
    width: int = 0
    source_bytes: int = 0
    source_mtime_ns: int = 0
    source_sha256: str = ""
    crc32: int = 0
    offset: int = 0
    length: int = 0
    remarks: Sequence[str] = ()


@dataclass
class Block:
    """A block's index and, while it is being built, its pixels."""

    options_hash: str
    entries: list[Entry]
    blobs: list[bytes | memoryview] = field(default_factory=list)


def block_name(number: int, options_hash: str, keys: Sequence[str]) -> str:
    """File name of a block of these keys under these options."""
    digest = hashlib.sha256("\0".join([options_hash, *keys]).encode()).hexdigest()[:16]
    return f"{number:05d}-{digest}.block"


def write_block(path: Path, block: Block) -> None:
    """Write a block under a temporary name, force it to disk, and give it its name.

    Raises:
        CacheError: The disk is full or read-only.
    """
    offset = 0
    for entry, blob in zip(block.entries, block.blobs, strict=True):
        entry.offset, entry.length, entry.crc32 = offset, len(blob), zlib.crc32(blob)
        offset += len(blob)
    columns = {name: [getattr(entry, name) for entry in block.entries] for name in Entry.__dataclass_fields__}
    index = json.dumps({"options": block.options_hash, **columns}, separators=(",", ":")).encode()
    with _replacing(path) as file:
        for blob in block.blobs:
            file.write(blob)
        file.write(index)
        file.write(_TRAILER.pack(len(index), zlib.crc32(index), MAGIC))


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name complete and on the disk, or not at all.

    Raises:
        CacheError: It cannot be written.
    """
    try:
        with replacing(path, sync=True) as temporary, temporary.open("wb") as file:
            yield file
    except OutputError as error:
        raise CacheError(
            f"{error}. Free space or choose another output folder, then run the same command again: finished blocks "
            "are kept"
        ) from error


def read_index(path: Path) -> Block | None:
    """The index of a block, or None when the file is absent, cut off or its index is damaged."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < _TRAILER.size:
                return None
            file.seek(size - _TRAILER.size)
            length, crc, magic = _TRAILER.unpack(file.read(_TRAILER.size))
            if magic != MAGIC or length > size - _TRAILER.size:
                return None
            file.seek(size - _TRAILER.size - length)
            index = file.read(length)
    except FileNotFoundError:
        return None
    if zlib.crc32(index) != crc:
        return None
    columns = json.loads(index)
    options_hash = columns.pop("options")
    names = list(columns)
    return Block(
        options_hash, [Entry(**dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    )


def read_blobs(path: Path, block: Block) -> list[bytes]:
    """The stored bytes of every entry."""
    with path.open("rb") as file:
        return [_at(file, entry) for entry in block.entries]


def _at(file: IO[bytes], entry: Entry) -> bytes:
    file.seek(entry.offset)
    return file.read(entry.length)


def damaged(path: Path, block: Block) -> list[int]:
    """Rows of a block whose bytes do not match their checksum."""
    return [i for i, blob in enumerate(read_blobs(path, block)) if zlib.crc32(blob) != block.entries[i].crc32]


def write_contents(folder: Path, options: dict[str, Any], options_hash: str, blocks: list[tuple[Path, Block]]) -> None:
    """Write the table of contents. It is the same, byte for byte, whoever writes it."""
    failed: dict[str, str] = {}
    listed, start = [], 0
    for path, block in blocks:
        for row, entry in enumerate(block.entries):
            if entry.reason is not None:
                failed[str(start + row)] = entry.reason
        listed.append({"file": path.name, "count": len(block.entries), "bytes": path.stat().st_size})
        start += len(block.entries)
    contents = {
        "format": FORMAT,
        "options": options,
        "options_hash": options_hash,
        "count": start,
        "failed": failed,
        "blocks": listed,
    }
    with _replacing(folder / CONTENTS) as file:
        file.write(json.dumps(contents, indent=1).encode())


def read_contents(folder: Path) -> dict[str, Any]:
    """The table of contents.

    Raises:
        CacheError: Absent, of another format, or damaged.
    """
    path = folder / CONTENTS
    try:
        contents = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CacheError(
            f"{folder} holds no finished image cache ({CONTENTS} is not there). Run the same prepare command again: it "
            "continues where it stopped"
        ) from error
    except (ValueError, OSError) as error:
        raise CacheError(f"{path} is damaged: {error}. Run the same prepare command again") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        found = contents.get("format") if isinstance(contents, dict) else None
        raise CacheError(
            f"{path} has format {found!r}; this version reads {FORMAT}. Run the same prepare command again"
        )
    return contents


def index_of(path: Path) -> Block:
    """The index of a block that must be there.

    Raises:
        CacheError: It is missing or damaged.
    """
    block = read_index(path)
    if block is None:
        raise CacheError(f"image cache block {path} is missing or damaged. Run the same command again")
    return block


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """The options in which two caches differ, with both values, in words."""
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} ({ours.get(name)} against {theirs.get(name)})" for name in names) or "their recipe"


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove blocks of former options or items. Readers that have them open keep them until they close."""
    for path in folder.glob("[!.]*.block"):  # a hidden one is being written
        if path.name not in keep:
            path.unlink(missing_ok=True)
            path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
