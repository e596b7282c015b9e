"""The twin of a report in which one finding is much smaller or larger than stated."""

from __future__ import annotations

from clinclip.draws import Draws
from clinclip.text.editing.exchange import WordSwap
from clinclip.text.types import Assertion, EditedReport

#: Size and degree words and what they become. Words for size and words for degree stay apart.
SEVERITY_SWAPS: dict[str, tuple[str, ...]] = {
    "trace": ("large",), "tiny": ("large",), "small": ("large",), "small-to-moderate": ("large",),
    "moderate-sized": ("tiny", "small"), "large": ("small", "tiny"), "moderate-to-large": ("small",),
    "massive": ("small", "tiny"), "minimal": ("severe", "marked"), "slight": ("severe", "marked"),
    "mild": ("severe", "marked"), "minor": ("severe",), "moderate": ("minimal", "mild"), "marked": ("minimal", "mild"),
    "severe": ("mild", "minimal"), "extensive": ("minimal",), "mildly": ("severely", "markedly"),
    "minimally": ("severely", "markedly"), "slightly": ("severely", "markedly"), "moderately": ("minimally", "mildly"),
    "severely": ("mildly", "minimally"), "markedly": ("mildly", "minimally"),
}  # fmt: skip
#: Findings that have a size; the others have a degree.
SIZED = frozenset({"Pleural Effusion", "Pneumothorax", "Lung Lesion", "Lung Opacity", "Consolidation"})
AS_SIZE = {"severe": "large", "marked": "large", "minimal": "tiny", "mild": "small"}
AS_DEGREE = {"large": "severe", "small": "mild", "tiny": "minimal"}


class SwapSeverity(WordSwap):
    """Exchange words for size and degree."""

    kind = "swap_severity"
    unnamed = "no severity is named"

    def exchange(self, word: str, finding: str, draws: Draws) -> str | None:
        """A word from the other end of the scale, of the finding's own scale."""
        options = SEVERITY_SWAPS.get(word)
        if not options:
            return None
        new = draws.pick(options, self.kind, word)
        return AS_SIZE.get(new, new) if finding in SIZED else AS_DEGREE.get(new, new)

    def quality(self, mention: Assertion) -> str | None:
        """The severity."""
        return mention.severity


def swap_severity(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Make one positive finding much smaller or larger than stated.

    Args, result and errors as :func:`clinclip.text.swap_side`.
    """
    return SwapSeverity().first(report, finding, seed)
