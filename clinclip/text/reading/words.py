"""Folding and word splitting: the form of a text that lexicon and rules see; offsets stay those of the original.

Folding never changes the length of the text, so a span in the folded text is a span in the original. It lower-cases,
straightens typographic quotes and accents, turns hyphens inside words into spaces ("ground-glass" = "ground glass"),
keeps clinical slash abbreviations in one word ("w/o"), and makes every de-identification blank a run of underscores.
"""

from __future__ import annotations

import re
import unicodedata

#: Joins the letters of a slash abbreviation: a letter by Unicode, so that "w/o" stays one word.
SLASH = "\u01c0"
#: A dash between blanks, which separates like a colon ("Pneumothorax - none").
DASH = "\u2013"
#: A minus sign that stands for "no" in a review of systems ("(-) fever", "-fever +cough").
MINUS = "\u00ac"

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,/:]\d+)*|_+|[^\w\s.]")
_ASCII_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|\d+(?:[.,/:]\d+)*|_+|[^\w\s.\x1c-\x1f]", re.ASCII)  # the same, faster
_BLANK = re.compile(r"\[\*\*.*?\*\*\]|\*\*[a-z-]+(?:\[[^\]\n]*\])?")
_ABBREVIATION = re.compile(
    r"\b(and/or|w/o|w/out|w/(?=\s)|r/o(?:'d)?|h/o|s/p|c/w|b/l|d/c|f/u|y/o|p/w|i/o|n/v|n/v/d|t/c|c/o|d/t|2/2|r/t|u/s|a/w|m/r/g|c/c/e|nt/nd)\b"
    r"|\bw/(?=\s)"
)
_INNER_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_LONE_HYPHEN = re.compile(r"(?<=\s)--?(?=\s)|(?<=\w)-(?=\s)")
_SIGNED = re.compile(r"\(-\)|(?<![\w)])-ve\b")
_ROS_MINUS = re.compile(r"(?<![\w.)-])-(?=[a-z])")
_SPACED_MINUS = re.compile(r"(?<=[,;.] )-(?= [a-z])")


def _fold_table() -> dict[int, str]:
    table = {
        ord("\u2018"): "'", ord("\u2019"): "'", ord("\u02bc"): "'", ord("`"): "'",
        ord("\u201c"): '"', ord("\u201d"): '"',
        ord("\u2013"): "-", ord("\u2014"): "-", ord("\u2010"): "-", ord("\u2011"): "-", ord("\u2012"): "-",
        ord("\u2212"): "-", ord("\u00ad"): "-", ord("\u00a0"): " ", ord("\u2009"): " ", ord("\u202f"): " ",
        ord("\u2022"): ";", ord("\u00b7"): ";", ord("\ufffd"): " ",
    }  # fmt: skip
    for code in range(0xC0, 0x250):
        base = unicodedata.normalize("NFD", chr(code).lower())[:1]
        if base.isascii() and base.isalpha():
            table[code] = base
    return table


_TABLE = _fold_table()


def _underscores(match: re.Match[str]) -> str:
    return "_" * len(match.group())


def fold(text: str) -> str:
    """The form of ``text`` that the rules read; ``len(fold(text)) == len(text)`` always.

    >>> fold("No Ground-Glass opacity w/o [**Name**]")
    'no ground glass opacity wǀo ________'
    """
    low = text.lower()
    if len(low) != len(text):  # a few capitals lower-case to two characters
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    if not low.isascii():
        low = low.translate(_TABLE)
    if "**" in low:
        low = _BLANK.sub(_underscores, low)
    if "/" in low:
        low = _ABBREVIATION.sub(lambda m: m.group().replace("/", SLASH), low)
    if "-" in low:
        low = _INNER_HYPHEN.sub(" ", low)
        if "-" in low:
            low = _SIGNED.sub(lambda m: MINUS.center(len(m.group())), low)
            if "+" in low:  # "+cough -fever": plus signs show that the minus signs mean "no"
                low = _SPACED_MINUS.sub(MINUS, _ROS_MINUS.sub(MINUS, low))
            low = _LONE_HYPHEN.sub(lambda m: DASH.ljust(len(m.group())), low).replace("-", " ")
    return low


def split_words(folded: str) -> list[str]:
    """Words, numbers, blanks and single punctuation marks of a folded text. Full stops are dropped."""
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


def word_spans(folded: str) -> list[tuple[int, int]]:
    """(start, end) of each element of :func:`split_words`."""
    return [m.span() for m in (_ASCII_WORD if folded.isascii() else _WORD).finditer(folded)]


def one_edit(a: str, b: str, swap_only: bool = False) -> bool:
    """Whether one typing error turns ``a`` into ``b``: two letters swapped, or one inserted, left out or replaced.

    Args:
        a: a word.
        b: another one.
        swap_only: allow swapped neighbours only, the one error that is safe to mend in short words.
    """
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1 or a == b:
        return False
    i = 0
    while i < len(a) and a[i] == b[i]:
        i += 1
    if len(a) == len(b):
        swapped = a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :]
        return swapped or (not swap_only and a[i + 1 :] == b[i + 1 :])
    return not swap_only and a[i:] == b[i + 1 :]
