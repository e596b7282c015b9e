"""Image files: the published JPG recipe, and DICOMs in the variety that scanners produce."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.draws import stream
from clinclip.files import write_bytes
from clinclip.phantom.expose import to_jpg_pixels
from clinclip.phantom.world import Image, Patient, Study

#: Transfer syntaxes and how often: uncompressed explicit and implicit, RLE, JPEG lossless, JPEG 2000 lossless.
_SYNTAXES = {
    "1.2.840.10008.1.2.1": 0.62,
    "1.2.840.10008.1.2": 0.14,
    "1.2.840.10008.1.2.5": 0.06,
    "1.2.840.10008.1.2.4.70": 0.10,
    "1.2.840.10008.1.2.4.90": 0.08,
}


def write_jpg(path: Path, pixels: NDArray[np.uint16], equalise: bool) -> None:
    """Write an 8-bit JPG of quality 95.

    Raises:
        OSError: The file cannot be written.
    """
    done, data = cv2.imencode(".jpg", to_jpg_pixels(pixels, equalise), [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not done:
        raise OSError(f"OpenCV cannot encode {path}")
    write_bytes(path, data.tobytes())


def write_dicom(
    path: Path, pixels: NDArray[np.uint16], patient: Patient, study: Study, image: Image, seed: int
) -> None:
    """Write one exposure as DICOM: 12 to 16 bits, either photometric interpretation, several syntaxes and windows."""
    from clinclip.phantom.dicom import write_phantom_dicom

    rng = stream(seed, "dicom", study.index, image.number)
    bits = rng.choice((12, 12, 12, 13, 14, 15, 16))
    stored = (pixels.astype(np.uint32) << (bits - 12)).astype(np.uint16)
    inverted = rng.random() < 0.3
    if inverted:
        stored = ((1 << bits) - 1 - stored).astype(np.uint16)
    low, high = np.percentile(stored, [1, 99])
    windowed = rng.random() < 0.75
    path.parent.mkdir(parents=True, exist_ok=True)
    write_phantom_dicom(
        path,
        stored,
        photometric="MONOCHROME1" if inverted else "MONOCHROME2",
        bits_stored=bits,
        transfer_syntax=rng.choices(list(_SYNTAXES), list(_SYNTAXES.values()))[0],
        window_center=float(round((low + high) / 2)) if windowed else None,
        window_width=float(round(max(1.0, high - low))) if windowed else None,
        tags={
            "PatientID": patient.subject_id,
            "StudyID": study.study_id,
            "PatientSex": patient.sex,
            "ViewPosition": image.position,
            "StudyDate": study.when.strftime("%Y%m%d"),
            "StudyTime": study.when.strftime("%H%M%S"),
        },
    )
