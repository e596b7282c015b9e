"""The person: sizes and shapes drawn once a patient, and how they lie on one frontal exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinclip.draws import stream
from clinclip.phantom.canvas import smooth
from clinclip.phantom.world import Finding, Image, Patient, Study

Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Sizes of one patient, in centimetres unless said otherwise.

    Attributes:
        width: inner half-width of the chest at its base.
        height: height of the right lung at full inspiration.
        wall: thickness of the lateral chest wall.
        depth: front-to-back thickness of the body.
        heart_ratio: heart width over chest width, without disease.
        heart_tilt: how far the apex points down, 0 to 1.
        knob: radius of the aortic knob.
        neck: half-width of the neck.
        shoulder_drop: how steeply the shoulders fall.
        rib_pitch: distance between posterior ribs.
        rib_slope: how steeply ribs fall, as a multiple.
        clavicle_tilt: how much the lateral ends rise.
        spine_bend: sideways bend of a normal spine.
        breast: size of the breast shadows, 0 for none.
        bone: density of bone, 1 for a young adult.
        dome: height of the diaphragm's dome over its corner.
        left_lower: how much deeper the left hemidiaphragm stands.
        vessels: prominence of the vessels.
        bubble: size of the gastric bubble.
    """

    width: float
    height: float
    wall: float
    depth: float
    heart_ratio: float
    heart_tilt: float
    knob: float
    neck: float
    shoulder_drop: float
    rib_pitch: float
    rib_slope: float
    clavicle_tilt: float
    spine_bend: float
    breast: float
    bone: float
    dome: float
    left_lower: float
    vessels: float
    bubble: float


