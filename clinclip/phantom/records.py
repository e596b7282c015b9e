"""From patient, report and exposures to the record that goes into the truth file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from clinclip.phantom.layout import Page
from clinclip.phantom.render import Exposure
from clinclip.phantom.truth import StudyTruth
from clinclip.phantom.world import Image, Patient, Study


def image_record(image: Image, exposure: Exposure, path: str, paths: list[str]) -> dict[str, Any]:
    """The truth of one image. ``path`` is what tables call it, ``paths`` the files that were written."""
    rows, columns = exposure.pixels.shape
    return {
        "image_id": image.image_id,
        "view": image.view,
        "position": image.position,
        "path": path,
        "paths": paths,
        "rows": rows,
        "columns": columns,
        "boxes": [
            {"uid": u, "kind": k, "x": x, "y": y, "width": w, "height": h} for u, k, x, y, w, h in exposure.boxes
        ],
    }


def study_truth(
    patient: Patient,
    study: Study,
    split: str,
    page: Page,
    images: list[dict[str, Any]],
    report: str | None,
    labels: dict[str, str],
    patient_id: str | None = None,
    study_id: str | None = None,
) -> StudyTruth:
    """The truth of one study; ids are the MIMIC ones unless given."""
    return StudyTruth(
        patient_id=patient_id or patient.subject_id,
        study_id=study_id or study.study_id,
        split=split,
        setting=study.setting,
        sex=patient.sex,
        age=study.age,
        number=study.number,
        when=study.when.isoformat(timespec="milliseconds"),
        report=report,
        text=page.text,
        sections=page.sections,
        mentions=page.mentions,
        entities=page.entities,
        relations=page.relations,
        labels=labels,
        findings=[
            {
                **asdict(f),
                "finding": f.finding,
                "grade": f.grade,
                "extent": round(f.extent, 3),
                "contrast": round(f.contrast, 3),
            }
            for f in study.findings
        ],
        images=images,
    )
