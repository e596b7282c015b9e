"""Sentence splitting of reports and notes, with offsets, in linear time.

Radiology text wraps lines in the middle of sentences, numbers its impressions, omits full stops at line ends and writes
"2.5 cm", "vs." and "Dr. ___". A sentence ends at a full stop, question or exclamation mark followed by white space
(unless the stop belongs to an abbreviation, an initial or a list number), at an empty line, and at a line break before
a list item, before a title ("LUNGS:"), or after a line too short to have been wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A "sentence" longer than this is cut at white space: text without punctuation must not make run time quadratic.
MAX_CHARS = 1200
#: Lines of reports wrap near column 79; a shorter line that is followed by a capital was ended on purpose.
WRAP_COLUMN = 60

_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "e.g",
        "i.e",
        "eg",
        "ie",
        "etc",
        "approx",
        "resp",
        "no",
        "nos",
        "fig",
        "figs",
        "inc",
        "lat",
        "ant",
        "post",
        "sup",
        "inf",
        "pt",
        "pts",
        "ca",
        "cf",
        "al",
        "dept",
        "hosp",
        "assoc",
        "temp",
        "wt",
        "ht",
        "max",
        "min",
        "avg",
        "med",
        "meds",
        "q.d",
        "b.i.d",
        "t.i.d",
        "p.o",
        "i.v",
        "a.m",
        "p.m",
        "p.r.n",
        "u.s",
        "d.c",
    ]
)
#: a stop with closing quotes and brackets, or a line break with the blanks behind it (group 1: an empty line)
_BREAK = re.compile(r"[.!?]+[\"')\]]*|\n[ \t\r]*(\n\s*)?")
_ITEM_MARKS = frozenset("0123456789(-*\u2022")
_ITEM = re.compile(r"[ \t]*(?:\(?\d{1,2}[.)]\s|[-*\u2022]\s|[A-Z][A-Za-z /&,-]{2,40}:)")


def _is_abbreviation(text: str, stop: int, sentence_start: int) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it."""
    cut = text.rfind(" ", sentence_start, stop)
    if cut < sentence_start:
        cut = sentence_start - 1
    if stop - cut > 9 and text.find("\n", cut + 1, stop) < 0:
        return False
    word = text[cut + 1 : stop]
    if "\n" in word:
        cut = text.rfind("\n", 0, stop)
        word = text[cut + 1 : stop]
    if word[:1] == "(":
        cut, word = cut + 1, word[1:]
    if word.isdigit():  # "1. No effusion": a list number, only at the start of a sentence
        return text[sentence_start : cut + 1].strip(" \t\r\n(") == ""
    if len(word) == 1:  # an initial, or "R. lung"; but not "hepatitis B. No ..." or "vitamin K. The"
        following = text[stop + 1 : stop + 8].lstrip()[:1]
        before = text[max(sentence_start, cut - 6) : cut + 1].split()
        initial = following.islower() and (word.isupper() or word in "rlce")  # "C. difficile", "r. lung"
        return initial or (bool(before) and before[-1].lower() in {"dr", "dr.", "by", "drs"})
    low = word.lower()
    if low == "no":  # "No. 3" is a number, "Pneumothorax: no." is an answer
        return text[stop + 1 : stop + 6].lstrip()[:1].isdigit()
    return low in _ABBREVIATIONS


def _breaks_line(text: str, at: int, first: int) -> bool:
    """Whether the line break at ``at`` ends a sentence; the next line's text begins at ``first``."""
    char = text[first]
    if char.isupper():
        width = at - text.rfind("\n", 0, at) - 1
        if width < WRAP_COLUMN:
            end = text.find(" ", first, first + 20)
            if width + (end if end > 0 else first + 20) - first < WRAP_COLUMN:
                return True
        return text.find(":", first, first + 44) > 0 and _ITEM.match(text, first) is not None
    return char in _ITEM_MARKS and _ITEM.match(text, first) is not None


def _cut_long(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    while end - start > MAX_CHARS:
        cut = text.rfind(" ", start + MAX_CHARS // 2, start + MAX_CHARS)
        if cut < 0:
            cut = start + MAX_CHARS
        spans.append((start, cut))
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        spans.append((start, end))


def raw_sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each sentence with the white space around it; some may hold nothing else."""
    start = 0
    length = len(text)
    for match in _BREAK.finditer(text):
        at, after = match.span()
        if text[at] != "\n":
            following = text[after : after + 1]
            if following and not following.isspace():
                tight = following.isupper() and text[after + 1 : after + 2].islower() and text[at:after] == "."
                if not (tight and (text[at - 1 : at].islower() or text[at - 1 : at] == ")")):
                    continue  # "2.5 cm"; but "effusion.No pneumothorax" are two sentences
            elif after - at == 1:
                char = text[at]
                if char == "." and _is_abbreviation(text, at, start):
                    continue
                if char == "?" and (at == 0 or text[at - 1] in " \n(") and following == " ":
                    continue  # "? small effusion" asks about what follows
            yield start, after
            start = after
        elif match.lastindex:
            yield start, at
            start = after
        elif after < length and _breaks_line(text, at, after):
            yield start, at
            start = at + 1
    yield start, len(text)


def split_sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, in order, without surrounding white space; empty ones are left out.

    >>> [("No effusion. Heart is normal.")[a:b] for a, b in split_sentences("No effusion. Heart is normal.")]
    ['No effusion.', 'Heart is normal.']
    """
    spans: list[tuple[int, int]] = []
    for start, end in raw_sentences(text):
        piece = text[start:end]
        begin = start + len(piece) - len(piece.lstrip())
        stop = start + len(piece.rstrip())
        if stop - begin > MAX_CHARS:
            _cut_long(text, begin, stop, spans)
        elif begin < stop:
            spans.append((begin, stop))
    return spans


def sentence_keys(text: str, folded: str) -> Iterator[str]:
    """The folded sentences of a text with their blanks collapsed: as :func:`split_sentences`, without the places."""
    for start, end in raw_sentences(text):
        if end - start > MAX_CHARS:
            for begin, stop in split_sentences(text[start:end]):
                yield " ".join(folded[start + begin : start + stop].split())
        else:
            key = " ".join(folded[start:end].split())
            if key:
                yield key
