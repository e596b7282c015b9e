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
    DEVICE_KINDS,
    DEVICES,
    FILLERS,
    MODIFIERS,
    NORMALITY,
    OBSERVATIONS,
    ORDINALS,
    ORGANS,
    PLACE_PREPOSITIONS,
    PREDICATES,
    SIDES,
    SITES,
    VIEW_WORDS,
    WAITING,
)
from clinclip.text.editing.subject import Subject, statement_span
from clinclip.text.reading.nounphrases import Word, words_of
from clinclip.text.reading.wordclasses import BOUNDARY, INTERPRETIVE, PREDICATIVE
from clinclip.text.types import Assertion

_LABEL = {LabelState.PRESENT: "OBS-DP", LabelState.UNCERTAIN: "OBS-U", LabelState.ABSENT: "OBS-DA"}
_DESCRIBING = MODIFIERS | DENIABLE | NORMALITY | PREDICATES
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


def build_graph(text: str | Subject) -> ReportGraph:
    """Entities and relations of a report or a part of it. Linear in the length of the text.

    Args:
        text: Any text, or one that was read already; spans of the result count in it.
    """
    subject = text if isinstance(text, Subject) else Subject(text)
    text = subject.text
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
            if low in ANATOMY
            and (low not in ORDINALS or self._next(i) in {"rib", "ribs"})
            and (low != "central" or self._next(i) not in {"venous", "line", "catheter"})
        }
        self.heads = self._find_heads(offset, assertions)
        if not self.heads and not any(low in NORMALITY | PREDICATES | DENIABLE for low in self.low):
            return
        self._modifiers()
        self._places()
        self._suggestions()

    def _next(self, at: int) -> str:
        return self.low[at + 1] if at + 1 < len(self.low) else ""

    def _find_heads(self, offset: int, assertions: Sequence[Assertion]) -> list[_Head]:
        heads: dict[int, _Head] = {}
        for assertion in assertions:
            start, end = statement_span(assertion)
            inside = [
                i for i, w in enumerate(self.words) if w.end > start - offset and w.start < end - offset and w.is_word
            ]
            content = [i for i in inside if i not in self.anatomy and self.low[i] not in FILLERS | VIEW_WORDS]
            if not content:
                continue
            at = content[-1]
            of = next((i for i in inside if self.low[i] == "of" and i > content[0]), None)
            if of is not None:
                at = max(i for i in content if i < of)
            # a sign is there even where what it means is open; "normal" is there whatever it denies
            borderline = bool({"borderline", "top-normal"} & {self.low[i] for i in content})
            sure = self.low[at] in NORMALITY or assertion.rule == "sign" or borderline
            label = "OBS-DP" if sure else _LABEL[assertion.state]
            heads.setdefault(at, _Head(at, label, inside[0], inside[-1]))
            for i in content:
                self.label.setdefault(i, label)
                if i != at and i not in heads:
                    self.edges.append((i, at, "modify"))
        for at, low in enumerate(self.low):
            if low in OBSERVATIONS and at not in self.label:
                denied = any(word in _NEGATIONS for word in self.low[max(0, at - 3) : at])
                heads[at] = _Head(at, "OBS-DA" if denied else "OBS-DP", at, at)
        for head in heads.values():
            self.label[head.at] = head.label
        return sorted(heads.values(), key=lambda h: h.at)

    def _modifiers(self) -> None:
        """Describing words: attached to the observation they stand before, or that they are said of."""
        taken = {h.at for h in self.heads}
        for at, low in enumerate(self.low):
            if low not in _DESCRIBING or at in self.label or at in self.anatomy or self._next(at) == "position":
                continue
            if low in DENIABLE and self._denied(at):
                self.label[at] = "OBS-DA"
                continue
            head = self._owner(at) if low not in NORMALITY else None
            if head is not None and head.at in taken:
                self.label[at] = head.label
                self.edges.append((at, head.at, "modify"))
            elif low in NORMALITY | PREDICATES and any(abs(at - a) <= REACH for a in self.anatomy):
                self.label[at] = "OBS-DA" if at and self.low[at - 1] == "not" else "OBS-DP"
                self.heads.append(_Head(at, self.label[at], at, at))
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

    def _groups(self) -> list[tuple[int, int, int]]:
        """(first, last, target) of runs of anatomy words; the target is the word that the others of the run modify.

        An adjective that waits for its noun takes the noun of the next run: in "cardiac and mediastinal contours" both
        modify *contours*.
        """
        runs: list[tuple[int, int]] = []
        at = 0
        while at < len(self.low):
            last = at
            if at in self.anatomy:
                while last + 1 in self.anatomy and not self._divides(last):
                    last += 1
                runs.append((at, last))
            at = last + 1
        groups: list[tuple[int, int, int]] = []
        for number in range(len(runs) - 1, -1, -1):
            first, last = runs[number]
            trailing = self.low[last] == "bilaterally" or (self.low[last] == "size" and self.low[last - 1] == "heart")
            target = last - 1 if trailing and last > first else last
            if self.low[last] in WAITING and groups:
                following = groups[-1]
                between = self.low[last + 1 : following[0]]
                if between and all(low in {",", "and", "or", "/"} for low in between):
                    target = following[2]
            groups.append((first, last, target))
        return groups[::-1]

    def _divides(self, at: int) -> bool:
        """Whether a new place begins behind a word: "lower lobe | airspace opacity", "jugular | venous catheter"."""
        low, following = self.low[at], self.low[at + 1]
        return low in SITES and following in ORGANS

    def _places(self) -> None:
        for first, last, target in self._groups():
            if first == last and self.low[first] in {"bilaterally", "both", "size"} and not self._sided(first):
                continue
            heads = self._located(first, last)
            if not heads and not self._said_of(first, last):
                continue
            for at in range(first, last + 1):
                self.label.setdefault(at, "ANAT-DP")
                if at != target:
                    self.edges.append((at, target, "modify"))
            for head in heads:
                if self.low[head.at] in DEVICES and last < head.at:
                    kinds = [at for at in range(first, last + 1) if self.low[at] in DEVICE_KINDS]
                    if kinds:
                        self.edges += [(at, head.at, "modify") for at in kinds]
                        continue
                if target <= last:
                    self.edges.append((head.at, target, "located_at"))

    def _sided(self, at: int) -> bool:
        """Whether "both", "bilaterally" or "size" says something of an abnormality here."""
        if self.low[at] == "size":
            return at > 0 and self.low[at - 1] != "in" and self._next(at) != "of"
        return any(h.label != "OBS-DP" or self.low[h.at] not in NORMALITY for h in self.heads)

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
            linked = any(low in PLACE_PREPOSITIONS for low in between) or self.low[first] == "bilaterally"
            if linked and not self._interrupted(between) and self.low[before.at] not in DEVICES:
                return [before]
        return [h for h in self.heads if last < h.at <= last + REACH and self._said(last, h.at)]

    def _said(self, place: int, at: int) -> bool:
        """Whether a verb says the observation of the place: "the lungs are clear and well expanded"."""
        between = self.low[place + 1 : at]
        if any(low in CLAUSE_ENDS or low in {";", "with", "without", "there", "no"} for low in between):
            return False
        return any(low in {"is", "are", "remains", "remain", "appears", "appear", "was", "were"} for low in between)

    @staticmethod
    def _interrupted(between: Sequence[str]) -> bool:
        """Whether a place no longer belongs to the observation before it. "Are seen in" does not interrupt."""
        if any(low in {"with", "without", "but", ";", "no", "compared", "since", "from"} for low in between):
            return True
        if not any(low in {"is", "are", "was", "were"} for low in between):
            return False
        return not any(low in PREDICATIVE for low in between)

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
