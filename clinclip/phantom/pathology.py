"""Findings on the frontal projection: each changes what the rays meet, and leaves a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from clinclip.phantom.anatomy import Chest
from clinclip.phantom.canvas import Array, smooth
from clinclip.phantom.frontal import Rays
from clinclip.phantom.skeleton import rib_line
from clinclip.phantom.world import Finding


@dataclass(frozen=True, slots=True)
class Site:
    """Where one finding is drawn: ``side`` is -1 for the patient's right, +1 for the left; ``rng`` its own."""

    rays: Rays
    chest: Chest
    finding: Finding
    side: int
    rng: np.random.Generator

    def centre(self) -> tuple[float, float]:
        """A point in the lung by the finding's zone, the same in all studies of the patient."""
        w, h = self.chest.anatomy.width, self.chest.base[self.side]
        dome = self.chest.dome[self.side]
        zone = self.finding.zone
        u, v = self.rng.uniform(-1, 1, 2)
        x, y = {
            "upper": (0.52 + 0.16 * u, 0.24 + 0.08 * v),
            "mid": (0.60 + 0.18 * u, 0.50 + 0.06 * v),
            "lower": (0.58 + 0.22 * u, 0.80 + 0.07 * v),
            "base": (0.55 + 0.25 * u, 0.88 + 0.05 * v),
            "perihilar": (0.36 + 0.05 * u, 0.45 + 0.05 * v),
            "retrocardiac": (0.24 + 0.06 * u, 0.80 + 0.05 * v),
            "apex": (0.42 + 0.1 * u, 0.09 + 0.04 * v),
        }.get(zone or "mid", (0.6, 0.5))
        return self.side * x * w, y * (h - 0.55 * dome)


def _sides(finding: Finding) -> tuple[int, ...]:
    return (-1, 1) if finding.side == "bilateral" else (-1,) if finding.side == "right" else (1,)


