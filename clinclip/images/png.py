"""PNG of any mode and depth to one grey channel.

Pillow verifies every chunk's checksum before OpenCV decodes: a decoder that meets a damaged chunk half-way leaves the
rest of the picture black, which no later step can tell from air.
"""

from __future__ import annotations

import io
from os import PathLike

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ImageDecodeError, ImageTooLargeError
from clinclip.images.decoder_process import allow_pixels
from clinclip.images.grey import luma, minmax_to_8bit
from clinclip.images.jpeg import PILLOW_ERRORS, exif_orientation, upright
from clinclip.images.limits import MAX_PARTS, check_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: What a PNG with Exif data holds: the chunk, or the text chunk of older writers.
_EXIF_MARKS = (b"eXIf", b"Raw profile type exif")
_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}  # as decoded: palettes may carry transparency


def check_png(data: bytes, path: str | PathLike[str]) -> tuple[int, int]:
    """Verify the header, its size, the chunks' checksums and that there is an end.

    Returns:
        (height, width).

    Raises:
        ImageDecodeError: A chunk is missing, cut off or damaged.
        ImageTooLargeError: Over the limits.
    """
    from PIL.PngImagePlugin import PngImageFile

    _check_count(data, path)
    try:
        image = PngImageFile(io.BytesIO(data))  # reads header, palette and remarks; decodes no pixel
        if not image.tile:
            raise ValueError("it holds no picture data")
        image.verify()
    except PILLOW_ERRORS as error:
        raise ImageDecodeError(path, f"damaged or cut-off PNG: {error}") from error
    width, height = image.size
    check_size(path, height, width, _CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1))
    return height, width


def _check_count(data: bytes, path: str | PathLike[str]) -> None:
    """Refuse a file of nothing but chunks, with which Pillow would be busy for long."""
    at, count = len(SIGNATURE), 0
    while data[at + 4 : at + 8] not in (b"", b"IEND"):
        at, count = at + 12 + int.from_bytes(data[at : at + 4], "big"), count + 1
        if count > MAX_PARTS:
            raise ImageTooLargeError(path, f"a PNG of more than {MAX_PARTS:,} chunks")


def decode_png(data: bytes, path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Decode a PNG; 16-bit grey levels are stretched from minimum to maximum, all others kept as stored.

    Args:
        data: The file.
        path: Its name, for messages.

    Returns:
        uint8 (H, W), upright by its Exif orientation. Colour becomes luma; transparency is composited over black (see
        `clinclip.images.grey.luma`).

    Raises:
        ImageDecodeError: Damaged data.
        ImageTooLargeError: Over the limits.
    """
    height, width = check_png(data, path)
    allow_pixels(height * width)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageDecodeError(path, f"damaged PNG: {error.err}") from error
    if pixels is None or pixels.shape[:2] != (height, width):
        raise ImageDecodeError(path, "damaged PNG: its compressed picture data cannot be unpacked")
    grey = luma(pixels)
    grey = grey if grey.dtype == np.uint8 else minmax_to_8bit(grey)
    return upright(grey, exif_orientation(data, "PNG")) if any(mark in data for mark in _EXIF_MARKS) else grey
