"""What a manifest holds, as numbers: for ``clinclip inspect``. Never an id, a path or a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinclip.data.leakage import Duplicates, find_duplicates
from clinclip.data.manifest import READ_COLUMNS, TABLE_COLUMNS, Manifest
from clinclip.data.splits import SPLITS
from clinclip.findings import FINDINGS, LabelState
from clinclip.text.twins import count_kinds

#: order of states in label tables
STATES: tuple[LabelState, ...] = (
    LabelState.PRESENT,
    LabelState.UNCERTAIN,
    LabelState.ABSENT,
    LabelState.NOT_MENTIONED,
)


@dataclass(frozen=True)
class LabelTable:
    """States of the 14 findings over studies.

    Attributes:
        source: "table" or "read".
        counts: int64 (14, 4) studies by finding and by the order of STATES.
    """

    source: str
    counts: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """Table labels against read labels, by study, for one finding.

    Attributes:
        finding: its name.
        both: studies for which both say something.
        same: of those, the studies for which they say the same.
    """

    finding: str
    both: int
    same: int


@dataclass(frozen=True)
class Summary:
    """Everything that ``clinclip inspect`` shows.

    Attributes:
        facts: (name, value) of the header.
        splits: split -> (images, studies, patients).
        views: view -> images, most frequent first.
        steps: counts after each step of the preparation.
        dropped: reason -> images that were left out.
        kept: reason -> reports that stay but lack something.
        notes: what the preparation noted.
        words: int64 (studies,) words of each report.
        labels: label tables.
        agreement: of the two label sources, where both exist.
        duplicates: of texts and images.
        largest: sizes of the largest groups of studies with the same text, descending.
        images_per_study: number of images -> studies.
        studies_per_patient: number of studies -> patients.
        reports: studies with a report.
        twins: kind of edit -> reports that have such a twin.
        graphs: reports with a graph.
    """

    facts: list[tuple[str, str]]
    splits: dict[str, tuple[int, int, int]]
    views: dict[str, int]
    steps: list[dict[str, Any]]
    dropped: dict[str, int]
    kept: dict[str, int]
    notes: list[str]
    words: np.ndarray
    labels: list[LabelTable]
    agreement: list[Agreement]
    duplicates: Duplicates
    largest: list[int]
    images_per_study: dict[int, int]
    studies_per_patient: dict[int, int]
    reports: int
    twins: dict[str, int]
    graphs: int


def _label_table(studies: pd.DataFrame, source: str) -> LabelTable:
    columns = TABLE_COLUMNS if source == "table" else READ_COLUMNS
    codes = studies[list(columns)].to_numpy()
    counts = np.stack([(codes == state.code).sum(axis=0) for state in STATES], axis=1)
    return LabelTable(source, counts)


def _agreement(studies: pd.DataFrame) -> list[Agreement]:
    out = []
    for finding, table, read in zip(FINDINGS, TABLE_COLUMNS, READ_COLUMNS, strict=True):
        a, b = studies[table].to_numpy(), studies[read].to_numpy()
        both = (a != LabelState.NOT_MENTIONED.code) & (b != LabelState.NOT_MENTIONED.code)
        out.append(Agreement(finding, int(both.sum()), int((a[both] == b[both]).sum())))
    return out


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    header = manifest.header
    options = header.get("options", {})
    facts = [
        ("data set", str(header.get("dataset", ""))),
        ("manifest hash", manifest.hash),
        ("schema version", str(header["schema_version"])),
        ("clinclip", str(header.get("clinclip", ""))),
        ("report rules", str(options.get("ruleset", ""))),
        ("report text", "yes" if manifest.has_text else "none: for evaluation only"),
        ("labels", ", ".join(name for name, there in header.get("labels", {}).items() if there) or "none"),
    ]
    facts += [(f"option {name}", str(value)) for name, value in sorted(options.items()) if name != "ruleset"]
    return facts


def summarise(manifest: Manifest) -> Summary:
    """Count what there is."""
    frame, header = manifest.frame, manifest.header
    studies = frame.drop_duplicates(["dataset", "study_id"])
    with_text = studies[studies["text"] != ""]
    normalised = pd.Series([" ".join(text.split()) for text in with_text["text"]], dtype="str")
    sizes = normalised.value_counts()
    sources = [name for name in ("table", "read") if header.get("labels", {}).get(name, True)]
    per_study = frame.groupby(["dataset", "study_id"], sort=False).size().value_counts().sort_index()
    per_patient = studies.groupby(["dataset", "patient_id"], sort=False).size().value_counts().sort_index()
    drops = header.get("drops", {})
    return Summary(
        facts=_facts(manifest),
        splits={
            name: (len(part), part["study_id"].nunique(), part["patient_id"].nunique())
            for name in SPLITS
            if len(part := manifest.split(name))
        },
        views={str(view) or "(blank)": int(count) for view, count in frame["view"].value_counts().items()},
        steps=header.get("counts", []),
        dropped=drops.get("dropped", {}),
        kept=drops.get("kept", {}),
        notes=header.get("notes", []),
        words=np.asarray([len(text.split()) for text in with_text["text"]], dtype=np.int64),
        labels=[_label_table(studies, name) for name in sources],
        agreement=_agreement(studies) if len(sources) == 2 else [],
        duplicates=find_duplicates(frame),
        largest=[int(n) for n in sizes[sizes > 1].head(10)],
        images_per_study={int(str(k)): int(v) for k, v in per_study.items()},
        studies_per_patient={int(str(k)): int(v) for k, v in per_patient.items()},
        reports=len(with_text),
        twins=count_kinds(with_text["twins"]),
        graphs=int((~with_text["graph"].str.startswith('{"entities":[]')).sum()),
    )
