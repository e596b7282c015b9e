"""Report language: sections, sentences, mentions and their states, labels, edited twins of reports; without torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Version of lexicon and rules; stands in every manifest that was labelled with them.
RULESET_VERSION = "2026.3"

# public name -> module that defines it
_PUBLIC = {
    "split_sections": "clinclip.text.sections",
    "study_text": "clinclip.text.sections",
    "StudyRules": "clinclip.text.sections",
    "TEXT_POLICIES": "clinclip.text.sections",
    "split_sentences": "clinclip.text.sentences",
    "find_assertions": "clinclip.text.reading.assertions",
    "assert_phrase": "clinclip.text.reading.phrases",
    "label_report": "clinclip.text.labels",
    "trace": "clinclip.text.reading.tracing",
    "negate": "clinclip.text.editing.negation",
    "omit": "clinclip.text.editing.omission",
    "swap_side": "clinclip.text.editing.side_swap",
    "swap_severity": "clinclip.text.editing.severity_swap",
    "swap_finding": "clinclip.text.editing.finding_swap",
    "EDITS": "clinclip.text.editing",
    "ReportEdit": "clinclip.text.editing.base",
    "SILENT_RULES": "clinclip.text.types",
    "Assertion": "clinclip.text.types",
    "Edit": "clinclip.text.types",
    "EditedReport": "clinclip.text.types",
}

__all__ = ["RULESET_VERSION", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(
        f"module 'clinclip.text' has no attribute {name!r}; public names: {', '.join(sorted(__all__))}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)
