"""Compressed DICOM frames: one decoder per transfer syntax, the fastest that is installed.

Lossless JPEG, JPEG-LS and JPEG 2000 come from imagecodecs (``pip install clinclip[dicom]``), which decodes lossless
JPEG several times faster than pydicom's default plugin; 8-bit JPEG comes from simplejpeg, RLE from this file. What no
decoder here covers is left to pydicom's own plugins (see `clinclip.images.dicom`).

These decoders are C libraries fed with whatever a file holds: `clinclip.images.decoder_process` runs them in a process
of their own.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from itertools import pairwise
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import DecoderMissingError, ImageDecodeError
from clinclip.images.jpeg import decode_jpeg, is_dct, jpeg_info
from clinclip.images.limits import check_size

RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"

_JPEG_2000_FAMILY = frozenset({JPEG_2000_LOSSLESS, JPEG_2000, HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K})
_JPEG_FAMILY = frozenset({JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1})
_JPEG_LS_FAMILY = frozenset({JPEG_LS_LOSSLESS, JPEG_LS_NEAR})
#: Syntaxes in which `decode_frame` also decodes colour.
COLOUR = _JPEG_LS_FAMILY | {JPEG_LOSSLESS, JPEG_LOSSLESS_SV1}
#: Syntaxes whose frames `decode_frame` can decode when imagecodecs is installed.
KNOWN = _JPEG_FAMILY | _JPEG_LS_FAMILY | _JPEG_2000_FAMILY | {RLE}

#: A 20-megapixel radiograph of pure noise has fewer; each costs a fraction of a microsecond in Python.
_MAX_RLE_PACKETS = 6_000_000

NAMES = {
    RLE: "RLE Lossless",
    JPEG_BASELINE: "JPEG Baseline",
    JPEG_EXTENDED: "JPEG Extended",
    JPEG_LOSSLESS: "JPEG Lossless",
    JPEG_LOSSLESS_SV1: "JPEG Lossless SV1",
    JPEG_LS_LOSSLESS: "JPEG-LS Lossless",
    JPEG_LS_NEAR: "JPEG-LS Near-lossless",
    JPEG_2000_LOSSLESS: "JPEG 2000 Lossless",
    JPEG_2000: "JPEG 2000",
    HTJ2K_LOSSLESS: "High-Throughput JPEG 2000 Lossless",
    HTJ2K_RPCL: "High-Throughput JPEG 2000 RPCL",
    HTJ2K: "High-Throughput JPEG 2000",
}


def has_decoder(syntax: str) -> bool:
    """Whether `decode_frame` can decode this transfer syntax with what is installed."""
    bundled = {RLE, JPEG_BASELINE} | _JPEG_2000_FAMILY  # by this file, simplejpeg, Pillow
    return syntax in bundled or (syntax in KNOWN and find_spec("imagecodecs") is not None)


def missing(path: str | PathLike[str], syntax: str) -> DecoderMissingError:
    """The error for a syntax without a decoder."""
    return DecoderMissingError(
        path,
        f"no decoder is installed for its transfer syntax {NAMES.get(syntax, '')} ({syntax}); "
        "install the decoders with: pip install 'clinclip[dicom]'",
    )


def decode_frame(
    data: bytes, path: str | PathLike[str], syntax: str, shape: tuple[int, ...], dtype: np.dtype
) -> NDArray:
    """Decode one frame.

    Args:
        data: The frame, all its fragments joined.
        path: The file, for messages.
        syntax: Transfer syntax UID, one for which `has_decoder` is true.
        shape: (H, W) by the DICOM header; or (H, W, 3) for colour, in JPEG-LS and lossless JPEG only.
        dtype: Unsigned type of Bits Allocated.

    Returns:
        Pixels of that shape and of ``dtype``, or of a narrower or signed type that the code stream states.

    Raises:
        ImageDecodeError: Damaged, or of another size than the DICOM header says.
        DecoderMissingError: No decoder for this kind of frame.
    """
    if syntax == RLE:
        return _decode_rle(data, path, shape[0], shape[1], dtype)
    _check_frame_header(data, path, syntax, shape)
    if b"\xff\xd9" not in data[-64:]:
        # Neither entropy-coded data nor packets can hold this marker; decoders fill what is missing without a word.
        raise ImageDecodeError(path, f"cut-off {NAMES[syntax]} frame: it has no end marker")
    if syntax in _JPEG_FAMILY and is_dct(jpeg_info(data, path)):
        return decode_jpeg(data, path)[0]
    if syntax in _JPEG_2000_FAMILY and find_spec("imagecodecs") is None:
        return _decode_by_pillow(data, path, syntax, shape, dtype)
    try:
        import imagecodecs
    except ImportError as error:
        raise missing(path, syntax) from error
    if syntax in _JPEG_2000_FAMILY:
        decode = imagecodecs.jpeg2k_decode
    elif syntax in _JPEG_LS_FAMILY:
        decode = imagecodecs.jpegls_decode
    else:
        decode = imagecodecs.jpeg8_decode  # libjpeg-turbo: lossless and 12-bit too, twice as fast as ljpeg_decode
    try:
        pixels = np.asarray(decode(data))
    except (RuntimeError, ValueError, TypeError, OSError) as error:  # imagecodecs' errors are RuntimeErrors
        raise ImageDecodeError(path, f"damaged {NAMES[syntax]} frame: {error}") from error
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape != shape:
        raise ImageDecodeError(path, f"its frame decodes to {pixels.shape}, the DICOM header says {shape}")
    if pixels.dtype.itemsize > dtype.itemsize:
        raise ImageDecodeError(path, f"its frame has {pixels.dtype} samples, the DICOM header says {dtype}")
    return pixels


def _check_frame_header(data: bytes, path: str | PathLike[str], syntax: str, shape: tuple[int, ...]) -> None:
    """The size inside the code stream must be that of the DICOM header: decoders allocate what the stream says."""
    if syntax in _JPEG_2000_FAMILY:
        at = data.find(b"\xff\x4f\xff\x51", 0, 4096)  # start of code stream + SIZ; some writers wrap it into JP2 boxes
        if at < 0 or at + 42 > len(data):
            raise ImageDecodeError(path, f"damaged {NAMES[syntax]} frame: no code-stream header")
        x, y, x0, y0, tile_x, tile_y = (int.from_bytes(data[at + i : at + i + 4], "big") for i in range(8, 32, 4))
        found, components = (y - y0, x - x0), int.from_bytes(data[at + 40 : at + 42], "big")
        tiles = -(-found[0] // max(1, tile_y)) * -(-found[1] // max(1, tile_x))
        if tiles > 65535:
            raise ImageDecodeError(path, f"damaged {NAMES[syntax]} frame: {tiles:,} tiles")
    else:
        info = jpeg_info(data, path)
        found, components = (info.height, info.width), info.components
    samples = shape[2] if len(shape) == 3 else 1
    if found != shape[:2] or components != samples:
        raise ImageDecodeError(
            path,
            f"its {NAMES[syntax]} frame is {found[0]} x {found[1]} with {components} components, the DICOM header says "
            f"{shape[0]} x {shape[1]} with {samples}",
        )
    check_size(path, shape[0], shape[1], 2 * samples)


def _decode_by_pillow(
    data: bytes, path: str | PathLike[str], syntax: str, shape: tuple[int, ...], dtype: np.dtype
) -> NDArray:
    """JPEG 2000 where imagecodecs is not installed; Pillow carries the same OpenJPEG but for signed samples."""
    from PIL import Image

    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    signed, depth = data[start + 42] >> 7, (data[start + 42] & 0x7F) + 1
    if signed or depth > 8 * dtype.itemsize:
        raise missing(path, syntax)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG2000",)) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageDecodeError(path, f"damaged {NAMES[syntax]} frame: {error}") from error
    if pixels.shape != shape:
        raise ImageDecodeError(path, f"its frame decodes to {pixels.shape}, the DICOM header says {shape}")
    return pixels >> (8 * pixels.dtype.itemsize - depth)  # Pillow fills the type from the top


def _decode_rle(data: bytes, path: str | PathLike[str], height: int, width: int, dtype: np.dtype) -> NDArray:
    """DICOM PS3.5 annex G: one PackBits segment per byte plane, most significant first."""
    planes = dtype.itemsize
    count = int.from_bytes(data[:4], "little")
    if count != planes or len(data) < 64:
        raise ImageDecodeError(path, f"damaged RLE frame: {count} segments for {planes} byte planes")
    starts = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "little") for i in range(count)] + [len(data)]
    out = np.empty((height * width, planes), np.uint8)
    packets = _MAX_RLE_PACKETS
    for plane, (start, end) in enumerate(pairwise(starts)):
        if not 64 <= start <= end <= len(data):
            raise ImageDecodeError(path, f"damaged RLE frame: segment {plane} lies outside the frame")
        unpacked, packets = _unpack_bits(memoryview(data)[start:end], height * width, packets)
        if not packets:
            raise ImageDecodeError(path, "its RLE frame consists of tiny packets and would take minutes (damaged?)")
        if len(unpacked) < height * width:
            raise ImageDecodeError(path, f"damaged RLE frame: segment {plane} ends after {len(unpacked):,} pixels")
        out[:, planes - 1 - plane] = np.frombuffer(unpacked, np.uint8, height * width)
    return out.view(dtype.newbyteorder("<")).reshape(height, width).astype(dtype, copy=False)


def _unpack_bits(packed: memoryview, size: int, packets: int) -> tuple[bytearray, int]:
    """PackBits, stopping at ``size`` bytes or after ``packets`` packets, so that no segment costs without bound.

    Returns:
        The unpacked bytes, and how many packets are left; 0 when it stopped for lack of them.
    """
    out, at, end = bytearray(), 0, len(packed)
    while at < end and len(out) < size and packets:
        packets -= 1
        head = packed[at]
        if head < 128:
            out += packed[at + 1 : at + 2 + head]
            at += 2 + head
        elif head > 128:
            out += bytes(packed[at + 1 : at + 2]) * (257 - head)
            at += 2
        else:
            at += 1
    return out, packets
