"""Sentence splitting of reports and notes, with offsets, in linear time.

Radiology text wraps lines in the middle of sentences, numbers its impressions, omits full stops at line ends and writes
"2.5 cm", "vs." and "Dr. ___". A sentence ends at a full stop, question or exclamation mark followed by white space (unless
the stop belongs to an abbreviation, an initial or a list number), at an empty line, and at a line break before a
list item, before a title ("LUNGS:"), or after a line too short to have been wrapped.
"""

from __future__ import annotations

import re

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
_BREAK = re.compile(
    r"(?P<stop>[.!?]+[\"')\]]*)(?=\s|$)"  # a stop before white space
    r"|(?P<tight>(?<=[a-z)])\.(?=[A-Z][a-z]))"  # "effusion.No pneumothorax"
    r"|(?P<empty>\n[ \t\r]*\n\s*)"
    r"|(?P<line>\n)"
)
_ITEM = re.compile(r"[ \t]*(?:\(?\d{1,2}[.)]\s|[-*\u2022]\s|[A-Z][A-Za-z /&,-]{2,40}:)")


def _is_abbreviation(text: str, stop: int, sentence_start: int) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it."""
    begin = max(sentence_start, stop - 8)
    chunk = text[begin:stop]
    cut = max(chunk.rfind(" "), chunk.rfind("\n"), chunk.rfind("("))
    if cut < 0 and begin > sentence_start:
        return False
    word = chunk[cut + 1 :]
    if word.isdigit():  # "1. No effusion": a list number, only at the start of a sentence
        return text[sentence_start : begin + cut + 1].strip(" \t\r\n(") == ""
    if len(word) == 1:  # an initial, or "R. lung"; but not "hepatitis B. No ..." or "vitamin K. The"
        following = text[stop + 1 : stop + 8].lstrip()[:1]
        before = text[max(sentence_start, begin + cut - 6) : begin + cut + 1].split()
        initial = following.islower() and (word.isupper() or word in "rlce")  # "C. difficile", "r. lung"
        return initial or (bool(before) and before[-1].lower() in {"dr", "dr.", "by", "drs"})
    low = word.lower()
    if low == "no":  # "No. 3" is a number, "Pneumothorax: no." is an answer
        return text[stop + 1 : stop + 6].lstrip()[:1].isdigit()
    return low in _ABBREVIATIONS


def _breaks_line(text: str, line_start: int, at: int, after: int) -> bool:
    """Whether the line break at ``at`` ends a sentence."""
    first = after
    while first < len(text) and text[first] in " \t\r":
        first += 1
    char = text[first : first + 1]
    if char.isupper():
        if at - line_start < WRAP_COLUMN:
            end = text.find(" ", first, first + 20)
            if (at - line_start) + (end if end > 0 else first + 20) - first < WRAP_COLUMN:
                return True
        colon = text.find(":", first, first + 44)
        return colon > 0 and _ITEM.match(text, first) is not None
    return bool(char) and (char.isdigit() or char in "(-*\u2022") and _ITEM.match(text, first) is not None


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


def split_sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, in order, without surrounding white space; empty ones are left out.

    >>> [("No effusion. Heart is normal.")[a:b] for a, b in split_sentences("No effusion. Heart is normal.")]
    ['No effusion.', 'Heart is normal.']
    """
    spans: list[tuple[int, int]] = []
    start = 0
    length = len(text)

    def close(end: int, following: int) -> int:
        begin = start
        while begin < end and text[begin].isspace():
            begin += 1
        while end > begin and text[end - 1].isspace():
            end -= 1
        if begin < end:
            if end - begin > MAX_CHARS:
                _cut_long(text, begin, end, spans)
            else:
                spans.append((begin, end))
        return following

    line_start = 0
    for match in _BREAK.finditer(text):
        kind = match.lastgroup
        at, after = match.span()
        if kind == "stop":
            if text[at] == "." and after - at == 1 and _is_abbreviation(text, at, start):
                continue
            if text[at] == "?" and (at == 0 or text[at - 1] in " \n(") and text[after : after + 1] == " ":
                continue  # "? small effusion" asks about what follows
            start = close(after, after)
        elif kind == "tight":
            start = close(after, after)
        elif kind == "empty":
            start = close(at, after)
            line_start = after
        else:
            if _breaks_line(text, line_start, at, after):
                start = close(at, after)
            line_start = after
    close(length, length)
    return spans
