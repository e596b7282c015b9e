from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clinclip.phantom.canvas import Canvas
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.expose import to_jpg_pixels
from clinclip.phantom.hardware import HARDWARE
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.pathology import DRAW
from clinclip.phantom.render import render
from clinclip.phantom.world import Finding, Image
from tests.phantom.conftest import KNOBS

SIZE = 160
#: Shapes of the anatomy itself, or seen from the side only: the whole image changes, or nothing on frontal views.
WHOLE = {
    "cardiomegaly",
    "mediastinal_widening",
    "tortuous_aorta",
    "scoliosis",
    "hyperinflation",
    "elevated_hemidiaphragm",
}


def exposure(patient, findings=(), view="PA", seed=11, knobs=KNOBS, size=SIZE):
    study = replace(patient.studies[0], findings=tuple(findings), setting="outpatient")
    return render(patient, study, Image("x", view, view, 0), size, seed, knobs)


def example(kind: str, extent=0.6, contrast=1.0, side=None) -> Finding:
    k = KINDS[kind]
    side = side or (k.sides[0][0] if k.sides else None)
    return Finding(1, kind, side, k.zones[0][0] if k.zones else None, extent, contrast)


def test_every_kind_can_be_drawn():
    assert set(DRAW) | set(HARDWARE) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_finding_changes_the_image_inside_its_box(many_patients, kind):
    patient = many_patients[3]
    plain = exposure(patient)
    shown = exposure(patient, [example(kind)])
    assert shown.pixels.shape == plain.pixels.shape and shown.pixels.dtype == np.uint16
    assert int(shown.pixels.max()) < 4096
    (box,) = shown.boxes[:1]
    uid, name, x, y, width, height = box
    rows, columns = shown.pixels.shape
    assert (uid, name) == (1, kind)
    assert 0 <= x < x + width <= columns and 0 <= y < y + height <= rows
    difference = np.abs(shown.pixels.astype(int) - plain.pixels.astype(int))
    assert difference.max() > 30
    if kind not in WHOLE:
        inside = difference[y : y + height, x : x + width].mean()
        assert inside > 1.5 * max(1.0, np.median(difference)), (inside, np.median(difference))


@pytest.mark.parametrize("kind", ["effusion", "consolidation", "nodule", "pneumothorax", "edema"])
def test_visibility_makes_findings_visible(many_patients, kind):
    patient = many_patients[3]
    plain = exposure(patient).pixels.astype(int)
    sizes = []
    for contrast in (0.1, 0.5, 1.0):
        e = exposure(patient, [example(kind, contrast=contrast)])
        _, _, x, y, w, h = e.boxes[0]
        sizes.append(np.abs(e.pixels.astype(int) - plain)[y : y + h, x : x + w].mean())
    assert sizes[0] < sizes[1] < sizes[2]


def test_what_is_not_on_the_image_is_not_drawn(many_patients):
    patient = many_patients[3]
    e = exposure(patient, [replace(example("effusion"), on_image=False)])
    assert e.boxes == [] and np.array_equal(e.pixels, exposure(patient).pixels)


def test_sides_are_the_patients(many_patients):
    patient = many_patients[3]
    for side, left_of_middle in (("right", True), ("left", False)):
        e = exposure(patient, [example("effusion", side=side)])
        _, _, x, _, w, _ = e.boxes[0]
        assert (x + w / 2 < e.pixels.shape[1] / 2) == left_of_middle


def test_bilateral_findings_have_two_boxes(many_patients):
    e = exposure(many_patients[3], [example("effusion", side="bilateral")])
    assert len(e.boxes) == 2


@pytest.mark.parametrize("view", ["PA", "AP", "LATERAL"])
def test_the_same_seed_draws_the_same_pixels(many_patients, view):
    findings = [example("effusion"), example("pacemaker"), example("fibrosis")]
    one, two = (exposure(many_patients[5], findings, view) for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels) and one.boxes == two.boxes
    assert not np.array_equal(one.pixels, exposure(many_patients[5], findings, view, seed=12).pixels)


def test_lateral_shows_fluid_and_a_broken_vertebra(many_patients):
    patient = many_patients[4]
    broken = replace(example("fracture"), zone="vertebra")
    kinds = {b[1] for b in exposure(patient, [example("effusion"), broken, example("icd")], "LATERAL").boxes}
    assert kinds == {"effusion", "fracture", "icd"}
    assert exposure(patient, [broken]).boxes == []


def test_size_is_the_shorter_side(many_patients):
    for size in (64, 200):
        assert min(exposure(many_patients[2], size=size).pixels.shape) == size


def test_noise_knob(many_patients):
    def grain(noise: float) -> float:
        image = exposure(many_patients[2], knobs=PhantomKnobs(noise=noise)).pixels.astype(float)
        return float(np.abs(np.diff(image, axis=1))[40:120, 40:120].mean())

    assert grain(0.0) < grain(1.0) < grain(4.0)


def test_jpg_pixels_follow_the_published_recipe():
    import cv2

    image = np.arange(100, 4000, dtype=np.uint16).reshape(60, 65)
    unit = (image - image.min()) / (image.max() - image.min())
    expected = cv2.equalizeHist((unit * 255).astype(np.uint8))
    assert np.array_equal(to_jpg_pixels(image), expected)
    constant = np.full((8, 8), 7, np.uint16)
    assert np.isfinite(to_jpg_pixels(constant, equalise=False)).all()


def test_many_strokes_at_once_are_the_strokes_one_after_the_other():
    canvas = Canvas(90, 70, 3.1, (30.0, 12.0), roll=0.03)
    draw = np.random.default_rng(0)
    lines = [(draw.uniform(-5, 20, (4, 2)), w, v) for w, v in draw.choice([0.1, 0.4, 0.4, 1.3], (40, 2))]
    one, many = canvas.layer(), canvas.layer()
    for points, width, value in lines:
        canvas.stroke(one, points, width, value)
    canvas.strokes(many, [(points.tolist(), width, value) for points, width, value in lines])
    assert one.any() and np.array_equal(one, many)
    backwards = canvas.layer()
    canvas.strokes(backwards, reversed(lines))
    assert not np.array_equal(one, backwards), "the order of crossing lines must show, or this test shows nothing"
