"""Character spans <-> word-token indices, as RadGraph files count.

RadGraph works on white-space separated tokens with punctuation set apart, and its files store the *tokenised* text
(often lower-cased, blanks cleaned), not the report. So a file's spans fit a report only after aligning the two.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Span = tuple[int, int]

#: RadGraph's inference code sets these characters apart; the hyphen is *not* among them ("left-sided" is one token).
_TOKEN = re.compile(r"[/,:.!?()]|[^\s/,:.!?()]+")
#: How far ahead a token may lie when characters in between were cleaned away by the tool that tokenised.
LOOK_AHEAD = 200


def tokenize(text: str) -> list[Span]:
    """The (start, end) character spans of the word tokens, RadGraph's way. Linear in the length of the text."""
    return [match.span() for match in _TOKEN.finditer(text)]


def lower_in_place(text: str) -> str:
    """Lower-case without changing the length (some characters grow when lower-cased, which would shift the spans)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def align_tokens(tokens: Sequence[str], text: str) -> list[Span | None]:
    """Find each token of a tokenised copy in the original text, in order.

    Args:
        tokens: Words of the copy, in order.
        text: The original. Case and white space may differ; characters may be missing in the copy.

    Returns:
        A span for each token, or None where it does not occur within :data:`LOOK_AHEAD` characters.
    """
    folded = lower_in_place(text)
    spans: list[Span | None] = []
    cursor = 0
    for token in tokens:
        word = lower_in_place(token)
        at = folded.find(word, cursor, cursor + LOOK_AHEAD + len(word)) if word else -1
        if at < 0:
            spans.append(None)
            continue
        cursor = at + len(word)
        spans.append((at, cursor))
    return spans


def covering_tokens(span: Span, starts: Sequence[int], ends: Sequence[int]) -> Span | None:
    """The half-open range of tokens that overlap a character span, or None if none does.

    Args:
        span: Characters [start, end).
        starts: Token starts, ascending.
        ends: Token ends, ascending.
    """
    first = bisect_right(ends, span[0])
    last = bisect_left(starts, span[1])
    return (first, last) if first < last else None
