"""Grey-level arithmetic: any pixel array to 8 bits, colour to luma, inversion, equalisation, area reduction.

The 8-bit conversion follows the published recipe of MIMIC-CXR-JPG (Johnson et al. 2019, PhysioNet): subtract the lowest
value, divide by the highest value of the shifted image, multiply by 255, truncate. It is computed once per grey level
in float64 and applied as a look-up table, which gives the same bits as the recipe applied to every pixel.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

#: (height, width) of the source -> (height, width) to reduce to.
Target = Callable[[int, int], tuple[int, int]]

_ALL_16_BIT = np.arange(65536, dtype=np.uint16)


def stored_values(dtype: np.dtype) -> NDArray:
    """Every value that an 8- or 16-bit integer type can hold, in the order in which `apply_table` indexes them."""
    if dtype.itemsize == 1:
        return np.arange(256, dtype=np.uint8).view(dtype)
    return _ALL_16_BIT.view(dtype)


def apply_table(pixels: NDArray, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Look every pixel up in a table over `stored_values` of its type.

    Args:
        pixels: 8- or 16-bit integers (H, W).
        table: uint8 (256,) or (65536,).

    Returns:
        uint8 (H, W).
    """
    unsigned = pixels.view(np.uint8 if pixels.dtype.itemsize == 1 else np.uint16)
    try:
        return cv2.LUT(unsigned, table)  # type: ignore[return-value]
    except cv2.error:  # OpenCV 4 has no 16-bit look-up
        return np.take(table, unsigned, mode="clip")


def minmax_levels(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """The published recipe on float64 values; values outside [low, high] are clipped.

    A constant image (``low == high``) has no contrast to stretch: it becomes 0.
    """
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return ((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.uint8)


def minmax_to_8bit(pixels: NDArray) -> NDArray[np.uint8]:
    """8- or 16-bit integers (H, W) to uint8 (H, W) by the published recipe."""
    values = stored_values(pixels.dtype).astype(np.float64)
    return apply_table(pixels, minmax_levels(values, float(pixels.min()), float(pixels.max())))


def luma(pixels: NDArray) -> NDArray:
    """Colour or transparent pixels to one channel of the same depth.

    Luma is 0.299 R + 0.587 G + 0.114 B. Transparent pixels are composited over black, the colour of air outside the
    body. An alpha channel that is zero everywhere is a broken export and carries no picture: it is ignored.

    Args:
        pixels: (H, W), or (H, W, 3) BGR, or (H, W, 4) BGRA, uint8 or uint16.

    Returns:
        (H, W) of the same type.
    """
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGRA2GRAY)
    alpha = cv2.extractChannel(pixels, 3)
    opaque = int(np.iinfo(pixels.dtype).max)
    if alpha.min() == opaque or alpha.max() == 0:
        return grey
    return cv2.multiply(grey, alpha, scale=1 / opaque)


def equalize(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Histogram equalisation as MIMIC-CXR-JPG applied it (``cv2.equalizeHist``)."""
    return cv2.equalizeHist(pixels)  # type: ignore[return-value]


def shorter_side(size: int) -> Target:
    """Reduce so that the shorter side has ``size`` pixels; images that are already smaller stay as they are."""

    def target(height: int, width: int) -> tuple[int, int]:
        scale = size / min(height, width)
        return (height, width) if scale >= 1 else (max(1, round(height * scale)), max(1, round(width * scale)))

    return target


def reduce_area(pixels: NDArray, shape: tuple[int, int]) -> NDArray:
    """Area-average to (height, width); unchanged if that is its shape already."""
    if pixels.shape[:2] == shape:
        return pixels
    return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def reduce_area_fast(pixels: NDArray, shape: tuple[int, int], reduced_already: bool = False) -> NDArray:
    """Like `reduce_area`, halving first (vectorised in OpenCV) while at least a factor of two remains after it.

    Measured 2.5 times faster; the mean difference is a third of a grey level on a noisy radiograph.

    Args:
        pixels: (H, W).
        shape: (height, width), neither larger.
        reduced_already: The pixels are averages of a finer image (a scaled JPEG decode): below a factor of 1.5 linear
            interpolation is as near to the full reduction as area averaging, in a seventh of the time.

    Returns:
        Pixels of that shape.
    """
    if reduced_already and pixels.shape[0] < 1.5 * shape[0] and pixels.shape[1] < 1.5 * shape[1]:
        return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    while pixels.shape[0] >= 4 * shape[0] and pixels.shape[1] >= 4 * shape[1]:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return reduce_area(pixels, shape)
