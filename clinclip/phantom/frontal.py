"""The frontal projection: how many centimetres of air, soft tissue and bone each ray meets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clinclip.phantom.anatomy import Chest
from clinclip.phantom.canvas import Array, Canvas, smooth
from clinclip.phantom.skeleton import skeleton


@dataclass(slots=True)
class Rays:
    """What the rays of one exposure meet, in centimetres; findings change it in place.

    Attributes:
        canvas: geometry.
        air: gas in lung, airways and bowel.
        soft: soft tissue, gas not yet subtracted.
        bone: bone and metal, as centimetres of bone.
        fine: bone and metal with hard edges (added after the blur of the focal spot).
        lungs: side (-1 right, +1 left) -> soft lung mask in [0, 1].
        vessels: vessels of the lung.
        body: body mask.
        boxes: (uid, kind, x, y, width, height) of findings.
    """

    canvas: Canvas
    air: Array
    soft: Array
    bone: Array
    fine: Array
    lungs: dict[int, Array]
    vessels: Array
    body: Array
    x: Array
    y: Array
    boxes: list[tuple[int, str, int, int, int, int]] = field(default_factory=list)

    def mark(self, uid: int, kind: str, mask: Array, threshold: float = 0.25) -> None:
        """Keep the box around a finding's mask."""
        box = self.canvas.box(mask, threshold)
        if box is not None:
            self.boxes.append((uid, kind, *box))


def build_frontal(canvas: Canvas, chest: Chest, rng: np.random.Generator, vessel_rng: np.random.Generator) -> Rays:
    """Project a chest without its focal findings.

    Args:
        canvas: Detector.
        chest: Shapes.
        rng: Of this exposure.
        vessel_rng: Of the patient: the vascular tree is the same on all films.
    """
    a = chest.anatomy
    x, y = canvas.grid()
    body_mask = canvas.fill_many([chest.body()])
    body = canvas.thickness(body_mask, 6.5)
    soft = a.depth * (0.34 + 0.66 * body) * (body > 0)
    # shoulders and abdomen are thicker than the chest
    soft *= 1 + 0.10 * np.clip((-y) / 6, 0, 1) + 0.14 * np.clip((y - 0.72 * chest.base[-1]) / 6, 0, 1)
    air = canvas.zeros()
    lungs: dict[int, Array] = {}
    for side in (-1, 1):
        mask = canvas.fill_many([chest.lung(side)])
        depth = canvas.thickness(mask, 5.2)
        lung = canvas.soften(mask, 0.10)
        lungs[side] = lung
        recess = canvas.blur(canvas.thickness(canvas.fill_many([chest.recess(side)]), 2.5), 0.5)
        air += canvas.blur(depth, 0.10) * (0.66 * a.depth) + recess * 0.9
    _mediastinum(canvas, chest, air, soft, y)
    _abdomen(canvas, chest, air, soft, x, y, rng)
    _breasts(canvas, chest, soft, y)
    vessels = _vessels(canvas, chest, vessel_rng, lungs)
    bone = skeleton(canvas, chest)
    _airways(canvas, chest, air)
    return Rays(canvas, air, soft, bone, canvas.zeros(), lungs, vessels, (body > 0).astype(np.float32), x, y)


def _mediastinum(canvas: Canvas, chest: Chest, air: Array, soft: Array, y: Array) -> None:
    upper = canvas.fill_many([chest.mediastinum()])
    heart = canvas.fill_many([chest.heart()])
    deep = canvas.thickness(heart, 3.6)
    # the lung goes on behind and before the heart, so its rim is less dense than its middle
    air *= 1 - canvas.blur((0.50 * (heart > 0) + 0.38 * deep).astype(np.float32), 0.10)
    soft += 1.5 * deep * np.clip((chest.base[-1] - chest.dome[-1] + 1.0 - y) / 4, 0, 1)
    rim = canvas.thickness(upper, 1.3)
    air *= 1 - canvas.blur((0.62 * (upper > 0) + 0.33 * rim).astype(np.float32), 0.10)
    soft += 0.3 * rim
    aorta = canvas.layer()
    canvas.stroke(aorta, chest.descending_aorta() + np.array([-1.2, 0]), 2.6, 0.5)
    air *= 1 - 0.5 * canvas.soften(aorta, 0.12)


def _abdomen(
    canvas: Canvas, chest: Chest, air: Array, soft: Array, x: Array, y: Array, rng: np.random.Generator
) -> None:
    a = chest.anatomy
    if a.bubble > 0.25:
        top = chest.base[1] - chest.dome[1]
        cx, cy = 0.45 * a.width, top + 2.2 + 0.8 * a.bubble
        rx, ry = 1.5 + 2.2 * a.bubble, 0.9 + 0.9 * a.bubble
        bubble = np.clip(1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2, 0, 1)
        if chest.pose.supine:
            bubble *= 0.6
        else:
            bubble *= y < cy + 0.45 * ry
        air += canvas.blur(np.sqrt(bubble), 0.08) * 4.5
    loops = rng.integers(1, 5)
    for _ in range(int(loops)):
        cx, cy = rng.uniform(-0.2, 1.0) * a.width, chest.base[1] + rng.uniform(3.5, 9)
        r = rng.uniform(0.8, 1.8)
        air += np.sqrt(np.clip(1 - ((x - cx) / (1.5 * r)) ** 2 - ((y - cy) / r) ** 2, 0, 1)) * rng.uniform(0.4, 1.3)


