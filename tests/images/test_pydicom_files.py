"""Every image inside pydicom's package, against what pydicom makes of it (its further files would be downloaded)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from clinclip.errors import ImageError
from clinclip.images import read_image
from clinclip.images.dicom import read_stored

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"
OTHER = {".txt", ".json", ".dump", ".gz", ".icc", ".py", ".pyc"}
FILES = sorted(path for path in ROOT.rglob("*") if path.is_file() and path.suffix not in OTHER)


def theirs(path: Path) -> tuple[pydicom.Dataset, np.ndarray] | None:
    """pydicom's pixels of a single frame, or None where it has none."""
    try:
        dataset = pydicom.dcmread(path, force=True)
        pixels = dataset.pixel_array
    except Exception:
        return None
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    known = int(dataset.get("NumberOfFrames") or 1) == 1 and (pixels.ndim == 2 or pixels.dtype.itemsize <= 2)
    return (dataset, pixels) if known else None


COMPARED = {path: found for path in FILES if (found := theirs(path)) is not None}


def test_enough_files_are_compared():
    assert len(COMPARED) >= 70


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.name)
def test_stored_values_and_window(path):
    dataset, pixels = COMPARED[path]
    stored = read_stored(path).pixels
    assert stored.dtype.newbyteorder("=") == pixels.dtype.newbyteorder("=")
    assert np.array_equal(stored, pixels)
    if pixels.ndim == 3:
        return
    shown = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset).astype(float)
    low, high = shown.min(), shown.max()
    if "WindowWidth" in dataset:  # pydicom's windows cover what the stored bits can hold
        half = 1 << (dataset.BitsStored - 1)
        ends = np.array((-half, half - 1) if dataset.PixelRepresentation else (0, 2 * half - 1), float)
        low, high = ends * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    expected = (shown - low) / (high - low) * 255
    expected = 255 - expected if dataset.PhotometricInterpretation == "MONOCHROME1" else expected
    assert np.abs(read_image(path, window="voi") - expected).max() <= 1


@pytest.mark.parametrize("path", sorted(set(FILES) - set(COMPARED)), ids=lambda path: path.name)
def test_what_pydicom_cannot_show_is_read_or_refused_in_words(path):
    try:
        assert read_image(path).ndim == 2
    except ImageError as error:
        named, reason = path.name in str(error), error.reason
    else:
        named, reason = True, "read"
    assert named
    assert reason
