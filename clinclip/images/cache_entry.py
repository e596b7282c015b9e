"""What a cache stores of one image: reduced, fitted into a square, and where the original's pixels went."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ConfigError, DataError, ImageMissingError
from clinclip.files import sha256_file
from clinclip.images.grey import Target, equalize, luma, minmax_to_8bit, reduce_area, reduce_area_fast
from clinclip.images.read import Loaded, Mode, Window, load

Fit = Literal["pad", "crop", "stretch"]
Tier = Literal["raw", "jpeg"]

#: Part of every cache's identity: raised whenever the code below or the decoders change the pixels that come out.
RECIPE = 2

#: Remark on an image of a single grey level.
CONSTANT = "a constant image: one grey level everywhere"


@dataclass(frozen=True)
class CacheOptions:
    """Everything that shapes a cached image; a change of any of them makes another cache.

    Attributes:
        size: Side of the stored square in pixels. A little more than the model's input leaves room for crops.
        fit: "pad" (default) keeps the whole image and its aspect ratio and fills with black: nothing of a costophrenic
            angle or an apex is lost. "crop" brings the shorter side to ``size`` and cuts the centre. "stretch" ignores
            the aspect ratio.
        mode: "fast" or "strict", see `clinclip.images.read_image`.
        window: "minmax" or "voi" for DICOM files, see `clinclip.images.read_image`.
        equalize: Equalise the histogram at full resolution. MIMIC-CXR-JPG is equalised already, its DICOM files are
            not.
        tier: "raw" stores uint8 (``size**2`` bytes an image, fastest); "jpeg" about a quarter of that, ten times slower
            to read, not exact.
        quality: JPEG quality of the "jpeg" tier.
    """

    size: int = 256
    fit: Fit = "pad"
    mode: Mode = "fast"
    window: Window = "minmax"
    equalize: bool = False
    tier: Tier = "raw"
    quality: int = 95

    def __post_init__(self) -> None:
        for name, kind in (("fit", Fit), ("mode", Mode), ("window", Window), ("tier", Tier)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(
                    f"image cache: {name} is {getattr(self, name)!r}; allowed: {', '.join(get_args(kind))}"
                )
        if not 16 <= self.size <= 4096:
            raise ConfigError(f"image cache: size is {self.size}; allowed: 16 to 4096 pixels")
        if not 50 <= self.quality <= 100:
            raise ConfigError(f"image cache: quality is {self.quality}; allowed: 50 to 100, lower ones blur fine lines")

    def hash(self) -> str:
        """16 hex digits over every option and the version of the recipe."""
        text = json.dumps({**asdict(self), "recipe": RECIPE}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CacheOptions:
        """The options that a cache records of itself."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @property
    def block_images(self) -> int:
        """Images in a full block: at most 256, and about 64 MB."""
        return max(16, min(256, 2**26 // self.size**2))


@dataclass(frozen=True)
class Geometry:
    """How original pixels map into the cached square: ``cached = original * scale + offset``.

    Attributes:
        scale_x: Cached pixels per original pixel, horizontally.
        scale_y: The same vertically.
        offset_x: Cached position of the original's left edge; negative when it was cut.
        offset_y: Cached position of its upper edge.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def map_boxes(self, boxes: NDArray) -> NDArray[np.float64]:
        """Boxes (..., 4) as left, top, right, bottom in original pixels, to cached pixels."""
        boxes = np.asarray(boxes, np.float64)
        scale = np.array([self.scale_x, self.scale_y] * 2)
        return boxes * scale + np.array([self.offset_x, self.offset_y] * 2)


def geometry(height: int, width: int, options: CacheOptions) -> Geometry:
    """The mapping for an original of this size."""
    rows, columns = _scaled(height, width, options)
    return Geometry(
        columns / width, rows / height, float((options.size - columns) // 2), float((options.size - rows) // 2)
    )


def _scaled(height: int, width: int, options: CacheOptions) -> tuple[int, int]:
    """The shape to which the whole original is scaled before padding or cutting."""
    if options.fit == "stretch":
        return options.size, options.size
    scale = options.size / (max(height, width) if options.fit == "pad" else min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fit_square(pixels: NDArray[np.uint8], size: tuple[int, int], options: CacheOptions) -> NDArray[np.uint8]:
    """Scale (upwards if need be), then pad or cut to the square.

    Args:
        pixels: uint8, already reduced to at most the wanted shape.
        size: (height, width) of the original.
        options: Of the cache.

    Returns:
        uint8 (size, size), contiguous.
    """
    rows, columns = _scaled(*size, options)
    if pixels.shape != (rows, columns):
        pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    top, left = (options.size - rows) // 2, (options.size - columns) // 2
    if top < 0 or left < 0:
        pixels = pixels[max(0, -top) : max(0, -top) + options.size, max(0, -left) : max(0, -left) + options.size]
    if pixels.shape == (options.size, options.size):
        return np.ascontiguousarray(pixels)
    square = np.zeros((options.size, options.size), np.uint8)
    top, left = max(0, top), max(0, left)
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return square


def make_entry(path: str | PathLike[str], options: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    """Read one file the way a cache stores it.

    Args:
        path: The source.
        options: A `CacheOptions` as a dictionary.

    Returns:
        Facts about the source (height, width, source_bytes, source_mtime_ns, source_sha256, remarks), and the stored
        bytes.

    Raises:
        ImageError: It cannot be read.
    """
    chosen = CacheOptions.from_dict(options)
    found = square(path, chosen)
    pixels, size, remarks = found.pixels, found.size, list(found.remarks)
    facts = {"height": size[0], "width": size[1], "remarks": remarks, **source_facts(path, digest=True)}
    if chosen.tier == "raw":
        return facts, pixels.data.cast("B")
    return facts, encode_jpeg(pixels, chosen.quality)


def square(path: str | PathLike[str], options: CacheOptions) -> Loaded:
    """The square that a cache of these options stores of a file (before JPEG coding, in the "jpeg" tier).

    Returns:
        uint8 (size, size), the (height, width) of the upright original, and remarks on both.

    Raises:
        ImageError: It cannot be read.
    """
    pixels, size, remarks = load(path, options.mode, options.window, _reduced(options), options.equalize)
    if pixels.min() == pixels.max():
        remarks = (*remarks, CONSTANT)
    return Loaded(fit_square(pixels, size, options), size, remarks)


def square_array(pixels: NDArray, options: CacheOptions) -> NDArray[np.uint8]:
    """The same of pixels in memory, as if they came from a PNG file.

    Args:
        pixels: Grey (H, W) or (H, W, 1), or RGB (H, W, 3), which becomes luma. uint8: levels as they are. uint16:
            stretched from minimum to maximum. Floating point: levels in [0, 1].
        options: Of the cache.

    Returns:
        uint8 (size, size).

    Raises:
        DataError: Another shape, type or range.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)) or not pixels.size:
        raise DataError(f"an image array has shape {pixels.shape}; allowed: (H, W), (H, W, 1) and RGB (H, W, 3)")
    if np.issubdtype(pixels.dtype, np.floating):
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise DataError("a floating-point image array has values outside [0, 1]; scale it, or give integers")
        pixels = np.rint(pixels * 255.0).astype(np.uint8)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(f"an image array has type {pixels.dtype}; allowed: uint8, uint16, and floats in [0, 1]")
    if pixels.ndim == 3:
        pixels = luma(np.ascontiguousarray(pixels[:, :, ::-1] if pixels.shape[2] == 3 else pixels))
    grey = minmax_to_8bit(np.ascontiguousarray(pixels)) if pixels.dtype == np.uint16 else pixels
    size = (grey.shape[0], grey.shape[1])
    grey = equalize(np.ascontiguousarray(grey)) if options.equalize else grey
    reduce = reduce_area_fast if options.mode == "fast" else reduce_area
    return fit_square(reduce(np.ascontiguousarray(grey), _reduced(options)(*size)), size, options)


def _reduced(options: CacheOptions) -> Target:
    """The shape that decoding may reduce to: that of the square, but never larger than the original."""

    def target(height: int, width: int) -> tuple[int, int]:
        rows, columns = _scaled(height, width, options)
        return min(height, rows), min(width, columns)

    return target


def source_facts(path: str | PathLike[str], digest: bool = False) -> dict[str, Any]:
    """Size and time of a source file, with its SHA-256 if wanted.

    Raises:
        ImageMissingError: It is gone.
    """
    try:
        status = Path(path).stat()
        facts: dict[str, Any] = {"source_bytes": status.st_size, "source_mtime_ns": status.st_mtime_ns}
        if digest:
            facts["source_sha256"] = sha256_file(Path(path))
    except OSError as error:
        raise ImageMissingError(path, f"it cannot be read: {error.strerror}") from error
    return facts


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """A grey JPEG of uint8 (H, W)."""
    import simplejpeg

    return simplejpeg.encode_jpeg(pixels[:, :, None], quality=quality, colorspace="GRAY", colorsubsampling="Gray")
