"""Lines, tubes and implants on the frontal projection, and the clutter that lies on every portable film."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clinclip.phantom.anatomy import Chest
from clinclip.phantom.canvas import Points, smooth
from clinclip.phantom.frontal import Rays
from clinclip.phantom.world import Finding

Draw = Callable[[Rays, Chest, int, np.random.Generator], np.ndarray]


def _line(rays: Rays, points: Points, width: float, density: float, hollow: bool = False) -> np.ndarray:
    """A line of metal or plastic; hollow ones show their walls."""
    layer = rays.canvas.layer()
    curve = smooth(points, steps=10)
    rays.canvas.stroke(layer, curve, width, 1.0)
    if hollow and width * rays.canvas.scale >= 3:
        rays.canvas.stroke(layer, curve, width * 0.55, 0.35)
    drawn = layer.astype(np.float32) / 255
    rays.fine += drawn * np.float32(density)
    return drawn


def _svc(chest: Chest, depth: float) -> tuple[float, float]:
    """A point in the superior vena cava; depth 0 is its top, 1 the atrium."""
    return -0.78 * chest.upper_width + 0.3 * chest.pose.yaw, (0.14 + 0.36 * depth) * chest.base[-1]


def ett(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Endotracheal tube."""
    end = (0.30 - rng.uniform(0.05, 0.2)) * chest.base[-1]
    return _line(rays, [(rng.uniform(-0.6, 0.6), -9), (0.1, -2), (0.2, end)], 0.85, 0.55, hollow=True) + _line(
        rays, [(0.35, -9), (0.3, -2), (0.35, end)], 0.12, 0.9
    )


