"""What is evaluated, whatever the model: rows of a manifest, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clinclip.errors import ConfigError, DataError
from clinclip.evaluation.protocols import Protocol
from clinclip.findings import EVALUATION_POLICIES, FINDING_INDEX, FINDINGS, LABEL_SOURCES, check_finding

if TYPE_CHECKING:
    import pandas as pd

    from clinclip.data.manifest import Manifest
    from clinclip.metrics.subgroups import Group


@dataclass(frozen=True)
class Items:
    """Rows of a manifest.

    Attributes:
        manifest: where they come from.
        rows: int64 (N,) positions in its frame.
        patient: int64 (N,) hashed patients, as training records them.
        study: int64 (N,) hashed studies.
    """

    manifest: Manifest
    rows: np.ndarray
    patient: np.ndarray
    study: np.ndarray

    @property
    def frame(self) -> pd.DataFrame:
        """Their rows."""
        return self.manifest.frame.iloc[self.rows]

    def take(self, mask: np.ndarray) -> Items:
        """Some of them."""
        return Items(self.manifest, self.rows[mask], self.patient[mask], self.study[mask])

    def groups(self, index: np.ndarray | None = None) -> list[Group]:
        """Subgroups by sex, age and view; of items that refer to these rows by ``index``, if given."""
        from clinclip.metrics.subgroups import subgroups

        at = np.arange(len(self.rows)) if index is None else index
        frame = self.frame.iloc[at]
        return subgroups(frame["sex"].tolist(), frame["age"].tolist(), frame["view"].tolist(), self.patient[at])


def select(manifest: Manifest, split: str, views: tuple[str, ...] = ()) -> Items:
    """The images of a split, in the manifest's order.

    Raises:
        DataError: none is left.
    """
    from clinclip.draws import stable_hashes

    frame = manifest.frame
    mask = (frame["split"] == split).to_numpy()
    if views:
        mask = mask & frame["view"].str.upper().isin(views).to_numpy()
    rows = np.flatnonzero(mask)
    if not len(rows):
        counts = ", ".join(f"{name} {count}" for name, count in frame["split"].value_counts().items())
        raise DataError(
            f"{manifest.path}: no image in the {split} split{' with the views ' + ', '.join(views) if views else ''}; "
            f"there are: {counts} (options --split, --views)"
        )
    part = frame.iloc[rows]
    return Items(
        manifest,
        rows,
        stable_hashes(part["dataset"], part["patient_id"]),
        stable_hashes(part["dataset"], part["study_id"]),
    )


def label_codes(items: Items, source: str) -> np.ndarray:
    """int8 (N, 14) label codes from the table, or as read from the reports."""
    from clinclip.data.manifest import READ_COLUMNS, TABLE_COLUMNS

    return items.frame[list(TABLE_COLUMNS if source == "table" else READ_COLUMNS)].to_numpy(np.int8)


@dataclass(frozen=True, kw_only=True)
class LabelProtocol(Protocol):
    """A protocol of a task that needs labels.

    Attributes:
        findings: those that are classified.
        label_source: one of :data:`clinclip.findings.LABEL_SOURCES`.
        label_policy: a key of :data:`clinclip.findings.EVALUATION_POLICIES`.
    """

    findings: tuple[str, ...] = FINDINGS
    label_source: str = "auto"
    label_policy: str = "mentioned"

    #: the options that change them
    OPTIONS: ClassVar[dict[str, dict[str, Any]]] = {
        "--labels": {
            "dest": "label_source",
            "choices": LABEL_SOURCES,
            "help": "truth from the label table, or read from reports",
        },
        "--label-policy": {"metavar": "NAME", "help": ", ".join(EVALUATION_POLICIES)},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.one_of("label_source", LABEL_SOURCES)
        self.one_of("label_policy", tuple(EVALUATION_POLICIES))
        for finding in self.findings:
            check_finding(finding, key=f"protocol {self.name}: findings")
        if not self.findings:
            raise ConfigError(f"protocol {self.name}: findings must not be empty")


def truth(items: Items, protocol: LabelProtocol, source: str, findings: Sequence[str]) -> np.ndarray:
    """float64 (N, K): 1, 0 or NaN (left out) of these findings, by the protocol's label policy."""
    from clinclip.metrics.arrays import codes_to_binary

    columns = [FINDING_INDEX[f] for f in findings]
    return codes_to_binary(label_codes(items, source), protocol.label_policy)[:, columns]


def data_facts(items: Items, **more: Any) -> dict[str, Any]:
    """What is said about the data next to every number."""
    header, options = items.manifest.header, items.manifest.header.get("options", {})
    facts: dict[str, Any] = {
        "data_set": ", ".join(sorted(items.frame["dataset"].unique())),
        "manifest_hash": items.manifest.hash,
        "split": ", ".join(sorted(items.frame["split"].unique())),
        "images": len(items.rows),
        "studies": len(np.unique(items.study)),
        "patients": len(np.unique(items.patient)),
    }
    if header.get("text", {}).get("available", True):
        facts["text"] = str(options.get("text", "as prepared"))
        facts["report_rules"] = str(options.get("ruleset", "unknown"))
    return {**facts, **more}
