"""JPEG to one grey channel: luma only, at full size or scaled inside the inverse DCT.

A radiograph in an RGB JPEG has its grey image in the luma plane, so that colour is never decoded. What libjpeg-turbo
calls a recoverable error (a scan that ends early, corrupt entropy data) is an error here: it fills the rest with grey.
"""

from __future__ import annotations

import io
import itertools
import struct
import warnings
from dataclasses import dataclass
from os import PathLike

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from clinclip.errors import ImageDecodeError, ImageTooLargeError
from clinclip.images.decoder_process import allow_pixels
from clinclip.images.grey import Target
from clinclip.images.limits import MAX_PARTS, MAX_SCAN_PIXELS, check_size

#: Start-of-frame markers that libjpeg-turbo decodes: baseline, extended, progressive, and their arithmetic twins.
_DCT_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE = frozenset({0xC2, 0xCA})
#: Every start of frame, with that of JPEG-LS.
_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
#: What Pillow raises at damaged data.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class JpegInfo:
    """What the frame header says.

    Attributes:
        height: Rows.
        width: Columns.
        components: 1 grey, 3 colour, 4 CMYK.
        precision: Bits a sample.
        frame: Marker of the start of frame, 0xC0 baseline ... 0xC3 lossless.
        exif: An Exif segment precedes it.
    """

    height: int
    width: int
    components: int
    precision: int
    frame: int
    exif: bool


def jpeg_info(data: bytes, path: str | PathLike[str]) -> JpegInfo:
    """Walk the markers to the start of frame.

    Raises:
        ImageDecodeError: No frame header before the data ends.
    """
    at, exif = 2, False
    for count in itertools.count():
        if at + 4 > len(data):
            break
        if count > MAX_PARTS:
            raise ImageTooLargeError(path, f"a JPEG of more than {MAX_PARTS:,} segments before its frame")
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            if at + 10 > len(data):
                break
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return JpegInfo(height, width, data[at + 9], data[at + 4], marker, exif)
        if marker == 0xE1 and data[at + 4 : at + 8] == b"Exif":
            exif = True
        if marker == 0xDA or length < 2:
            break
        at += 2 + length
    raise ImageDecodeError(path, "it starts like a JPEG but has no frame header (damaged or cut off)")


def is_dct(info: JpegInfo) -> bool:
    """Whether libjpeg-turbo decodes it at 8 bits; lossless and 12-bit frames need another decoder."""
    return info.frame in _DCT_FRAMES and info.precision == 8


def check_jpeg(data: bytes, path: str | PathLike[str]) -> JpegInfo:
    """The frame header, after its size and number of scans were held against the limits.

    Raises:
        ImageDecodeError: No usable frame header.
        ImageTooLargeError: More pixels, or pixels times scans, than the limits.
    """
    info = jpeg_info(data, path)
    if info.components not in (1, 3, 4):
        raise ImageDecodeError(path, f"its JPEG header says {info.components} components; 1, 3 or 4 are known")
    check_size(path, info.height, info.width, info.components * (1 if info.precision <= 8 else 2))
    allow_pixels(info.height * info.width * info.components)
    if info.frame in _PROGRESSIVE:
        scans = data.count(b"\xff\xda")
        if scans * info.height * info.width > max(MAX_SCAN_PIXELS, 16 * info.height * info.width):
            raise ImageTooLargeError(
                path, f"a progressive JPEG of {scans} scans of {info.height:,} x {info.width:,} pixels"
            )
    return info


def decode_jpeg(
    data: bytes, path: str | PathLike[str], target: Target | None = None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an 8-bit DCT JPEG to luma.

    Args:
        data: The file.
        path: Its name, for messages.
        target: When given, the inverse DCT may already reduce the image, never below the shape that ``target`` names.

    Returns:
        uint8 pixels, upright by the Exif orientation, and the (height, width) of the upright original.

    Raises:
        ImageDecodeError: The data are damaged.
        ImageTooLargeError: Over the limits.
    """
    info = check_jpeg(data, path)
    orientation = exif_orientation(data, "JPEG") if info.exif else 1
    size = (info.width, info.height) if orientation >= 5 else (info.height, info.width)
    if info.components == 4:
        return upright(_decode_cmyk(data, path), orientation), size
    low = (0, 0)
    if target is not None:
        wanted = target(*size)
        factor = dct_factor(size, wanted)
        low = (-(-info.height // factor), -(-info.width // factor))
    try:
        pixels = _luma(data, low)
    except ValueError as error:
        raise ImageDecodeError(path, f"damaged JPEG: {error}") from error
    return upright(np.asarray(pixels)[:, :, 0], orientation), size


def _luma(data: bytes, low: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        return simplejpeg.decode_jpeg(data, "GRAY", min_height=low[0], min_width=low[1])
    except ValueError as error:
        # Padding before the end marker, as some archives insert it: the first complaint comes after the whole picture.
        if not str(error).endswith("extraneous bytes before marker 0xd9"):
            raise
        return simplejpeg.decode_jpeg(data, "GRAY", min_height=low[0], min_width=low[1], strict=False)


def dct_factor(size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """How much the inverse DCT may reduce an image: 1, 2, 4 or 8 (other factors are not vectorised in libjpeg-turbo).

    The area reduction that follows needs some pixels left to average, or edges move. On 94 web radiographs twice the
    wanted size keeps the mean difference to a full decode under about 0.5 grey levels; images at detector resolution
    are oversampled (the pixel is smaller than the focal-spot blur), and 1.2 times does as well there.
    """
    ratio = min(size[0] / wanted[0], size[1] / wanted[1])
    if min(size) >= 1400 and ratio >= 4 * 1.2 and ratio < 8 * 2:
        return 4
    return next((factor for factor in (8, 4, 2) if ratio >= 2 * factor), 1)


def upright(pixels: NDArray, orientation: int) -> NDArray:
    """Undo an Exif orientation 1 to 8."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if orientation >= 5:
        pixels = pixels.T
    return np.ascontiguousarray(pixels)


def exif_orientation(data: bytes, kind: str) -> int:
    """The Exif orientation 1 to 8 of a "JPEG" or "PNG"; 1 where there is none that can be read.

    A damaged Exif block must not hide a sound picture.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                orientation = image.getexif().get(0x0112, 1)
    except PILLOW_ERRORS:
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _decode_cmyk(data: bytes, path: str | PathLike[str]) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageDecodeError(path, f"damaged CMYK JPEG: {error}") from error