def make_anatomy(patient: Patient, seed: int) -> Anatomy:
    """Draw the person. Sex, age and habitus shape the sizes."""
    rng = stream(seed, "anatomy", patient.index)
    male = patient.sex == "M"
    age = patient.studies[0].age if patient.studies else 60
    fat = patient.habitus
    return Anatomy(
        width=rng.gauss(14.0 if male else 12.6, 0.7) + 0.25 * fat,
        height=rng.gauss(26.5 if male else 24.0, 1.5) - 0.7 * max(fat, 0),
        wall=max(1.2, 2.1 + 1.3 * fat + rng.gauss(0, 0.2)),
        depth=max(16.0, 21.5 + 3.2 * fat + rng.gauss(0, 1)),
        heart_ratio=min(0.495, max(0.38, rng.gauss(0.445 + 0.008 * fat, 0.025))),
        heart_tilt=min(1.0, max(0.0, rng.gauss(0.5 - 0.15 * fat, 0.2))),
        knob=max(1.0, 1.35 + 0.010 * (age - 45) + rng.gauss(0, 0.15)),
        neck=rng.gauss(5.3 if male else 4.6, 0.3) + 0.5 * max(fat, 0),
        shoulder_drop=rng.uniform(0.18, 0.34),
        rib_pitch=rng.gauss(2.35 if male else 2.15, 0.1),
        rib_slope=max(0.5, rng.gauss(1.0, 0.2)),
        clavicle_tilt=rng.uniform(-0.02, 0.2),
        spine_bend=rng.gauss(0, 0.25),
        breast=0.0 if male else max(0.25, rng.gauss(0.8 + 0.35 * fat, 0.3)),
        bone=max(0.5, 1.12 - 0.006 * (age - 30) + rng.gauss(0, 0.08)),
        dome=rng.uniform(2.6, 4.2),
        left_lower=rng.uniform(0.3, 1.6),
        vessels=rng.uniform(0.75, 1.25),
        bubble=rng.uniform(0.0, 1.0),
    )


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stands or lies on one exposure.

    Attributes:
        inspiration: lung height over its best.
        yaw: sideways shift of what lies in front against the spine, cm (rotation of the patient).
        magnification: of the heart (1 for PA).
        scapula: how far the shoulder blades lie over the lungs, 0 to 1.
        supine: fluid layers out behind the lung.
    """

    inspiration: float
    yaw: float
    magnification: float
    scapula: float
    supine: bool


def pose_of(study: Study, image: Image, seed: int, overlap: float) -> Pose:
    """How the patient stands or lies on one exposure: portable films are worse in every respect.

    Args:
        study: For the setting.
        image: For the view; a lateral film is posed as well as an upright one.
        seed: Seed of the data set.
        overlap: ``PhantomKnobs.overlap``.
    """
    rng = stream(seed, "pose", study.index, image.number)
    view, setting = ("PA" if image.view == "LATERAL" else image.view), study.setting
    portable = view == "AP" and setting in {"icu", "ward"}
    low = rng.random() < (0.3 if portable else 0.1) * overlap
    return Pose(
        inspiration=rng.uniform(0.72, 0.84)
        if low
        else rng.uniform(0.84, 0.97)
        if portable
        else rng.uniform(0.92, 1.03),
        yaw=rng.gauss(0, (0.9 if portable else 0.35) * min(overlap, 2.0)),
        magnification=rng.uniform(1.08, 1.18) if view == "AP" else 1.0,
        scapula=rng.uniform(0.35, 1.0) if view == "AP" else rng.uniform(0.0, 0.35),
        supine=portable and rng.random() < 0.4,
    )


@dataclass(frozen=True, slots=True)
class Chest:
    """Outlines of one frontal exposure in body centimetres; findings that change shapes are already in them.

    ``side`` is -1 for the patient's right (the image's left), +1 for the left.
    """

    anatomy: Anatomy
    pose: Pose
    base: dict[int, float]
    dome: dict[int, float]
    heart_width: float
    upper_width: float
    tortuous: float
    bend: float
    narrow: float

    def wall_x(self, y: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Inner half-width of the rib cage at height y."""
        t = np.clip(np.asarray(y, dtype=np.float64) / max(self.base.values()), 0, 1.2)
        knots = (0.0, 0.06, 0.15, 0.3, 0.5, 0.75, 1.0, 1.2)
        widths = (0.40, 0.60, 0.73, 0.86, 0.94, 0.99, 1.0, 0.99)
        return np.interp(t, knots, widths) * self.anatomy.width * self.narrow

    def spine_x(self, y: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Middle of the spine at height y."""
        return self.bend * np.sin(np.asarray(y, dtype=np.float64) / 26 * np.pi)

    def lung(self, side: int) -> Curve:
        """Outline of one lung down to the dome of the diaphragm."""
        w, h = self.anatomy.width * self.narrow, self.base[side]
        top = h - self.dome[side]
        medial = 0.13 * w
        lateral = [(float(self.wall_x(y)), y) for y in np.linspace(0.1 * h, 0.97 * h, 9)]
        outline = [
            (medial, 0.16 * h), (0.2 * w, 0.05 * h), (0.40 * w, 0.0), (0.56 * w, 0.03 * h),
            *lateral,
            (float(self.wall_x(h)) * 0.985, h), (0.86 * w, h - 0.42 * self.dome[side]),
            (0.70 * w, top + 0.32 * self.dome[side] * 0.5),
            (0.50 * w, top), (0.30 * w, top + 0.12 * self.dome[side]), (0.16 * w, top + 0.42 * self.dome[side]),
            (medial, top),
            (medial, 0.6 * h), (medial, 0.35 * h),
        ]  # fmt: skip
        curve = smooth(outline, closed=True, steps=5)
        curve[:, 0] = side * curve[:, 0]
        return curve

    def recess(self, side: int) -> Curve:
        """The lung behind and below the dome, down to the posterior sulcus."""
        w, h = self.anatomy.width * self.narrow, self.base[side]
        top = h - self.dome[side]
        points = [
            (0.14 * w, top),
            (0.5 * w, top - 0.3),
            (0.97 * w, h - 0.4),
            (0.9 * w, h + 0.6),
            (0.5 * w, h + 1.2),
            (0.16 * w, h + 0.8),
        ]
        curve = smooth(points, closed=True, steps=5)
        curve[:, 0] = side * curve[:, 0]
        return curve

    def hilum(self, side: int) -> tuple[float, float]:
        """Centre of the hilum; the left one stands higher."""
        return side * 0.27 * self.anatomy.width + 0.3 * self.pose.yaw, self.base[-1] * (0.43 if side < 0 else 0.40)

    def heart(self) -> Curve:
        """Outline of the heart."""
        w, h, tilt = self.heart_width, self.base[-1], self.anatomy.heart_tilt
        left, right = 0.67 * w + 0.4 * self.pose.yaw, 0.33 * w - 0.4 * self.pose.yaw
        top, bottom = 0.36 * h, h - 0.45 * self.dome[-1]
        apex = bottom - (0.13 - 0.08 * tilt) * h
        points = [
            (-0.12 * w, top), (-0.8 * right, 0.52 * h), (-right, 0.68 * h), (-0.95 * right, 0.80 * h),
            (-0.75 * right, bottom),
            (-0.5 * right, bottom + 3.5), (0.7 * left, bottom + 3.5), (0.92 * left, bottom + 0.6),
            (1.0 * left, apex + 0.03 * h), (0.98 * left, apex - 0.05 * h),
            (0.88 * left, 0.66 * h), (0.66 * left, 0.54 * h), (0.50 * left, 0.44 * h), (0.34 * left, top),
        ]  # fmt: skip
        return smooth(points, closed=True, steps=6)

    def mediastinum(self) -> Curve:
        """Outline of the upper mediastinum with aortic knob and superior vena cava."""
        h, u = self.base[-1], self.upper_width
        knob, yaw = self.anatomy.knob * (1 + 0.45 * self.tortuous), 0.5 * self.pose.yaw
        arch = 0.235 * h
        points = [
            (-0.85 * u, -6), (-0.95 * u, 0.0), (-1.0 * u + yaw, 0.12 * h), (-1.05 * u + yaw, 0.28 * h),
            (-1.1 * u + yaw, 0.42 * h),
            (0.6 * u, 0.46 * h), (1.25 * u + yaw, 0.40 * h), (1.05 * u + yaw, 0.325 * h),
            (0.75 * u + 0.75 * knob + yaw, arch + 0.75 * knob), (0.75 * u + 1.0 * knob + yaw, arch),
            (0.8 * u + 0.45 * knob + yaw, arch - 0.85 * knob),
            (0.9 * u + yaw, 0.10 * h), (0.95 * u, 0.0), (0.85 * u, -6),
        ]  # fmt: skip
        return smooth(points, closed=True, steps=5)

    def descending_aorta(self) -> Curve:
        """Left border of the descending aorta, a line behind the heart."""
        h, knob = self.base[-1], self.anatomy.knob * (1 + 0.45 * self.tortuous)
        swing = 0.4 + 1.6 * self.tortuous
        return smooth([(1.0 + knob, 0.25 * h), (1.2 + swing, 0.45 * h), (1.0 + swing * 0.8, 0.65 * h), (0.9, 0.95 * h)])

    def body(self) -> Curve:
        """Outline of neck, shoulders and trunk."""
        a = self.anatomy
        out = a.width + a.wall
        shoulder = out + 6.5
        drop = a.shoulder_drop * shoulder
        half = [
            (a.neck, -14), (a.neck, -6.5), (a.neck + 1.6, -4.8), (0.55 * shoulder, -4.2 + 0.4 * drop),
            (0.85 * shoulder, -2.6 + 0.8 * drop),
            (shoulder, 0.5 + drop), (shoulder + 2.0, 5 + drop), (shoulder + 3.0, 13.0), (shoulder + 4.0, 22.0),
            (out + 7.5, 23.0),
            (out + 4.0, 13.5), (out + 1.6, 10.5), (out + 0.3, 12.5), (out, 16), (out, 24), (out + 0.4, 32),
            (out + 0.8, 50),
        ]  # fmt: skip
        right = smooth(half, steps=5)
        left = right[::-1].copy()
        left[:, 0] *= -1
        return np.concatenate([right, left])


def make_chest(anatomy: Anatomy, pose: Pose, findings: tuple[Finding, ...]) -> Chest:
    """Shapes for one exposure. ``findings`` are those on the image."""
    seen = {f.kind: f for f in findings if f.on_image}
    over = seen.get("hyperinflation")
    height = anatomy.height * pose.inspiration * (1.04 + 0.12 * over.extent if over else 1.0)
    dome = anatomy.dome * (1.12 - 0.2 * pose.inspiration) * (0.72 - 0.4 * over.extent if over else 1.0)
    base = {-1: height, 1: height + anatomy.left_lower}
    domes = {-1: dome, 1: dome * 0.95}
    lifted = seen.get("elevated_hemidiaphragm")
    if lifted:
        side = -1 if lifted.side == "right" else 1
        base[side] -= 0.8 + 1.6 * lifted.extent
        domes[side] += 1.2 + 2.6 * lifted.extent
    ratio = anatomy.heart_ratio * (0.86 if over else 1.0)
    big = seen.get("cardiomegaly")
    if big:
        # what radiologists call mild begins just above one half, and low contrast here means a smaller excess
        ratio = max(ratio, 0.49) + (0.025 + 0.17 * big.extent) * min(1.2, 0.55 + 0.6 * big.contrast)
    wide = seen.get("mediastinal_widening")
    tortuous = seen.get("tortuous_aorta")
    bent = seen.get("scoliosis")
    bend = anatomy.spine_bend
    if bent:
        bend += (1 if bent.side == "left" else -1) * (0.8 + 2.4 * bent.extent)
    upper = 0.165 * anatomy.width * (1 + 0.1 * (pose.magnification - 1) * 10)
    if wide:
        upper *= 1.2 + 0.6 * wide.extent * min(1.2, 0.5 + wide.contrast)
    return Chest(
        anatomy=anatomy,
        pose=pose,
        base=base,
        dome=domes,
        heart_width=2 * anatomy.width * ratio * pose.magnification * (1.06 - 0.06 * pose.inspiration),
        upper_width=upper,
        tortuous=0.3 + 0.7 * tortuous.extent if tortuous else 0.0,
        bend=bend,
        narrow=0.94 if over else 1.0,
    )
