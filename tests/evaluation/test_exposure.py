from __future__ import annotations

import numpy as np
import pytest
import torch

from clinclip.errors import LeakageError
from clinclip.evaluation.exposure import check_exposure, data_set

PATIENTS = np.array([1, 1, 2, 3])


def train(patients: list[int] | None, datasets: tuple[str, ...] = ("mimic-cxr",)) -> dict:
    seen = None if patients is None else torch.tensor(patients)
    return {"manifests": ["aaa"], "datasets": list(datasets), "patients": seen}


def test_shared_patients_stop_the_run_unless_allowed() -> None:
    found = check_exposure(train([3, 9]), PATIENTS, ["mimic-cxr"], "bbb", "test")
    assert (found.status, found.shared_patients, found.test_patients) == ("exposed", 1, 3)
    with pytest.raises(LeakageError, match=r"1 of 3 patients were in its training split.*--allow-exposure"):
        found.enforce(allow=False)
    found.enforce(allow=True)


def test_other_patients_are_clean() -> None:
    found = check_exposure(train([8, 9]), PATIENTS, ["mimic-cxr"], "bbb", "test")
    assert found.status == "clean"
    found.enforce(allow=False)


def test_same_manifest_without_patient_list() -> None:
    assert check_exposure(train(None), PATIENTS, ["mimic-cxr"], "aaa", "test").status == "clean"
    assert check_exposure(train(None), PATIENTS, ["mimic-cxr"], "aaa", "train").status == "exposed"
    unknown = check_exposure(train(None), PATIENTS, ["mimic-cxr"], "bbb", "test")
    assert unknown.status == "unknown"
    unknown.enforce(allow=False)  # said, not refused
    assert check_exposure({}, PATIENTS, ["mimic-cxr"], "bbb", "test").status == "unknown"


@pytest.mark.parametrize(
    ("test", "trained"),
    [
        ("RSNA", "nih"),
        ("siim-acr", "NIH-ChestX-ray14"),
        ("ChestX-Det", "nih_cxr"),
        ("ms-cxr", "mimic-cxr"),
        ("nih", "rsna"),
        ("rsna", "siim"),
        ("chexpert-5x200", "chexpert"),
    ],
)
def test_data_sets_inside_each_other(test: str, trained: str) -> None:
    found = check_exposure(train([99], (trained,)), PATIENTS, [test], "bbb", "test")
    assert found.status == "exposed"
    assert test in found.reasons[0]
    assert trained in found.reasons[0]


@pytest.mark.parametrize(
    ("test", "trained"), [("chexpert", "mimic-cxr"), ("openi", "nih"), ("MIMIC-CXR-JPG", "mimic_cxr")]
)
def test_unrelated_or_same_data_sets_are_judged_by_patient(test: str, trained: str) -> None:
    assert check_exposure(train([99], (trained,)), PATIENTS, [test], "bbb", "test").status == "clean"


def test_manifest_records_with_names() -> None:
    record = {"manifests": [{"hash": "aaa", "dataset": "nih"}], "patients": [99]}
    assert check_exposure(record, PATIENTS, ["rsna"], "bbb", "test").status == "exposed"


def test_spellings() -> None:
    assert data_set("MIMIC-CXR-JPG") == data_set("mimic_cxr") == "mimiccxr"