def _cloud(site: Site, cx: float, cy: float, rx: float, ry: float, grain_cm: float, threshold: float) -> Array:
    """A patchy, cloud-like mask in [0, 1] around a point."""
    rays = site.rays
    step = max(1, int(grain_cm * rays.canvas.scale / 3))
    small = (max(4, rays.canvas.rows // step), max(4, rays.canvas.columns // step))
    noise = cv2.GaussianBlur(site.rng.standard_normal(small, dtype=np.float32), (0, 0), 1.6)
    noise = np.asarray(noise, np.float32) / np.float32(max(1e-6, float(noise.std())))
    noise = cv2.resize(noise, (rays.canvas.columns, rays.canvas.rows), interpolation=cv2.INTER_CUBIC)
    bell = np.exp(-0.5 * (((rays.x - cx) / rx) ** 2 + ((rays.y - cy) / ry) ** 2))
    return np.clip((bell * (1 + 0.45 * noise) - threshold) / (1 - threshold), 0, 1).astype(np.float32)


def _opacify(site: Site, mask: Array, cm: float) -> None:
    """Replace air by fluid along ``mask`` x ``cm`` centimetres of the ray, inside the lungs only."""
    site.rays.air -= np.minimum(mask * np.float32(cm), site.rays.air * 0.93)


def effusion(site: Site) -> None:
    """Fluid that blunts the corner, climbs the wall as a meniscus, or layers out in a supine patient."""
    rays, chest, f, side = site.rays, site.chest, site.finding, site.side
    w, base, dome = chest.anatomy.width, chest.base[side], chest.dome[side]
    level = 0.8 + (0.72 * base) * f.extent**1.35
    wall = float(chest.wall_x(base))
    u = np.clip(1 - side * rays.x / wall, 0, 1)
    climb = 1.0 + 0.30 * level
    top = (
        base
        - level
        - climb * (1 - np.minimum(u / 0.55, 1)) ** 2.2
        - 0.25 * climb * np.maximum(u - 0.75, 0) * 2
        + 0.35 * dome * (u > 2)
    )
    edge = 0.35 + 0.12 * level
    mask = 1 / (1 + np.exp(-(rays.y - top) / np.float32(edge * 0.5)))
    lung = np.clip(
        rays.lungs[side]
        + (rays.y > base - dome) * (rays.y < base + 1.2) * (side * rays.x > 0.1 * w) * (np.abs(rays.x) < w),
        0,
        1,
    )
    strength = min(1.0, 0.45 + 0.6 * f.contrast)
    if chest.pose.supine:
        veil = np.clip((rays.y - 0.15 * base) / (0.85 * base), 0, 1) ** 1.2 * np.float32(min(1.0, 0.35 + level / 14))
        layered = (0.55 * veil + 0.45 * mask) * lung
        rays.air *= 1 - np.float32(0.75 * strength) * layered
        rays.mark(f.uid, f.kind, mask * lung + 0.3 * veil * lung, 0.4)
        return
    mask = (mask * lung).astype(np.float32)
    rays.air *= 1 - np.float32(0.97 * strength) * mask
    rays.vessels *= 1 - 0.8 * mask
    rays.mark(f.uid, f.kind, mask * (rays.lungs[side] > 0.3), 0.4)


def pneumothorax(site: Site) -> None:
    """A rim without vessels outside a thin pleural line."""
    rays, chest, f, side = site.rays, site.chest, site.finding, site.side
    outline = chest.lung(side)
    hx, hy = side * 0.25 * chest.anatomy.width, 0.62 * chest.base[side]
    gap = 0.06 + 0.42 * f.extent**1.2
    height = (outline[:, 1] - hy) / chest.base[side]
    lateral = np.clip(side * outline[:, 0] / chest.anatomy.width, 0, 1)
    if f.zone == "apex":
        upper = np.clip(-height / 0.6, 0, 1)
        sideways, down = gap * lateral * (0.2 + 0.7 * upper), gap * upper * 0.9
    else:
        lower = np.clip((height + 0.25) / 0.5, 0, 1)
        sideways, down = gap * lateral * (0.12 + 0.6 * lower), np.zeros(len(outline))
    # near the diaphragm the lung stays where it is
    inner = np.stack(
        [outline[:, 0] - (outline[:, 0] - hx) * sideways, outline[:, 1] - (outline[:, 1] - hy) * down], axis=1
    )
    kept = rays.canvas.fill(inner, 0.05)
    rim = np.clip(rays.lungs[side] - kept, 0, 1) * (rays.x * side > 0.12 * chest.anatomy.width)
    strength = np.float32(min(1.3, 0.5 + 0.7 * f.contrast))
    rays.vessels *= 1 - np.minimum(1, strength) * rim
    rays.air += 1.6 * strength * rim
    line = rays.canvas.layer()
    rays.canvas.stroke(line, inner, 0.10, 0.9, closed=True)
    pleura = rays.canvas.soften(line, 0.04) * rays.lungs[side]
    edge = rays.canvas.blur(rim, 0.25) > 0.08
    rays.air -= np.minimum(pleura * edge * (1.5 * strength), rays.air * 0.5)
    if f.extent > 0.5:
        rays.air -= rays.air * kept * np.float32(0.22 * (f.extent - 0.3))
    rays.mark(f.uid, f.kind, rim, 0.4)


def consolidation(site: Site) -> None:
    """A patchy to dense opacity of one lobe."""
    f = site.finding
    size = 1.6 + 4.6 * f.extent
    cx, cy = site.centre()
    mask = _cloud(site, cx, cy, size, size * site.rng.uniform(0.7, 1.0), 1.4, 0.18)
    _opacify(site, mask, (2.5 + 7.0 * f.extent) * f.contrast * 1.15)
    site.rays.vessels *= 1 - 0.7 * mask * np.float32(min(1, f.contrast))
    site.rays.mark(f.uid, f.kind, mask * site.rays.lungs[site.side])


def opacity(site: Site) -> None:
    """A hazy opacity without a clear edge."""
    f = site.finding
    size = 1.4 + 3.6 * f.extent
    cx, cy = site.centre()
    mask = _cloud(site, cx, cy, size * 1.2, size, 1.1, 0.12)
    _opacify(site, mask, (1.6 + 4.0 * f.extent) * f.contrast)
    site.rays.mark(f.uid, f.kind, mask * site.rays.lungs[site.side])


def nodule(site: Site) -> None:
    """A round opacity of 5 to 25 mm."""
    f, rays = site.finding, site.rays
    r = 0.30 + 0.75 * f.extent
    many = 3 if f.side == "bilateral" else 1
    total = rays.canvas.zeros()
    for _ in range(many):
        cx, cy = site.centre()
        d = np.sqrt((rays.x - cx) ** 2 + (rays.y - cy) ** 2) / r
        total = np.maximum(total, np.sqrt(np.clip(1 - d * d, 0, 1)))
    total = rays.canvas.blur(total, 0.06)
    _opacify(site, total, (1.4 + 2.0 * r) * min(1.3, 0.35 + f.contrast))
    rays.mark(f.uid, f.kind, total)


def granuloma(site: Site) -> None:
    """A small dense dot."""
    cx, cy = site.centre()
    r = 0.14 + 0.15 * site.finding.extent
    rays = site.rays
    d = ((rays.x - cx) ** 2 + (rays.y - cy) ** 2) / (r * r)
    dot = np.exp(-(d**2)).astype(np.float32)
    rays.bone += dot * np.float32(1.2 * min(1.3, 0.5 + site.finding.contrast))
    rays.mark(site.finding.uid, site.finding.kind, dot)


def mass(site: Site) -> None:
    """A lobulated opacity of 3 to 8 cm."""
    f, rays = site.finding, site.rays
    r = 1.4 + 2.4 * f.extent
    cx, cy = site.centre()
    angles = np.linspace(0, 2 * np.pi, 11, endpoint=False)
    radii = r * (1 + 0.16 * site.rng.standard_normal(11))
    outline = smooth(np.stack([cx + radii * np.cos(angles), cy + radii * np.sin(angles)], axis=1), closed=True)
    mask = rays.canvas.thickness(rays.canvas.fill_many([outline]), r)
    mask = rays.canvas.blur(mask, 0.12)
    _opacify(site, mask, 1.5 * r * min(1.2, 0.35 + 0.9 * f.contrast))
    rays.mark(f.uid, f.kind, mask)


def edema(site: Site) -> None:
    """Perihilar haze, thick blurred vessels, septal lines."""
    rays, chest, f = site.rays, site.chest, site.finding
    w = chest.anatomy.width
    strength = np.float32(min(1.4, f.contrast) * (0.25 + 1.0 * f.extent))
    haze = rays.canvas.zeros()
    for side in (-1, 1):
        hx, hy = chest.hilum(side)
        bell = np.exp(
            -0.5 * (((rays.x - hx * 1.45) / (0.38 * w)) ** 2 + ((rays.y - hy * 1.2) / (0.30 * chest.base[side])) ** 2)
        )
        haze += bell.astype(np.float32) * rays.lungs[side]
    texture = cv2.GaussianBlur(
        site.rng.standard_normal(haze.shape, dtype=np.float32), (0, 0), max(1.0, 0.35 * rays.canvas.scale)
    )
    texture /= max(1e-6, float(texture.std()))
    rays.air -= np.minimum(haze * (1 + 0.25 * texture) * (3.4 * strength), rays.air * 0.8)
    soft_vessels = rays.canvas.blur(rays.vessels, 0.22)
    rays.vessels = rays.vessels * (1 + 0.2 * strength) + soft_vessels * (0.9 * strength)
    lines = rays.canvas.layer()
    for side in (-1, 1):
        for _ in range(int(4 + 12 * f.extent)):
            y = site.rng.uniform(0.62, 0.95) * chest.base[side]
            edge = float(chest.wall_x(y)) - 0.15
            rays.canvas.stroke(
                lines,
                [(side * edge, y), (side * (edge - site.rng.uniform(0.8, 1.7)), y + site.rng.uniform(-0.1, 0.1))],
                0.07,
                0.8,
            )
    rays.air -= np.minimum(lines.astype(np.float32) / 255 * (1.4 * strength), rays.air * 0.4)
    rays.mark(f.uid, f.kind, haze, 0.35)


def atelectasis(site: Site) -> None:
    """Bands and a hazy, low base."""
    rays, f, side = site.rays, site.finding, site.side
    bands = rays.canvas.layer()
    total = rays.canvas.zeros()
    for _ in range(1 + int(2.6 * f.extent + site.rng.uniform(0, 0.9))):
        cx, cy = site.centre()
        length = site.rng.uniform(1.6, 3.6) * (0.7 + 0.6 * f.extent)
        slope = site.rng.uniform(-0.3, 0.45) * side
        points = smooth(
            [
                (cx - length, cy - slope * length),
                (cx, cy + site.rng.uniform(-0.2, 0.2)),
                (cx + length, cy + slope * length),
            ]
        )
        rays.canvas.stroke(bands, points, site.rng.uniform(0.16, 0.42), 0.9)
    band = rays.canvas.soften(bands, 0.09)
    _opacify(site, band, 3.0 * f.contrast)
    total += band
    if f.extent > 0.3:
        cx, cy = site.centre()
        haze = _cloud(site, cx, cy, 2.2 + 3 * f.extent, 1.2 + 2.2 * f.extent, 1.2, 0.1)
        _opacify(site, haze, (1.0 + 5.0 * f.extent) * f.contrast)
        total += haze
    rays.mark(f.uid, f.kind, total * rays.lungs[side])


def fracture(site: Site) -> None:
    """A step in a rib with callus when old; a break of clavicle or humerus. Vertebrae show on the lateral view."""
    rays, chest, f, side = site.rays, site.chest, site.finding, site.side
    if f.zone == "vertebra":
        return
    strength = np.float32(min(1.4, 0.45 + f.contrast))
    where = []
    if f.zone == "rib":
        index = int(site.rng.integers(3, 9))
        for i in range(1 + (f.extent > 0.55) + (f.extent > 0.8)):
            posterior, anterior = rib_line(chest, side, min(9, index + i))
            line = posterior if site.rng.random() < 0.6 else anterior
            k = int(site.rng.integers(4, 8)) if line is posterior else int(site.rng.integers(1, 4))
            where.append((line[k], line[min(k + 1, len(line) - 1)] - line[k - 1], 1.0))
    elif f.zone == "clavicle":
        where.append(
            (np.array([side * 8.5, 0.2 - 0.7 * chest.anatomy.clavicle_tilt * 12]), np.array([1.0, -0.1]), 1.25)
        )
    else:
        where.append(
            (np.array([side * (chest.anatomy.width + chest.anatomy.wall + 4.4), 5.0]), np.array([0.2, 1.0]), 2.4)
        )
    mask = rays.canvas.zeros()
    for point, direction, width in where:
        d = direction / np.hypot(*direction)
        across = np.array([-d[1], d[0]])
        gap = rays.canvas.layer()
        rays.canvas.stroke(gap, [point - across * 0.62 * width, point + across * 0.62 * width + d * 0.25], 0.16, 1.0)
        step = rays.canvas.layer()
        rays.canvas.stroke(step, [point + across * 0.34 * width, point + across * 0.34 * width + d * 1.1], 0.3, 0.9)
        callus = np.exp(-0.5 * ((rays.x - point[0]) ** 2 + (rays.y - point[1]) ** 2) / (0.42 * width) ** 2).astype(
            np.float32
        )
        rays.bone += strength * (
            0.45 * callus + 0.55 * step.astype(np.float32) / 255 - 0.8 * gap.astype(np.float32) / 255
        )
        mask = np.maximum(mask, callus)
    rays.mark(f.uid, f.kind, mask, 0.12)


def pleural_thickening(site: Site) -> None:
    """A cap at the apex, or calcified plaques along the wall."""
    rays, chest, f, side = site.rays, site.chest, site.finding, site.side
    band = rays.lungs[side] - rays.canvas.fill(_inset(chest.lung(side), side, chest, 0.25 + 0.7 * f.extent), 0.12)
    h = chest.base[side]
    if f.zone == "apex":
        where = np.clip(1.4 - rays.y / (0.10 * h), 0, 1)
    else:
        where = np.exp(-0.5 * ((rays.y - 0.62 * h) / (0.13 * h)) ** 2) * (side * rays.x > 0.82 * chest.anatomy.width)
    mask = np.clip(band, 0, 1) * where.astype(np.float32)
    _opacify(site, mask, 6.0 * min(1.2, 0.4 + f.contrast))
    if f.zone == "lateral":
        rays.bone += mask * np.float32(0.5 * f.contrast)
    rays.mark(f.uid, f.kind, mask, 0.3)


def _inset(outline: np.ndarray, side: int, chest: Chest, cm: float) -> np.ndarray:
    """The outline moved inwards at apex and lateral wall."""
    cx, cy = side * 0.45 * chest.anatomy.width, 0.5 * chest.base[side]
    d = outline - np.array([cx, cy])
    length = np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-6)[:, None]
    return outline - d / length * cm


def fibrosis(site: Site) -> None:
    """A net of fine lines."""
    rays, chest, f = site.rays, site.chest, site.finding
    net = np.abs(
        cv2.GaussianBlur(
            site.rng.standard_normal(rays.air.shape, dtype=np.float32), (0, 0), max(0.9, 0.22 * rays.canvas.scale)
        )
    )
    net = np.clip(1 - net / max(1e-6, float(net.mean())) * 1.4, 0, 1)
    h = chest.base[-1]
    where = np.clip((rays.y / h - 0.45) / 0.5, 0, 1) if f.zone == "base" else np.clip(0.5 - rays.y / h, 0, 0.5) * 2
    both = np.minimum(1, rays.lungs[-1] + rays.lungs[1])
    mask = (where * both).astype(np.float32)
    rays.air -= np.minimum(mask * net * np.float32((1.5 + 4 * f.extent) * f.contrast), rays.air * 0.8)
    rays.mark(f.uid, f.kind, mask, 0.3)


def subcutaneous_emphysema(site: Site) -> None:
    """Streaks of gas in the chest wall."""
    rays, chest, f, side = site.rays, site.chest, site.finding, site.side
    streaks = rays.canvas.layer()
    for _ in range(int(8 + 22 * f.extent)):
        y = site.rng.uniform(-2.5, 0.7 * chest.base[side])
        x = side * (float(chest.wall_x(max(y, 0))) + site.rng.uniform(0.8, 4.0))
        length = site.rng.uniform(0.8, 2.6)
        rays.canvas.stroke(streaks, [(x, y), (x - side * length * 0.5, y + length)], site.rng.uniform(0.1, 0.3), 0.9)
    mask = rays.canvas.soften(streaks, 0.08)
    rays.air += mask * np.float32(2.8 * min(1.3, 0.4 + f.contrast))
    rays.mark(f.uid, f.kind, mask, 0.2)


def pneumoperitoneum(site: Site) -> None:
    """A crescent of air under the right dome."""
    rays, chest, f = site.rays, site.chest, site.finding
    w, h = chest.anatomy.width, chest.base[-1]
    top = h - chest.dome[-1]
    arc = smooth([(-0.8 * w, top + 1.5), (-0.5 * w, top + 0.45), (-0.22 * w, top + 1.2)])
    layer = rays.canvas.layer()
    rays.canvas.stroke(layer, arc, 0.25 + 0.9 * f.extent, 1.0)
    mask = rays.canvas.soften(layer, 0.05)
    rays.air += mask * np.float32(6.0 * min(1.2, 0.4 + f.contrast))
    rays.mark(f.uid, f.kind, mask)


def hiatal_hernia(site: Site) -> None:
    """A round opacity behind the heart with an air-fluid level."""
    rays, chest, f = site.rays, site.chest, site.finding
    r = 1.6 + 2.0 * f.extent
    cx, cy = 0.12 * chest.anatomy.width, chest.base[-1] - 0.75 * chest.dome[-1] - 0.4 * r
    d = ((rays.x - cx) / r) ** 2 + ((rays.y - cy) / (0.9 * r)) ** 2
    ball = np.sqrt(np.clip(1 - d, 0, 1)).astype(np.float32)
    rays.soft += ball * np.float32(2.4 * min(1.2, 0.4 + f.contrast))
    rays.air += rays.canvas.blur(ball * (rays.y < cy - 0.1 * r), 0.06) * np.float32(4.0 * min(1.2, 0.4 + f.contrast))
    rays.mark(f.uid, f.kind, ball, 0.1)


def degenerative(site: Site) -> None:
    """Spurs at the vertebral margins."""
    rays, chest, f = site.rays, site.chest, site.finding
    spurs = rays.canvas.zeros()
    for y in np.arange(10, 30, 2.9):
        for s in (-1, 1):
            if site.rng.random() < 0.35 + 0.5 * f.extent:
                cx = float(chest.spine_x(y)) + s * (1.75 + 0.01 * y)
                spurs += np.exp(-0.5 * (((rays.x - cx) / 0.35) ** 2 + ((rays.y - y) / 0.22) ** 2)).astype(np.float32)
    rays.bone += spurs * np.float32(0.9 * min(1.3, 0.4 + f.contrast))
    rays.mark(f.uid, f.kind, spurs, 0.2)


def _outline_box(site: Site) -> None:
    """Findings that are shapes of the anatomy itself: only the box is left to draw."""
    rays, chest, f = site.rays, site.chest, site.finding
    h = chest.base[-1]
    mask = {
        "cardiomegaly": lambda: rays.canvas.fill(chest.heart()) * (rays.y < h),
        "mediastinal_widening": lambda: rays.canvas.fill(chest.mediastinum()) * (rays.y > 0) * (rays.y < 0.4 * h),
        "tortuous_aorta": lambda: (
            rays.canvas.fill(chest.mediastinum()) * (rays.y > 0.12 * h) * (rays.y < 0.35 * h) * (rays.x > 0)
        ),
        "scoliosis": lambda: (np.abs(rays.x) < 3.5) * (rays.y > 0) * (rays.y < 1.1 * h),
        "hyperinflation": lambda: np.maximum(rays.lungs[-1], rays.lungs[1]),
        "elevated_hemidiaphragm": lambda: (
            rays.canvas.fill(chest.recess(site.side))
            + (rays.y > chest.base[site.side] - chest.dome[site.side]) * rays.lungs[site.side]
        ),
    }[f.kind]().astype(np.float32)
    rays.mark(f.uid, f.kind, mask)


DRAW: dict[str, Callable[[Site], None]] = {
    "effusion": effusion, "pneumothorax": pneumothorax, "consolidation": consolidation, "pneumonia": consolidation,
    "opacity": opacity, "nodule": nodule, "granuloma": granuloma, "mass": mass, "edema": edema,
    "atelectasis": atelectasis, "fracture": fracture, "pleural_thickening": pleural_thickening, "fibrosis": fibrosis,
    "subcutaneous_emphysema": subcutaneous_emphysema, "pneumoperitoneum": pneumoperitoneum,
    "hiatal_hernia": hiatal_hernia, "degenerative": degenerative, "cardiomegaly": _outline_box,
    "mediastinal_widening": _outline_box,
    "tortuous_aorta": _outline_box, "scoliosis": _outline_box, "hyperinflation": _outline_box,
    "elevated_hemidiaphragm": _outline_box,
}  # fmt: skip
#: Drawn on each side by itself when bilateral; the others draw both at once.
_BY_SIDE = frozenset({"effusion", "pneumonia", "opacity", "atelectasis", "pleural_thickening", "nodule"})


def draw_findings(
    rays: Rays, chest: Chest, findings: tuple[Finding, ...], rng_of: Callable[[Finding, int], np.random.Generator]
) -> None:
    """Draw everything that is on the image, in the order of the catalogue's depth: opacities before gas.

    Args:
        rays: Changed in place.
        chest: Shapes of this exposure.
        findings: Findings; devices are skipped.
        rng_of: (finding, side) -> its own generator, the same in all studies of the patient.
    """
    order = list(DRAW)
    for f in sorted((f for f in findings if f.on_image and f.kind in DRAW), key=lambda f: order.index(f.kind)):
        sides = _sides(f) if f.side else (1,)
        if f.kind not in _BY_SIDE:
            sides = sides[:1]
        for side in sides:
            DRAW[f.kind](Site(rays, chest, f, side, rng_of(f, side)))
