"""What the reader of a data set hands to the common preparation pipeline, and the counts it keeps on the way."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from clinclip.data.views import parse_views
from clinclip.errors import LayoutError
from clinclip.prepare.drops import DropReport


@dataclass
class Source:
    """A data set as its reader found it, before images are cached and reports annotated.

    Attributes:
        dataset: its name, in every row.
        root: folder that ``image_path`` counts from; never written to.
        frame: one row per image: image_id, study_id, patient_id, split, view, sex, age, image_path, findings,
            impression, text, and int8 ``table_*`` columns where a label table exists.
        options: what the user chose, path-free; part of the manifest's hash.
        layout: what was found where, for the header.
        counts: images, studies and patients after each step.
        notes: deviations that were accepted, in words.
        drops: what was left out so far.
        has_text: False when there is nothing to read.
    """

    dataset: str
    root: Path
    frame: pd.DataFrame
    options: dict[str, Any]
    layout: dict[str, str] = field(default_factory=dict)
    counts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drops: DropReport = field(default_factory=DropReport)
    has_text: bool = True

    def count(self, step: str) -> None:
        """Record how many images, studies and patients are left after a step."""
        frame = self.frame
        self.counts.append(
            {
                "step": step,
                "images": len(frame),
                "studies": int(frame["study_id"].nunique()),
                "patients": int(frame["patient_id"].nunique()),
            }
        )

    def keep(self, mask: pd.Series, reason: str, detail: str = "") -> None:
        """Drop the rows where ``mask`` is False, with a reason."""
        if not mask.all():
            self.drops.drop(self.frame[~mask], reason, detail)
            self.frame = self.frame[mask].reset_index(drop=True)

    def keep_views(self, spec: str) -> None:
        """Apply a view policy; what it leaves out is in the drop report."""
        views = parse_views(spec)
        if views is not None:
            view = self.frame["view"].str.upper()
            self.keep(view.isin(views), "view", f"not in --views {spec}")
        self.count(f"views: {spec}")

    def keep_downloaded(self, progress: bool = True) -> None:
        """Leave out studies whose folder is not there (a partial download).

        A file missing from a folder that exists is a fault, left for the image policy.

        Args:
            progress: show a progress bar.

        Raises:
            LayoutError: nothing is there.
        """
        folders = self.frame["image_path"].str.rsplit("/", n=1).str[0]
        wanted = folders.unique()
        there: dict[str, bool] = {}
        # one listing a patient instead of one question a study: fast on network file systems
        present: dict[str, set[str]] = {}
        for folder in tqdm(wanted, desc="looking for studies", unit="study", disable=not progress, leave=False):
            parent, _, name = folder.rpartition("/")
            if parent not in present:
                try:
                    with os.scandir(self.root / parent) as entries:
                        present[parent] = {entry.name for entry in entries}
                except OSError:
                    present[parent] = set()
            there[folder] = name in present[parent]
        mask = folders.map(there).astype(bool)
        if not mask.any():
            raise LayoutError(
                f"none of the {len(wanted):,} studies that the tables list is below {self.root}: tables and images are "
                "of different downloads, or --views leaves out everything that is there"
            )
        if not mask.all():
            missing = len(wanted) - sum(there.values())
            self.notes.append(
                f"partial download: {missing:,} of {len(wanted):,} studies have no image folder; left out"
            )
        self.keep(mask, "not downloaded", "no study folder")
        self.count("downloaded")
