"""Bounds checked against a file's header before anything is allocated, so that no file can exhaust a machine."""

from __future__ import annotations

from os import PathLike

from clinclip.errors import ImageDecodeError, ImageTooLargeError

#: Three times the largest radiograph detector (about 4,300 x 5,200): larger headers are damaged or hostile.
MAX_PIXELS = 2**26
#: Bytes of the decoded array, all channels. With the file itself and one copy this stays under 1 GiB.
MAX_DECODED_BYTES = 2**28
#: Bytes of a file. Uncompressed 16-bit radiographs have about 15 MB.
MAX_FILE_BYTES = 2**28
#: Pixels times scans of a progressive JPEG: each empty scan costs a pass over all blocks (a decompression bomb).
MAX_SCAN_PIXELS = 2**29
#: DICOM elements, PNG chunks or JPEG segments. Real files have at most some thousand (a PNG some ten thousand); a file
#: of nothing else would keep a parser busy for minutes.
MAX_PARTS = 200_000
#: CPU seconds that reading one image may take in the decoder process, whatever its size ...
MAX_DECODE_CPU_SECONDS = 4.0
#: ... and how many more a million pixels may take. The slowest frames (lossless JPEG 2000 of noise) need a fifth of a
#: second on an ordinary core; a crowded or old one must not make a sound image look hostile.
CPU_SECONDS_PER_MEGAPIXEL = 2.0


def cpu_seconds(pixels: int) -> float:
    """CPU seconds that an image of so many pixels may take."""
    return MAX_DECODE_CPU_SECONDS + CPU_SECONDS_PER_MEGAPIXEL * min(pixels, MAX_PIXELS) / 1e6


def check_size(path: str | PathLike[str], height: int, width: int, bytes_per_pixel: int = 1) -> None:
    """Refuse a header whose pixels do not fit the bounds.

    Args:
        path: The file, for the message.
        height: Rows by the header.
        width: Columns by the header.
        bytes_per_pixel: Of the decoded array, all channels together.

    Raises:
        ImageDecodeError: A side is not positive.
        ImageTooLargeError: More than ``MAX_PIXELS`` pixels or ``MAX_DECODED_BYTES`` bytes.
    """
    if height < 1 or width < 1:
        raise ImageDecodeError(path, f"its header says {height} x {width} pixels")
    if height * width > MAX_PIXELS:
        raise ImageTooLargeError(
            path,
            f"its header says {height:,} x {width:,} pixels; at most {MAX_PIXELS:,} are read (the largest detectors "
            "have a third of that), because a damaged header must not exhaust the memory",
        )
    if height * width * bytes_per_pixel > MAX_DECODED_BYTES:
        raise ImageTooLargeError(
            path,
            f"{height:,} x {width:,} pixels of {bytes_per_pixel} bytes exceed the {MAX_DECODED_BYTES:,} bytes that "
            "are decoded; store it as single-channel 8 or 16 bit",
        )
