"""What reading and rewriting a report returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from clinclip.findings import LabelState

#: Rules (:attr:`Assertion.rule`) of mentions that say nothing about this image: labels and edits pass them over.
SILENT_RULES = frozenset({"history", "known", "other-subject", "hypothetical", "comparison", "context-section"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """One mention of a finding, and what the text says about it.

    Attributes:
        concept: canonical name of the sub-finding ("small apical pneumothorax" -> "pneumothorax"); the phrase itself
            for :func:`clinclip.text.assert_phrase`.
        finding: the CheXpert observation it belongs to, or None outside the vocabulary.
        start: first character of the mention in the text that was read.
        end: one past its last character.
        text: ``source[start:end]``.
        state: present, absent or uncertain.
        cue: the words that decided it ("no", "cannot exclude"), or None when present by default.
        cue_start: first character of the cue, or None.
        cue_end: one past its last character, or None.
        rule: name of the rule that decided it.
        sentence: (start, end) of the sentence.
        locations: anatomical sites, canonical ("left lower lobe").
        side: "left", "right", "bilateral" or None.
        severity: "trace", "mild", "moderate", "severe" or None.
        change: "new", "increased", "decreased", "unchanged", "resolved" or None.
    """

    concept: str
    finding: str | None
    start: int
    end: int
    text: str
    state: LabelState
    cue: str | None
    cue_start: int | None
    cue_end: int | None
    rule: str
    sentence: tuple[int, int]
    locations: tuple[str, ...] = ()
    side: str | None = None
    severity: str | None = None
    change: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement: ``before[start:end] == old`` became ``new``. Offsets count in the *original* text."""

    start: int
    end: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class EditedReport:
    """An edited twin of a report.

    Attributes:
        text: the edited report.
        source: the report it was made from.
        kind: of the edit, a key of :data:`clinclip.text.editing.EDITS`.
        finding: the CheXpert observation that was edited.
        edits: replacements in order of their position; applying them to ``source`` gives ``text``, undoing gives back.
        template: id of the sentence template that was inserted, or None.
        labels_before: the 14 states read from ``source``.
        labels_after: the 14 states re-derived after the edit.
    """

    text: str
    source: str
    kind: str
    finding: str
    edits: tuple[Edit, ...]
    template: str | None
    labels_before: dict[str, LabelState] = field(default_factory=dict)
    labels_after: dict[str, LabelState] = field(default_factory=dict)
