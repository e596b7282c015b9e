"""The frontal projection: how many centimetres of air, soft tissue and bone each ray meets."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from clinclip.data.phantom.anatomy import Chest
from clinclip.data.phantom.canvas import Array, Canvas, smooth


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
    body = canvas.thickness(body_mask, 8.5)
    soft = a.depth * (0.25 + 0.75 * body) * (body > 0)
    # shoulders and abdomen are thicker than the chest
    soft *= 1 + 0.10 * np.clip((-y) / 6, 0, 1) + 0.14 * np.clip((y - 0.72 * chest.base[-1]) / 6, 0, 1)
    air = canvas.zeros()
    lungs: dict[int, Array] = {}
    for side in (-1, 1):
        mask = canvas.fill_many([chest.lung(side)])
        depth = canvas.thickness(mask, 5.2)
        lung = canvas.blur(mask.astype(np.float32) / 255, 0.10)
        lungs[side] = lung
        recess = canvas.blur(canvas.thickness(canvas.fill_many([chest.recess(side)]), 2.5), 0.5)
        air += canvas.blur(depth, 0.10) * (0.66 * a.depth) + recess * 0.9
    _abdomen(canvas, chest, air, soft, x, y, rng)
    _mediastinum(canvas, chest, air, soft, y)
    _breasts(canvas, chest, soft, air)
    vessels = _vessels(canvas, chest, vessel_rng, lungs)
    bone = _skeleton(canvas, chest)
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
    soft += 0.8 * rim
    aorta = canvas.layer()
    canvas.stroke(aorta, chest.descending_aorta() + np.array([-1.2, 0]), 2.6, 0.5)
    air *= 1 - 0.5 * canvas.blur(aorta.astype(np.float32) / 255, 0.12)


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
        air += np.sqrt(np.clip(1 - ((x - cx) / (1.5 * r)) ** 2 - ((y - cy) / r) ** 2, 0, 1)) * rng.uniform(0.8, 2.2)


def _breasts(canvas: Canvas, chest: Chest, soft: Array, air: Array) -> None:
    size = chest.anatomy.breast
    if size <= 0:
        return
    for side in (-1, 1):
        cx, cy = side * 0.64 * chest.anatomy.width, (0.66 + 0.05 * size) * chest.base[-1]
        r = 4.2 + 1.4 * size
        points = [
            (cx + r * 1.05 * np.cos(t), cy + r * np.sin(t) * (1.0 if np.sin(t) > 0 else 1.25))
            for t in np.linspace(0, 2 * np.pi, 18, endpoint=False)
        ]
        mask = canvas.fill_many([smooth(points, closed=True, steps=4)])
        profile = canvas.thickness(mask, r * 0.9)
        fade = np.clip((chest.base[-1] * 0.98 - 0.0) * 0 + 1, 0, 1)
        soft += canvas.blur(profile, 0.12) * np.float32(2.2 * size * fade)


def _airways(canvas: Canvas, chest: Chest, air: Array) -> None:
    h = chest.base[-1]
    carina = (0.35 * chest.pose.yaw + 0.2, 0.30 * h)
    tube = canvas.layer()
    canvas.stroke(
        tube,
        smooth([(chest.spine_x(-6) * 0.4, -9), (0.1, 0.0), (0.25 * chest.pose.yaw + 0.25, 0.15 * h), carina]),
        1.7,
        1.0,
    )
    canvas.stroke(
        tube, smooth([carina, (carina[0] - 1.4, carina[1] + 1.6), (carina[0] - 2.6, carina[1] + 2.6)]), 1.1, 0.75
    )
    canvas.stroke(
        tube, smooth([carina, (carina[0] + 1.8, carina[1] + 1.4), (carina[0] + 3.4, carina[1] + 2.2)]), 0.95, 0.7
    )
    air += canvas.blur(tube.astype(np.float32) / 255, 0.16) * 1.7


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
        while stack:
            px, py, angle, width, depth = stack.pop()
            length = rng.uniform(2.6, 4.6) * (1 if depth else 1.25)
            bend = rng.normal(0, 0.18, 3)
            points = [(px, py)]
            for b in bend:
                angle += b
                points.append(
                    (points[-1][0] + side * np.cos(angle) * length / 3, points[-1][1] + np.sin(angle) * length / 3)
                )
            canvas.stroke(thick if width > 0.26 else thin, points, width, 0.85 if width > 0.26 else 0.7)
            ex, ey = points[-1]
            if depth < 4 and abs(ex) < w * 0.97 and -0.5 < ey < h + 1:
                spread = rng.uniform(0.22, 0.5)
                stack.append((ex, ey, angle - spread, width * rng.uniform(0.62, 0.76), depth + 1))
                stack.append((ex, ey, angle + spread * 0.8, width * rng.uniform(0.62, 0.8), depth + 1))
    layer = (
        canvas.blur(thick.astype(np.float32) / 255, 0.13) * 1.25
        + canvas.blur(thin.astype(np.float32) / 255, 0.06) * 0.75
    )
    return layer * np.minimum(1, lungs[-1] + lungs[1] + 0.0) * np.float32(chest.anatomy.vessels)


def rib_line(chest: Chest, side: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre lines of the posterior and the anterior part of a rib, in body centimetres."""
    a = chest.anatomy
    start_y = -0.6 + a.rib_pitch * index * (chest.base[-1] / 25.0) ** 0.5
    drop = (0.6 + 0.28 * index) * a.rib_slope
    u = np.linspace(0, 1, 9)
    y = start_y - 0.9 * np.sin(np.pi * np.minimum(u * 1.35, 1)) + drop * u**1.7
    edge = chest.wall_x(y[-1]) + 0.25
    sx = float(chest.spine_x(start_y))
    x = 1.9 + (edge - 1.9) * np.sin(u * np.pi / 2) ** 0.92
    posterior = np.stack([side * x + sx * (1 - u), y], axis=1)
    v = np.linspace(0, 1, 8)
    fall = (2.6 + 0.55 * index) * a.rib_slope
    end_x = 0.36 * a.width + 0.045 * a.width * index
    ax = edge - (edge - end_x) * v**1.15
    ay = y[-1] + fall * np.sin(v * np.pi / 2) ** 1.1
    anterior = np.stack([side * ax + 0.4 * chest.pose.yaw * v, ay], axis=1)
    return posterior, anterior


def _skeleton(canvas: Canvas, chest: Chest) -> Array:
    a = chest.anatomy
    shell, core, front = canvas.layer(), canvas.layer(), canvas.layer()
    for side in (-1, 1):
        for i in range(0, 10):
            posterior, anterior = rib_line(chest, side, i)
            width = 0.95 + 0.05 * min(i, 5)
            canvas.stroke(shell, posterior, width, 0.85)
            canvas.stroke(core, posterior, width * 0.58, 0.8)
            if 1 <= i <= 7:
                canvas.stroke(front, anterior[:6], width * 1.15, 0.62)
                canvas.stroke(core, anterior[:6], width * 0.75, 0.5)
                canvas.stroke(front, anterior[5:], width * 1.15, 0.25)
    ribs = canvas.blur(np.maximum(shell, front).astype(np.float32) / 255, 0.07) - 0.45 * canvas.blur(
        core.astype(np.float32) / 255, 0.10
    )
    girdle, hollow = canvas.layer(), canvas.layer()
    for side in (-1, 1):
        yaw = chest.pose.yaw
        lift = a.clavicle_tilt * 12
        clavicle = smooth(
            [
                (side * 1.6 + yaw, 1.9),
                (side * 4.2 + yaw, 1.0 - 0.25 * lift),
                (side * 8.5 + 0.4 * yaw, 0.4 - 0.7 * lift),
                (side * (a.width + 1.8), -0.4 - lift),
            ]
        )
        canvas.stroke(girdle, clavicle, 1.35, 0.85)
        canvas.stroke(hollow, clavicle, 0.8, 0.6)
        shift = side * (a.width * (1.04 - 0.24 * chest.pose.scapula))
        blade = [
            (shift + side * 4.0, 1.2),
            (shift + side * 0.6, 4.0),
            (shift + side * 0.2, 8.0),
            (shift + side * 1.3, 13.5),
            (shift + side * 3.2, 10.0),
            (shift + side * 4.6, 5.0),
        ]
        outline = smooth(blade, closed=True)
        plate = canvas.fill(outline, 0.12)
        edge = canvas.layer()
        canvas.stroke(edge, outline, 0.45, 0.5, closed=True)
        ribs += 0.14 * plate + 0.3 * canvas.blur(edge.astype(np.float32) / 255, 0.08)
        head = np.array([side * (a.width + a.wall + 4.2), 2.2])
        circle = head + 2.3 * np.stack(
            [np.cos(np.linspace(0, 2 * np.pi, 24)), np.sin(np.linspace(0, 2 * np.pi, 24))], axis=1
        )
        humerus = np.concatenate(
            [
                circle[:13][::-1] * [1, 1],
                np.array([[head[0] + side * 0.2 + side * 1.6, 14.0], [head[0] + side * 0.2 - side * 1.0, 14.0]]),
            ]
        )
        bone_head = canvas.fill(circle, 0.1)
        shaft = canvas.fill(
            [
                (head[0] - side * 1.0, 3.0),
                (head[0] + side * 1.8, 3.0),
                (head[0] + side * 2.4, 16.0),
                (head[0] + side * 0.4, 16.0),
            ],
            0.12,
        )
        ribs += 0.9 * np.maximum(bone_head, shaft)
        del humerus
    ribs += canvas.blur(girdle.astype(np.float32) / 255, 0.08) * 1.1 - 0.45 * canvas.blur(
        hollow.astype(np.float32) / 255, 0.1
    )
    return (1.25 * ribs + _spine(canvas, chest)) * np.float32(a.bone)


def _spine(canvas: Canvas, chest: Chest) -> Array:
    bodies, discs = canvas.layer(), canvas.layer()
    y = -9.0
    while y < 46:
        height = 1.5 + 0.032 * (y + 9)
        half = 1.35 + 0.016 * (y + 9)
        cx = float(chest.spine_x(y + height / 2))
        cv2.fillPoly(
            bodies,
            [
                np.round(
                    canvas.pixels(
                        [(cx - half, y), (cx + half, y), (cx + half * 0.96, y + height), (cx - half * 0.96, y + height)]
                    )
                ).astype(np.int32)
            ],
            150,
        )
        for s in (-1, 1):
            canvas.stroke(
                bodies,
                [(cx + s * half * 0.62, y + 0.25 * height), (cx + s * half * 0.62, y + 0.65 * height)],
                0.5,
                0.95,
            )
        canvas.stroke(bodies, [(cx, y + 0.5 * height), (cx, y + 1.1 * height)], 0.45, 0.85)
        canvas.stroke(bodies, [(cx - half * 1.25, y + 0.4 * height), (cx - half * 2.0, y + 0.25 * height)], 0.55, 0.45)
        canvas.stroke(bodies, [(cx + half * 1.25, y + 0.4 * height), (cx + half * 2.0, y + 0.25 * height)], 0.55, 0.45)
        y += height + 0.42
    del discs
    return cv2.GaussianBlur(bodies.astype(np.float32) / 255, (0, 0), max(0.3, 0.12 * canvas.scale)) * 0.55  # type: ignore[return-value]
