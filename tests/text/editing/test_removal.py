"""Sentences as radiologists write them: what is left when a finding goes must read as one wrote it."""

from __future__ import annotations

import re

import pytest

from clinclip.findings import LabelState
from clinclip.text import label_report, negate, omit

#: (report, finding, the report without it)
OMITTED = [
    # what leaned on the finding stands on its own feet
    (
        "Bilateral pleural effusions, left greater than right, with associated bibasilar atelectasis, are increased.",
        "Pleural Effusion",
        "Bibasilar atelectasis is increased.",
    ),
    (
        "There are acute left rib fractures with an associated small left hemothorax and tiny pneumothorax.",
        "Fracture",
        "There is a small left hemothorax and tiny pneumothorax.",
    ),
    (
        "Unchanged left pleural effusion with subsequent left basal atelectasis.",
        "Pleural Effusion",
        "Left basal atelectasis.",
    ),
    (
        "The opacity likely reflects a combination of pleural effusion and adjacent atelectasis. Left effusion.",
        "Pleural Effusion",
        "The opacity likely reflects atelectasis.",
    ),
    # numbers agree with the head, not with what hangs on it
    (
        "There is cardiomegaly with mild edema and small bilateral effusions.",
        "Edema",
        "There is cardiomegaly with small bilateral effusions.",
    ),
    ("Both pneumonia and mild pulmonary edema are present.", "Edema", "Pneumonia is present."),
    # adjectives that share a noun go with it
    (
        "Moderate edema. There are moderate right and small left pleural effusions. Heart size is normal.",
        "Pleural Effusion",
        "Moderate edema. Heart size is normal.",
    ),
    (
        "There has been worsening of the bilateral edema and increase in the size of the moderate right and small left "
        "pleural effusions.",
        "Pleural Effusion",
        "Bilateral edema.",
    ),
    # what denies or doubts by itself needs no opener
    ("Tiny left apical pneumothorax after chest tube removal.", "Pneumothorax", "Chest tube removal."),
    ("Heart size is obscured by effusion. Large effusion.", "Pleural Effusion", "Heart size is obscured."),
    # the explanation of a finding that went is none; a named finding stays
    ("Edema. A 7-mm nodule is unchanged, likely a granuloma.", "Lung Lesion", "Edema."),
    (
        "Left lower lobe consolidation, presumably atelectasis, has worsened.",
        "Consolidation",
        "Possible atelectasis.",
    ),
    (
        "Two nodules, 6 mm in the left upper lobe and 4 mm in the right middle lobe, are stable. Edema.",
        "Lung Lesion",
        "Edema.",
    ),
    # what the finding was added to stays
    ("Bones are demineralized with multiple old rib fractures.", "Fracture", "Bones are demineralized."),
    # parts of a device go with it
    (
        "A nasogastric tube has been placed. The course of the tube is unremarkable, the tip projects over the stomach."
        " Edema.",
        "Support Devices",
        "Edema.",
    ),
    ("There is an NG tube. The tip is in the stomach. The side hole is not seen. Edema.", "Support Devices", "Edema."),
    # the last two sentences leave no blank behind
    ("Edema. Left effusion. Small effusion.", "Pleural Effusion", "Edema."),
    ("Edema.  Left effusion. Small effusion.\n\nClips.", "Pleural Effusion", "Edema.\n\nClips."),
    # the head of a report stays
    (
        "IMPRESSION:  AP chest compared to ___, 5:13 p.m.:  Large right pneumothorax is new. Heart size is top normal.",
        "Pneumothorax",
        "IMPRESSION:  AP chest compared to ___, 5:13 p.m.:  Heart size is top normal.",
    ),
    # under a title of views, or without any title, the body of the report is read too
    (
        "HISTORY:  Cough.\n\n PA AND LATERAL VIEWS OF THE CHEST:  A small right effusion is also present.  The left "
        "lung is clear.\n\n IMPRESSION:  Small effusion.  Edema.",
        "Pleural Effusion",
        "HISTORY:  Cough.\n\n PA AND LATERAL VIEWS OF THE CHEST:  The left lung is clear.\n\n IMPRESSION:  Edema.",
    ),
    (
        "LUNGS: Patchy opacities.\nPLEURA: Small right effusion. No pneumothorax.\nHEART: Enlarged.\n"
        "IMPRESSION: Opacities.",
        "Pleural Effusion",
        "LUNGS: Patchy opacities.\nPLEURA: No pneumothorax.\nHEART: Enlarged.\nIMPRESSION: Opacities.",
    ),
]


@pytest.mark.parametrize(("report", "finding", "expected"), OMITTED, ids=[c[0][:40] for c in OMITTED])
def test_what_is_left(report: str, finding: str, expected: str) -> None:
    edited = omit(report, finding)
    assert edited is not None
    assert edited.text == expected
    assert label_report(expected)[finding] is LabelState.NOT_MENTIONED
    denied = negate(report, finding)
    assert denied is not None
    assert label_report(denied.text)[finding] is LabelState.ABSENT


def test_a_denial_before_a_measure_begins_with_a_capital() -> None:
    edited = negate("Edema. 1.1 cm nodular opacity projects over the right mid lung.", "Lung Lesion", seed=1)
    assert edited is not None
    assert all(e.new[:1].isupper() for e in edited.edits if e.new)


@pytest.mark.parametrize(
    ("report", "finding", "never", "sometimes"),
    [
        ("Right lower lobe pneumonia.", "Pneumonia", r"right (lower lobe )?focal", r"focal right lower lobe pneumonia"),
        ("Right pneumonia.", "Pneumonia", r"right focal", r"focal pneumonia on the right"),
        ("Bibasilar atelectasis.", "Atelectasis", r"at the base\b", r"at the bases"),
        ("Bilateral apical opacities.", "Lung Opacity", r"apexs|at the apex\b", r"at the apices"),
    ],
)
def test_places_are_named_as_radiologists_do(report: str, finding: str, never: str, sometimes: str) -> None:
    texts = [e.text for seed in range(150) if (e := negate(report, finding, seed=seed)) is not None]
    assert not any(re.search(never, text, re.IGNORECASE) for text in texts)
    assert any(re.search(sometimes, text, re.IGNORECASE) for text in texts)
