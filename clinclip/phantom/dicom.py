"""Writes phantom exposures as DICOM in the variety that scanners produce. Only phantoms are ever written."""

from __future__ import annotations

import hashlib
import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ConfigError
from clinclip.files import write_atomically
from clinclip.images import codecs
from clinclip.images.dicom import DEFLATED, EXPLICIT, IMPLICIT

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Digital X-Ray Image Storage, For Presentation: the class of nearly all MIMIC-CXR images.
DX_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"


def write_phantom_dicom(
    path: str | PathLike[str],
    pixels: NDArray[np.uint16],
    *,
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2",
    bits_stored: int = 12,
    transfer_syntax: str = "1.2.840.10008.1.2.1",
    window_center: float | None = None,
    window_width: float | None = None,
    tags: dict[str, Any] | None = None,
) -> None:
    """Write a valid digital X-ray file (DX Image Storage, For Presentation) of made-up pixels.

    The same arguments give the same bytes: identifiers are derived from the pixels and tags.

    Args:
        path: Where to; written to a temporary name first.
        pixels: uint16 (H, W) stored values below ``2**bits_stored``.
        photometric: MONOCHROME1 displays low values bright. The Presentation LUT Shape follows it.
        bits_stored: 8 to 16.
        transfer_syntax: Explicit or implicit VR little endian, RLE, JPEG Lossless (either), JPEG-LS Lossless,
            JPEG 2000 Lossless, High-Throughput JPEG 2000 Lossless; the last four need ``clinclip[dicom]``.
        window_center: Centre of the window, written only together with a width.
        window_width: Width of the window.
        tags: Further elements by DICOM keyword, for example ``{"PatientID": "10000032"}``; they override the defaults.

    Raises:
        ConfigError: Pixels, depth, syntax or a keyword are not possible.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or not 8 <= bits_stored <= 16:
        raise ConfigError(
            f"a phantom needs whole-number pixels (H, W) and 8 to 16 bits, not {pixels.shape}, {bits_stored}"
        )
    if pixels.min() < 0 or int(pixels.max()) >> bits_stored:
        raise ConfigError(f"pixel values {pixels.min()} to {pixels.max()} do not fit {bits_stored} bits stored")
    bits_allocated = 8 if bits_stored == 8 else 16
    pixels = np.ascontiguousarray(pixels, f"<u{bits_allocated // 8}")
    header = _phantom_header(pixels, photometric, bits_stored, tags or {})
    if window_center is not None and window_width is not None:
        header.WindowCenter, header.WindowWidth = f"{window_center:.10g}", f"{window_width:.10g}"
    frame = pixels.tobytes()
    compressed = transfer_syntax not in {IMPLICIT, EXPLICIT, DEFLATED}
    if compressed:
        frame = encode_frame(pixels, transfer_syntax, bits_stored)
    _save(path, header, frame, transfer_syntax, compressed)


def _phantom_header(pixels: NDArray, photometric: str, bits_stored: int, tags: dict[str, Any]) -> Dataset:
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    unknown = [keyword for keyword in tags if tag_for_keyword(keyword) is None]
    if unknown:
        raise ConfigError(f"tags holds {unknown[0]!r}, which is no DICOM keyword (they look like 'PatientID')")
    digest = hashlib.sha256(pixels.tobytes() + json.dumps(tags, sort_keys=True, default=str).encode()).hexdigest()
    header = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": DX_PRESENTATION,
        "SOPInstanceUID": generate_uid(entropy_srcs=[digest, "instance"]),
        "StudyInstanceUID": generate_uid(entropy_srcs=[digest, "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[digest, "series"]),
        "StudyDate": "21800506",  # shifted into the future, as de-identified archives do
        "StudyTime": "120000.000",
        "AccessionNumber": "",
        "Modality": "DX",
        "Manufacturer": "clinclip phantom",
        "ReferringPhysicianName": "",
        "PatientName": "",
        "PatientID": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "ImageLaterality": "U",
        "PresentationIntentType": "FOR PRESENTATION",
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1 if photometric == "MONOCHROME1" else 1,
        "ImagerPixelSpacing": [0.139, 0.139],
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PatientOrientation": ["L", "F"],
        "ImageType": ["DERIVED", "PRIMARY"],
        **tags,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": photometric,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": bits_stored,
        "HighBit": bits_stored - 1,
        "PixelRepresentation": 0,
        "RescaleSlope": tags.get("RescaleSlope", "1"),
        "RescaleIntercept": tags.get("RescaleIntercept", "0"),
        "RescaleType": tags.get("RescaleType", "US"),
        "PresentationLUTShape": tags.get(
            "PresentationLUTShape", "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
        ),
    }
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return header


def _save(path: str | PathLike[str], header: Dataset, frame: bytes, transfer_syntax: str, compressed: bool) -> None:
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta = meta  # type: ignore[attr-defined]
    header.PixelData = encapsulate([frame]) if compressed else frame + b"\0" * (len(frame) % 2)
    header["PixelData"].VR = "OB" if compressed or header.BitsAllocated == 8 else "OW"
    header["PixelData"].is_undefined_length = compressed
    write_atomically(Path(path), lambda target: dcmwrite(target, header, enforce_file_format=True))


def encode_frame(pixels: NDArray, syntax: str, bits_stored: int) -> bytes:
    """Compress one frame losslessly.

    Args:
        pixels: uint8 or uint16 (H, W).
        syntax: Transfer syntax UID.
        bits_stored: Significant bits of a pixel.

    Returns:
        The code stream.

    Raises:
        ConfigError: No encoder for this syntax, or imagecodecs is not installed.
    """
    if syntax == codecs.RLE:
        return _encode_rle(pixels)
    try:
        import imagecodecs
    except ImportError as error:
        raise ConfigError(
            f"transfer syntax {syntax} needs an encoder that is not installed: pip install 'clinclip[dicom]'"
        ) from error
    if syntax == codecs.JPEG_LOSSLESS_SV1:
        return bytes(imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=bits_stored))
    if syntax == codecs.JPEG_LOSSLESS:
        return bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=bits_stored))
    if syntax == codecs.JPEG_LS_LOSSLESS:
        return bytes(imagecodecs.jpegls_encode(pixels))
    if syntax == codecs.JPEG_2000_LOSSLESS:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True))
    if syntax == codecs.HTJ2K_LOSSLESS:
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax == codecs.JPEG_EXTENDED:
        return bytes(imagecodecs.jpeg_encode(pixels, level=100, bitspersample=12))
    raise ConfigError(
        f"no encoder for transfer syntax {syntax}; phantoms are written as explicit or implicit VR little endian, "
        f"or as {', '.join(sorted(codecs.NAMES.values()))}"
    )


def _encode_rle(pixels: NDArray) -> bytes:
    from pydicom.pixels.encoders.base import RLELosslessEncoder

    height, width = pixels.shape
    return RLELosslessEncoder.encode(
        pixels,
        rows=height,
        columns=width,
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=8 * pixels.dtype.itemsize,
        bits_stored=8 * pixels.dtype.itemsize,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )
