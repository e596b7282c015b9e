"""Find a phrase in a sentence: as it stands, inflected, interrupted, reordered, or with a typing error."""

from __future__ import annotations

from functools import lru_cache

from clinclip.text.reading.lexicon.build import lexicon
from clinclip.text.reading.words import one_edit

#: words that a phrase may leave out or add
_SMALL = frozenset(
    ("a", "an", "the", "of", "to", "in", "on", "at", "and", "or", "for", "with", "her", "his", "their", "any")
)
#: how many foreign words may stand between the words of a phrase
_MAX_GAP = 4
_SUFFIXES = ("'s", "nesses", "ness", "ings", "ing", "edly", "ied", "ies", "ed", "es", "s", "ly", "e", "y")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A crude stem: enough to make "polyps", "polyp" and "tender", "tenderness" equal."""
    vocabulary = lexicon().vocabulary
    if word in vocabulary and vocabulary[word] in _canonical():
        word = _canonical()[vocabulary[word]]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


@lru_cache(maxsize=1)
def _canonical() -> dict[str, str]:
    """Character -> the first word that got it: the canonical spelling."""
    table: dict[str, str] = {}
    for word, char in lexicon().vocabulary.items():
        table.setdefault(char, word)
    return table


def _alike(a: str, b: str) -> bool:
    """Whether two stems are inflections or misspellings of each other."""
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    if len(short) < 5:
        return False
    common = 0
    while common < len(short) and a[common] == b[common]:
        common += 1
    return (common >= 5 and common >= len(long) - 3) or (
        len(short) >= 6 and short[0] == long[0] and one_edit(short, long)
    )


def locate(words: list[str], phrase: list[str]) -> list[tuple[int, int, int]]:
    """(start, end, quality) of the phrase's places in a sentence; only places of the best quality found.

    Quality: 5 as it stands, 4 by stems, 3 in order with gaps, 2 in any order, 1 by its most telling word.
    """
    n = len(phrase)
    if not n or not words:
        return []
    exact = [(i, i + n, 5) for i in range(len(words) - n + 1) if words[i : i + n] == phrase]
    if exact:
        return exact
    have, want = [stem(w) for w in words], [stem(w) for w in phrase]
    found = [(i, i + n, 4) for i in range(len(words) - n + 1) if have[i : i + n] == want]
    if found:
        return found
    found = [
        (i, i + n, 4) for i in range(len(words) - n + 1) if all(map(_alike, have[i : i + n], want))
    ]  # fmt: skip
    if found:
        return found
    content = [w for w in want if w not in _SMALL and w.isalnum()] or want
    ordered = _in_order(have, content)
    if ordered:
        return [(start, end, 3) for start, end in ordered]
    anyhow = _any_order(have, content)
    if anyhow:
        return [(*anyhow, 2)]
    if len(content) > 1:  # its head or most telling word alone
        for word in sorted({content[-1], max(content, key=len)}, key=len, reverse=True):
            places = [(i, i + 1, 1) for i, h in enumerate(have) if len(word) >= 4 and _alike(h, word)]
            if places:
                return places
    return []


def _in_order(have: list[str], want: list[str]) -> list[tuple[int, int]]:
    places = []
    for i, word in enumerate(have):
        if not _alike(word, want[0]):
            continue
        at, k = i, 1
        while k < len(want):
            step = next((j for j in range(at + 1, min(len(have), at + 2 + _MAX_GAP)) if _alike(have[j], want[k])), None)
            if step is None:
                break
            at, k = step, k + 1
        if k == len(want):
            places.append((i, at + 1))
    return places


def _any_order(have: list[str], want: list[str]) -> tuple[int, int] | None:
    places = []
    for word in want:
        at = next((i for i, h in enumerate(have) if _alike(h, word)), None)
        if at is None:
            return None
        places.append(at)
    start, end = min(places), max(places) + 1
    return (start, end) if end - start <= len(want) * (1 + _MAX_GAP) else None


def denied_word(words: list[str], phrase: list[str]) -> int | None:
    """Place of a word that denies the phrase by its prefix or suffix: "afebrile", "nontender", "painless"."""
    for target in phrase:
        base = stem(target)
        if len(base) < 4:
            continue
        for i, word in enumerate(words):
            for prefix in ("non", "a", "an", "un", "in"):
                if word.startswith(prefix) and len(word) > len(prefix) + 3:
                    rest = word[len(prefix) :]
                    if rest[:4] == base[:4] and _alike(stem(rest), base):
                        return i
            if word.endswith("less") and _alike(stem(word[:-4]), base):
                return i
    return None
