"""From rays to grey values: exposure, scatter, grain, display curve, and the published equalisation."""

from __future__ import annotations

import math
import random

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.phantom.frontal import Rays

#: Attenuation of a centimetre of each, in centimetres of soft tissue.
_AIR, _BONE = 0.80, 1.5
#: Attenuation of soft tissue per centimetre, and scatter that reaches everywhere, as a share of the open beam.
_MU, _FOG = 0.17, 0.03
#: Thickness that an exposure is tuned to, cm.
_THICKNESS = 19.0


def expose(
    rays: Rays, rng: random.Random, grain: np.random.Generator, noise: float, exposure_spread: float
) -> NDArray[np.uint16]:
    """A 12-bit image for presentation: bone white, air black.

    Args:
        rays: What the rays met.
        rng: Of this exposure, for the display curve.
        grain: Generator of the noise field.
        noise: Multiple of a well-exposed film.
        exposure_spread: Spread of exposure and curve.
    """
    canvas = rays.canvas
    soft = rays.soft
    air = np.minimum(rays.air, soft * 0.9)
    tissue = soft - _AIR * air
    # little of a rib is left to see where heart, liver or fluid scatter
    path = (
        tissue + _BONE * rays.bone * np.clip(1.45 - 0.055 * tissue, 0.3, 1) + rays.vessels * np.clip(air * 0.18, 0, 1.6)
    )
    path = canvas.blur(path, 0.05) + _BONE * rays.fine
    mottle = cv2.GaussianBlur(
        grain.standard_normal(path.shape, dtype=np.float32), (0, 0), max(0.8, 0.12 * canvas.scale)
    )
    path += mottle * np.clip(air * 0.11, 0, 0.9)  # lung parenchyma is never smooth
    # automatic exposure control: thick patients get more, so that what reaches the detector stays alike
    inside = soft > 6
    thick = float(np.median(soft[inside][::31])) if inside.any() else _THICKNESS
    primary = np.exp(np.float32(-_MU) * (np.maximum(path, 0) - np.float32(0.85 * (thick - _THICKNESS))))
    # scatter fogs what is dense: ribs stand out over the lung and hardly over the heart
    signal = primary + 0.16 * canvas.blur(primary, 3.0) + np.float32(_FOG)
    dose = math.exp(rng.gauss(0, exposure_spread))
    quanta = grain.standard_normal(path.shape, dtype=np.float32)
    quanta = 0.35 * quanta + 1.1 * cv2.GaussianBlur(quanta, (0, 0), 0.9)
    density = -np.log(signal) + quanta * (np.float32(0.0038 * noise / math.sqrt(dose)) * signal ** np.float32(-0.32))
    # the workstation's processing takes part of the slow variation away and sharpens a little
    shown = density - np.float32(rng.uniform(0.15, 0.35)) * canvas.blur(density, 5.0)
    shown += np.float32(rng.uniform(0.1, 0.5)) * (density - canvas.blur(density, 0.35))
    tissue_only = inside & (rays.fine < 0.3)  # metal does not set the window
    values = shown[tissue_only] if tissue_only.any() else shown.ravel()
    low, high = np.percentile(values[:: max(1, values.size // 4000)], [1.0, 99.5])
    unit = (shown - low) / max(1e-3, float(high - low))
    centre, slope = 0.48 + rng.gauss(0, 0.4) * exposure_spread, 2.2 * math.exp(rng.gauss(0, 1.5 * exposure_spread))
    curve = 1 / (1 + np.exp(-(unit - centre) * np.float32(slope)))
    floor, top = 1 / (1 + math.exp((centre + 0.12) * slope)), 1 / (1 + math.exp(-(1.1 - centre) * slope))
    value = np.clip((curve - floor) / (top - floor), 0, 1)
    value *= 0.04 + 0.96 * np.clip(canvas.blur(rays.body, 0.05), 0, 1)
    return (value * np.float32(4095)).astype(np.uint16)


def burn_in(image: NDArray[np.uint16], rng: random.Random, view: str, portable: bool) -> None:
    """Side letter and technique words, as technologists place them; in place."""
    size = image.shape[0] / 900
    layer = np.zeros(image.shape, np.uint8)
    text = rng.choice(("L", "L", "R"))
    left = text == "R"
    x = int(image.shape[1] * (rng.uniform(0.03, 0.10) if left else rng.uniform(0.88, 0.94)))
    y = int(image.shape[0] * rng.uniform(0.06, 0.20))
    if view == "LATERAL":
        x, y = int(image.shape[1] * rng.uniform(0.05, 0.15)), int(image.shape[0] * rng.uniform(0.08, 0.2))
    cv2.putText(layer, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.1 * size, 255, max(1, int(2.4 * size)), cv2.LINE_AA)
    if portable and rng.random() < 0.6:
        word = rng.choice(("PORTABLE", "SEMI-ERECT", "SUPINE", "AP", "UPRIGHT", "PORT"))
        x, y = int(image.shape[1] * rng.uniform(0.03, 0.6)), int(image.shape[0] * rng.choice((0.045, 0.97)))
        thick = max(1, int(1.4 * size))
        cv2.putText(layer, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6 * size, 240, thick, cv2.LINE_AA)
    np.maximum(image, layer.astype(np.uint16) * 16, out=image)


def to_jpg_pixels(image: NDArray[np.uint16], equalise: bool = True) -> NDArray[np.uint8]:
    """The published MIMIC-CXR-JPG steps on presentation values: minimum to maximum into 8 bits, then equalisation."""
    low, high = int(image.min()), int(image.max())
    unit = (image.astype(np.float64) - low) / max(1, high - low)
    eight = (unit * 255).astype(np.uint8)
    return cv2.equalizeHist(eight) if equalise else eight  # type: ignore[return-value]
