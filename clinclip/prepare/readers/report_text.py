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


#: every line end that editors and databases write
_LINE_END = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
#: what de-identification leaves: XXXX, ___, [**Name 1**], [REDACTED], <NAME>
_MARK = re.compile(
    r"\b[xX]{2,}\b|_{2,}|\[\*\*.*?\*\*\]|<[^<>\n]{0,40}>"
    r"|\[[^\]\n]*(?:redact|remov|delet|identif|anonym|omit|masked|name|date|hospital)[^\]\n]*\]",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"[^\W_]+")
#: how tables write that there is nothing
_NOTHING = frozenset({"nan", "none", "null", "na", "nil", "nat", "n", "a"})


def straighten(text: str) -> str:
    r"""Every kind of line end as ``\n``."""
    return _LINE_END.sub("\n", text)


def unwrap(text: str) -> str:
    """Join wrapped lines; keep paragraphs and list items apart by a newline. Nothing else changes."""
    blocks: list[str] = []
    for paragraph in _BLANK_LINE.split(straighten(text)):
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
    """False for a text of blanks, punctuation, numbers, de-identification marks ("XXXX.") and nan words only."""
    words = (word.lower() for word in _WORD.findall(_MARK.sub(" ", text)))
    return any(word not in _NOTHING and any(ch.isalpha() for ch in word) for word in words)


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
    report: str,
    policy: str,
    *,
    official: bool = False,
    study_id: str | None = None,
    rules: StudyRules | None = None,
) -> tuple[str, str, str]:
    """(findings, impression, text) of a report, unwrapped; text is empty when the policy finds no words.

    Args:
        report: as published, with any line ends.
        policy: a canonical text policy.
        official: find sections as the official MIMIC-CXR parser does, quirks included, instead of by titles in general.
        study_id: for ``rules``.
        rules: the user's hand-made section rules; official only.
    """
    from clinclip.text.sections import split_sections, study_text, titled_sections

    report = straighten(report)
    if official:
        sections = split_sections(report, study_id, rules)
    else:
        sections = {name: text for name, text in titled_sections(report).items() if has_words(text)}
    text = unwrap(report if policy == WHOLE else study_text(sections, policy))
    return (
        unwrap(sections.get("findings", "")),
        unwrap(sections.get("impression", "")),
        text if has_words(text) else "",
    )