def _breasts(canvas: Canvas, chest: Chest, soft: Array, y: Array) -> None:
    size = chest.anatomy.breast
    if size <= 0:
        return
    for side in (-1, 1):
        cx, cy = side * 0.68 * chest.anatomy.width, (0.66 + 0.05 * size) * chest.base[-1]
        r = 4.2 + 1.4 * size
        points = [
            (cx + r * 1.05 * np.cos(t), cy + r * np.sin(t) * (1.0 if np.sin(t) > 0 else 1.25))
            for t in np.linspace(0, 2 * np.pi, 18, endpoint=False)
        ]
        mask = canvas.fill_many([smooth(points, closed=True, steps=4)])
        profile = canvas.thickness(mask, r * 0.9)
        # only the fold below is sharp; above, the breast runs out
        profile *= np.clip((y - cy + 0.9 * r) / (1.6 * r), 0, 1)
        soft += canvas.blur(profile, 0.12) * np.float32(1.5 * size)


def _airways(canvas: Canvas, chest: Chest, air: Array) -> None:
    h = chest.base[-1]
    carina = (0.35 * chest.pose.yaw + 0.2, 0.30 * h)
    tube = canvas.layer()
    canvas.stroke(
        tube,
        smooth([(float(chest.spine_x(-6)) * 0.4, -9), (0.1, 0.0), (0.25 * chest.pose.yaw + 0.25, 0.15 * h), carina]),
        1.7,
        1.0,
    )
    canvas.stroke(
        tube, smooth([carina, (carina[0] - 1.4, carina[1] + 1.6), (carina[0] - 2.6, carina[1] + 2.6)]), 1.1, 0.75
    )
    canvas.stroke(
        tube, smooth([carina, (carina[0] + 1.8, carina[1] + 1.4), (carina[0] + 3.4, carina[1] + 2.2)]), 0.95, 0.7
    )
    air += canvas.soften(tube, 0.2) * 2.1


def _vessels(canvas: Canvas, chest: Chest, rng: np.random.Generator, lungs: dict[int, Array]) -> Array:
    """The vascular tree: branches that taper and divide away from the hila."""
    thin, thick = canvas.layer(), canvas.layer()
    h, w = chest.base[-1], chest.anatomy.width
    for side in (-1, 1):
        hx, hy = chest.hilum(side)
        stack: list[tuple[float, float, float, float, int]] = []
        n = int(rng.integers(9, 12))
        for i in range(n):
            angle = -1.35 + 2.85 * (i + rng.uniform(-0.3, 0.3)) / (n - 1)
            stack.append(
                (
                    hx,
                    hy + rng.uniform(-1.2, 1.6),
                    angle,
                    rng.uniform(0.30, 0.5) if angle > 0 else rng.uniform(0.2, 0.34),
                    0,
                )
            )
        # the right descending and the left pulmonary artery
        canvas.stroke(
            thick,
            smooth(
                [(hx - side * 1.2, hy - 1.0), (hx, hy + 0.6), (hx + side * 0.5, hy + 3.2), (hx + side * 1.1, hy + 5.2)]
            ),
            1.15,
            0.9,
        )
        canvas.stroke(
            thick,
            smooth([(hx - side * 1.8, hy - 0.2), (hx + side * 0.2, hy - 1.2), (hx + side * 1.0, hy - 2.4)]),
            0.9,
            0.75,
        )
        fine, coarse = [], []
        while stack:
            px, py, angle, width, depth = stack.pop()
            length = rng.uniform(2.6, 4.6) * (1 if depth else 1.25)
            points = [(px, py)]
            # scalars of Python: arrays of one number would take most of the time of a phantom
            for b in rng.normal(0, 0.18, 3).tolist():
                angle += b
                px += side * math.cos(angle) * length / 3
                py += math.sin(angle) * length / 3
                points.append((px, py))
            if width > 0.26:
                coarse.append((points, width, 0.85))
            else:
                fine.append((points, width, 0.7))
            ex, ey = px, py
            if depth < 4 and abs(ex) < w * 0.97 and -0.5 < ey < h + 1:
                spread = rng.uniform(0.22, 0.5)
                stack.append((ex, ey, angle - spread, width * rng.uniform(0.62, 0.76), depth + 1))
                stack.append((ex, ey, angle + spread * 0.8, width * rng.uniform(0.62, 0.8), depth + 1))
        canvas.strokes(thin, fine)
        canvas.strokes(thick, coarse)
    layer = canvas.soften(thick, 0.13) * 1.25 + canvas.soften(thin, 0.06) * 0.75
    return layer * np.minimum(1, lungs[-1] + lungs[1] + 0.0) * np.float32(chest.anatomy.vessels)
