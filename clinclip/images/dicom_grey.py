"""DICOM stored values to 8-bit grey.

Order of the pipeline (DICOM PS3.4 annex N): stored value, modality LUT or rescale, VOI LUT or window, and the inversion
of MONOCHROME1 last. The whole pipeline is computed once per stored value and applied as one table. Two things differ
between the windows, because "minmax" is the published recipe of MIMIC-CXR-JPG and nothing else:

- A Presentation LUT Shape of INVERSE is the standard's other way to say what MONOCHROME1 says (PS3.3 C.8.11.3.1.2 asks
  for both together). With "voi" either or both invert exactly once; the recipe looks at MONOCHROME1 only.
- With "voi" padding (Pixel Padding Value up to Pixel Padding Range Limit) takes no part in the range and is painted
  black; the recipe takes it for picture.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ImageDecodeError
from clinclip.images.dicom import Stored, parser_errors, read_stored
from clinclip.images.dicom_luts import LookUp, modality_table, voi_shares
from clinclip.images.dicom_values import first_number, name, word_pattern
from clinclip.images.grey import (
    Target,
    apply_table,
    equalize,
    luma,
    minmax_levels,
    minmax_to_8bit,
    reduce_area,
    reduce_area_fast,
    stored_values,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Window = Literal["minmax", "voi"]
#: Stored values (float64) to grey levels.
Levels = Callable[[NDArray[np.float64]], NDArray[np.uint8]]

RESCALE = "DICOM: rescale slope and intercept cannot be used, stored values shown"
MODALITY = "DICOM: its modality look-up table cannot be used, stored values shown"
PRESENTATION = "DICOM: presentation LUT INVERSE beside MONOCHROME2 not applied, as in the published recipe"


def decode_dicom(
    path: str | PathLike[str], mode: str, window: Window, target: Target | None, equalized: bool
) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[str, ...]]:
    """Read a DICOM file to 8-bit grey.

    Args:
        path: The file.
        mode: "strict" maps grey levels at full resolution, then reduces; "fast" reduces the stored values first.
        window: "minmax" stretches the whole range; "voi" applies the file's first usable VOI LUT or window.
        target: Shape to reduce to, or None for full resolution.
        equalized: Equalise the histogram at full resolution (forces the order of "strict").

    Returns:
        uint8 pixels, the (height, width) that the file has, and remarks: what was not taken as the file says it.

    Raises:
        ImageError: One of its family, naming file and reason.
    """
    stored = read_stored(path)
    pixels, remarks = stored.pixels, list(stored.remarks)
    size = (pixels.shape[0], pixels.shape[1])
    shape = target(*size) if target else size
    if pixels.ndim == 3:
        grey = luma(np.ascontiguousarray(pixels[:, :, ::-1]))
        grey = grey if grey.dtype == np.uint8 else minmax_to_8bit(grey)
        return reduce_area(equalize(grey) if equalized else grey, shape), size, tuple(dict.fromkeys(remarks))
    try:
        padding = _padding(stored) if window == "voi" else None
        levels = _grey_levels(stored.header, window, _Present(pixels, padding), remarks)
        found = tuple(dict.fromkeys(remarks))
        if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
            grey = _by_rows(pixels, levels)
        else:
            table = levels(stored_values(pixels.dtype).astype(np.float64))
            if mode == "fast" and not equalized and shape != size and pixels.dtype != np.int8 and padding is None:
                return apply_table(reduce_area_fast(pixels, shape), table), size, found
            grey = apply_table(pixels, table)
    except parser_errors() as error:
        reason = f"its grey-level tables or windows are damaged ({type(error).__name__})"
        raise ImageDecodeError(path, reason) from error
    if padding is not None:
        grey[padding] = 0
    return reduce_area(equalize(grey) if equalized else grey, shape), size, found


def _by_rows(pixels: NDArray, levels: Levels) -> NDArray[np.uint8]:
    """32-bit and floating pixels, in blocks: a float64 copy of the whole would not fit the memory bound."""
    out = np.empty(pixels.shape, np.uint8)
    step = max(1, 2**21 // pixels.shape[1])
    for top in range(0, len(pixels), step):
        out[top : top + step] = levels(pixels[top : top + step].astype(np.float64))
    return out


def _padding(stored: Stored) -> NDArray[np.bool_] | None:
    """Where the picture is padding: (H, W), or None when nothing or everything is."""
    pixels, mask = stored.pixels, stored.padding
    if mask is None:
        words = [word_pattern(stored.header, key)[0] for key in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
        if not words[0] or pixels.dtype.kind == "f":
            return None
        first, last = (words[0][0], (words[1] or words[0])[0])
        if pixels.dtype.kind == "i":
            first, last = ((v ^ 0x8000) - 0x8000 for v in (first, last))
        mask = (pixels >= min(first, last)) & (pixels <= max(first, last))
    return mask if mask.any() and not mask.all() else None


class _Present:
    """The values that a picture holds outside its padding."""

    def __init__(self, pixels: NDArray, padding: NDArray[np.bool_] | None) -> None:
        self._values = pixels if padding is None else pixels[~padding]
        self.low, self.high = float(self._values.min()), float(self._values.max())
        self.whole = pixels.dtype.kind != "f" and pixels.dtype.itemsize <= 2

    def through(self, table: LookUp) -> tuple[float, float]:
        """Lowest and highest value behind a table, which need not be monotone."""
        values = stored_values(self._values.dtype)
        indices = self._values.ravel().view(f"u{self._values.dtype.itemsize}")
        mapped = table(values[np.bincount(indices, minlength=len(values)) > 0])
        return float(mapped.min()), float(mapped.max())


def _grey_levels(header: Dataset, window: Window, present: _Present, remarks: list[str]) -> Levels:
    """The function from stored value to 8-bit grey level, inversion included.

    Args:
        header: Rescale, window, VOI LUT and photometric interpretation.
        window: "minmax" or "voi".
        present: The stored values of the image.
        remarks: Grows by what was not taken as the header says it.

    Raises:
        ValueError: Pixels are not usable.
    """
    low, high = present.low, present.high
    if not np.isfinite([low, high]).all():
        raise ValueError("pixels that are not finite")
    modality: LookUp | None = None
    slope, intercept = 1.0, 0.0
    if header.get("ModalityLUTSequence") and present.whole:
        modality = modality_table(header, low, high, remarks)
        if modality is None:
            remarks.append(MODALITY)
        else:
            low, high = present.through(modality)
    elif not header.get("ModalityLUTSequence"):
        slope = first_number(header, "RescaleSlope", 1.0, remarks)
        intercept = first_number(header, "RescaleIntercept", 0.0, remarks)
        if slope == 0 or not np.isfinite([slope, intercept]).all():
            slope, intercept = 1.0, 0.0
            remarks.append(RESCALE)
    inverse = name(header, "PhotometricInterpretation") == "MONOCHROME1"
    presentation = name(header, "PresentationLUTShape") == "INVERSE"
    shares = None
    if window == "voi":
        ends = sorted((low * slope + intercept, high * slope + intercept))
        shares = voi_shares(header, ends[0], ends[1], remarks)
        inverse |= presentation
    elif presentation and not inverse:
        remarks.append(PRESENTATION)
    if shares is None:
        # Min-max undoes any increasing rescale exactly, so that the published recipe's bits need none.
        inverse ^= slope < 0
        shown: Levels = partial(minmax_levels, low=low, high=high)
    else:
        shown = lambda values: np.rint(np.clip(shares(values * slope + intercept), 0, 1) * 255).astype(np.uint8)  # noqa: E731

    def levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
        grey = shown(values if modality is None else modality(values).astype(np.float64))
        return 255 - grey if inverse else grey

    return levels
