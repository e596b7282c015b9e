"""The drop report: images that are not in the manifest, or not as their file says; reports that lack something."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from clinclip.files import write_atomically

_COLUMNS = ("outcome", "image_id", "study_id", "reason", "detail")


@dataclass
class DropReport:
    """Collects reasons.

    ``outcome`` is "dropped" for images that are not in the manifest and "kept" for what is in it but not without a
    remark: reports that lack something (a finding, a negatable finding, a graph), images whose file was not read as it
    says (a DICOM window that cannot be used) or that are constant. The file lists ids, the counts do not: only counts
    are printed.
    """

    rows: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def drop(self, frame: pd.DataFrame, reason: str, detail: str = "") -> None:
        """Record images (rows with ``image_id`` and ``study_id``) as left out."""
        pairs = zip(frame["image_id"], frame["study_id"], strict=True)
        self.rows += [("dropped", image, study, reason, detail) for image, study in pairs]

    def drop_image(self, image_id: str, study_id: str, reason: str, detail: str) -> None:
        """Record one image as left out."""
        self.rows.append(("dropped", image_id, study_id, reason, detail))

    def lack(self, study_id: str, reason: str) -> None:
        """Record a report that stays but lacks something."""
        self.rows.append(("kept", "", study_id, reason, ""))

    def remark(self, image_id: str, study_id: str, reason: str) -> None:
        """Record an image that stays, and what is to be said of it."""
        self.rows.append(("kept", image_id, study_id, reason, ""))

    def counts(self, outcome: str) -> dict[str, int]:
        """Reason -> number, most frequent first."""
        return dict(Counter(row[3] for row in self.rows if row[0] == outcome).most_common())

    def save(self, path: Path) -> None:
        """Write the report as CSV, atomically and in a fixed order."""
        frame = pd.DataFrame(sorted(self.rows), columns=list(_COLUMNS))
        write_atomically(path, lambda p: frame.to_csv(p, index=False, encoding="utf-8"))
