"""The CheXpert-14 vocabulary, the four label states, and named policies that turn states into numbers.

Source of the vocabulary and of the hierarchy: Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with
Uncertainty Labels and Expert Comparison", AAAI 2019, figure 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from clinclip.errors import ConfigError

#: The 14 CheXpert observations in CheXpert's own order. The order of every label vector in clinclip.
FINDINGS: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
FINDING_INDEX: dict[str, int] = {name: i for i, name in enumerate(FINDINGS)}
NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"

#: child -> parent, from the CheXpert label tree.
PARENT: dict[str, str] = {
    "Cardiomegaly": "Enlarged Cardiomediastinum",
    "Lung Lesion": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Atelectasis": "Lung Opacity",
    "Pneumonia": "Consolidation",
}

#: The five observations of the CheXpert competition.
CHEXPERT_FIVE: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


class LabelState(StrEnum):
    """What a report (or a label table) says about one finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not_mentioned"

    @property
    def code(self) -> int:
        """The int8 code used in manifests and batches: 1 present, 0 absent, -1 uncertain, -2 not mentioned."""
        return STATE_CODE[self]

    @classmethod
    def from_code(cls, code: int) -> LabelState:
        """The state of an int8 code. Raises ConfigError for any other number."""
        try:
            return CODE_STATE[int(code)]
        except KeyError:
            raise ConfigError(f"label code {code!r} is not one of {sorted(CODE_STATE)}") from None


STATE_CODE: dict[LabelState, int] = {
    LabelState.PRESENT: 1,
    LabelState.ABSENT: 0,
    LabelState.UNCERTAIN: -1,
    LabelState.NOT_MENTIONED: -2,
}
CODE_STATE: dict[int, LabelState] = {code: state for state, code in STATE_CODE.items()}
PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED = 1, 0, -1, -2

#: Named encodings: state -> number, for similarities and targets. NaN means "leave out".
ENCODINGS: dict[str, Mapping[LabelState, float]] = {
    # the default: positive 1, uncertain 0.5, negative or blank 0
    "positive": {
        LabelState.PRESENT: 1.0,
        LabelState.UNCERTAIN: 0.5,
        LabelState.ABSENT: 0.0,
        LabelState.NOT_MENTIONED: 0.0,
    },
    # shared negatives count too
    "signed": {
        LabelState.PRESENT: 1.0,
        LabelState.UNCERTAIN: 0.5,
        LabelState.ABSENT: -1.0,
        LabelState.NOT_MENTIONED: 0.0,
    },
    # CheXpert's U-Zeros and U-Ones
    "u_zeros": {
        LabelState.PRESENT: 1.0,
        LabelState.UNCERTAIN: 0.0,
        LabelState.ABSENT: 0.0,
        LabelState.NOT_MENTIONED: 0.0,
    },
    "u_ones": {
        LabelState.PRESENT: 1.0,
        LabelState.UNCERTAIN: 1.0,
        LabelState.ABSENT: 0.0,
        LabelState.NOT_MENTIONED: 0.0,
    },
}

#: Where labels come from: the publisher's table, clinclip's reading of the reports, or "auto" (the table, else read).
LABEL_SOURCES: tuple[str, ...] = ("auto", "table", "read")

#: Named policies for evaluation and supervised training: state -> 1, 0 or None (left out).
EVALUATION_POLICIES: dict[str, Mapping[LabelState, int | None]] = {
    # only what the report or reader says outright
    "explicit": {
        LabelState.PRESENT: 1,
        LabelState.ABSENT: 0,
        LabelState.UNCERTAIN: None,
        LabelState.NOT_MENTIONED: None,
    },
    # a finding that is not mentioned is taken as absent; uncertain left out
    "mentioned": {
        LabelState.PRESENT: 1,
        LabelState.ABSENT: 0,
        LabelState.UNCERTAIN: None,
        LabelState.NOT_MENTIONED: 0,
    },
    "u_zeros": {LabelState.PRESENT: 1, LabelState.ABSENT: 0, LabelState.UNCERTAIN: 0, LabelState.NOT_MENTIONED: 0},
    "u_ones": {LabelState.PRESENT: 1, LabelState.ABSENT: 0, LabelState.UNCERTAIN: 1, LabelState.NOT_MENTIONED: 0},
}


def column_name(finding: str) -> str:
    """Manifest column suffix of a finding: ``"Pleural Effusion"`` -> ``"pleural_effusion"``."""
    return finding.lower().replace(" ", "_")


def check_finding(name: str, key: str = "finding") -> str:
    """Return ``name`` if it is one of the 14; raise ConfigError naming the allowed values otherwise."""
    if name not in FINDING_INDEX:
        raise ConfigError(f"{key}={name!r} is not a CheXpert observation; allowed: {', '.join(FINDINGS)}")
    return name
