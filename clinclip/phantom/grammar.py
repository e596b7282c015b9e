"""A small template language that writes sentences and knows what it wrote: mentions, entities and relations.

Syntax of a template:

- ``(a|b|c)`` picks one; ``(|very)`` is optional. Parentheses nest.
- ``[word:LABELid~x@y?z]`` writes a word that is a graph entity. LABEL is ``A`` (anatomy), ``O``, ``U``, ``X``
  (observation present, uncertain, absent) or ``F`` (the state of this mention). ``id`` is one character. ``~x`` says
  "modifies x", ``@y`` "located at y", ``?z`` "suggestive of z". ``[small/little:F~h]`` picks one of the words; ``*``
  becomes the plural "s", ``+`` "y" or "ies", by the number of the scope.
- ``<...>`` is the core phrase of the mention, or, in statements that imply something, the whole statement.
  ``<atelectasis.U:...>`` is a mention of another finding in a state of its own (O, U or X).
- ``{slot}`` is filled by the scope; ``{p.slot}`` by its child scope ``p``. ``{UPPER}`` is a non-terminal.
- A leading ``{?tag}`` or ``{!tag}`` demands or forbids a tag of the scope; ``{#sg}``, ``{#pl}``, ``{#mass}`` sets the
  number.

Ids with a meaning: ``h`` head of the finding, ``a`` its organ, ``l`` its location, ``s`` its side. Relations from the
head to the location and from the side to what it modifies follow by themselves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from clinclip.phantom.catalog import KINDS
from clinclip.phantom.truth import Mention
from clinclip.phantom.world import Finding

Node = tuple
_ENTITY = re.compile(r"^(?P<words>.+):(?P<label>[AOUXF])(?P<id>[a-z0-9]?)(?P<rels>(?:[@~?][a-z0-9])*)$")
_NAMED = re.compile(r"<([a-z_]+)\.([OUX]):")
_GUARD = re.compile(r"^\{([?!#])([a-z]+)\}\s*")
_RELATION = {"~": "modify", "@": "located_at", "?": "suggestive_of"}
_LABEL = {"A": "ANAT-DP", "O": "OBS-DP", "U": "OBS-U", "X": "OBS-DA"}
_STATE = {"O": "present", "U": "uncertain", "X": "absent"}


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: guards, number, and the tree."""

    needs: frozenset[str]
    forbids: frozenset[str]
    number: str | None
    body: tuple[Node, ...]

    def fits(self, tags: set[str]) -> bool:
        """Whether the guards allow it."""
        return self.needs <= tags and not self.forbids & tags


@cache
def parse(source: str) -> Template:
    """Parse a template. Raises ValueError with the template for a syntax error."""
    needs, forbids, number = set(), set(), None
    text = source
    while guard := _GUARD.match(text):
        sign, name = guard.groups()
        if sign == "?":
            needs.add(name)
        elif sign == "!":
            forbids.add(name)
        else:
            number = name
        text = text[guard.end() :]
    body, at = _sequence(text, 0, source)
    if at != len(text):
        raise ValueError(f"unbalanced ')' or '|' at {at} in template {source!r}")
    return Template(frozenset(needs), frozenset(forbids), number, body)


def _sequence(text: str, at: int, source: str) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    literal = ""
    while at < len(text) and text[at] not in "|)":
        char = text[at]
        if char not in "([{<>":
            literal += char
            at += 1
            continue
        if literal:
            nodes.append(("text", literal))
            literal = ""
        if char == "(":
            options = []
            while True:
                option, at = _sequence(text, at + 1, source)
                options.append(option)
                if at >= len(text):
                    raise ValueError(f"'(' is not closed in template {source!r}")
                if text[at] == ")":
                    break
            nodes.append(("pick", tuple(options)))
            at += 1
        elif char == "<":
            named = _NAMED.match(text, at)
            nodes.append(("open", *(named.groups() if named else ())))
            at = named.end() if named else at + 1
        elif char == ">":
            nodes.append(("close",))
            at += 1
        else:
            end = text.find("]" if char == "[" else "}", at)
            if end < 0:
                raise ValueError(f"{char!r} is not closed in template {source!r}")
            inner = text[at + 1 : end]
            if char == "{":
                nodes.append(("slot", *inner.rpartition(".")[::2]))
            else:
                match = _ENTITY.match(inner)
                if not match:
                    raise ValueError(f"[{inner}] is not [word:LABELid~x@y] in template {source!r}")
                rels = tuple((match["rels"][i], match["rels"][i + 1]) for i in range(0, len(match["rels"]), 2))
                nodes.append(("entity", tuple(match["words"].split("/")), match["label"], match["id"], rels))
            at = end + 1
    if literal:
        nodes.append(("text", literal))
    return tuple(nodes), at


