"""DICOM files: a header and stored values, whatever the syntax. With the phantom's writer the only importer of pydicom.

Uncompressed pixels are read straight into an array; compressed frames go to `clinclip.images.codecs` in a helper
process; everything unusual (colour, bit-packed) goes to pydicom's own decoders.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import DecoderMissingError, ImageDecodeError, ImageError, ImageTooLargeError
from clinclip.images import codecs
from clinclip.images.decoder_process import allow_pixels, call_decoder
from clinclip.images.dicom_values import first_number, name, word_pattern
from clinclip.images.limits import MAX_DECODED_BYTES, MAX_PARTS, check_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


_PARSER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # with RecursionError and NotImplementedError
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def parser_errors() -> tuple[type[Exception], ...]:
    """What pydicom raises on damaged files beyond the two documented classes: see its issues 2330 and 2332."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*_PARSER_ERRORS, BytesLengthException, InvalidDicomError)


IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_UNCOMPRESSED = {
    IMPLICIT: "Implicit VR Little Endian",
    EXPLICIT: "Explicit VR Little Endian",
    DEFLATED: "Deflated Explicit VR Little Endian",
    _BIG_ENDIAN: "Explicit VR Big Endian",
}
_NEEDED = [
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PresentationLUTShape",
    "LUTDescriptor",
    "LUTData",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SOPClassUID",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
]

NO_FRAMES = "DICOM: a number of frames below 1 was read as one frame"
LEFT_ALIGNED = "DICOM: HighBit contradicts the pixels and was ignored"
SIGNED = "DICOM: signed pixels by their code stream, against the header"
PLANAR = "DICOM: colour without planar configuration, taken as interleaved"


@dataclass(frozen=True)
class Stored:
    """A DICOM file's stored values before any grey-level transform.

    Attributes:
        pixels: (H, W) integers or floats; or (H, W, 3) RGB, uint8 or uint16.
        header: The data set without its pixels.
        remarks: What was not taken as the header says it.
        padding: (H, W) where a padding value beyond Bits Stored stood; None where none can.
    """

    pixels: NDArray
    header: Dataset
    remarks: tuple[str, ...] = ()
    padding: NDArray[np.bool_] | None = None


class _BoundedFile(io.BufferedReader):
    """A file for a parser that trusts lengths: each read is bounded by what is there, and their number is bounded."""

    def __init__(self, path: str | PathLike[str], raw: io.RawIOBase | io.BytesIO | None = None) -> None:
        raw = io.FileIO(path) if raw is None else raw
        super().__init__(raw)  # type: ignore[arg-type]
        self.size = raw.seek(0, io.SEEK_END)
        raw.seek(0)
        self._path, self._reads = path, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_PARTS:  # two or three an element
            raise ImageTooLargeError(self._path, f"its header has more than {MAX_PARTS // 3:,} elements")
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def looks_like_dicom(head: bytes) -> bool:
    """By content: the DICM prefix, or (files without preamble) a first element of group 0002 or 0008."""
    if head[128:132] == b"DICM":
        return True
    group, element = head[:2], head[2:4]
    explicit = head[4:6] in (b"UL", b"UI", b"CS", b"DA", b"OB", b"SH", b"LO")
    short_implicit = len(head) >= 8 and head[6:8] == b"\0\0" and 0 < head[4] <= 64
    return group in (b"\x02\0", b"\x08\0") and element[1:] == b"\0" and (explicit or short_implicit)


def read_stored(path: str | PathLike[str]) -> Stored:
    """Read one single-frame DICOM file.

    Args:
        path: The file.

    Returns:
        Stored values, bit for bit those of pydicom's ``pixel_array``, but for what pydicom leaves alone: a High Bit
        above Bits Stored is honoured, and samples that a code stream calls signed are.

    Raises:
        ImageDecodeError: Not readable: damaged, several frames, no pixels.
        ImageTooLargeError: Over the limits.
        DecoderMissingError: Its transfer syntax needs a decoder that is not installed.
    """
    from pydicom.config import disable_value_validation

    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their texts quote values of the file, which may identify a patient
        try:
            with _BoundedFile(path) as file:
                return _read_open(path, file)
        except ImageError:
            raise
        except RecursionError as error:
            raise ImageDecodeError(path, "damaged DICOM: sequences nested too deep") from error
        except parser_errors() as error:
            raise ImageDecodeError(path, f"damaged DICOM: {type(error).__name__} while parsing") from error


