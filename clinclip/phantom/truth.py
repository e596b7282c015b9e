"""The ground truth that lies beside the phantom trees: every mention, the graph, the labels, the boxes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clinclip.errors import DataError

TRUTH_FILE = "phantom-truth.jsonl.gz"
HEADER_FILE = "phantom-header.json"
#: Changes whenever the same seed would give other bytes.
PHANTOM_VERSION = 1


@dataclass(slots=True)
class Mention:
    """One mention of a finding in a report.

    Attributes:
        start: first character of the core phrase ("pleural effusion") in the report file's text.
        end: one past its last character. A line break may lie inside.
        text: the core phrase with its white space collapsed.
        concept: kind of finding ("effusion", "ett"; see ``catalog.KINDS``).
        finding: CheXpert observation, or None outside the 14.
        state: "present", "absent" or "uncertain".
        section: "findings", "impression", "indication", "history", "comparison", "wet_read", "addendum" or "body".
        implied: True when the words deny the finding without naming it ("heart size is normal").
        role: "finding"; or "history" where the words ask or tell of the past and do not describe this image.
        side, zone, severity, change: what the words say (not what the image shows), None where they are silent.
        lesion: ``uid`` of the finding it is about, or None.
    """

    start: int
    end: int
    text: str
    concept: str
    finding: str | None
    state: str
    section: str = ""
    implied: bool = False
    role: str = "finding"
    side: str | None = None
    zone: str | None = None
    severity: str | None = None
    change: str | None = None
    lesion: int | None = None


@dataclass(slots=True)
class StudyTruth:
    """Everything known about one phantom study.

    Attributes:
        patient_id, study_id, split, setting, sex, age, number: who and which (number counts a patient's studies).
        when: shifted date and time, ISO 8601.
        report: path of the report file relative to the data set's root, or None.
        text: the report file's text.
        sections: name -> (start, end) of its body in ``text``.
        mentions: in order of position.
        entities: (start, end, label) in RadGraph's labels, in order of position, from findings and impression.
        relations: (head, tail, label) with indices into ``entities``.
        labels: the 14 states by the mentions of the report ("present", "absent", "uncertain", "not_mentioned").
        findings: what the patient has: uid, kind, finding, side, zone, extent, grade, contrast, on_image, reported,
            certain, change.
        images: image_id, view, position, path (``files/...jpg``), paths (files written, relative to the root), rows,
            columns, and ``boxes``: uid, kind, x, y, width, height in pixels.
    """

    patient_id: str
    study_id: str
    split: str
    setting: str
    sex: str
    age: int
    number: int
    when: str
    report: str | None
    text: str
    sections: dict[str, tuple[int, int]]
    mentions: list[Mention]
    entities: list[tuple[int, int, str]]
    relations: list[tuple[int, int, str]]
    labels: dict[str, str]
    findings: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        """One line of the truth file."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> StudyTruth:
        """Inverse of :meth:`to_json`."""
        record = json.loads(line)
        record["mentions"] = [Mention(**m) for m in record["mentions"]]
        record["sections"] = {k: (v[0], v[1]) for k, v in record["sections"].items()}
        record["entities"] = [(e[0], e[1], e[2]) for e in record["entities"]]
        record["relations"] = [(r[0], r[1], r[2]) for r in record["relations"]]
        return cls(**record)


def read_truth(root: str | Path) -> Iterator[StudyTruth]:
    """The truth of every study below ``root``, in the order of their generation.

    Raises:
        DataError: ``root`` holds no phantom truth file.
    """
    path = Path(root) / TRUTH_FILE
    if not path.is_file():
        raise DataError(f"{path} does not exist: give the --out folder of `clinclip phantom` (and let it finish)")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield StudyTruth.from_json(line)
