"""Small generated data sets shared by the phantom's tests."""

from __future__ import annotations

import pytest

from clinclip.phantom import PhantomKnobs, generate_chexpert, generate_mimic_cxr
from clinclip.phantom.world import count_studies, make_patient

KNOBS = PhantomKnobs()


@pytest.fixture(scope="session")
def mimic(tmp_path_factory):
    """40 MIMIC-shaped studies, JPG and DICOM, reports as tree and zip."""
    out = tmp_path_factory.mktemp("phantom") / "mimic"
    summary = generate_mimic_cxr(
        out, 40, seed=3, workers=1, image_size=96, image_format="both", reports="both", progress=False
    )
    return out, summary


@pytest.fixture(scope="session")
def chexpert(tmp_path_factory):
    """36 CheXpert-shaped studies with CheXpert Plus."""
    out = tmp_path_factory.mktemp("phantom") / "chexpert"
    return out, generate_chexpert(out, 36, seed=4, workers=1, image_size=96, progress=False)


def people(seed: int, studies: int, knobs: PhantomKnobs = KNOBS):
    """Patients with all studies, without files."""
    index = first = 0
    while first < studies:
        n = count_studies(index, seed, knobs)
        yield make_patient(index, first, n, seed, knobs)
        index, first = index + 1, first + n


@pytest.fixture(scope="session")
def many_patients():
    return list(people(11, 1500))
