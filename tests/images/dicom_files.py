"""DICOM files with header values that no honest writer would accept, for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag

EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_y, _x = np.mgrid[0:64, 0:48]
#: uint16 (64, 48): every second of 4096 levels, rising.
RAMP = ((_y * 48 + _x) * 4095 / (64 * 48 - 1)).astype("u2")
#: The ramp from black to white.
FULL = RAMP / 4095 * 255


def windowed(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1 on 0 to 255."""
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255


def dataset(pixels: np.ndarray = RAMP, stored: int = 12, **elements) -> Dataset:
    """A grey image; elements by keyword are added or replaced."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    bits = 8 * pixels.dtype.itemsize
    values = {
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": bits, "BitsStored": stored,
        "HighBit": stored - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"), "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", **elements,
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    return ds


def set_raw(ds: Dataset, **elements: bytes) -> Dataset:
    """Decimal elements whose bytes no writer would check."""
    for keyword, value in elements.items():
        tag = Tag(tag_for_keyword(keyword))
        ds[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)
    return ds


def lut(entries: int, first: int, depth: int, data, vr: str = "US", data_type: str = "<u2") -> Dataset:
    """An item of a LUT sequence."""
    item = Dataset()
    item[0x00283002] = DataElement(0x00283002, vr, [entries, first, depth])
    item[0x00283006] = DataElement(0x00283006, "OW", np.asarray(data).astype(data_type).tobytes())
    return item


def luts(*items: Dataset) -> Sequence:
    return Sequence(items)


def save(ds: Dataset, path: Path, syntax: str = EXPLICIT, frame: bytes | None = None) -> Path:
    """Write; ``frame`` is put in as compressed pixels whatever the syntax says."""
    ds.file_meta.TransferSyntaxUID = syntax
    if frame is not None:
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    if frame is not None and syntax == EXPLICIT:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"  # pydicom refuses the other
        ds.save_as(path, enforce_file_format=True)
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0", 1))
    else:
        ds.save_as(path, enforce_file_format=True)
    return path
