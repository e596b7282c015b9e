"""One way to read an image: any supported file to uint8 grey, recognised by content and never by name."""

from __future__ import annotations

import stat
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ConfigError, ImageDecodeError, ImageMissingError, ImageTooLargeError
from clinclip.images.grey import Target, equalize, luma, minmax_to_8bit, reduce_area, reduce_area_fast, shorter_side
from clinclip.images.limits import MAX_FILE_BYTES

Mode = Literal["strict", "fast"]
Window = Literal["minmax", "voi"]

_OTHERS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"%PDF": "PDF",
    b"<": "HTML or XML (often the error page of a download)",
    b"version https://git-lfs": "a Git LFS pointer (run: git lfs pull)",
}


class Loaded(NamedTuple):
    """An image and how it was read.

    Attributes:
        pixels: uint8 (H, W).
        size: (height, width) of the upright original.
        remarks: Fixed sentences about what was not taken as the file says it, each once; never a value of the file.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()


def read_image(
    path: str | PathLike[str],
    mode: Mode = "strict",
    window: Window = "minmax",
    min_size: int | None = None,
    equalize: bool = False,
) -> NDArray[np.uint8]:
    """Read a radiograph as 8-bit grey.

    What is kept and what is changed:

    - JPEG: the luma plane, upright by its Exif orientation. Levels as stored.
    - PNG: upright by its Exif orientation; 8-bit levels as stored (1, 2 and 4 bits and palettes expanded); colour
      becomes luma; transparency is composited over black; 16-bit levels are stretched from minimum to maximum.
    - DICOM: ``window="minmax"`` follows the published recipe of MIMIC-CXR-JPG: subtract the lowest value, divide by the
      highest, multiply by 255, truncate, invert MONOCHROME1. ``window="voi"`` applies modality LUT and the first usable
      VOI LUT or window instead, paints padding black and inverts for a presentation LUT; it falls back to the full
      range when the file has none.

    Args:
        path: A JPEG, PNG or DICOM file under any name.
        mode: "strict" decodes at full resolution and maps grey levels before any reduction; with ``minmax`` its pixels
            are bit-equal to the published recipe before JPEG encoding. "fast" reduces inside the JPEG decoder and
            before the grey-level mapping; within one grey level on average of "strict".
        window: How DICOM values become grey levels; other files ignore it.
        min_size: Reduce by area averaging until the shorter side has this many pixels (never enlarge); None keeps the
            full resolution.
        equalize: Equalise the histogram at full resolution, as MIMIC-CXR-JPG did before encoding.

    Returns:
        uint8 (H, W); air dark, bone bright.

    Raises:
        ImageMissingError: Not there, or not a regular file.
        ImageDecodeError: Damaged, or of another format.
        ImageTooLargeError: Over the limits of `clinclip.images.limits`.
        DecoderMissingError: A DICOM transfer syntax whose decoder is not installed.
        ConfigError: An unknown mode or window.
    """
    if min_size is not None and min_size < 1:
        raise ConfigError(f"min_size is {min_size}; it must be at least 1, or None for the full resolution")
    target = shorter_side(min_size) if min_size is not None else None
    return load(path, mode, window, target, equalize)[0]


def load(
    path: str | PathLike[str],
    mode: Mode = "strict",
    window: Window = "minmax",
    target: Target | None = None,
    equalized: bool = False,
) -> Loaded:
    """`read_image` with a free target shape.

    Args:
        path: The file.
        mode: See `read_image`.
        window: See `read_image`.
        target: (height, width) of the file -> (height, width) to reduce to, neither larger.
        equalized: See `read_image`.

    Returns:
        Pixels, original size, and what was not taken as the file says it.

    Raises:
        ImageError: See `read_image`.
    """
    for name, value, allowed in (("mode", mode, get_args(Mode)), ("window", window, get_args(Window))):
        if value not in allowed:
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    head = _head(path)
    from clinclip.images.dicom import looks_like_dicom

    if looks_like_dicom(head):
        from clinclip.images.dicom_grey import decode_dicom

        return Loaded(*decode_dicom(path, mode, window, target, equalized))
    if head[:3] == b"\xff\xd8\xff":
        pixels, size = _jpeg(path, mode, target if not equalized else None)
    elif head[:8] == b"\x89PNG\r\n\x1a\n":
        from clinclip.images.png import decode_png

        pixels = decode_png(_bytes(path), path)
        size = (pixels.shape[0], pixels.shape[1])
    else:
        raise ImageDecodeError(path, _what(head))
    if equalized:
        pixels = _equalize(pixels)
    if target is not None:
        shape = target(*size)
        if mode == "fast":
            pixels = reduce_area_fast(pixels, shape, reduced_already=pixels.shape != size)
        else:
            pixels = reduce_area(pixels, shape)
    return Loaded(np.ascontiguousarray(pixels), size)


def is_dicom(path: str | PathLike[str]) -> bool:
    """Whether a file's content is DICOM. Raises ImageError where there is no readable file."""
    from clinclip.images.dicom import looks_like_dicom

    return looks_like_dicom(_head(path))


_equalize = equalize  # `read_image` has an argument of that name


def _jpeg(path: str | PathLike[str], mode: Mode, target: Target | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    from clinclip.images.jpeg import check_jpeg, decode_jpeg, is_dct

    data = _bytes(path)
    info = check_jpeg(data, path)
    if not is_dct(info):  # 12-bit or lossless: the decoder that DICOM files of this kind need
        from clinclip.images import codecs
        from clinclip.images.decoder_process import call_decoder

        syntax, dtype = codecs.JPEG_LOSSLESS, np.dtype("u2" if info.precision > 8 else "u1")
        size = (info.height, info.width)
        shape = size if info.components == 1 else (*size, info.components)
        header = {"op": "frame", "syntax": syntax, "shape": shape, "dtype": dtype.str}
        pixels = call_decoder(path, header, data, lambda: codecs.decode_frame(data, path, syntax, shape, dtype))
        pixels = luma(np.ascontiguousarray(pixels[:, :, ::-1])) if pixels.ndim == 3 else pixels
        return pixels if pixels.dtype == np.uint8 else minmax_to_8bit(pixels), size
    pixels, size = decode_jpeg(data, path, target if mode == "fast" else None)
    return pixels, size


def _head(path: str | PathLike[str]) -> bytes:
    """The first bytes of a regular file of a bearable size."""
    try:
        status = Path(path).stat()
        head = b""
        if stat.S_ISREG(status.st_mode):
            with Path(path).open("rb") as file:
                head = file.read(256)
    except FileNotFoundError as error:
        raise ImageMissingError(path, "there is no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise ImageMissingError(path, f"it cannot be opened: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageMissingError(path, "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file")
    if not head:
        raise ImageDecodeError(path, "the file is empty (0 bytes)")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageTooLargeError(path, f"the file has {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
    return head


def _bytes(path: str | PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageMissingError(path, f"it cannot be read: {error.strerror}") from error


def _what(head: bytes) -> str:
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"its content is {name}; JPEG, PNG and DICOM are read"
    if not any(head):
        return "it starts with zeros only (an unfinished download?); JPEG, PNG and DICOM are read"
    return f"its content (first bytes {head[:4].hex(' ')}) is none of JPEG, PNG, DICOM"
