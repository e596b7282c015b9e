"""Exposure: has the model been trained on the patients, or on the source data, that it is now tested on?

Data sets lie inside each other: RSNA Pneumonia, SIIM-ACR and ChestX-Det are drawn from NIH ChestX-ray14, MS-CXR from
MIMIC-CXR. A "zero-shot" number on such a set, of a model that was trained on the larger one, is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clinclip.errors import LeakageError
from clinclip.metrics.arrays import to_numpy

#: data set -> the larger one that it was drawn from (names reduced to letters and digits)
DRAWN_FROM: dict[str, str] = {
    "rsna": "nih",
    "siim": "nih",
    "chestxdet": "nih",
    "nihcxrlt": "nih",
    "mscxr": "mimiccxr",
    "cxralign": "mimiccxr",
    "mimiccxrlt": "mimiccxr",
    "chexpert5x200": "chexpert",
    "chexpertplus": "chexpert",
}
#: further spellings
_ALIASES: dict[str, str] = {
    "nihchestxray14": "nih",
    "nihcxr": "nih",
    "chestxray14": "nih",
    "chestxray8": "nih",
    "rsnapneumonia": "rsna",
    "siimacr": "siim",
    "siimacrpneumothorax": "siim",
    "mimic": "mimiccxr",
    "mimiccxrjpg": "mimiccxr",
    "mscxrt": "mscxr",
    "chexpertsmall": "chexpert",
}


def data_set(name: str) -> str:
    """One spelling for a data set's name: ``MIMIC-CXR-JPG`` and ``mimic_cxr`` are ``mimiccxr``."""
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    return _ALIASES.get(key, key)


def _root(name: str) -> str:
    key = data_set(name)
    return DRAWN_FROM.get(key, key)


@dataclass(frozen=True)
class Exposure:
    """What is known about the overlap of training and test data.

    Attributes:
        status: "clean", "exposed" or "unknown".
        shared_patients: patients that are in both, None where the checkpoint does not say whom it was trained on.
        test_patients: patients of the test items.
        reasons: one sentence each.
    """

    status: str
    shared_patients: int | None
    test_patients: int
    reasons: tuple[str, ...] = field(default_factory=tuple)

    def enforce(self, allow: bool) -> None:
        """Raise LeakageError for exposed test data, unless ``allow``."""
        if self.status == "exposed" and not allow:
            raise LeakageError(
                f"the checkpoint has seen this test data: {' '.join(self.reasons)} Its numbers would be too good. Use "
                "another split or data set, or give --allow-exposure: the report then says so in red"
            )

    def as_dict(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "status": self.status,
            "shared_patients": self.shared_patients,
            "test_patients": self.test_patients,
            "reasons": list(self.reasons),
        }


def check_exposure(
    train: Mapping[str, Any], patients: np.ndarray, data_sets: Sequence[str], manifest_hash: str, split: str
) -> Exposure:
    """Compare a checkpoint's training record with the test items.

    Args:
        train: ``Model.provenance``: ``manifests`` (hashes, or mappings with ``hash`` and ``dataset``), ``patients``
            (hashed training patients, or None), ``datasets`` (names, if recorded).
        patients: int64 (N,) hashed patients of the test items.
        data_sets: names of the test items' data sets.
        manifest_hash: hash of the test manifest.
        split: split of the test items; "train" of a manifest that was trained on is exposed by definition.
    """
    hashes, trained = [], [str(name) for name in train.get("datasets") or []]
    for entry in train.get("manifests") or []:
        if isinstance(entry, Mapping):
            hashes.append(str(entry.get("hash", "")))
            trained.append(str(entry.get("dataset", "")))
        else:
            hashes.append(str(entry))
    test = np.unique(patients)
    seen = train.get("patients")
    shared = None if seen is None else int(np.isin(test, to_numpy(seen)).sum())
    reasons = []
    if shared:
        reasons.append(f"{shared} of {len(test)} patients were in its training split.")
    same = manifest_hash in hashes
    if split == "train" and same and not shared:
        reasons.append("These are the items of the train split of the manifest that it was trained on.")
    for name in dict.fromkeys(data_sets):
        related = [t for t in dict.fromkeys(trained) if t and data_set(t) != data_set(name) and _root(t) == _root(name)]
        reasons += [_containment(name, other) for other in related]
    if reasons:
        return Exposure("exposed", shared, len(test), tuple(reasons))
    if shared is None and not same:
        why = "The checkpoint does not record the patients it was trained on, so nobody can tell."
        return Exposure("unknown", None, len(test), (why,))
    if shared is None:
        clean = "It was trained on this very manifest, whose splits share no patient."
    else:
        clean = f"None of the {len(test)} patients was in its training split."
    return Exposure("clean", shared, len(test), (clean,))


def _containment(test: str, trained: str) -> str:
    root = _root(test)
    if data_set(test) == root:
        return f"It was trained on {trained}, whose images come from {test}."
    if data_set(trained) == root:
        return f"{test} lies inside {trained}, on which it was trained."
    return f"{test} and {trained}, on which it was trained, were both drawn from {root}."