def tracheostomy(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Tracheostomy tube with its flange."""
    flange = _line(rays, [(-1.6, -3.4), (0, -3.0), (1.6, -3.4)], 0.5, 0.6)
    return flange + _line(rays, [(0, -3.4), (0.15, -1.0), (0.2, 2.6)], 0.95, 0.7, hollow=True)


def _gastric(
    rays: Rays, chest: Chest, rng: np.random.Generator, width: float, density: float, length: float
) -> np.ndarray:
    h, w = chest.base[1], chest.anatomy.width
    return _line(
        rays,
        [(rng.uniform(-0.4, 0.4), -9), (0.3, 0.1 * h), (0.5, 0.45 * h), (0.6, 0.8 * h), (0.16 * w, h - 0.3),
        (0.38 * w, h + 2.5), (0.36 * w * length, h + 6.5)],
        width, density,
    )  # fmt: skip


def ng_tube(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Nasogastric tube into the stomach."""
    return _gastric(rays, chest, rng, 0.30, 0.8, 1.2)


def feeding_tube(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Thin feeding tube with a weighted tip."""
    drawn = _gastric(rays, chest, rng, 0.20, 0.8, 0.8)
    h, w = chest.base[1], chest.anatomy.width
    return drawn + _line(rays, [(0.33 * w, h + 5.2), (0.29 * w, h + 6.5)], 0.38, 1.2)


def picc(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Peripherally inserted line from the arm to the superior vena cava."""
    w = chest.anatomy.width
    x, y = _svc(chest, rng.uniform(0.3, 0.8))
    points = [
        (side * (w + 6.5), 9.0),
        (side * (w + 4.0), 4.0),
        (side * 0.75 * w, 1.8),
        (side * 0.35 * w, 2.2),
        (x if side < 0 else 0.3, 0.12 * chest.base[-1]),
        (x, y),
    ]
    return _line(rays, points, 0.14, 1.1)


def ij_line(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Central line from the neck."""
    x, y = _svc(chest, rng.uniform(0.3, 0.8))
    points = [
        (side * 4.0, -7.0),
        (side * 3.2, -2.0),
        (side * 2.4 if side < 0 else 1.8, 1.2),
        (x if side < 0 else -0.4, 0.13 * chest.base[-1]),
        (x, y),
    ]
    return _line(rays, points, 0.24, 0.9)


def subclavian_line(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Central line under the clavicle."""
    w = chest.anatomy.width
    x, y = _svc(chest, rng.uniform(0.3, 0.8))
    return _line(
        rays,
        [
            (side * 0.82 * w, 3.4),
            (side * 0.55 * w, 1.6),
            (side * 0.28 * w, 2.0),
            (x if side < 0 else 0.0, 0.12 * chest.base[-1]),
            (x, y),
        ],
        0.22,
        0.9,
    )


def port(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Chest port: reservoir and catheter."""
    w = chest.anatomy.width
    px, py = side * rng.uniform(0.55, 0.7) * w, rng.uniform(5.0, 7.0)
    angles = np.linspace(0, 2 * np.pi, 14)
    ring = np.stack([px + 1.25 * np.cos(angles), py + 1.1 * np.sin(angles)], axis=1)
    layer = rays.canvas.fill(ring, 0.03)
    rays.fine += layer * np.float32(0.9)
    rim = _line(rays, ring, 0.28, 1.1)
    x, y = _svc(chest, rng.uniform(0.5, 0.95))
    return (
        layer
        + rim
        + _line(
            rays,
            [
                (px, py - 1.0),
                (side * 0.38 * w, 1.4),
                (side * 0.2 * w, -1.2),
                (side * 1.8, 1.5),
                (x if side < 0 else 0.0, 0.14 * chest.base[-1]),
                (x, y),
            ],
            0.2,
            0.5,
        )
    )


def dialysis_catheter(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Tunneled double-lumen catheter into the right atrium."""
    w = chest.anatomy.width
    x, _ = _svc(chest, 0.5)
    points = [
        (side * 0.62 * w, 9.5),
        (side * 0.5 * w, 3.0),
        (side * 0.24 * w, -1.4),
        (side * 1.8 if side < 0 else 1.0, 1.2),
        (x if side < 0 else -0.2, 0.15 * chest.base[-1]),
        (x, 0.55 * chest.base[-1]),
    ]
    return _line(rays, points, 0.5, 0.9, hollow=True)


def swan_ganz(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Pulmonary artery catheter: down the cava, through the right heart, up into the artery."""
    h = chest.base[-1]
    x, _ = _svc(chest, 0.5)
    points = [
        (side * 4.0, -7),
        (side * 3.0, -2),
        (x, 0.14 * h),
        (x, 0.45 * h),
        (x + 1.2, 0.72 * h),
        (0.14 * chest.heart_width, 0.76 * h),
        (0.22 * chest.heart_width, 0.6 * h),
        (0.8, 0.42 * h),
        (-2.6, 0.40 * h),
    ]
    return _line(rays, points, 0.2, 0.9)


def _generator(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    w = chest.anatomy.width
    px, py = side * rng.uniform(0.72, 0.85) * w, rng.uniform(4.5, 6.5)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    shape = np.stack(
        [
            px + 2.3 * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.7,
            py + 2.0 * np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** 0.7,
        ],
        axis=1,
    )
    box = rays.canvas.fill(shape)
    rays.fine += box * np.float32(7.0)
    return box, (px, py - 1.5)


def pacemaker(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Generator with leads to right atrium and ventricle."""
    box, (px, py) = _generator(rays, chest, side, rng)
    h, w = chest.base[-1], chest.anatomy.width
    x, _ = _svc(chest, 0.5)
    way = [(px, py), (side * 0.45 * w, 1.4), (side * 0.2 * w, 2.2), (x if side < 0 else 0.0, 0.13 * h), (x, 0.3 * h)]
    drawn = _line(
        rays, [*way, (x - 0.2, 0.58 * h), (0.1 * w, 0.78 * h), (0.36 * chest.heart_width, 0.80 * h)], 0.18, 1.2
    )
    if rng.random() < 0.75:
        drawn = drawn + _line(rays, [*way, (x - 0.4, 0.52 * h), (x - 0.2, 0.6 * h), (x + 0.7, 0.55 * h)], 0.18, 1.2)
    return box + drawn


def icd(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Defibrillator: thick shock coils."""
    box, (px, py) = _generator(rays, chest, side, rng)
    h, w = chest.base[-1], chest.anatomy.width
    x, _ = _svc(chest, 0.5)
    way = [
        (px, py),
        (side * 0.45 * w, 1.4),
        (side * 0.2 * w, 2.2),
        (x if side < 0 else 0.0, 0.13 * h),
        (x, 0.3 * h),
        (x - 0.2, 0.58 * h),
        (0.1 * w, 0.78 * h),
        (0.36 * chest.heart_width, 0.80 * h),
    ]
    coil = _line(rays, [(x, 0.22 * h), (x, 0.36 * h)], 0.36, 1.4) + _line(
        rays, [(0.02 * w, 0.75 * h), (0.1 * w, 0.785 * h), (0.28 * chest.heart_width, 0.80 * h)], 0.36, 1.4
    )
    return box + coil + _line(rays, way, 0.18, 1.2)


def chest_tube(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Large drain between the ribs to apex or base."""
    h, w = chest.base[side], chest.anatomy.width
    entry = rng.uniform(0.6, 0.8) * h
    end = (side * rng.uniform(0.35, 0.55) * w, 0.1 * h) if rng.random() < 0.7 else (side * 0.3 * w, 0.82 * h)
    points = [(side * (w + 4.5), entry + 3), (side * (w + 0.5), entry), (side * 0.75 * w, (entry + end[1]) / 2), end]
    return _line(rays, points, 0.75, 0.5, hollow=True) + _line(rays, points, 0.14, 1.4)


def pigtail(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Thin drain with a curled end."""
    h, w = chest.base[side], chest.anatomy.width
    cx, cy = side * 0.72 * w, rng.uniform(0.76, 0.9) * h
    loop = [(cx + 0.9 * np.cos(t), cy + 0.9 * np.sin(t)) for t in np.linspace(0, 1.8 * np.pi, 9)]
    return _line(rays, [(side * (w + 4), cy + 2.5), (side * (w + 0.4), cy + 0.8), *loop], 0.26, 0.9)


def valve(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Ring of a prosthetic valve."""
    cx, cy, tilt = rng.uniform(0.3, 1.6), rng.uniform(0.55, 0.68) * chest.base[-1], rng.uniform(-0.8, 0.3)
    t = np.linspace(0, 2 * np.pi, 16)
    x, y = 1.35 * np.cos(t), 0.6 * np.sin(t)
    return _line(
        rays,
        np.stack([cx + x * np.cos(tilt) - y * np.sin(tilt), cy + x * np.sin(tilt) + y * np.cos(tilt)], axis=1),
        0.16,
        1.1,
    )


def sternal_wires(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Loops of wire down the middle."""
    total = rays.canvas.zeros()
    for i in range(int(rng.integers(5, 8))):
        cx, cy = 0.8 * chest.pose.yaw + rng.normal(0, 0.12), (0.13 + 0.085 * i) * chest.base[-1]
        t = np.linspace(0.2, 2 * np.pi + 0.1, 12)
        total = total + _line(rays, np.stack([cx + 0.85 * np.cos(t), cy + 0.42 * np.sin(t)], axis=1), 0.11, 1.6)
    return total


def clips(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """A handful of short dense clips."""
    w = chest.anatomy.width
    cx, cy = (
        (side * (w + 1.5), rng.uniform(7, 12)) if rng.random() < 0.6 else (-0.5 * w, chest.base[-1] + rng.uniform(2, 4))
    )
    total = rays.canvas.zeros()
    for _ in range(int(rng.integers(3, 8))):
        x, y, a = cx + rng.normal(0, 1.2), cy + rng.normal(0, 1.2), rng.uniform(0, np.pi)
        total = total + _line(rays, [(x, y), (x + 0.5 * np.cos(a), y + 0.5 * np.sin(a))], 0.12, 1.8)
    return total


def spinal_hardware(rays: Rays, chest: Chest, side: int, rng: np.random.Generator) -> np.ndarray:
    """Rods and screws."""
    top = rng.uniform(14, 22) if rng.random() < 0.6 else -7.0
    total = rays.canvas.zeros()
    ys = np.arange(top, top + rng.uniform(8, 14), 2.6)
    for s in (-1, 1):
        xs = chest.spine_x(ys) + s * 1.15
        total = total + _line(rays, np.stack([xs, ys], axis=1), 0.42, 1.6)
        for x, y in zip(xs, ys, strict=True):
            total = total + _line(rays, [(x, y), (x - s * 0.8, y + 0.1)], 0.5, 1.2)
    return total


HARDWARE: dict[str, Draw] = {
    f.__name__: f
    for f in (
        ett, tracheostomy, ng_tube, feeding_tube, picc, ij_line, subclavian_line, port, dialysis_catheter, swan_ganz,
        pacemaker, icd, chest_tube, pigtail, valve, sternal_wires, clips, spinal_hardware,
    )
}  # fmt: skip


def draw_hardware(
    rays: Rays, chest: Chest, findings: tuple[Finding, ...], rng_of: Callable[[Finding, int], np.random.Generator]
) -> None:
    """Draw every device that is on the image."""
    for f in findings:
        if f.kind in HARDWARE and f.on_image:
            side = 1 if f.side == "left" else -1
            mask = HARDWARE[f.kind](rays, chest, side, rng_of(f, side))
            rays.mark(f.uid, f.kind, mask, 0.1)


def clutter(rays: Rays, chest: Chest, rng: np.random.Generator, portable: bool, strength: float) -> None:
    """What looks like disease or hides it: leads, skin folds, nipple shadows, calcified cartilage, clothing."""
    w, h = chest.anatomy.width, chest.base[-1]
    if portable and rng.random() < 0.55 * strength:
        for _ in range(int(rng.integers(2, 5))):
            x, y = rng.uniform(-0.8, 0.8) * w, rng.uniform(0.05, 0.9) * h
            t = np.linspace(0, 2 * np.pi, 9)
            _line(rays, np.stack([x + 0.55 * np.cos(t), y + 0.55 * np.sin(t)], axis=1), 0.35, 0.5)
            _line(
                rays,
                [
                    (x, y),
                    (x + rng.uniform(-4, 4), y + rng.uniform(2, 6)),
                    (rng.choice((-1, 1)) * (w + 6), y + rng.uniform(4, 10)),
                ],
                0.1,
                0.7,
            )
    if rng.random() < (0.3 if portable else 0.06) * strength:
        side = int(rng.choice((-1, 1)))
        x0 = side * rng.uniform(0.55, 0.85) * w
        fold = smooth([(x0 + side * 1.5, -1.0), (x0, 0.3 * h), (x0 - side * rng.uniform(-0.5, 1.5), 0.75 * h)])
        edge = rays.canvas.fill(np.concatenate([fold, fold[::-1] + np.array([side * 2.2, 0.0])]), 0.03)
        ramp = edge * np.clip(1 - side * (rays.x - x0) / 3.0, 0, 1)
        rays.soft += ramp.astype(np.float32) * np.float32(0.9 * strength)
    if rng.random() < 0.25 * strength:
        for side in (-1, 1):
            if rng.random() < 0.75:
                cx, cy = side * rng.uniform(0.58, 0.7) * w, rng.uniform(0.70, 0.82) * h
                d = ((rays.x - cx) ** 2 + (rays.y - cy) ** 2) / 0.42**2
                rays.soft += np.sqrt(np.clip(1 - d, 0, 1)).astype(np.float32) * np.float32(rng.uniform(0.5, 1.1))
    if rng.random() < 0.25 * strength:
        for side in (-1, 1):
            cx, cy = side * rng.uniform(0.22, 0.3) * w, 0.135 * h
            d = ((rays.x - cx) / 0.9) ** 2 + ((rays.y - cy) / 0.6) ** 2
            rays.bone += np.exp(-d).astype(np.float32) * np.float32(0.35)
    if rng.random() < 0.3 * strength:
        # crowded or prominent vessels at one base
        side = int(rng.choice((-1, 1)))
        bell = np.exp(-0.5 * (((rays.x - side * 0.4 * w) / 3.5) ** 2 + ((rays.y - 0.82 * h) / 2.5) ** 2))
        rays.air -= np.minimum(bell * np.float32(rng.uniform(0.4, 1.6) * strength), rays.air * 0.5).astype(np.float32)
