"""Reading an image cache: memory-mapped uint8 squares, single or batched, checked against their checksums on demand."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import CacheError
from clinclip.images.cache_entry import CacheOptions, Geometry, geometry
from clinclip.images.cache_files import Entry, Shard, damaged, read_contents, read_index

__all__ = ["CacheOptions", "Geometry", "ImageCache"]


class ImageCache:
    """A finished cache, opened for reading. Safe to share between processes, to fork and to pickle.

    Position i holds the i-th item that the cache was built from. A position whose image could not be read holds no
    picture: reading it raises, it never yields a blank.

    Attributes:
        directory: Its folder.
        options: How its images were made.
        failed: Position -> reason, for images that could not be read (policy "skip").
    """

    def __init__(self, directory: str | PathLike[str]) -> None:
        self.directory = Path(directory)
        contents = read_contents(self.directory)
        self.options = CacheOptions.from_dict(contents["options"])
        if self.options.hash() != contents["options_hash"]:
            raise CacheError(
                f"the image cache in {self.directory} was built by another version of the image recipe; run the same "
                "prepare command again"
            )
        self.failed: dict[int, str] = {int(position): reason for position, reason in contents["failed"].items()}
        self._files = [self.directory / shard["file"] for shard in contents["shards"]]
        counts = np.array([shard["count"] for shard in contents["shards"]], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._failed = np.array(sorted(self.failed), np.int64)
        self._pixels: list[NDArray[np.uint8] | None] = [None] * len(self._files)
        self._indexes: list[Shard | None] = [None] * len(self._files)
        for file, shard in zip(self._files, contents["shards"], strict=True):
            found = file.stat().st_size if file.exists() else -1
            if found != shard["bytes"]:
                state = "is missing" if found < 0 else f"has {found:,} bytes instead of {shard['bytes']:,}"
                raise CacheError(f"image cache shard {file} {state}. Run the same prepare command again: it is rebuilt")

    @classmethod
    def open(cls, directory: str | PathLike[str]) -> ImageCache:
        """Open a finished cache.

        Args:
            directory: Its folder, the one given to `clinclip.images.build_cache`.

        Raises:
            CacheError: Not finished, of another version, or a shard is missing or cut off.
        """
        return cls(directory)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The image at a position: uint8 (S, S), read-only in the raw tier."""
        shard, row = self._locate(index)
        return self._image(shard, row)

    def gather(self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[np.uint8] | None = None) -> NDArray:
        """Many images in one array.

        Args:
            indices: Positions (n,).
            out: uint8 (n, S, S) to fill instead of a new array.

        Returns:
            uint8 (n, S, S).

        Raises:
            CacheError: A position is out of range or holds no picture.
        """
        size = self.options.size
        return self.gather_windows(indices, None, None, size, out)

    def gather_windows(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        tops: NDArray[np.integer] | None,
        lefts: NDArray[np.integer] | None,
        size: int,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """A square window of each of many images, copied straight from the memory map.

        Args:
            indices: Positions (n,).
            tops: First row of each window (n,), or None for 0.
            lefts: First column of each window (n,), or None for 0.
            size: Side of the windows, at most S.
            out: uint8 (n, size, size) to fill instead of a new array.

        Returns:
            uint8 (n, size, size).

        Raises:
            CacheError: A position is out of range or holds no picture.
        """
        positions = np.asarray(indices, np.int64)
        shards, rows = self._locate_all(positions)
        if out is None:
            out = np.empty((len(positions), size, size), np.uint8)
        if self.options.tier == "raw":
            pixels, maps = self._pixels, [self._map(shard) for shard in set(shards)]
            if len(maps) == 1 and tops is None and lefts is None and size == self.options.size:
                np.take(maps[0], rows, axis=0, out=out)
                return out
            if tops is None or lefts is None:
                for i, (shard, row) in enumerate(zip(shards, rows, strict=True)):
                    out[i] = pixels[shard][row, :size, :size]  # type: ignore[index]
                return out
            windows = zip(shards, rows, tops.tolist(), lefts.tolist(), strict=True)
            for i, (shard, row, top, left) in enumerate(windows):
                out[i] = pixels[shard][row, top : top + size, left : left + size]  # type: ignore[index]
            return out
        for i, (shard, row) in enumerate(zip(shards, rows, strict=True)):
            top = 0 if tops is None else int(tops[i])
            left = 0 if lefts is None else int(lefts[i])
            out[i] = self._image(shard, row)[top : top + size, left : left + size]
        return out

    def entry(self, index: int) -> Entry:
        """What the cache knows of an image: key, original size, source file's size, time and SHA-256, checksum."""
        self._check_range(np.asarray([index]))
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._index(shard).entries[index - int(self._starts[shard])]

    def keys(self) -> list[str]:
        """The caller's names of all images, in order."""
        return [entry.key for shard in range(len(self._files)) for entry in self._index(shard).entries]

    def geometry(self, index: int) -> Geometry:
        """How the original's pixels map into the cached image, for boxes and heat maps."""
        entry = self.entry(index)
        if entry.reason is not None:
            raise CacheError(f"position {index} of the image cache {self.directory} holds no picture: {entry.reason}")
        return geometry(entry.height, entry.width, self.options)

    def verify(self) -> list[int]:
        """Positions whose stored bytes no longer match their checksum; reads the whole cache.

        ``build_cache(..., verify=True)`` rebuilds them.
        """
        bad: list[int] = []
        for number, file in enumerate(self._files):
            bad += [int(self._starts[number]) + row for row in damaged(file, self._index(number))]
        return bad

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["directory"])  # type: ignore[misc]

    def _locate(self, index: int) -> tuple[int, int]:
        shards, rows = self._locate_all(np.asarray([index], np.int64))
        return shards[0], rows[0]

    def _locate_all(self, positions: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        self._check_range(positions)
        if len(self._failed):
            lost = positions[np.isin(positions, self._failed)]
            if len(lost):
                raise CacheError(
                    f"position {lost[0]} of the image cache {self.directory} holds no picture "
                    f"({self.failed[int(lost[0])]}); leave out the positions in ImageCache.failed"
                )
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        return shards.tolist(), (positions - self._starts[shards]).tolist()

    def _check_range(self, positions: NDArray[np.integer]) -> None:
        if len(positions) and (positions.min() < 0 or positions.max() >= len(self)):
            wrong = positions[(positions < 0) | (positions >= len(self))][0]
            raise CacheError(f"position {wrong} is not in the image cache {self.directory} of {len(self):,} images")

    def _map(self, shard: int) -> NDArray[np.uint8]:
        pixels = self._pixels[shard]
        if pixels is None:
            if self.options.tier == "raw":
                side, count = self.options.size, int(self._starts[shard + 1] - self._starts[shard])
                shape: tuple[int, ...] = (count, side, side)
            else:
                shape = (self._files[shard].stat().st_size,)
            pixels = np.asarray(np.memmap(self._files[shard], np.uint8, "r", shape=shape))
            self._pixels[shard] = pixels
        return pixels

    def _index(self, shard: int) -> Shard:
        index = self._indexes[shard]
        if index is None:
            index = read_index(self._files[shard])
            if index is None:
                raise CacheError(
                    f"image cache shard {self._files[shard]} is damaged. Run the same prepare command again"
                )
            self._indexes[shard] = index
        return index

    def _image(self, shard: int, row: int) -> NDArray[np.uint8]:
        pixels = self._map(shard)
        if self.options.tier == "raw":
            return pixels[row]
        import simplejpeg

        entry = self._index(shard).entries[row]
        try:
            decoded = simplejpeg.decode_jpeg(pixels[entry.offset : entry.offset + entry.length], "GRAY")
        except ValueError as error:
            raise CacheError(
                f"image {row} of cache shard {self._files[shard]} is damaged ({error}). Run the same prepare "
                "command again with --verify"
            ) from error
        return np.asarray(decoded)[:, :, 0]
