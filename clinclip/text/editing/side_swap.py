"""The twin of a report in which one finding is on the other side."""

from __future__ import annotations

import re

from clinclip.draws import Draws
from clinclip.text.editing.exchange import WordSwap
from clinclip.text.reading.wordclasses import SIDES
from clinclip.text.types import Assertion, EditedReport

#: Places that exist on one side only: their side cannot be exchanged.
_ONE_SIDED = re.compile(r"(?i)\b(?:middle lobe|lingula\w*|rml|retrocardiac|heart)\b")


class SwapSide(WordSwap):
    """Exchange left and right."""

    kind = "swap_side"
    unnamed = "the statements name no side"

    def exchange(self, word: str, finding: str, draws: Draws) -> str | None:
        """The other side."""
        return SIDES.get(word)

    def quality(self, mention: Assertion) -> str | None:
        """The side."""
        return mention.side

    def refuses(self, phrase: str) -> str | None:
        """What exists once has no other side."""
        return "the place exists on one side only" if _ONE_SIDED.search(phrase) else None


def swap_side(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Exchange left and right wherever one positive finding is stated.

    Args:
        report: A report, or its findings and impression.
        finding: Which one; None draws among the positive ones whose statements name a single side.
        seed: Seed of the draw; the report takes part in it.

    Returns:
        The edited report, or None when no finding has a side or no candidate reads back as it must.

    Raises:
        ConfigError: unknown finding.
    """
    return SwapSide().first(report, finding, seed)