def _read_open(path: str | PathLike[str], file: _BoundedFile) -> Stored:
    from pydicom import dcmread

    head = file.read(2048)
    file.seek(0)
    source: Any = file
    if DEFLATED.encode() in head:
        header, source = _inflate(path, file)
        syntax = EXPLICIT
    else:
        header = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_NEEDED))
        given = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
        implicit = header.original_encoding[0]
        syntax = str(given) if given else (IMPLICIT if implicit else EXPLICIT)
    if header.get("Rows") is None:
        raise ImageDecodeError(path, "it is a DICOM file without an image (a report, a plan, a directory) or cut off")
    height, width = _whole(header, path, "Rows"), _whole(header, path, "Columns")
    samples, bits = _whole(header, path, "SamplesPerPixel", 1), _whole(header, path, "BitsAllocated", 16)
    remarks: list[str] = []
    frames = first_number(header, "NumberOfFrames", 1, remarks)
    if frames == 0:  # what some exports write for one
        remarks.append(NO_FRAMES)
    if bits not in (1, 8, 16, 32, 64) or samples not in (1, 3):
        raise ImageDecodeError(path, f"{samples} samples of {bits} bits a pixel; 1 or 3 of 1 to 64 bits are known")
    if samples == 3 and bits > 16:
        raise ImageDecodeError(path, f"colour of {bits} bits a sample; at most 16 are known")
    if not 0 <= frames <= 1:
        many = f"{frames:.0f} frames" if frames > 1 else "a NumberOfFrames that is no count"
        raise ImageDecodeError(path, f"it holds {many}; a radiograph has one. Export the frame you mean")
    check_size(path, height, width, samples * max(1, bits // 8))
    allow_pixels(height * width * samples)
    size = (height, width)

    tag, length = _pixel_element(path, source, header, syntax)
    compressed = length == 0xFFFFFFFF
    if syntax in codecs.KNOWN and not compressed:
        raise ImageDecodeError(path, "damaged DICOM: compressed by its transfer syntax, but its pixels are not")
    if syntax in _UNCOMPRESSED and compressed:
        raise _mislabelled(path, syntax)
    if tag != (0x7FE0, 0x0010) and not compressed:
        kind = {(0x7FE0, 0x0008): "<f4", (0x7FE0, 0x0009): "<f8"}[tag]
        pixels = _native(path, source, length, height, width, np.dtype(kind), syntax)
        return Stored(pixels, header, tuple(remarks))
    photometric = name(header, "PhotometricInterpretation")
    dtype = np.dtype(f"<u{max(1, bits // 8)}")
    plain = samples == 1 and bits in (8, 16) and photometric != "PALETTE COLOR"
    if plain and not compressed and (syntax != _BIG_ENDIAN or bits == 16):
        order = ">" if syntax == _BIG_ENDIAN else "<"
        pixels = _native(path, source, length, height, width, dtype.newbyteorder(order), syntax)
        pixels = pixels.astype(dtype, copy=False)
        return _as_declared(pixels, header, bits, remarks)
    if plain and compressed and codecs.has_decoder(syntax):
        pixels = _decode(path, _join_fragments(path, source), syntax, size, dtype)
        return _as_declared(pixels, header, bits, remarks)
    if samples == 3 and photometric == "RGB" and syntax in codecs.COLOUR and codecs.has_decoder(syntax):
        pixels = _decode(path, _join_fragments(path, source), syntax, (*size, 3), dtype)
        return Stored(pixels, header, tuple(remarks))
    if samples == 3 and header.get("PlanarConfiguration") is None:
        remarks.append(PLANAR)
    return Stored(_by_plugin(path, compressed, height * width * samples), header, tuple(remarks))


def _mislabelled(path: str | PathLike[str], syntax: str) -> ImageDecodeError:
    return ImageDecodeError(
        path,
        f"its pixels are compressed, but its transfer syntax ({_UNCOMPRESSED[syntax]}) says that they are not: a "
        "program has rewritten its header. Export it again, or correct the transfer syntax",
    )


def _whole(header: Dataset, path: str | PathLike[str], keyword: str, default: int | None = None) -> int:
    value = header.get(keyword, default)
    if value in (None, ""):
        value = default
    if not isinstance(value, int | float | str) or int(value) < 1:
        raise ImageDecodeError(path, f"damaged DICOM: {keyword} is {'missing' if value is None else 'not positive'}")
    return int(value)


def _inflate(path: str | PathLike[str], file: _BoundedFile) -> tuple[Dataset, _BoundedFile]:
    """Deflated Explicit VR: unpack at most what the limits allow, then parse."""
    from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble

    read_preamble(file, True)
    meta = _read_file_meta_info(file)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    bound = MAX_DECODED_BYTES + 2**24
    data = unpacker.decompress(file.read(), bound)
    if unpacker.unconsumed_tail:
        raise ImageDecodeError(path, f"its deflated data unpack to more than {bound:,} bytes")
    source = _BoundedFile(path, io.BytesIO(data))
    stop = {0x7FE00008, 0x7FE00009, 0x7FE00010}
    header = read_dataset(source, False, True, stop_when=lambda tag, vr, length: int(tag) in stop)
    header.file_meta = meta  # type: ignore[attr-defined]
    return header, source


def _pixel_element(path: str | PathLike[str], source: Any, header: Dataset, syntax: str) -> tuple[tuple[int, int], int]:
    """Tag and length of the pixel element at the current position; leaves the position at its value."""
    order = ">" if syntax == _BIG_ENDIAN else "<"
    start = source.read(8)
    if len(start) < 8:
        raise ImageDecodeError(path, "it holds no pixel data")
    tag = struct.unpack(order + "HH", start[:4])
    if tag not in ((0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009)):
        raise ImageDecodeError(path, "it holds no pixel data")
    if start[4:6] in (b"OW", b"OB", b"OF", b"OD", b"UN"):
        (length,) = struct.unpack(order + "I", source.read(4))
    else:
        (length,) = struct.unpack(order + "I", start[4:])
    return tag, length  # type: ignore[return-value]


def _native(
    path: str | PathLike[str], source: Any, length: int, height: int, width: int, dtype: np.dtype, syntax: str
) -> NDArray:
    expected = height * width * dtype.itemsize
    if length < expected:
        if source.read(3) in (b"\xff\xd8\xff", b"\xff\x4f\xff") and syntax in _UNCOMPRESSED:
            raise _mislabelled(path, syntax)
        raise ImageDecodeError(
            path, f"its pixel data have {length:,} bytes, {height} x {width} pixels need {expected:,}"
        )
    pixels = np.empty((height, width), dtype)
    got = source.readinto(pixels.data.cast("B"))
    if got < expected:
        raise ImageDecodeError(path, f"cut-off DICOM: {got:,} of {expected:,} bytes of pixel data")
    return pixels


def _join_fragments(path: str | PathLike[str], source: Any) -> bytes:
    """All fragments of the only frame, joined (PS3.5 annex A.4); the offset table is skipped."""
    parts: list[bytes] = []
    first = True
    while True:
        item = source.read(8)
        if len(item) < 8:
            raise ImageDecodeError(path, "cut-off DICOM: its compressed pixel data have no end")
        group, element, length = struct.unpack("<HHI", item)
        if (group, element) == (0xFFFE, 0xE0DD):
            break
        if (group, element) != (0xFFFE, 0xE000):
            raise ImageDecodeError(path, "damaged DICOM: an unknown item among its compressed pixel data")
        data = source.read(length)
        if len(data) < length:
            raise ImageDecodeError(path, "cut-off DICOM: its compressed pixel data end early")
        if not first:
            parts.append(data)
        first = False
    if not parts:
        raise ImageDecodeError(path, "it holds no pixel data")
    return b"".join(parts)


def _decode(path: str | PathLike[str], data: bytes, syntax: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Decode a compressed frame, in the helper process unless this is it."""
    if syntax == codecs.RLE:  # plain Python, cannot crash
        return codecs.decode_frame(data, path, syntax, shape, dtype)
    header = {"op": "frame", "syntax": syntax, "shape": shape, "dtype": dtype.str}
    return call_decoder(path, header, data, lambda: codecs.decode_frame(data, path, syntax, shape, dtype))


def _by_plugin(path: str | PathLike[str], compressed: bool, size: int) -> NDArray:
    """Colour, bit-packed and rarely seen syntaxes: by pydicom and whatever plugins it finds."""
    if not compressed:
        return pydicom_pixels(path)
    return call_decoder(path, {"op": "plugin", "pixels": size}, b"", lambda: pydicom_pixels(path))


def pydicom_pixels(path: str | PathLike[str]) -> NDArray:
    """Pixels by pydicom's own decoders: (H, W), or (H, W, 3) RGB.

    Raises:
        ImageDecodeError: Damaged.
        DecoderMissingError: No plugin decodes its transfer syntax.
    """
    from pydicom import dcmread
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.uid import UID, AllTransferSyntaxes

    try:
        with _BoundedFile(path) as file:
            dataset = dcmread(file, force=True)
            syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", EXPLICIT)))
            if syntax not in AllTransferSyntaxes:
                raise ImageDecodeError(
                    path, "its transfer syntax is none that the standard knows (a maker's own, or a damaged file)"
                )
            try:
                decoder = get_decoder(syntax)
            except NotImplementedError as error:  # videos, JPIP references, JPEG 2000 of many components
                raise DecoderMissingError(
                    path, f"no decoder is known for its transfer syntax {syntax.name} ({syntax}); convert the file"
                ) from error
            if not decoder.is_available:
                raise codecs.missing(path, syntax)
            photometric = dataset.PhotometricInterpretation = name(dataset, "PhotometricInterpretation")
            if dataset.get("SamplesPerPixel") == 3 and dataset.get("PlanarConfiguration") is None:
                dataset.PlanarConfiguration = 0
            if "NumberOfFrames" in dataset:  # one, or none written
                del dataset.NumberOfFrames
            pixels = dataset.pixel_array
            if photometric == "PALETTE COLOR":
                pixels = apply_color_lut(pixels, dataset)
            return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    except ImageError:
        raise
    except parser_errors() as error:
        raise ImageDecodeError(path, f"damaged DICOM: {type(error).__name__} while decoding") from error


def _as_declared(pixels: NDArray, header: Dataset, bits_allocated: int, remarks: list[str]) -> Stored:
    """Apply Pixel Representation, Bits Stored and High Bit: unused bits are cut, or filled with the sign."""
    signed = int(header.get("PixelRepresentation") or 0) == 1
    if pixels.dtype.kind == "i" and not signed:
        remarks.append(SIGNED)
        signed = True
    stored = int(header.get("BitsStored") or bits_allocated)
    if signed and pixels.dtype.itemsize * 8 < stored:
        pixels = pixels.astype(np.int16)
    width = pixels.dtype.itemsize * 8
    pixels = pixels.view(f"u{pixels.dtype.itemsize}")
    unused, above = width - stored, 0
    high = header.get("HighBit")
    if high is not None and unused > 0 and stored <= int(high) < width:
        above = int(high) + 1 - stored
        if not signed and pixels.max() >> stored == 0 and (pixels & ((1 << above) - 1)).any():
            remarks.append(LEFT_ALIGNED)
            above = 0
    padding = None
    words = word_pattern(header, "PixelPaddingValue")[0]
    if unused > 0 and words and not signed and words[0] >> stored:
        padding = pixels == words[0]
    if unused > 0:
        if not pixels.flags.writeable:
            pixels = pixels.copy()
        if signed:
            pixels = pixels.view(f"i{pixels.dtype.itemsize}")
            np.left_shift(pixels, unused - above, out=pixels)
            np.right_shift(pixels, unused, out=pixels)
        else:
            if above:
                np.right_shift(pixels, above, out=pixels)
            pixels &= pixels.dtype.type((1 << stored) - 1)
    return Stored(pixels.view(f"{'i' if signed else 'u'}{pixels.dtype.itemsize}"), header, tuple(remarks), padding)
