"""Joining caches that were built apart, as by the array jobs of a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path

from clinclip.errors import CacheError, OutputError
from clinclip.files import replacing
from clinclip.images.cache_build import check_options
from clinclip.images.cache_entry import CacheOptions
from clinclip.images.cache_files import (
    Block,
    Entry,
    block_name,
    difference,
    index_of,
    read_contents,
    sweep,
    write_contents,
)


def merge_caches(parts: Sequence[str | PathLike[str]], directory: str | PathLike[str]) -> list[Entry]:
    """Join caches that were built apart into one, in the order given.

    Args:
        parts: Finished caches of the same options and of different images.
        directory: Where the joined cache goes. Blocks are hard-linked where possible, copied otherwise.

    Returns:
        The entries of the joined cache, in order.

    Raises:
        CacheError: Options differ, an image occurs in two parts, or a part is not finished.
    """
    folder = Path(directory)
    if not parts:
        raise CacheError("no caches to merge")
    contents = [(Path(part), read_contents(Path(part))) for part in parts]
    first_path, first = contents[0]
    for path, other in contents[1:]:
        if other["options_hash"] != first["options_hash"]:
            raise CacheError(
                f"caches of different options cannot be merged: {path} differs from {first_path} in "
                f"{difference(other['options'], first['options'])}. Build all parts with the same options"
            )
    options = CacheOptions.from_dict(first["options"])
    check_options(folder, options, False)
    folder.mkdir(parents=True, exist_ok=True)
    seen: dict[str, Path] = {}
    blocks: list[tuple[Path, Block]] = []
    for part, listed in contents:
        for item in listed["blocks"]:
            source = part / item["file"]
            block = index_of(source)
            for entry in block.entries:
                if entry.key in seen:
                    raise CacheError(f"image {entry.key!r} is both in {seen[entry.key]} and in {part}")
                seen[entry.key] = part
            target = folder / block_name(len(blocks), options.hash(), [entry.key for entry in block.entries])
            if not target.exists():
                _place(source, target)
            blocks.append((target, block))
    write_contents(folder, asdict(options), options.hash(), blocks)
    sweep(folder, {path.name for path, _ in blocks})
    return [entry for _, block in blocks for entry in block.entries]


def _place(source: Path, target: Path) -> None:
    """Give a block a second name, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        try:
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)
        except OutputError as error:
            raise CacheError(str(error)) from error
