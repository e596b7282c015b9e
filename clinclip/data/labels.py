"""Where label codes come from: the one meaning of "auto", "table" and "read", in training and in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clinclip.errors import ConfigError
from clinclip.findings import LABEL_SOURCES

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest


def label_source(manifests: Sequence[Manifest], wanted: str, option: str) -> str:
    """Resolve a label source for manifests that are used together: "table" or "read".

    Args:
        manifests: all of them get their labels from the same source.
        wanted: one of :data:`clinclip.findings.LABEL_SOURCES`; "auto" is the table where all have one, else read.
        option: how a user sets it, with the sign before the value (``data.labels=``, ``--labels ``).

    Raises:
        ConfigError: another word, or a manifest does not have the source.
    """
    if wanted not in LABEL_SOURCES:
        raise ConfigError(f"{option}{wanted} is not one of {', '.join(LABEL_SOURCES)}")
    without = [m for m in manifests if not m.header.get("labels", {}).get("table", False)]
    unread = [m for m in manifests if not m.has_text]
    if wanted == "auto":
        wanted = "read" if without else "table"
    if wanted == "table" and without:
        raise ConfigError(
            f"{option}table: {without[0].path} has no label table; {option}read takes the labels that clinclip reads "
            "from the reports"
        )
    if wanted == "read" and unread:
        raise ConfigError(f"{option}read: {unread[0].path} has no reports to read; {option}table takes the label table")
    return wanted
