"""From a report's sections to the one text that the text tower reads: policies and white space.

Reports wrap at 79 characters and start every line with a blank. Lines of a paragraph are joined; paragraphs and list
items stay on lines of their own, so that a list without full stops does not melt into one sentence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clinclip.errors import ConfigError

if TYPE_CHECKING:
    from clinclip.text.sections import StudyRules

#: a line that begins a list item: "1. ", "2) ", "- ", "* "
_ITEM = re.compile(r"\s*(?:\d{1,2}[.)]\s|[-*\u2022]\s)")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")

#: the text policy that takes a text as it is
WHOLE = "report"


def unwrap(text: str) -> str:
    """Join wrapped lines; keep paragraphs and list items apart by a newline. Nothing else changes."""
    blocks: list[str] = []
    for paragraph in _BLANK_LINE.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        lines: list[str] = []
        for line in paragraph.split("\n"):
            words = " ".join(line.split())
            if not words:
                continue
            if lines and not _ITEM.match(line):
                lines[-1] += " " + words
            else:
                lines.append(words)
        blocks += lines
    return "\n".join(blocks)


def has_words(text: str) -> bool:
    """False for a text of blanks, punctuation and de-identification marks only ("___.")."""
    return any(ch.isalnum() for ch in text)


def text_policies() -> dict[str, str]:
    """Names of the text policies and what they take."""
    from clinclip.text.sections import TEXT_POLICIES

    return {**TEXT_POLICIES, WHOLE: "the whole report as it is"}


def check_policy(policy: str) -> str:
    """The policy's canonical name ("findings+impression" -> "findings_impression").

    Raises:
        ConfigError: unknown policy.
    """
    name = policy.replace("+", "_")
    if name not in text_policies():
        raise ConfigError(f"--text {policy!r}: not one of {', '.join(text_policies())}")
    return name


def report_parts(
    report: str, policy: str, study_id: str | None = None, rules: StudyRules | None = None
) -> tuple[str, str, str]:
    """(findings, impression, text) of a report, unwrapped; text is empty when the policy finds no words.

    Args:
        report: as published.
        policy: a canonical text policy.
        study_id: for ``rules``.
        rules: the user's hand-made section rules.
    """
    from clinclip.text.sections import split_sections, study_text

    sections = split_sections(report, study_id, rules)
    text = unwrap(report if policy == WHOLE else study_text(sections, policy))
    return (
        unwrap(sections.get("findings", "")),
        unwrap(sections.get("impression", "")),
        text if has_words(text) else "",
    )
