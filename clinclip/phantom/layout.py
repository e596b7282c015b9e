"""From drafts to the bytes of a MIMIC-CXR report file: headers, wrapping at 79 characters, offsets carried along."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from clinclip.phantom.grammar import Draft
from clinclip.phantom.truth import Mention
from clinclip.phantom.wording.headers import MISSPELLINGS

WIDTH = 79
RULE = "_" * 78
_WORD = re.compile(r"\S+")


@dataclass(slots=True)
class Page:
    """A report file being laid out.

    Attributes:
        width: most characters a line.
        margin: what every line of a section starts with.
        text: what is written so far.
        sections: name -> (start, end) of the bodies.
        mentions, entities, relations: with offsets into ``text``.
    """

    width: int = WIDTH
    margin: str = " "
    text: str = ""
    sections: dict[str, tuple[int, int]] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)
    entities: list[tuple[int, int, str]] = field(default_factory=list)
    relations: list[tuple[int, int, str]] = field(default_factory=list)

    def line(self, text: str | None = None) -> None:
        """One line as it is; an empty one by default."""
        self.text += (self.margin if text is None else text) + "\n"

    def section(self, name: str, header: str, draft: Draft, *, inline: bool, graph: bool, wide: bool) -> None:
        """A header and its body.

        Args:
            name: key in :attr:`sections`; "body" for text without a header.
            header: the header line without its leading blank, e.g. "FINDINGS:"; "" for none.
            draft: the body. A newline separates items, two separate paragraphs.
            inline: whether the body starts on the header's line.
            graph: whether the body's entities belong to the report's graph.
            wide: two blanks after a full stop, as many radiologists type.
        """
        first = self.margin
        if header and inline:
            first = f"{self.margin}{header}  "
        elif header:
            self.line(f"{self.margin}{header} ")
            self.line()
        positions: list[int] = [0] * (len(draft.text) + 1)
        start = None
        for paragraph in re.finditer(r"[^\n]+|\n", draft.text):
            if paragraph.group() == "\n":
                if draft.text[paragraph.start() - 1 : paragraph.start()] == "\n":
                    self.line()
                continue
            current = first
            first = self.margin
            for word in _WORD.finditer(paragraph.group()):
                gap = (
                    ""
                    if current == self.margin or current.endswith(" ")
                    else "  "
                    if wide and current.endswith(".")
                    else " "
                )
                if len(current) + len(gap) + len(word.group()) > self.width and current.strip():
                    self.line(current)
                    current, gap = self.margin, ""
                at = len(self.text) + len(current) + len(gap)
                start = at if start is None else start
                for i in range(word.end() - word.start()):
                    positions[paragraph.start() + word.start() + i] = at + i
                current += gap + word.group()
            self.line(current)
        if start is None:
            return
        self.sections[name] = (start, len(self.text.rstrip()))
        base = len(self.entities)
        for m in draft.mentions:
            m.start, m.end = positions[m.start], positions[m.end - 1] + 1
            m.text = " ".join(self.text[m.start : m.end].split())
            m.section = name
            self.mentions.append(m)
        if graph:
            self.entities += [(positions[s], positions[e - 1] + 1, label) for s, e, label in draft.entities]
            self.relations += [(base + h, base + t, label) for h, t, label in draft.relations]

    def finish(self) -> None:
        """Sort entities by position and renumber the relations."""
        order = sorted(range(len(self.entities)), key=lambda i: self.entities[i])
        rank = {old: new for new, old in enumerate(order)}
        self.entities = [self.entities[i] for i in order]
        self.relations = sorted((rank[h], rank[t], label) for h, t, label in self.relations)
        self.mentions.sort(key=lambda m: (m.start, m.end, m.concept))


def misspell(draft: Draft, rng: random.Random, per_thousand: float) -> None:
    """Swap letters in a few words, keeping every offset right."""
    for match in reversed(list(re.finditer(r"[A-Za-z]+", draft.text))):
        wrong = MISSPELLINGS.get(match.group().lower())
        # only a few words of the language are in the table, so each is hit that much more often
        if wrong is None or rng.random() >= per_thousand / 1000 * 4:
            continue
        if match.group()[0].isupper():
            wrong = wrong.capitalize()
        shift = len(wrong) - len(match.group())
        draft.text = draft.text[: match.start()] + wrong + draft.text[match.end() :]

        def moved(position: int, at: int = match.end(), by: int = shift) -> int:
            return position + by if position >= at else position

        draft.entities = [(moved(s), moved(e), label) for s, e, label in draft.entities]
        for m in draft.mentions:
            m.start, m.end = moved(m.start), moved(m.end)
