"""The small pattern language of the lexicon tables, and inflection of its nouns."""

from __future__ import annotations

from clinclip.errors import ReportTextError


def split_top(pattern: str) -> list[str]:
    """Split at the bars that stand outside of braces and brackets."""
    parts, depth, current = [], 0, ""
    for char in pattern:
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
        if char == "|" and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    if depth:
        raise ReportTextError(f"lexicon pattern {pattern!r}: unbalanced braces or brackets")
    return [*parts, current]


def _matching(pattern: str, start: int) -> int:
    depth = 0
    for i in range(start, len(pattern)):
        if pattern[i] in "{[":
            depth += 1
        elif pattern[i] in "}]":
            depth -= 1
            if depth == 0:
                return i
    raise ReportTextError(f"lexicon pattern {pattern!r}: unbalanced braces or brackets")


def _combine(pattern: str) -> list[str]:
    phrases: list[str] = []
    for part in split_top(pattern):
        at = min((i for i in (part.find("{"), part.find("[")) if i >= 0), default=-1)
        if at < 0:
            phrases.append(part)
            continue
        close = _matching(part, at)
        options = _combine(part[at + 1 : close])
        if part[at] == "[":
            options = ["", *options]
        tails = _combine(part[close + 1 :])
        phrases.extend(part[:at] + option + tail for option in options for tail in tails)
    return phrases


def expand(pattern: str) -> list[str]:
    """Every phrase that a pattern stands for: ``{a|b}`` is one of several, ``[a|b]`` one of several or nothing.

    >>> expand("[small] {effusion|fluid}")
    ['effusion', 'fluid', 'small effusion', 'small fluid']
    """
    return list(dict.fromkeys(" ".join(p.split()) for p in _combine(pattern) if p.strip()))


def plurals(noun: str) -> list[str]:
    """Regular English and Latin plural forms of a noun, for matching (some do not exist and do no harm)."""
    if len(noun) < 3 or not noun.isalpha():
        return []
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return [noun[:-1] + "ies"]
    if noun.endswith(("s", "x", "ch", "sh")):
        forms = [noun + "es"]
        if noun.endswith("thorax"):
            forms += [noun[:-1] + "ces", noun[:-2] + "aces"]
        if noun.endswith("sis"):
            forms.append(noun[:-2] + "es")
        if noun.endswith("us"):
            forms.append(noun[:-2] + "i")
        return forms
    if noun.endswith("um"):
        return [noun + "s", noun[:-2] + "a"]
    if noun.endswith("oma"):
        return [noun + "s", noun + "ta"]
    return [noun + "s"]
