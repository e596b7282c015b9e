"""Phantom reports for tests of report language: text only, no images."""

from __future__ import annotations

from collections.abc import Iterator

from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.report import write_report
from clinclip.phantom.world import count_studies, make_patient
from clinclip.text import split_sections, study_text


def phantom_texts(count: int, seed: int) -> Iterator[str]:
    """Findings and impression of ``count`` phantom studies, line wraps included."""
    knobs = PhantomKnobs()
    first = number = 0
    while first < count:
        size = count_studies(number, seed, knobs)
        patient = make_patient(number, first, size, seed, knobs)
        for study in patient.studies[: count - first]:
            page = write_report(patient, study, seed, knobs)
            yield study_text(split_sections(page.text), "findings_impression")
        first += size
        number += 1
