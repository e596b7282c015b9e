"""Number and case: verbs that agree with what is left of a sentence, capitals where a sentence begins."""

from __future__ import annotations

import re

from clinclip.text.reading.nounphrases import words_of
from clinclip.text.reading.wordclasses import PLURAL_OF, SINGULAR_OF

_SINGULAR_END = re.compile(r"(?i)(?:sis|ss|us|is|x)$")


def match_initial(text: str, like: str) -> str:
    """Begin with a capital if the first letter of ``like`` is one."""
    first = next((c for c in like if c.isalpha()), "a")
    for position, char in enumerate(text):
        if char.isdigit():
            break
        if char.isalpha():
            return text[:position] + (char.upper() if first.isupper() else char) + text[position + 1 :]
    return text


def agree(text: str, start: int, end: int) -> str:
    """Make the verbs around the only survivor of a list agree with it."""
    table = SINGULAR_OF if is_singular(text[start:end]) else PLURAL_OF
    after = re.match(r"\s+(\w+)", text[end:])
    if after and after.group(1).lower() in table:
        word, at = after.group(1), end + after.start(1)
        rest = re.sub(r"(?i)^(\s+)both\s+", r"\1", text[at + len(word) :])
        text = text[:at] + like(table[word.lower()], word) + rest
    for match in list(re.finditer(r"\w+", text[:start]))[-3:]:
        word = match.group()
        if word.lower() in table and word.lower() in {"is", "are", "was", "were"}:
            text = text[: match.start()] + like(table[word.lower()], word) + text[match.end() :]
            break
    return text


def is_singular(phrase: str) -> bool:
    """Whether the head noun of a noun phrase is singular ("small effusion in the bases" -> True)."""
    head = ""
    for word in words_of(phrase):
        if head and (word.low in {"in", "at", "of", "on", "within", "along", "over", "(", ","} or not word.is_word):
            break
        if word.is_word:
            head = word.low
    if head.endswith("thoraces"):
        return False
    return not head.endswith("s") or bool(_SINGULAR_END.search(head))


def like(word: str, model: str) -> str:
    """A word in the letters of another: "is" like "ARE" -> "IS"."""
    return word.upper() if model.isupper() else word.capitalize() if model[:1].isupper() else word