@dataclass(slots=True)
class Scope:
    """What a template knows while it is rendered: one mention, or the frame around several.

    Attributes:
        concept: kind of finding, "" for a frame without a mention of its own.
        letter: state of the mention: O, U or X.
        number: "sg", "pl" or "mass".
        tags: what the guards of templates ask for.
        slots: name -> function that writes the slot, given the draft and this scope.
        children: named scopes for ``{name.slot}``.
        items: scopes of the ``{list}``.
        implies: (concept, CheXpert observation, state) of an implied statement; overrides ``concept``.
        role: see ``Mention.role``; "evidence" marks an observation that suggests the parent scope's finding.
        lesion: uid of the finding.
        np: the noun phrase that ``{np}`` writes, chosen beforehand because verbs agree with its number.
        plan: what is to be said: "side", "zone", "severity", "change".
        finding_record: the finding itself.
    """

    concept: str = ""
    finding: str | None = None
    letter: str = "O"
    number: str = "sg"
    tags: set[str] = field(default_factory=set)
    slots: dict[str, Callable[[Draft, Scope], None] | str] = field(default_factory=dict)
    children: dict[str, Scope] = field(default_factory=dict)
    items: list[Scope] = field(default_factory=list)
    implies: tuple[tuple[str, str | None, str], ...] = ()
    role: str = "finding"
    lesion: int | None = None
    np: Template | None = None
    plan: dict[str, str] = field(default_factory=dict)
    finding_record: Finding | None = None
    # filled while rendering
    ids: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[int, str, str]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)
    opened: int | None = None
    opened_as: tuple[str, ...] = ()


