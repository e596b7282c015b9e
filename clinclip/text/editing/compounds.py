"""Words that state two findings at once, and what is left of them without one: hydropneumothorax, nodular opacity."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clinclip.text.reading.nounphrases import SpanMention

#: word -> (finding that stays, what to call it). Plural forms follow the plural of the compound.
COMPOUNDS: dict[str, dict[str, tuple[str, str]]] = {
    "hydropneumothorax": {
        "Pleural Effusion": ("pleural effusion", "pleural effusions"),
        "Pneumothorax": ("pneumothorax", "pneumothoraces"),
    },
    "hemopneumothorax": {
        "Pleural Effusion": ("hemothorax", "hemothoraces"),
        "Pneumothorax": ("pneumothorax", "pneumothoraces"),
    },
    "nodular opacity": {
        "Lung Opacity": ("opacity", "opacities"),
        "Lung Lesion": ("nodule", "nodules"),
    },
    "nodular density": {
        "Lung Opacity": ("density", "densities"),
        "Lung Lesion": ("nodule", "nodules"),
    },
}  # fmt: skip
_PLURALS = {
    "hydropneumothoraces": "hydropneumothorax",
    "hemopneumothoraces": "hemopneumothorax",
    "nodular opacities": "nodular opacity",
    "nodular densities": "nodular density",
}


def split_compounds(
    sentence: str, spans: Sequence[SpanMention], findings: Sequence[str | None]
) -> tuple[str, list[SpanMention]] | None:
    """Replace compounds of which one part must go and the other stay.

    Args:
        sentence: The sentence.
        spans: Its mentions; the two parts of a compound share their span.
        findings: The observation of each mention.

    Returns:
        The sentence with the part that stays, and its mentions; None when it holds no such compound.
    """
    by_span: dict[tuple[int, int], list[int]] = {}
    for number, span in enumerate(spans):
        by_span.setdefault((span.start, span.end), []).append(number)
    changes: list[tuple[int, int, str, int]] = []
    for (start, end), numbers in by_span.items():
        stay = [n for n in numbers if not spans[n].doomed]
        if len(numbers) < 2 or len(stay) != 1:
            continue
        word = " ".join(sentence[start:end].lower().split())
        plural = word in _PLURALS
        names = COMPOUNDS.get(_PLURALS.get(word, word), {}).get(findings[stay[0]] or "")
        if names is not None:
            changes.append((start, end, _in_case(names[plural], sentence[start:end]), stay[0]))
    if not changes:
        return None
    gone = {(start, end) for start, end, _, _ in changes}
    stays = {number for _, _, _, number in changes}
    text = ""
    cursor = 0
    shifts: list[tuple[int, int]] = []
    for start, end, new, _ in sorted(changes):
        before = sentence[cursor:start]
        before = re.sub(r"(?i)\b(an?)(\s+)$", lambda m, new=new: _article(m, new), before)
        text += before + new
        cursor = end
        shifts.append((end, len(text) - end))
    text += sentence[cursor:]
    moved: list[SpanMention] = []
    for number, span in enumerate(spans):
        if (span.start, span.end) in gone and number not in stays:
            continue
        shift = next((s for at, s in reversed(shifts) if at <= span.end), 0)
        length = len(next((new for a, b, new, n in changes if n == number), sentence[span.start : span.end]))
        moved.append(SpanMention(span.end + shift - length, span.end + shift, span.doomed))
    return text, moved


def _article(match: re.Match[str], following: str) -> str:
    article = "an" if following[0].lower() in "aeiou" else "a"
    if match.group(1)[0].isupper():
        article = article.upper() if match.group(1).isupper() and following.isupper() else article.capitalize()
    return article + match.group(2)


def _in_case(new: str, old: str) -> str:
    if old.isupper():
        return new.upper()
    return new.capitalize() if old[0].isupper() else new
