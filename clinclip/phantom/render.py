"""One exposure from a study: pixels and the boxes of what is on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinclip.draws import array_stream, stream
from clinclip.phantom.anatomy import make_anatomy, make_chest, pose_of
from clinclip.phantom.canvas import Canvas
from clinclip.phantom.expose import burn_in, expose
from clinclip.phantom.frontal import build_frontal
from clinclip.phantom.hardware import clutter, draw_hardware
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.lateral import build_lateral, draw_lateral_findings
from clinclip.phantom.pathology import draw_findings
from clinclip.phantom.world import Finding, Image, Patient, Study


@dataclass(frozen=True, slots=True)
class Exposure:
    """A drawn image.

    Attributes:
        pixels: uint16 (rows, columns), 12 bits, bone bright (MONOCHROME2).
        boxes: (uid, kind, x, y, width, height) in pixels of this image.
    """

    pixels: NDArray[np.uint16]
    boxes: list[tuple[int, str, int, int, int, int]]


def render(patient: Patient, study: Study, image: Image, size: int, seed: int, knobs: PhantomKnobs) -> Exposure:
    """Draw one exposure.

    Args:
        patient: Who.
        study: What is to be seen.
        image: Which exposure.
        size: Shorter side in pixels.
        seed: Seed of the data set.
        knobs: Difficulty.
    """
    anatomy = make_anatomy(patient, seed)
    rng = stream(seed, "exposure", study.index, image.number)
    grain = array_stream(seed, "grain", study.index, image.number)
    pose = pose_of(study, image, seed, knobs.overlap)
    chest = make_chest(anatomy, pose, study.findings)
    lateral = image.view == "LATERAL"
    across = 2 * (anatomy.width + anatomy.wall) + rng.uniform(-0.5, 3.5)
    if lateral:
        across = anatomy.depth + 3.5 + rng.uniform(0, 3) + anatomy.breast * 2
    down = chest.base[1] + rng.uniform(6.5, 10.0)
    portable = image.view == "AP" and study.setting in {"icu", "ward"}
    ratio = rng.choice(
        (1.22, 1.1, 0.83, 0.83, 1.0) if portable else (1.22, 1.22, 1.2) if lateral else (1.22, 1.2, 1.12, 1.05, 1.0)
    )
    rows, columns = (round(size * ratio), size) if ratio >= 1 else (size, round(size / ratio))
    scale = min(columns / across, rows / down)
    top = 3.2 + (rows / scale - chest.base[1] - 5.5) * rng.uniform(0.15, 0.4)
    roll = rng.gauss(0, 0.012 if image.view == "PA" else 0.028)
    canvas = Canvas(rows, columns, scale, (columns / 2 + rng.gauss(0, 0.5) * scale, top * scale), roll)
    vessels = array_stream(seed, "vessels", patient.index, image.view == "LATERAL")

    def rng_of(finding: Finding, side: int) -> np.random.Generator:
        return array_stream(seed, "finding", patient.index, finding.uid, side)

    if lateral:
        rays = build_lateral(canvas, chest, vessels)
        draw_lateral_findings(rays, chest, study.findings, rng_of)
    else:
        rays = build_frontal(canvas, chest, grain, vessels)
        draw_findings(rays, chest, study.findings, rng_of)
        draw_hardware(rays, chest, study.findings, rng_of)
        clutter(rays, chest, grain, portable, knobs.overlap)
    pixels = expose(rays, rng, grain, knobs.noise, knobs.exposure_spread)
    if rng.random() < knobs.markers:
        burn_in(pixels, rng, image.view, portable)
    return Exposure(pixels, rays.boxes)