class Draft:
    """Text under construction with everything it states. Offsets count in :attr:`text`."""

    def __init__(self, rng: random.Random, nonterminals: Mapping[str, Sequence[str]]) -> None:
        self.rng = rng
        self.nonterminals = nonterminals
        self.text = ""
        self.entities: list[tuple[int, int, str]] = []
        self.relations: list[tuple[int, int, str]] = []
        self.mentions: list[Mention] = []
        self._article = ""
        self._number: Scope | None = None
        self._watched: Scope | None = None

    def write(self, words: str) -> None:
        """Append text: one blank between words, none before punctuation; resolves a waiting article."""
        if not words:
            return
        if self._article and words.strip():
            self._resolve_article(words)
        if words[0] == " " and (not self.text or self.text[-1] in " \n"):
            words = words.lstrip(" ")
        if words and words[0] in ".,;:?" and self.text.endswith(" "):
            self.text = self.text.rstrip(" ")
        if words[:1] == "." and self.text.endswith("."):
            words = words[1:]
        if self._watched is not None and words.strip(" "):
            self._watched.opened = len(self.text) + len(words) - len(words.lstrip(" "))
            self._watched = None
        self.text += words

    def _resolve_article(self, words: str) -> None:
        scope, self._number = self._number, None
        article, self._article = self._article, ""
        if scope is not None and scope.number != "sg":
            return
        first = words.lstrip().lower()
        vowel = first[:1] in "aeiou8" and not first.startswith(("uni", "eu", "one"))
        self.write(f"{'an' if vowel else 'a'} " if article == "a" else f"{article} ")

    def choose(self, options: Sequence[str], tags: set[str]) -> Template:
        """One of the templates whose guards fit."""
        fitting = [t for t in map(parse, options) if t.fits(tags)]
        if not fitting:
            raise LookupError(f"no template fits tags {sorted(tags)} among {list(options)[:3]} ...")
        return self.rng.choice(fitting)

    def render(self, template: Template | str, scope: Scope) -> None:
        """Write a template in a scope."""
        parsed = parse(template) if isinstance(template, str) else template
        self._sequence(parsed.body, scope)

    def _sequence(self, nodes: tuple[Node, ...], scope: Scope) -> None:
        for node in nodes:
            match node[0]:
                case "text":
                    self.write(node[1])
                case "pick":
                    self._sequence(node[1][self.rng.randrange(len(node[1]))], scope)
                case "entity":
                    self._entity(node, scope)
                case "open":
                    self._watched = scope
                    scope.opened_as = node[1:]
                case "close":
                    self._close_mention(scope)
                case _:
                    self._slot(node[1], node[2], scope)

    def _entity(self, node: Node, scope: Scope) -> None:
        _, words, label, name, rels = node
        word = words[0] if len(words) == 1 else self.rng.choice(words)
        plural = scope.number == "pl"
        word = word.replace("*", "s" if plural else "").replace("+", "ies" if plural else "y")
        self.write(word)
        end = len(self.text)
        start = end - len(word)
        index = len(self.entities)
        self.entities.append((start, end, _LABEL[scope.letter if label == "F" else label]))
        if name:
            scope.ids.setdefault(name, index)
        scope.pending.extend((index, sign, target) for sign, target in rels)

    def _close_mention(self, scope: Scope) -> None:
        if scope.opened is None:
            raise ValueError(f"'<' and '>' without words between them in a template of {scope.concept!r}")
        start, end = scope.opened, len(self.text)
        scope.opened = None
        if scope.opened_as:
            concept, letter = scope.opened_as
            words = self.text[start:end]
            self.mentions.append(Mention(start, end, words, concept, KINDS[concept].finding, _STATE[letter]))
            return
        what = scope.implies or ((scope.concept, scope.finding, _STATE[scope.letter]),)
        for concept, finding, state in what:
            mention = Mention(
                start, end, self.text[start:end], concept, finding, state,
                implied=bool(scope.implies), role=scope.role, lesion=scope.lesion,
            )  # fmt: skip
            scope.mentions.append(mention)
            self.mentions.append(mention)

    def _slot(self, prefix: str, name: str, scope: Scope) -> None:
        if prefix:
            scope = scope.children[prefix]
        if name in self.nonterminals:
            self.render(self.choose(self.nonterminals[name], scope.tags), scope)
            return
        match name:
            case "a" | "the":
                self._article = name
                self._number = scope if name == "a" else None
            case "is":
                self.write("are" if scope.number == "pl" else "is")
            case "was":
                self.write("were" if scope.number == "pl" else "was")
            case "has":
                self.write("have" if scope.number == "pl" else "has")
            case "verb_s":
                self.write("" if scope.number == "pl" else "s")
            case "list":
                self._list(scope)
            case _:
                filler = scope.slots.get(name)
                if filler is None:
                    raise LookupError(f"slot {{{name}}} is unknown in a template of {scope.concept or 'a frame'!r}")
                if isinstance(filler, str):
                    self.render(filler, scope)
                else:
                    filler(self, scope)

    def _list(self, scope: Scope) -> None:
        last = len(scope.items) - 1
        word = "nor" if "neither" in self.text[-12:] else "or"
        oxford = self.rng.random() < 0.6
        for i, item in enumerate(scope.items):
            if i:
                self.write((", " if i < last or (oxford and last > 1) else " ") + (f"{word} " if i == last else ""))
            self._slot("", "np", item)

    def sentence(self, template: Template | str, scope: Scope, end: str = ".", prefix: str = "") -> None:
        """Write one sentence: a blank before, capital first, full stop last, relations settled."""
        if self.text and self.text[-1] not in " \n":
            self.write(" ")
        start = len(self.text)
        if prefix:
            self.render(prefix, scope)
        opening = len(self.text)
        self.render(template, scope)
        if prefix and self.text[opening + 1 : opening + 2].islower():
            self.text = self.text[:opening] + self.text[opening].lower() + self.text[opening + 1 :]
        self.text = self.text.rstrip(" ")
        if end and not self.text.endswith((".", "?", ":")):
            self.text += end
        self.capitalise(start)
        self.settle(scope)

    def capitalise(self, start: int) -> None:
        """Raise the first letter at or after ``start``."""
        for i in range(start, len(self.text)):
            if self.text[i] == "_" or self.text[i].isdigit():
                return
            if self.text[i].isalpha():
                self.text = self.text[:i] + self.text[i].upper() + self.text[i + 1 :]
                break
        for m in self.mentions:
            if m.end > start:
                m.text = self.text[m.start : m.end]

    def settle(self, scope: Scope) -> None:
        """Turn the scope's pending relations into edges, copy what was said into its mentions, close its children."""
        ids = scope.ids
        edges = [(i, ids[t], _RELATION[sign]) for i, sign, t in scope.pending if t in ids and ids[t] != i]
        if "h" in ids and "l" in ids:
            edges.append((ids["h"], ids["l"], "located_at"))
        if "s" in ids:
            target = ids.get("l", ids.get("a"))
            if target is not None:
                edges.append((ids["s"], target, "modify"))
            elif "h" in ids:
                edges.append((ids["h"], ids["s"], "located_at"))
        for child in [*scope.children.values(), *scope.items]:
            self.settle(child)
            if "h" in ids and child.role == "evidence" and "h" in child.ids:
                edges.append((child.ids["h"], ids["h"], "suggestive_of"))
        self.relations.extend(e for e in dict.fromkeys(edges) if e not in self.relations)
        for mention in scope.mentions:
            mention.side = scope.said.get("side")
            mention.zone = scope.said.get("zone")
            mention.severity = scope.said.get("severity")
            mention.change = scope.said.get("change")
            if mention.role == "evidence":
                mention.role = "finding"
        scope.ids, scope.pending, scope.mentions = {}, [], []
