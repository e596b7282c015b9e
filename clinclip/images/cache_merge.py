"""Joining caches that were built apart, as by the array jobs of a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path

from clinclip.errors import CacheError
from clinclip.images.cache_build import check_options
from clinclip.images.cache_entry import CacheOptions
from clinclip.images.cache_files import (
    Entry,
    Shard,
    difference,
    index_of,
    read_contents,
    shard_name,
    sweep,
    write_contents,
)


def merge_caches(
    parts: Sequence[str | PathLike[str]], directory: str | PathLike[str], move: bool = False
) -> list[Entry]:
    """Join caches that were built apart into one, in the order given.

    Args:
        parts: Finished caches of the same options and of different images.
        directory: Where the joined cache goes. Shards are hard-linked where possible, copied otherwise.
        move: Move the shards instead; the parts are gone afterwards.

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
                f"{difference(other['options'], first['options'])}. Build all shards with the same options"
            )
    options = CacheOptions.from_dict(first["options"])
    check_options(folder, options, False)
    folder.mkdir(parents=True, exist_ok=True)
    seen: dict[str, Path] = {}
    shards: list[tuple[Path, Shard]] = []
    for part, listed in contents:
        for item in listed["shards"]:
            source = part / item["file"]
            shard = index_of(source)
            for entry in shard.entries:
                if entry.key in seen:
                    raise CacheError(f"image {entry.key!r} is both in {seen[entry.key]} and in {part}")
                seen[entry.key] = part
            target = folder / shard_name(len(shards), options.hash(), [entry.key for entry in shard.entries])
            if not target.exists():
                _place(source, target, move)
            shards.append((target, shard))
    write_contents(folder, asdict(options), options.hash(), shards)
    sweep(folder, {path.name for path, _ in shards})
    return [entry for _, shard in shards for entry in shard.entries]


def _place(source: Path, target: Path, move: bool) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if move:
            shutil.move(source, temporary)
        else:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CacheError(f"cannot place {source} into {target.parent}: {error.strerror}") from error
