"""PNG of any mode and depth to one grey channel.

Every chunk's checksum is verified before decoding: a decoder that meets a damaged chunk half-way leaves the rest of the
picture black, which no later step can tell from air.
"""

from __future__ import annotations

import itertools
import zlib
from os import PathLike

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ImageDecodeError, ImageTooLargeError
from clinclip.images.decoder_process import allow_pixels
from clinclip.images.grey import luma, minmax_to_8bit
from clinclip.images.jpeg import exif_orientation, upright
from clinclip.images.limits import MAX_PARTS, check_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: What a PNG with Exif data holds: the chunk, or the text chunk of older writers.
_EXIF_MARKS = (b"eXIf", b"Raw profile type exif")
_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}  # as decoded: palettes may carry transparency


def check_png(data: bytes, path: str | PathLike[str]) -> tuple[int, int, int]:
    """Verify header, chunk checksums and the end chunk.

    Returns:
        (height, width, bit depth).

    Raises:
        ImageDecodeError: A chunk is missing, cut off or damaged.
        ImageTooLargeError: Over the limits.
    """
    view, at, seen, shape = memoryview(data), len(SIGNATURE), set(), (0, 0, 0)
    for count in itertools.count():
        if count > MAX_PARTS:
            raise ImageTooLargeError(path, f"a PNG of more than {MAX_PARTS:,} chunks")
        if at + 12 > len(data):
            raise ImageDecodeError(path, f"cut-off PNG: the file ends at byte {len(data)} without an end chunk")
        length, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        name = kind.decode("latin-1")
        if at + 12 + length > len(data):
            raise ImageDecodeError(path, f"cut-off PNG: chunk {name!r} needs {length} bytes, the file ends before")
        if not seen and kind != b"IHDR":
            raise ImageDecodeError(path, f"damaged PNG: the first chunk is {name!r}, not 'IHDR'")
        stored = int.from_bytes(view[at + 8 + length : at + 12 + length], "big")
        if zlib.crc32(view[at + 4 : at + 8 + length]) != stored and not kind[0] & 0x20:
            raise ImageDecodeError(path, f"damaged PNG: the checksum of chunk {name!r} at byte {at} is wrong")
        if kind == b"IHDR":
            if length != 13:
                raise ImageDecodeError(path, f"damaged PNG: a header of {length} bytes instead of 13")
            width, height = (
                int.from_bytes(view[at + 8 : at + 12], "big"),
                int.from_bytes(view[at + 12 : at + 16], "big"),
            )
            depth, colour = data[at + 16], data[at + 17]
            if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
                raise ImageDecodeError(path, f"damaged PNG: colour type {colour} with {depth} bits")
            check_size(path, height, width, _CHANNELS[colour] * (2 if depth == 16 else 1))
            shape = (height, width, depth)
        seen.add(kind)
        at += 12 + length
        if kind == b"IEND":
            break
    if b"IDAT" not in seen:
        raise ImageDecodeError(path, "damaged PNG: it holds no picture data")
    return shape


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
    height, width, _ = check_png(data, path)
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
