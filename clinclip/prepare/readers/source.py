"""What a reader is: a NAME, an options dataclass, and ``read(options) -> Source``. Here the Source, and shared options.

The fields of the options dataclass are the reader's command line: their names, types, defaults and documentation
(:mod:`clinclip.commands.options`). What is common to all data sets is :class:`clinclip.prepare.build.BuildOptions`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from clinclip.data.splits import FRACTIONS, check_fractions
from clinclip.data.views import parse_views
from clinclip.errors import ConfigError, DataError, LayoutError
from clinclip.prepare.drops import DropReport
from clinclip.prepare.readers.report_text import check_policy


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Options of a reader that knows the views of its images.

    Attributes:
        views: all, frontal, frontal-any, lateral, or a list such as PA,AP.
    """

    views: str = "frontal"


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """Options of a reader that has reports.

    Attributes:
        text: sections that make the text, as findings+impression, findings, impression, official, longest or full; or
            report, the whole as it is.
    """

    text: str = "findings+impression"

    def policy(self) -> str:
        """The canonical name of the text policy. Raises ConfigError for an unknown one."""
        return check_policy(self.text)


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Options of a reader whose data set has no split of its own.

    Attributes:
        split: shares of train, validate, test; patients are never divided.
        allow_shared_images: report images shared by splits, do not refuse.
    """

    split: str = "0.8,0.1,0.1"
    allow_shared_images: bool = False

    def fractions(self) -> tuple[float, float, float]:
        """The shares. Raises ConfigError unless they are three and sum to 1."""
        try:
            train, validate, test = (float(part) for part in self.split.split(","))
        except ValueError:
            raise ConfigError(f"--split {self.split!r}: give three numbers such as 0.8,0.1,0.1") from None
        check_fractions((train, validate, test))
        return train, validate, test


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
        faults: what is wrong with the reports that cannot be read; their studies are left out, or stop a strict run.
        has_text: False when there is nothing to read.
        fractions: shares of train, validate and test, used where the data set has no split of its own.
        refuse_shared_images: refuse byte-identical images in different splits instead of reporting them.
    """

    dataset: str
    root: Path
    frame: pd.DataFrame
    options: dict[str, Any]
    layout: dict[str, str] = field(default_factory=dict)
    counts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drops: DropReport = field(default_factory=DropReport)
    faults: list[str] = field(default_factory=list)
    has_text: bool = True
    fractions: tuple[float, float, float] = FRACTIONS
    refuse_shared_images: bool = False

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
        """Apply a view policy; what it leaves out is in the drop report.

        Raises:
            LayoutError: it leaves nothing; names the views that are there.
        """
        views = parse_views(spec)
        if views is not None:
            view = self.frame["view"].str.upper()
            mask = view.isin(views)
            if not mask.any():
                there = ", ".join(f"{name or '(blank)'} {count:,}" for name, count in view.value_counts().items())
                raise LayoutError(f"--views {spec} leaves none of {len(view):,} images; their views: {there or 'none'}")
            self.keep(mask, "view", f"not in --views {spec}")
        self.count(f"views: {spec}")

    def keep_text(self, policy: str, missing: str = "") -> None:
        """Drop the rows whose text is empty.

        Args:
            policy: a canonical text policy, for messages.
            missing: why a text may be empty; by default because the policy finds no section.

        Raises:
            DataError: no row is left.
        """
        why = missing or f"blank, or no section of --text {policy}"
        there = self.frame["text"] != ""
        if not there.any():
            raise DataError(
                f"{self.dataset}: none of {len(there):,} images has a text ({why}; de-identification marks are no "
                "text). Choose another --text: report takes a report as it is"
            )
        self.keep(there, "no text", why)
        self.count(f"text: {policy}")

    def fault(self, study_id: str, error: DataError) -> None:
        """Record a report that cannot be read, and leave its study out."""
        self.faults.append(str(error))
        mine = self.frame["study_id"] == study_id if len(self.frame) else None
        if mine is not None and mine.any():
            self.keep(~mine, "report unreadable", str(error))
        else:
            self.drops.drop_image("", study_id, "report unreadable", str(error))

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
