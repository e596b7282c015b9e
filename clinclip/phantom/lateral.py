"""The lateral projection: the same person from the side, front to the image's left, with what shows there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from clinclip.phantom.anatomy import Chest
from clinclip.phantom.canvas import Canvas, smooth
from clinclip.phantom.frontal import Rays
from clinclip.phantom.world import Finding


def build_lateral(canvas: Canvas, chest: Chest, vessel_rng: np.random.Generator) -> Rays:
    """Project a chest sideways. x runs from front (negative) to back."""
    a = chest.anatomy
    x, y = canvas.grid()
    h, d = chest.base[-1], a.depth * 0.5
    front, back = -d, d
    outline = smooth([
        (front + 3.5, -16), (front + 4.0, -6), (front + 1.0, -2.5), (front - 0.6 * a.breast, 0.25 * h),
        (front - 0.8 - 1.8 * a.breast, 0.55 * h), (front - 0.2 - 1.2 * a.breast, 0.8 * h),
        (front - 0.6, 1.0 * h), (front - 0.8, 1.6 * h), (front, 55), (back + 1, 55), (back + 1.0, 1.2 * h),
        (back + 1.8, 0.6 * h), (back + 2.2, 0.2 * h), (back + 1.2, -4), (back - 1.5, -16),
    ], closed=True, steps=5)  # fmt: skip
    body = canvas.thickness(canvas.fill_many([outline]), 6.0)
    width = 2 * (a.width + a.wall)
    soft = width * (0.35 + 0.65 * body) * (body > 0)
    # arms and shoulders lie over the top
    soft *= 1 + 0.55 * np.clip((2.5 - y) / 6, 0, 1) + 0.25 * np.clip((y - 0.95 * h) / 5, 0, 1)
    lung = smooth(
        [
            (-0.12 * d, 0.03 * h), (0.15 * d, -0.5), (0.42 * d, 0.03 * h), (0.68 * d, 0.20 * h),
            (0.86 * d, 0.42 * h), (0.95 * d, 0.70 * h),
            (0.90 * d, 0.94 * h), (0.74 * d, 1.03 * h), (0.38 * d, 0.90 * h), (-0.05 * d, 0.82 * h),
            (-0.5 * d, 0.80 * h), (-0.86 * d, 0.88 * h),
            (-0.90 * d, 0.62 * h), (-0.80 * d, 0.38 * h), (-0.52 * d, 0.20 * h),
        ],
        closed=True,
        steps=6,
    )  # fmt: skip
    mask = canvas.fill_many([lung])
    air = canvas.blur(canvas.thickness(mask, 4.5), 0.2) * (0.52 * width)
    lungs = canvas.soften(mask, 0.1)
    # heart: in front and below, over the diaphragm; the retrosternal space stays free
    ratio = chest.heart_width / (2 * a.width)
    reach = 0.62 * d * (0.6 + 0.9 * ratio)
    heart = smooth(
        [
            (-0.92 * d, 1.05 * h), (-0.90 * d, 0.66 * h), (-0.70 * d, 0.52 * h), (-0.38 * d, 0.42 * h),
            (-0.05 * d, 0.47 * h),
            (-0.80 * d + 1.5 * reach, 0.62 * h), (-0.80 * d + 1.6 * reach, 0.78 * h),
            (-0.80 * d + 1.45 * reach, 1.05 * h),
        ],
        closed=True,
        steps=5,
    )  # fmt: skip
    deep = canvas.thickness(canvas.fill_many([heart]), 3.5)
    air *= 1 - canvas.blur((0.06 * (deep > 0) + 0.26 * deep).astype(np.float32), 0.35)
    aorta = canvas.layer()
    canvas.stroke(
        aorta,
        smooth(
            [
                (-0.35 * d, 0.42 * h),
                (-0.3 * d, 0.28 * h),
                (0.0, 0.2 * h),
                (0.32 * d, 0.28 * h),
                (0.45 * d, 0.5 * h),
                (0.5 * d, 0.9 * h),
            ]
        ),
        2.6,
        0.5,
    )
    air *= 1 - 0.22 * canvas.soften(aorta, 0.3)
    # two domes, the left lower behind the heart
    tube = canvas.layer()
    canvas.stroke(tube, smooth([(0.1 * d, -9), (0.12 * d, 0.05 * h), (0.05 * d, 0.33 * h)]), 1.7, 1.0)
    air += canvas.soften(tube, 0.15) * 1.6
    if a.bubble > 0.3:
        bubble = np.clip(1 - ((x + 0.25 * d) / 2.6) ** 2 - ((y - 0.93 * h) / 1.2) ** 2, 0, 1)
        air += np.sqrt(bubble) * 3.5
    bone = _bones(canvas, chest, d, h)
    vessels = _hilum(canvas, d, h, vessel_rng) * lungs
    return Rays(
        canvas,
        air,
        soft.astype(np.float32),
        bone,
        canvas.zeros(),
        {-1: lungs, 1: lungs},
        vessels,
        (body > 0).astype(np.float32),
        x,
        y,
    )


def _bones(canvas: Canvas, chest: Chest, d: float, h: float) -> np.ndarray:
    a = chest.anatomy
    layer, shell = canvas.layer(), canvas.layer()
    y, i = -6.0, 0
    while y < 46:
        height = 1.5 + 0.035 * (y + 6)
        cx = 0.72 * d + 1.4 * np.sin(np.clip(y / (1.1 * h), -0.3, 1.3) * np.pi * 0.9) - 0.6
        half = 1.25 + 0.012 * (y + 6)
        polygon = np.round(
            canvas.pixels([(cx - half, y), (cx + half, y - 0.1), (cx + half, y + height), (cx - half, y + height)])
        ).astype(np.int32)
        cv2.fillPoly(layer, [polygon], 110)
        cv2.polylines(layer, [polygon], True, 220, 1, cv2.LINE_AA)
        canvas.stroke(layer, [(cx + half, y + 0.3), (cx + half + 1.6, y + 1.4)], 0.7, 0.4)
        y += height + 0.45
        i += 1
    for k in range(1, 10):
        top = -2.0 + 2.3 * k
        rib = smooth(
            [(0.95 * d, top), (0.6 * d, top + 1.2), (0.0, top + 3.6 + 0.2 * k), (-0.6 * d, top + 6.0 + 0.35 * k)]
        )
        for shift in (0.0, 0.9):
            canvas.stroke(shell, rib + np.array([0.2 * shift, shift]), 0.95, 0.35)
    sternum = canvas.layer()
    canvas.stroke(
        sternum,
        smooth([(-0.72 * d, 0.06 * h), (-0.86 * d, 0.25 * h), (-0.94 * d, 0.5 * h), (-0.94 * d, 0.68 * h)]),
        1.1,
        0.7,
    )
    blade = canvas.layer()
    canvas.stroke(blade, smooth([(0.75 * d, -2), (0.6 * d, 0.15 * h), (0.66 * d, 0.32 * h)]), 0.7, 0.4)
    total = canvas.soften(layer, 0.1) * 1.5 + canvas.soften(shell, 0.09) * 0.9
    total += canvas.blur(np.maximum(sternum, blade).astype(np.float32) / 255, 0.1) * 1.0
    return total * np.float32(a.bone)


def _hilum(canvas: Canvas, d: float, h: float, rng: np.random.Generator) -> np.ndarray:
    layer = canvas.layer()
    cx, cy = 0.1 * d, 0.42 * h
    for i in range(16):
        angle = 2 * np.pi * (i + rng.uniform(-0.3, 0.3)) / 16
        points = [(cx, cy)]
        for _ in range(4):
            angle += rng.normal(0, 0.2)
            points.append((points[-1][0] + np.cos(angle) * 1.9, points[-1][1] + np.sin(angle) * 1.9))
        canvas.stroke(layer, points[:3], 0.5, 0.7)
        canvas.stroke(layer, points[2:], 0.25, 0.6)
    canvas.stroke(layer, [(cx - 1.0, cy - 0.4), (cx + 1.4, cy - 0.6)], 2.0, 0.7)
    return canvas.soften(layer, 0.15) * 1.1


def _point(chest: Chest, f: Finding, rng: np.random.Generator) -> tuple[float, float]:
    d, h = 0.5 * chest.anatomy.depth, chest.base[-1]
    u = rng.uniform(-1, 1)
    x, y = {
        "upper": (0.05 + 0.3 * u, 0.22), "mid": (-0.35 + 0.15 * u, 0.58), "lower": (0.55 + 0.15 * u, 0.76),
        "base": (0.55 + 0.2 * u, 0.86), "perihilar": (0.1 + 0.1 * u, 0.45),
        "retrocardiac": (0.45 + 0.1 * u, 0.76), "apex": (0.1, 0.05),
    }.get(f.zone or "mid", (0.0, 0.5))  # fmt: skip
    return x * d, y * h


def draw_lateral_findings(
    rays: Rays, chest: Chest, findings: tuple[Finding, ...], rng_of: Callable[[Finding, int], np.random.Generator]
) -> None:
    """What a lateral view shows: fluid behind, opacities over the spine, a fractured vertebra, implants."""
    d, h = 0.5 * chest.anatomy.depth, chest.base[-1]
    for f in findings:
        if not f.on_image:
            continue
        rng = rng_of(f, 0)
        c = np.float32(f.contrast)
        mask = None
        if f.kind == "effusion":
            level = 0.6 + 0.55 * h * f.extent**1.35
            top = 1.0 * h - level - 0.5 * level * np.clip((rays.x / d - 0.55) / 0.4, 0, 1) ** 2
            mask = (rays.lungs[1] / (1 + np.exp(-(rays.y - top) / 0.4))).astype(np.float32)
            rays.air *= 1 - mask * np.float32(min(0.85, 0.35 + 0.5 * f.contrast)) * (
                0.7 if f.side != "bilateral" else 0.95
            )
        elif f.kind in {"consolidation", "pneumonia", "opacity", "atelectasis", "mass", "nodule", "granuloma"}:
            cx, cy = _point(chest, f, rng)
            r = {"nodule": 0.3 + 0.75 * f.extent, "granuloma": 0.25, "mass": 1.4 + 2.4 * f.extent}.get(
                f.kind, 1.4 + 3.2 * f.extent
            )
            mask = np.exp(
                -0.5 * (((rays.x - cx) / r) ** 2 + ((rays.y - cy) / (0.8 * r)) ** 2) * (1.6 if r < 1.2 else 1)
            ).astype(np.float32)
            rays.air -= np.minimum(mask * c * np.float32(1.0 + min(5.0, 1.4 * r)), rays.air * 0.7)
        elif f.kind == "edema":
            mask = rays.lungs[1] * np.exp(
                -0.5 * (((rays.x - 0.1 * d) / (0.6 * d)) ** 2 + ((rays.y - 0.45 * h) / (0.3 * h)) ** 2)
            ).astype(np.float32)
            rays.air -= np.minimum(mask * c * np.float32(1 + 5 * f.extent), rays.air * 0.7)
            rays.vessels *= 1 + 0.4 * c
        elif f.kind == "fracture" and f.zone == "vertebra":
            y = rng.uniform(0.5, 0.8) * h
            cx = 0.72 * d + 1.4 * np.sin(np.clip(y / (1.1 * h), -0.3, 1.3) * np.pi * 0.9) - 0.6
            wedge = rays.canvas.fill(
                [(cx - 1.7, y), (cx + 1.4, y), (cx + 1.4, y + 0.3), (cx - 1.7, y + 0.5 + 0.9 * f.extent)], 0.08
            )
            rays.bone -= np.minimum(wedge * np.float32(0.9 * min(1.2, 0.5 + f.contrast)), rays.bone * 0.8)
            mask = wedge
        elif f.kind == "hiatal_hernia":
            mask = np.sqrt(
                np.clip(1 - ((rays.x - 0.25 * d) / 2.6) ** 2 - ((rays.y - 0.76 * h) / 2.4) ** 2, 0, 1)
            ).astype(np.float32)
            rays.air -= np.minimum(mask * 4 * c, rays.air * 0.6)
        elif f.kind in {"pacemaker", "icd", "port"}:
            box = rays.canvas.fill(
                [(-0.98 * d, 0.12 * h), (-0.85 * d, 0.12 * h), (-0.85 * d, 0.28 * h), (-0.98 * d, 0.28 * h)]
            )
            lead = rays.canvas.layer()
            rays.canvas.stroke(
                lead,
                smooth(
                    [
                        (-0.9 * d, 0.14 * h),
                        (-0.4 * d, 0.05 * h),
                        (-0.1 * d, 0.3 * h),
                        (-0.15 * d, 0.6 * h),
                        (-0.5 * d, 0.78 * h),
                    ]
                ),
                0.18,
                1.0,
            )
            drawn = lead.astype(np.float32) / 255
            rays.fine += box * np.float32(1.8 if f.kind != "port" else 0.5) + drawn * np.float32(
                1.2 if f.kind != "port" else 0.0
            )
            mask = np.maximum(box, drawn if f.kind != "port" else box)
        elif f.kind == "sternal_wires":
            layer = rays.canvas.layer()
            for i in range(6):
                y = (0.13 + 0.09 * i) * h
                x = -(0.80 + 0.14 * min(1.0, i / 3)) * d
                rays.canvas.stroke(layer, [(x - 0.4, y), (x + 0.4, y + 0.25)], 0.14, 1.0)
            mask = layer.astype(np.float32) / 255
            rays.fine += mask * np.float32(1.5)
        elif f.kind == "cardiomegaly":
            mask = (rays.y > 0.42 * h) * (rays.y < 0.9 * h) * (rays.x < 0.3 * d) * (rays.x > -0.8 * d)
            mask = mask.astype(np.float32)
        if mask is not None:
            rays.mark(f.uid, f.kind, mask, 0.3)
