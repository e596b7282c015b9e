"""Leakage between training and evaluation data, and duplicates: found, reported, and refused where it is certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinclip.data.ids import patient_keys
from clinclip.data.manifest import Manifest
from clinclip.data.splits import SPLITS
from clinclip.errors import LeakageError


def check_shared_patients(manifests: Sequence[Manifest]) -> None:
    """Refuse manifests that train on a patient of one and evaluate on the same patient of another.

    Raises:
        LeakageError: names the manifests and the number of patients.
    """
    if len(manifests) < 2:
        return
    splits: dict[str, dict[str, str]] = {"train": {}, "validate": {}, "test": {}}
    for manifest in manifests:
        keys = patient_keys(manifest.index)
        for split in splits:
            for key in keys[manifest.index["split"] == split].unique():
                splits[split].setdefault(key, str(manifest.path))
    for a, b in (("train", "validate"), ("train", "test"), ("validate", "test")):
        shared = sorted(splits[a].keys() & splits[b].keys())
        if shared:
            raise LeakageError(
                f"data.manifests: {len(shared)} patients are in the {a} split of {splits[a][shared[0]]} and in the {b} "
                f"split of {splits[b][shared[0]]}. Prepare both with the same splits, or leave one out"
            )


@dataclass(frozen=True)
class Duplicates:
    """What is there more than once.

    Attributes:
        texts: distinct texts that several studies have.
        text_studies: studies that have one of them.
        images: distinct images (by source bytes) that several rows have.
        image_rows: rows that have one of them.
        cross_split_texts: distinct texts in more than one split.
        cross_split_images: distinct images in more than one split.
        cross_patient_images: distinct images of more than one patient.
    """

    texts: int
    text_studies: int
    images: int
    image_rows: int
    cross_split_texts: int
    cross_split_images: int
    cross_patient_images: int

    def as_dict(self) -> dict[str, Any]:
        """For the header."""
        return dict(vars(self))


def find_duplicates(frame: pd.DataFrame) -> Duplicates:
    """Count duplicates by normalised text and by the SHA-256 of the source file."""
    studies = frame.drop_duplicates(["dataset", "study_id"])
    studies = studies[studies["text"] != ""]
    normalised = pd.Series([" ".join(text.split()) for text in studies["text"]], index=studies.index)
    per_text = studies.groupby(normalised, sort=False)
    counts, splits = per_text.size(), per_text["split"].nunique()
    with_hash = frame[frame["source_sha256"] != ""]
    per_image = with_hash.groupby("source_sha256", sort=False)
    rows, image_splits = per_image.size(), per_image["split"].nunique()
    owners = patient_keys(with_hash).groupby(with_hash["source_sha256"], sort=False).nunique()
    return Duplicates(
        texts=int((counts > 1).sum()),
        text_studies=int(counts[counts > 1].sum()),
        images=int((rows > 1).sum()),
        image_rows=int(rows[rows > 1].sum()),
        cross_split_texts=int((splits > 1).sum()),
        cross_split_images=int((image_splits > 1).sum()),
        cross_patient_images=int((owners > 1).sum()),
    )


def shared_patients(first: Manifest, second: Manifest) -> dict[tuple[str, str], int]:
    """Patients of the same data set in two manifests: (split here, split there) -> how many."""
    sides = []
    for manifest in (first, second):
        keys = patient_keys(manifest.frame)
        sides.append({split: set(keys[manifest.frame["split"] == split]) for split in SPLITS})
    counts = {(a, b): len(sides[0][a] & sides[1][b]) for a in SPLITS for b in SPLITS}
    return {pair: count for pair, count in counts.items() if count}


def cross_set_duplicates(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Images (by source bytes) that occur in more than one manifest: one record for each pair of manifests and splits.

    Returns:
        Records with ``manifests`` (two paths), ``splits`` (two names) and ``images`` (how many).
    """
    out = []
    for i, first in enumerate(manifests):
        for second in manifests[i + 1 :]:
            for a, left in first.frame.groupby("split"):
                for b, right in second.frame.groupby("split"):
                    shared = np.intersect1d(left["source_sha256"].unique(), right["source_sha256"].unique())
                    count = int((shared != "").sum())
                    if count:
                        out.append(
                            {"manifests": [str(first.path), str(second.path)], "splits": [a, b], "images": count}
                        )
    return out
