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
from clinclip.images.cache_files import Block, Entry, damaged, read_contents, read_index

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
        self._files = [self.directory / block["file"] for block in contents["blocks"]]
        counts = np.array([block["count"] for block in contents["blocks"]], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._failed = np.array(sorted(self.failed), np.int64)
        self._pixels: list[NDArray[np.uint8] | None] = [None] * len(self._files)
        self._indexes: list[Block | None] = [None] * len(self._files)
        for file, block in zip(self._files, contents["blocks"], strict=True):
            found = file.stat().st_size if file.exists() else -1
            if found != block["bytes"]:
                state = "is missing" if found < 0 else f"has {found:,} bytes instead of {block['bytes']:,}"
                raise CacheError(f"image cache block {file} {state}. Run the same prepare command again: it is rebuilt")

    @classmethod
    def open(cls, directory: str | PathLike[str]) -> ImageCache:
        """Open a finished cache.

        Args:
            directory: Its folder, the one given to `clinclip.images.build_cache`.

        Raises:
            CacheError: Not finished, of another version, or a block is missing or cut off.
        """
        return cls(directory)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The image at a position: uint8 (S, S), read-only in the raw tier."""
        block, row = self._locate(index)
        return self._image(block, row)

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
        blocks, rows = self._locate_all(positions)
        if out is None:
            out = np.empty((len(positions), size, size), np.uint8)
        if self.options.tier == "raw":
            pixels, maps = self._pixels, [self._map(block) for block in set(blocks)]
            if len(maps) == 1 and tops is None and lefts is None and size == self.options.size:
                np.take(maps[0], rows, axis=0, out=out)
                return out
            if tops is None or lefts is None:
                for i, (block, row) in enumerate(zip(blocks, rows, strict=True)):
                    out[i] = pixels[block][row, :size, :size]  # type: ignore[index]
                return out
            windows = zip(blocks, rows, tops.tolist(), lefts.tolist(), strict=True)
            for i, (block, row, top, left) in enumerate(windows):
                out[i] = pixels[block][row, top : top + size, left : left + size]  # type: ignore[index]
            return out
        for i, (block, row) in enumerate(zip(blocks, rows, strict=True)):
            top = 0 if tops is None else int(tops[i])
            left = 0 if lefts is None else int(lefts[i])
            out[i] = self._image(block, row)[top : top + size, left : left + size]
        return out

    def entry(self, index: int) -> Entry:
        """What the cache knows of an image: key, original size, source file's size, time and SHA-256, checksum."""
        self._check_range(np.asarray([index]))
        block = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._index(block).entries[index - int(self._starts[block])]

    def keys(self) -> list[str]:
        """The caller's names of all images, in order."""
        return [entry.key for block in range(len(self._files)) for entry in self._index(block).entries]

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
        blocks, rows = self._locate_all(np.asarray([index], np.int64))
        return blocks[0], rows[0]

    def _locate_all(self, positions: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        self._check_range(positions)
        if len(self._failed):
            lost = positions[np.isin(positions, self._failed)]
            if len(lost):
                raise CacheError(
                    f"position {lost[0]} of the image cache {self.directory} holds no picture "
                    f"({self.failed[int(lost[0])]}); leave out the positions in ImageCache.failed"
                )
        blocks = np.searchsorted(self._starts, positions, side="right") - 1
        return blocks.tolist(), (positions - self._starts[blocks]).tolist()

    def _check_range(self, positions: NDArray[np.integer]) -> None:
        if len(positions) and (positions.min() < 0 or positions.max() >= len(self)):
            wrong = positions[(positions < 0) | (positions >= len(self))][0]
            raise CacheError(f"position {wrong} is not in the image cache {self.directory} of {len(self):,} images")

    def _map(self, block: int) -> NDArray[np.uint8]:
        pixels = self._pixels[block]
        if pixels is None:
            if self.options.tier == "raw":
                side, count = self.options.size, int(self._starts[block + 1] - self._starts[block])
                shape: tuple[int, ...] = (count, side, side)
            else:
                shape = (self._files[block].stat().st_size,)
            pixels = np.asarray(np.memmap(self._files[block], np.uint8, "r", shape=shape))
            self._pixels[block] = pixels
        return pixels

    def _index(self, block: int) -> Block:
        index = self._indexes[block]
        if index is None:
            index = read_index(self._files[block])
            if index is None:
                raise CacheError(
                    f"image cache block {self._files[block]} is damaged. Run the same prepare command again"
                )
            self._indexes[block] = index
        return index

    def _image(self, block: int, row: int) -> NDArray[np.uint8]:
        pixels = self._map(block)
        if self.options.tier == "raw":
            return pixels[row]
        import simplejpeg

        entry = self._index(block).entries[row]
        try:
            decoded = simplejpeg.decode_jpeg(pixels[entry.offset : entry.offset + entry.length], "GRAY")
        except ValueError as error:
            raise CacheError(
                f"image {row} of cache block {self._files[block]} is damaged ({error}). Run the same prepare "
                "command again with --verify"
            ) from error
        return np.asarray(decoded)[:, :, 0]
