"""DICOM stored values to 8-bit grey.

Order of the pipeline (DICOM PS3.4 annex N): stored value, modality LUT or rescale, VOI LUT or window, and the inversion
of MONOCHROME1 last. A Presentation LUT Shape of INVERSE is the standard's other way to say what MONOCHROME1 says (PS3.3
C.8.11.3.1.2 asks for both together), so either or both invert exactly once. The whole pipeline is computed once per
stored value and applied as one table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ImageDecodeError
from clinclip.images.dicom import parser_errors, read_stored
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


def decode_dicom(
    path: str | PathLike[str], mode: str, window: Window, target: Target | None, equalized: bool
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read a DICOM file to 8-bit grey.

    Args:
        path: The file.
        mode: "strict" maps grey levels at full resolution, then reduces; "fast" reduces the stored values first.
        window: "minmax" stretches the whole range; "voi" applies the file's first window or VOI LUT.
        target: Shape to reduce to, or None for full resolution.
        equalized: Equalise the histogram at full resolution (forces the order of "strict").

    Returns:
        uint8 pixels, and the (height, width) that the file has.

    Raises:
        ImageError: One of its family, naming file and reason.
    """
    stored = read_stored(path)
    pixels, header = stored.pixels, stored.header
    size = (pixels.shape[0], pixels.shape[1])
    shape = target(*size) if target else size
    if pixels.ndim == 3:
        grey = luma(np.ascontiguousarray(pixels[:, :, ::-1]))
        grey = grey if grey.dtype == np.uint8 else minmax_to_8bit(grey)
        return reduce_area(equalize(grey) if equalized else grey, shape), size
    try:
        pixels = _modality_lut(pixels, header)
        levels = _grey_levels(header, window, float(pixels.min()), float(pixels.max()))
        if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
            grey = _by_rows(pixels, levels)
        else:
            table = levels(stored_values(pixels.dtype).astype(np.float64))
            if mode == "fast" and not equalized and shape != size and pixels.dtype != np.int8:
                return apply_table(reduce_area_fast(pixels, shape), table), size
            grey = apply_table(pixels, table)
    except parser_errors() as error:
        reason = f"its grey-level tables or windows are damaged ({type(error).__name__})"
        raise ImageDecodeError(path, reason) from error
    return reduce_area(equalize(grey) if equalized else grey, shape), size


def _by_rows(pixels: NDArray, levels: Levels) -> NDArray[np.uint8]:
    """32-bit and floating pixels, in blocks: a float64 copy of the whole would not fit the memory bound."""
    out = np.empty(pixels.shape, np.uint8)
    step = max(1, 2**21 // pixels.shape[1])
    for top in range(0, len(pixels), step):
        out[top : top + step] = levels(pixels[top : top + step].astype(np.float64))
    return out


def _modality_lut(pixels: NDArray, header: Dataset) -> NDArray:
    """Apply a Modality LUT Sequence. A linear rescale is part of `_grey_levels`."""
    if not header.get("ModalityLUTSequence") or pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
        return pixels
    table, _ = _lookup(header.ModalityLUTSequence[0], stored_values(pixels.dtype).astype(np.int64))
    return table[pixels.view(f"u{pixels.dtype.itemsize}")]


def _lookup(item: Dataset, values: NDArray[np.int64]) -> tuple[NDArray[np.uint16], int]:
    """A LUT of the file for whole values; values beyond its ends take its first or last entry.

    Returns:
        uint16 output per value, and the depth of the output in bits.
    """
    entries, first, depth = (int(v) for v in item.LUTDescriptor)
    entries = entries or 65536
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * entries else "u1")
    table = np.asarray(data).astype(np.uint16)[:entries]
    if len(table) < entries or not 1 <= depth <= 16:
        raise ValueError("a look-up table that is cut off or of an impossible depth")
    return table[np.clip(values - first, 0, entries - 1)], depth


def _grey_levels(header: Dataset, window: Window, low: float, high: float) -> Levels:
    """The function from stored value to 8-bit grey level, inversion included.

    Args:
        header: Rescale, window, VOI LUT and photometric interpretation.
        window: "minmax" or "voi".
        low: Smallest stored value of the image.
        high: Largest.

    Raises:
        ValueError: Slope, window or pixels are not usable.
    """
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    if header.get("ModalityLUTSequence"):
        slope, intercept = 1.0, 0.0
    if not np.isfinite([slope, intercept, low, high]).all():
        raise ValueError("values that are not finite")
    inverse = str(header.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    inverse |= str(header.get("PresentationLUTShape", "")).strip() == "INVERSE"
    shown: Levels
    if window == "voi" and header.get("VOILUTSequence"):
        shown = _voi_lut(header, slope, intercept)
    elif window == "voi" and header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        shown = _voi_window(header, slope, intercept)
    else:
        # Min-max undoes any increasing rescale exactly, so that the published recipe's bits need none.
        inverse ^= slope < 0

        shown = partial(minmax_levels, low=low, high=high)
    return (lambda values: 255 - shown(values)) if inverse else shown


def _voi_window(header: Dataset, slope: float, intercept: float) -> Levels:
    """The first window, by the function that the file names (PS3.3 C.11.2.1.2 and .3)."""
    center, width = _first(header.WindowCenter), _first(header.WindowWidth)
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in {"LINEAR", "LINEAR_EXACT", "SIGMOID"}:
        raise ValueError("an unknown VOI LUT function")
    if not np.isfinite([center, width]).all() or width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError("a window without width")

    def shown(values: NDArray[np.float64]) -> NDArray[np.uint8]:
        x = values * slope + intercept
        if function == "SIGMOID":
            share = 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -700, 700)))
        elif function == "LINEAR_EXACT":
            share = (x - center) / width + 0.5
        elif width == 1:  # the limit of the formula: a threshold
            share = (x > center - 0.5).astype(np.float64)
        else:
            share = (x - (center - 0.5)) / (width - 1) + 0.5
        return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)

    return shown


def _voi_lut(header: Dataset, slope: float, intercept: float) -> Levels:
    """The first table of the VOI LUT Sequence, scaled from its own depth to 8 bits."""

    def shown(values: NDArray[np.float64]) -> NDArray[np.uint8]:
        index = np.clip(np.rint(values * slope + intercept), -(2**31), 2**31 - 1).astype(np.int64)
        output, depth = _lookup(header.VOILUTSequence[0], index)
        return np.rint(np.clip(output / ((1 << depth) - 1), 0, 1) * 255).astype(np.uint8)

    return shown


def _first(value: Any) -> float:
    """The first of one or many: by the standard all windows are equally valid, the first is what viewers show."""
    return float(value[0] if isinstance(value, list | tuple) or hasattr(value, "insert") else value)
