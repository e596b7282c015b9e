"""Named label-to-prompt templates: text for data sets that have labels but no reports.

Such text says nothing that the labels do not say. It lets a model learn the fourteen words, not the language of
reports; the manifest's header records that the text was made this way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS, NO_FINDING, LabelState

#: CheXpert's names as they are said in a report
PHRASES: Mapping[str, str] = {
    "Enlarged Cardiomediastinum": "enlargement of the cardiomediastinal silhouette",
    "Cardiomegaly": "cardiomegaly",
    "Lung Opacity": "lung opacity",
    "Lung Lesion": "a lung lesion",
    "Edema": "pulmonary edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural effusion",
    "Pleural Other": "pleural thickening",
    "Fracture": "a fracture",
    "Support Devices": "support devices",
}
TEMPLATES: dict[str, str] = {
    "present": "one sentence that lists what is present",
    "statements": "one sentence a finding that is present, absent or uncertain",
}


def _joined(phrases: Sequence[str], last: str = "and") -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {last} {phrases[-1]}"


def _bare(phrase: str) -> str:
    return phrase.removeprefix("a ")


def prompt_text(states: Sequence[LabelState], template: str) -> str:
    """The text of one image.

    Args:
        states: the 14 states in the order of FINDINGS.
        template: a key of :data:`TEMPLATES`.

    Returns:
        The text; empty where the labels say nothing.

    Raises:
        ConfigError: unknown template.
    """
    if template not in TEMPLATES:
        raise ConfigError(f"--prompts {template!r}: not one of {', '.join(TEMPLATES)}")
    by_state: dict[LabelState, list[str]] = {state: [] for state in LabelState}
    for finding, state in zip(FINDINGS, states, strict=True):
        if finding != NO_FINDING:
            by_state[state].append(PHRASES[finding])
    normal = states[FINDINGS.index(NO_FINDING)] is LabelState.PRESENT
    present, absent = by_state[LabelState.PRESENT], by_state[LabelState.ABSENT]
    sentences = []
    if normal:
        sentences.append("No acute cardiopulmonary abnormality.")
    if present:
        sentences.append(f"There is {_joined(present)}.")
    if template == "statements":
        sentences += [f"Possible {_bare(phrase)}." for phrase in by_state[LabelState.UNCERTAIN]]
        if absent:
            sentences.append(f"There is no {_joined([_bare(phrase) for phrase in absent], 'or')}.")
    return " ".join(sentences)
