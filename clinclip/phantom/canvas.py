"""Geometry of one exposure: body centimetres to pixels, smooth curves, soft masks and soft lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: A layer of one exposure, (rows, columns).
Array = NDArray[np.floating[Any]]
Points = Sequence[tuple[float, float]] | NDArray[np.floating]
#: Sub-pixel bits of OpenCV's drawing functions.
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Canvas:
    """The detector. Body coordinates are centimetres: x to the image's right, y down.

    On frontal views the image's right is the patient's left.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        scale: pixels per centimetre.
        origin: pixel (x, y) of the body's origin.
        roll: rotation of the patient in the detector plane, radians.
    """

    rows: int
    columns: int
    scale: float
    origin: tuple[float, float]
    roll: float = 0.0

    def pixels(self, points: Points) -> NDArray[np.float64]:
        """Body points (n, 2) to pixel coordinates (n, 2)."""
        turn, origin = _transform(self.scale, self.roll, self.origin, 1)
        return np.asarray(points, dtype=np.float64) @ turn + origin

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        # scaled by a power of two beforehand, which changes no digit of the result
        turn, origin = _transform(self.scale, self.roll, self.origin, 1 << _SHIFT)
        at = np.asarray(points, dtype=np.float64) @ turn
        at += origin
        at += 0.5
        return at.astype(np.int32)

    def zeros(self) -> Array:
        """An empty layer."""
        return np.zeros((self.rows, self.columns), np.float32)

    def blur(self, layer: Array, cm: float) -> Array:
        """Gaussian blur; large ones at a reduced resolution, where nobody sees the difference."""
        sigma = cm * self.scale
        if sigma < 0.3:
            return layer
        if sigma > 6:
            step = int(sigma / 2.5)
            small = cv2.resize(
                layer, (max(4, self.columns // step), max(4, self.rows // step)), interpolation=cv2.INTER_AREA
            )
            small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
            return cv2.resize(small, (self.columns, self.rows), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
        return cv2.GaussianBlur(layer, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)  # type: ignore[return-value]

    def fill(self, points: Points, soft: float = 0.0) -> Array:
        """A filled polygon with values in [0, 1], its edge blurred by ``soft`` cm."""
        mask = np.zeros((self.rows, self.columns), np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
        return self.soften(mask, soft)

    def fill_many(self, polygons: Sequence[Points]) -> NDArray[np.uint8]:
        """A hard union of polygons, uint8 0 or 255."""
        mask = np.zeros((self.rows, self.columns), np.uint8)
        for p in polygons:
            cv2.fillPoly(mask, [self._fixed(p)], 255, shift=_SHIFT)
        return mask

    def stroke(self, into: NDArray[np.uint8], points: Points, width: float, value: float, closed: bool = False) -> None:
        """A line ``width`` cm wide into a uint8 layer; lines thinner than a pixel get fainter instead."""
        thickness, grey = self._pen(width, value)
        cv2.polylines(
            into, [self._fixed(points)], closed, grey, thickness=thickness, lineType=cv2.LINE_AA, shift=_SHIFT
        )

    def strokes(self, into: NDArray[np.uint8], lines: Iterable[tuple[Points, float, float]]) -> None:
        """Many open lines of one number of points, as :meth:`stroke` draws them one after the other.

        Args:
            into: uint8 layer.
            lines: (points, width in cm, value), in the order of drawing; where lines cross, the order shows.
        """
        lines = list(lines)
        if not lines:
            return
        fixed = self._fixed(np.asarray([points for points, _, _ in lines]))
        pens = [self._pen(width, value) for _, width, value in lines]
        # one call for neighbours of the same pen: most of a short line's time is the call
        for (thickness, grey), run in groupby(range(len(lines)), key=pens.__getitem__):
            part = list(run)
            cv2.polylines(
                into, list(fixed[part[0] : part[-1] + 1]), False, grey,
                thickness=thickness, lineType=cv2.LINE_AA, shift=_SHIFT,
            )  # fmt: skip

    def _pen(self, width: float, value: float) -> tuple[int, int]:
        """(thickness in pixels, grey value) of a line."""
        pixels = width * self.scale
        if pixels < 1:
            value *= max(pixels, 0.15)
        return max(1, round(pixels)), round(255 * min(1.0, value))

    def soften(self, strokes: NDArray[np.uint8], cm: float) -> Array:
        """A uint8 layer of strokes as values in [0, 1], blurred."""
        return self.blur(strokes.astype(np.float32) * np.float32(1 / 255), cm)

    def layer(self) -> NDArray[np.uint8]:
        """An empty uint8 layer for strokes."""
        return np.zeros((self.rows, self.columns), np.uint8)

    def thickness(self, mask: NDArray[np.uint8], radius: float) -> Array:
        """Elliptic depth profile of a silhouette: 0 at its edge, 1 where it is ``radius`` cm or more inside."""
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        u = np.minimum(distance * np.float32(1 / (radius * self.scale)), np.float32(1))
        return np.sqrt(u * (2 - u))

    def box(self, mask: Array, threshold: float = 0.25) -> tuple[int, int, int, int] | None:
        """(x, y, width, height) of where a layer exceeds ``threshold`` of its maximum; None where it is empty."""
        top = float(mask.max())
        if top <= 1e-6:
            return None
        hit = mask > threshold * top
        ys = np.flatnonzero(hit.any(axis=1))
        xs = np.flatnonzero(hit.any(axis=0))
        return int(xs[0]), int(ys[0]), int(xs[-1] - xs[0] + 1), int(ys[-1] - ys[0] + 1)

    def grid(self) -> tuple[Array, Array]:
        """Body coordinates (x, y) of every pixel."""
        xs = (np.arange(self.columns, dtype=np.float32) - self.origin[0]) / self.scale
        ys = (np.arange(self.rows, dtype=np.float32) - self.origin[1]) / self.scale
        c, s = np.float32(np.cos(self.roll)), np.float32(np.sin(self.roll))
        return c * xs[None, :] + s * ys[:, None], c * ys[:, None] - s * xs[None, :]


@lru_cache(maxsize=16)
def _transform(
    scale: float, roll: float, origin: tuple[float, float], times: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset from body points to ``times`` the pixel coordinates."""
    c, s = scale * math.cos(roll), scale * math.sin(roll)
    return np.array([[c, s], [-s, c]]) * times, np.array(origin) * times


@lru_cache(maxsize=16)
def _powers(steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    return t, t**2, t**3


def smooth(points: Points, closed: bool = False, steps: int = 8) -> NDArray[np.float64]:
    """Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([p[-1:], p, p[:2]])
    else:
        padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t, t2, t3 = _powers(steps)
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t2 + (3 * p1 - p0 - 3 * p2 + p3) * t3)
    out = curve.reshape(-1, 2)
    return out if closed else np.concatenate([out, p[-1:]])
