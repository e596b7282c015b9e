"""Bones of the frontal projection."""

from __future__ import annotations

import cv2
import numpy as np

from clinclip.phantom.anatomy import Chest
from clinclip.phantom.canvas import Array, Canvas, smooth

# course of a rib along itself, the same for all: drop and reach behind, fall and return in front
_U, _V = np.linspace(0, 1, 9), np.linspace(0, 1, 8)
_RISE, _DROP = 0.8 * np.sin(np.pi * np.minimum(_U * 1.5, 1)), _U**1.45
_REACH, _REST = np.sin(_U * np.pi / 2) ** 0.92, 1 - _U
_RETURN, _FALL = _V**1.15, np.sin(_V * np.pi / 2) ** 1.1


def rib_line(chest: Chest, side: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre lines of the posterior and the anterior part of a rib, in body centimetres."""
    a = chest.anatomy
    start_y = -0.6 + a.rib_pitch * index * (chest.base[-1] / 25.0) ** 0.5
    drop = (1.3 + 0.42 * index) * a.rib_slope
    y = start_y - _RISE + drop * _DROP
    edge = chest.wall_x(y[-1]) + 0.25
    sx = float(chest.spine_x(start_y))
    x = 1.9 + (edge - 1.9) * _REACH
    posterior = np.stack([side * x + sx * _REST, y], axis=1)
    fall = (2.6 + 0.55 * index) * a.rib_slope
    end_x = 0.36 * a.width + 0.045 * a.width * index
    ax = edge - (edge - end_x) * _RETURN
    ay = y[-1] + fall * _FALL
    anterior = np.stack([side * ax + 0.4 * chest.pose.yaw * _V, ay], axis=1)
    return posterior, anterior


def skeleton(canvas: Canvas, chest: Chest) -> Array:
    """Ribs, shoulder girdle, upper arms and spine, in centimetres of bone."""
    ribs = _ribs(canvas, chest) + _girdle(canvas, chest)
    return (1.5 * ribs + _spine(canvas, chest)) * np.float32(chest.anatomy.bone)


def _ribs(canvas: Canvas, chest: Chest) -> Array:
    """Tubes: dense rims, a lighter middle; behind stronger than in front, where they run out into cartilage."""
    shell, core, front = canvas.layer(), canvas.layer(), canvas.layer()
    for side in (-1, 1):
        for i in range(10):
            posterior, anterior = rib_line(chest, side, i)
            width = 0.95 + 0.05 * min(i, 5)
            canvas.stroke(shell, posterior, width, 0.85)
            canvas.stroke(core, posterior, width * 0.58, 0.8)
            if 1 <= i <= 7:
                canvas.stroke(front, anterior[:6], width * 1.15, 0.62)
                canvas.stroke(core, anterior[:6], width * 0.75, 0.5)
                canvas.stroke(front, anterior[5:], width * 1.15, 0.25)
    return canvas.soften(np.maximum(shell, front), 0.07) - 0.45 * canvas.soften(core, 0.10)


def _girdle(canvas: Canvas, chest: Chest) -> Array:
    """Clavicles, shoulder blades, upper arms."""
    a, yaw = chest.anatomy, chest.pose.yaw
    tubes, hollow, rims = canvas.layer(), canvas.layer(), canvas.layer()
    plates, arms = [], []
    for side in (-1, 1):
        lift = a.clavicle_tilt * 12
        clavicle = smooth(
            [
                (side * 1.6 + yaw, 1.9),
                (side * 4.2 + yaw, 1.0 - 0.25 * lift),
                (side * 8.5 + 0.4 * yaw, 0.4 - 0.7 * lift),
                (side * (a.width + 1.8), -0.4 - lift),
            ]
        )
        canvas.stroke(tubes, clavicle, 1.35, 0.85)
        canvas.stroke(hollow, clavicle, 0.8, 0.6)
        edge = a.width * (1.04 - 0.24 * chest.pose.scapula)
        blade = [(4.0, 1.2), (0.6, 4.0), (0.2, 8.0), (1.3, 13.5), (3.2, 10.0), (4.6, 5.0)]
        plates.append(smooth([(side * (edge + dx), y) for dx, y in blade], closed=True))
        canvas.stroke(rims, plates[-1], 0.45, 0.5, closed=True)
        hx, hy = a.width + a.wall + 4.2, 2.2
        turn = np.linspace(0, 2 * np.pi, 24)
        arms.append(np.stack([side * hx + 2.3 * np.cos(turn), hy + 2.3 * np.sin(turn)], axis=1))
        shaft = [(hx - 1.0, 3.0), (hx + 1.8, 3.0), (hx + 2.4, 16.0), (hx + 0.4, 16.0)]
        arms.append(np.array([(side * x, y) for x, y in shaft]))
    girdle = 1.1 * canvas.soften(tubes, 0.08) - 0.45 * canvas.soften(hollow, 0.10) + 0.3 * canvas.soften(rims, 0.08)
    girdle += 0.14 * canvas.soften(canvas.fill_many(plates), 0.12)
    return girdle + 0.9 * canvas.soften(canvas.fill_many(arms), 0.12)


def _spine(canvas: Canvas, chest: Chest) -> Array:
    """Vertebral bodies with pedicles, spinous and transverse processes."""
    bones = canvas.layer()
    y = -9.0
    while y < 46:
        height = 1.5 + 0.032 * (y + 9)
        half = 1.35 + 0.016 * (y + 9)
        x = float(chest.spine_x(y + height / 2))
        body = [(x - half, y), (x + half, y), (x + half * 0.96, y + height), (x - half * 0.96, y + height)]
        cv2.fillPoly(bones, [np.round(canvas.pixels(body)).astype(np.int32)], 150)
        lines = []
        for s in (-1, 1):
            pedicle = x + s * half * 0.62
            lines.append(([(pedicle, y + 0.25 * height), (pedicle, y + 0.65 * height)], 0.5, 0.95))
            process = [(x + s * half * 1.25, y + 0.4 * height), (x + s * half * 2.0, y + 0.25 * height)]
            lines.append((process, 0.55, 0.45))
        lines.append(([(x, y + 0.5 * height), (x, y + 1.1 * height)], 0.45, 0.85))
        canvas.strokes(bones, lines)
        y += height + 0.42
    return 0.55 * canvas.soften(bones, 0.12)
