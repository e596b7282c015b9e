"""A report graph from rules, so that graph alignment works without the RadGraph model.

Observations are the reader's mentions and the words that describe them; anatomy comes from a word list. As in RadGraph,
entities are single words: in "small left pleural effusion" *small* modifies *effusion*, *left* modifies *pleural*, and
*effusion* is located at *pleural*. What reader and word lists do not know is no entity: precision before recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinclip.findings import LabelState
from clinclip.graph.schema import Entity, Relation, ReportGraph
from clinclip.graph.words import (
    ANATOMY,
    CLAUSE_ENDS,
    DENIABLE,
    FILLERS,
    MODIFIERS,
    NORMALITY,
    ORDINALS,
    ORGANS,
    PLACE_PREPOSITIONS,
    SIDES,
    SITES,
)
from clinclip.text.nounphrases import Word, words_of
from clinclip.text.subject import Subject
from clinclip.text.types import Assertion
from clinclip.text.wordclasses import BOUNDARY, INTERPRETIVE

_LABEL = {LabelState.PRESENT: "OBS-DP", LabelState.UNCERTAIN: "OBS-U", LabelState.ABSENT: "OBS-DA"}
_NEGATIONS = frozenset({"no", "not", "without", "neither", "nor"})
#: No attachment reaches further than this many words.
REACH = 14


@dataclass(slots=True)
class _Head:
    """The main word of a mention: word index, label, and the words of the mention."""

    at: int
    label: str
    first: int
    last: int


def build_graph(text: str) -> ReportGraph:
    """Entities and relations of a report or a part of it. Linear in the length of the text.

    Args:
        text: Any text; spans of the result count in it.
    """
    subject = Subject(text)
    by_sentence: dict[tuple[int, int], list[Assertion]] = {}
    for assertion in subject.assertions:
        if assertion.rule != "context-section":
            by_sentence.setdefault(assertion.sentence, []).append(assertion)
    entities: list[Entity] = []
    relations: list[Relation] = []
    for start, end in subject.sentences:
        sentence = _Sentence(text[start:end], start, by_sentence.get((start, end), []))
        offset = len(entities)
        numbers = {at: offset + n for n, at in enumerate(sorted(sentence.label))}
        for at in sorted(sentence.label):
            word = sentence.words[at]
            span = (start + word.start, start + word.end)
            entities.append(Entity(*span, text[span[0] : span[1]], sentence.label[at]))
        edges = {(numbers[h], numbers[t], kind) for h, t, kind in sentence.edges if h in numbers and t in numbers}
        relations += [Relation(*edge) for edge in sorted(edges) if edge[0] != edge[1]]
    return ReportGraph(tuple(entities), tuple(relations))


class _Sentence:
    """Labels of the words of one sentence, and the edges between them."""

    def __init__(self, text: str, offset: int, assertions: Sequence[Assertion]) -> None:
        self.words: list[Word] = words_of(text)
        self.low = [w.low for w in self.words]
        self.label: dict[int, str] = {}
        self.edges: list[tuple[int, int, str]] = []
        if not self.words:
            return
        self.anatomy = {
            i
            for i, low in enumerate(self.low)
            if low in ANATOMY and (low not in ORDINALS or self._next(i) in {"rib", "ribs"})
        }
        self.heads = self._find_heads(offset, assertions)
        if not self.heads and not any(low in NORMALITY for low in self.low):
            return
        self._modifiers()
        self._places()
        self._suggestions()

    def _next(self, at: int) -> str:
        return self.low[at + 1] if at + 1 < len(self.low) else ""

    def _find_heads(self, offset: int, assertions: Sequence[Assertion]) -> list[_Head]:
        heads: dict[int, _Head] = {}
        for assertion in assertions:
            inside = [
                i
                for i, w in enumerate(self.words)
                if w.end > assertion.start - offset and w.start < assertion.end - offset and w.is_word
            ]
            content = [i for i in inside if i not in self.anatomy and self.low[i] not in FILLERS]
            if not content:
                continue
            at = content[-1]
            cut = next((i for i in inside if self.low[i] == "of" and i > content[0]), None)
            if cut is not None:
                at = max(i for i in content if i < cut)
            label = "OBS-DP" if self.low[at] in NORMALITY else _LABEL[assertion.state]
            heads.setdefault(at, _Head(at, label, inside[0], inside[-1]))
            for i in content:
                self.label[i] = label
                if i != at:
                    self.edges.append((i, at, "modify"))
        for head in heads.values():
            self.label[head.at] = head.label
        return sorted(heads.values(), key=lambda h: h.at)

    def _modifiers(self) -> None:
        """Describing words: attached to the observation they stand before, or that they are said of."""
        taken = {h.at for h in self.heads}
        for at, low in enumerate(self.low):
            if low not in MODIFIERS or at in self.label or at in self.anatomy:
                continue
            if low in DENIABLE and self._denied(at):
                self.label[at] = "OBS-DA"
                continue
            head = self._owner(at)
            if head is None:
                if low in NORMALITY and any(abs(at - a) <= REACH for a in self.anatomy):
                    self.label[at] = "OBS-DP"
                    self.heads.append(_Head(at, "OBS-DP", at, at))
                continue
            if head.at in taken:
                self.label[at] = head.label
                self.edges.append((at, head.at, "modify"))
        self.heads.sort(key=lambda h: h.at)

    def _denied(self, at: int) -> bool:
        """Whether a word of change is what a negation denies: "no significant change in", "has not changed"."""
        for back in range(at - 1, max(-1, at - 5), -1):
            low = self.low[back]
            if low in _NEGATIONS:
                following = self._next(at)
                return following in {
                    "in",
                    "of",
                    "from",
                    "since",
                    "compared",
                    ".",
                    ",",
                    "",
                    "than",
                    "and",
                    "nor",
                    "findings",
                }
            if low not in {
                "significant",
                "interval",
                "appreciable",
                "relevant",
                "definite",
                "major",
                "substantial",
                "been",
                "significantly",
                "appreciably",
                "substantially",
                "completely",
                "short-interval",
                "any",
            }:
                return False  # fmt: skip
        return False

    def _owner(self, at: int) -> _Head | None:
        after = next((h for h in self.heads if h.at > at), None)
        if after is not None and after.at - at <= REACH:
            between = self.low[at + 1 : after.first]
            if not any(low in BOUNDARY or low in {";", ","} for low in between) or all(
                low in {"in", "of", "the", "a", "an", "to", "and", ","} or low in MODIFIERS or i in self.anatomy
                for i, low in enumerate(between, start=at + 1)
            ):
                return after
        before = next((h for h in reversed(self.heads) if h.at < at), None)
        if before is not None and at - before.at <= REACH:
            between = self.low[before.at + 1 : at]
            if not any(low in CLAUSE_ENDS or low == ";" for low in between):
                return before
        return None

    def _groups(self) -> list[tuple[int, int]]:
        """(first, last) of runs of anatomy words that name one place."""
        groups: list[tuple[int, int]] = []
        at = 0
        while at < len(self.low):
            if at not in self.anatomy:
                at += 1
                continue
            last = at
            while last + 1 in self.anatomy and not (self.low[last] in SITES and self.low[last + 1] in ORGANS):
                last += 1
            groups.append((at, last))
            at = last + 1
        return groups

    def _places(self) -> None:
        for first, last in self._groups():
            target = last
            if self.low[last] in {"bilaterally", "size"} and last > first:
                target = last - 1
            heads = self._located(first, last)
            if not heads and not self._said_of(first, last):
                continue
            for at in range(first, last + 1):
                self.label.setdefault(at, "ANAT-DP")
                if at != target:
                    self.edges.append((at, target, "modify"))
            for head in heads:
                self.edges.append((head.at, target, "located_at"))

    def _located(self, first: int, last: int) -> list[_Head]:
        """Observations located at a place: the one it stands before, is part of, or follows through a preposition."""
        inside = [h for h in self.heads if h.first <= first and last <= h.last]
        if inside:
            return inside[:1]
        after = next((h for h in self.heads if h.at > last), None)
        if after is not None and after.at - last <= REACH:
            between = self.low[last + 1 : after.at]
            if all(
                low in MODIFIERS or i in self.anatomy or low in {"/", "-"} or i in self.label
                for i, low in enumerate(between, start=last + 1)
            ):
                return [after]
        before = next((h for h in reversed(self.heads) if h.at < first), None)
        if before is not None and first - before.at <= REACH:
            between = self.low[before.at + 1 : first]
            if any(low in PLACE_PREPOSITIONS for low in between) or self.low[first] == "bilaterally":
                stop = {"with", "without", "but", ";", "no", "is", "are", "compared", "since", "from"}
                if not any(low in stop for low in between):
                    return [before]
        if after is not None and after.at - last <= REACH:
            between = self.low[last + 1 : after.at]
            if any(low in {"is", "are", "remains", "appears", "was", "were"} for low in between):
                return [after] if not any(low in CLAUSE_ENDS or low == ";" for low in between) else []
        return []

    def _said_of(self, first: int, last: int) -> bool:
        return any(self.low[at] not in SIDES for at in range(first, last + 1)) and bool(self.heads)

    def _suggestions(self) -> None:
        """In "opacity may represent pneumonia" the first is suggestive of the second."""
        for a, b in zip(self.heads, self.heads[1:], strict=False):
            between = self.low[max(a.at, a.last) + 1 : b.first]
            words = [low for i, low in enumerate(between) if low.isalnum() and low not in PLACE_PREPOSITIONS]
            core = [w for w in words if w not in ANATOMY and w not in MODIFIERS and w not in {"the", "a", "an", "this"}]
            strong = {"represent", "represents", "representing", "reflect", "reflects", "reflecting", "consistent",
                      "compatible", "concerning", "suspicious", "suggests", "suggesting", "suggestive", "indicates",
                      "worrisome", "due", "likely", "favored", "favors"}  # fmt: skip
            if core and all(w in INTERPRETIVE for w in core) and any(w in strong for w in core):
                self.edges.append((a.at, b.at, "suggestive_of"))
