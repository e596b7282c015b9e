"""Compile the lexicon tables into a vocabulary and one Aho-Corasick automaton over words.

Each word becomes a pair of symbols of a private alphabet (variants, plurals and misspellings share the pair of their
canonical word), so the automaton runs over words: word boundaries and offsets come for free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

import ahocorasick

from clinclip.errors import ReportTextError
from clinclip.text.reading import roles
from clinclip.text.reading.lexicon.patterns import expand, plurals
from clinclip.text.reading.words import fold, one_edit, split_words

#: A word is two symbols, one of each row, because the automaton scans the successors of a state one by one: with
#: one symbol a word, its first state would have thousands.
_ROW = 72
_HIGH, _LOW = 0x100, 0x200
UNKNOWN = "\x01\x02"


@dataclass(frozen=True, slots=True)
class Concept:
    """One line of concepts.tsv (or of normality.tsv): what a mention means.

    Attributes:
        name: canonical name.
        finding: CheXpert observation of a present or uncertain mention, or None.
        absent: observations that a denied mention denies.
        options: weak, sign, incidental, device, process, removed.
    """

    name: str
    finding: str | None
    absent: tuple[str, ...]
    options: frozenset[str]


@dataclass(slots=True)
class Entry:
    """A phrase of the lexicon with everything it can be."""

    phrase: str
    flags: int = 0
    concepts: tuple[Concept, ...] = ()
    group: str | None = None
    predicate: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    rules: dict[int, str] = field(default_factory=dict)


class WordTable(dict[str, str]):
    """Word -> pair of symbols, growing by the words outside the vocabulary as they are met (bounded)."""

    #: beyond this many entries new words are looked up each time
    MAX_SIZE = 200_000

    def __init__(self, vocabulary: dict[str, str], nouns: Iterable[str]) -> None:
        super().__init__(vocabulary)
        self._nouns: dict[str, list[str]] = {}
        for noun in nouns:
            self._nouns.setdefault(noun[0], []).append(noun)

    def __missing__(self, word: str) -> str:
        char = UNKNOWN
        if len(word) >= 5 and word.isalpha():
            for noun in self._nouns.get(word[0], ()):
                if one_edit(word, noun, swap_only=min(len(word), len(noun)) < 8):
                    char = dict.__getitem__(self, noun)
                    break
        if len(self) < self.MAX_SIZE:
            self[word] = char
        return char


@dataclass(frozen=True)
class Lexicon:
    """The compiled tables.

    Attributes:
        vocabulary: word -> pair of symbols.
        table: the same, tolerating one typing error in long nouns of findings and anatomy.
        automaton: phrases as strings of word symbols -> (number of words - 1, Entry).
        normality: (anatomy group, predicate class) -> (concept, state name, rule).
    """

    vocabulary: dict[str, str]
    table: WordTable
    automaton: ahocorasick.Automaton
    normality: dict[tuple[str, str], tuple[tuple[Concept, str, str], ...]]


def read_table(name: str) -> Iterator[list[str]]:
    """Rows of a lexicon table, comments and empty lines left out."""
    text = files("clinclip.text.reading.lexicon").joinpath(name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = [cell.strip() for cell in line.split("\t")]
        if len(row) < 2:
            raise ReportTextError(f"lexicon {name}, line {number}: expected tab-separated columns, got {line!r}")
        yield row


class _Builder:
    def __init__(self) -> None:
        self.variants: dict[str, str] = {}
        self.entries: dict[tuple[str, ...], Entry] = {}
        self.nouns: set[str] = set()

    def canonical(self, word: str) -> str:
        return self.variants.get(word, word)

    def key(self, phrase: str) -> tuple[str, ...]:
        words = [phrase] if len(phrase) == 1 else split_words(fold(phrase))
        return tuple(self.canonical(w) for w in words)

    def entry(self, phrase: str) -> Entry:
        key = self.key(phrase)
        if not key:
            raise ReportTextError(f"lexicon phrase {phrase!r} has no words")
        return self.entries.setdefault(key, Entry(" ".join(key)))


def _concept(name: str, finding: str, options: str) -> Concept:
    chosen = None if finding in {"", "-"} else finding
    absent = (chosen,) if chosen else ()
    names = set()
    for option in filter(None, (o.strip() for o in options.split(","))):
        if option.startswith("absent="):
            absent = tuple(x for x in option.removeprefix("absent=").split(";") if x and x != "-")
        else:
            names.add(option)
    return Concept(name, chosen, absent, frozenset(names))


def _column(row: list[str], index: int) -> str:
    return row[index] if len(row) > index else ""


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The compiled lexicon, built once per process (some tens of milliseconds)."""
    builder = _Builder()
    for canonical, variants, *_ in read_table("spelling.tsv"):
        for variant in variants.split("|"):
            builder.variants[fold(variant.strip())] = fold(canonical)

    for table, column in (("concepts.tsv", 2), ("anatomy.tsv", 1)):
        for row in read_table(table):
            for phrase in expand(row[column]):
                builder.nouns.update(w for w in builder.key(phrase) if w.isalpha() and len(w) >= 3)
    for noun in sorted(builder.nouns):
        for form in plurals(noun):
            builder.variants.setdefault(form, noun)
    builder.nouns = {builder.canonical(noun) for noun in builder.nouns}

    plain: dict[str, Concept] = {}
    for row in read_table("concepts.tsv"):
        name, finding, terms = row[0], row[1], row[2]
        concept = _concept(name, finding, _column(row, 3))
        plain[name] = concept
        for phrase in expand(terms):
            entry = builder.entry(phrase)
            entry.flags |= roles.CONCEPT
            if all(c.name != name for c in entry.concepts):
                entry.concepts += (concept,)
    for row in read_table("anatomy.tsv"):
        for phrase in expand(row[1]):
            entry = builder.entry(phrase)
            if not entry.flags & roles.CONCEPT:
                entry.flags |= roles.ANATOMY | (roles.ADJECTIVE if _column(row, 2) == "adjective" else 0)
                entry.group = row[0]
    for row in read_table("predicates.tsv"):
        for phrase in expand(row[1]):
            entry = builder.entry(phrase)
            entry.flags |= roles.PREDICATE
            entry.predicate = row[0]
    for row in read_table("modifiers.tsv"):
        attribute, value, terms = row[0], row[1], row[2]
        for phrase in expand(terms):
            entry = builder.entry(phrase)
            entry.flags |= roles.MODIFIER
            entry.values += ((attribute, value),)
            for extra in filter(None, _column(row, 3).split(",")):
                entry.flags |= roles.NAMES[extra.strip()]
    for name in ("cues.tsv", "words.tsv"):
        for row in read_table(name):
            kinds, rule, terms = row[0], row[1], row[2]
            flags = 0
            for kind in kinds.split(","):
                if kind.strip() not in roles.NAMES:
                    raise ReportTextError(
                        f"lexicon {name}: kind {kind!r} is unknown; allowed: {', '.join(roles.NAMES)}"
                    )
                flags |= roles.NAMES[kind.strip()]
            for phrase in expand(terms):
                entry = builder.entry(phrase)
                entry.flags |= flags
                if rule != "-":
                    for kind in kinds.split(","):
                        entry.rules.setdefault(roles.NAMES[kind.strip()], rule)

    normality: dict[tuple[str, str], list[tuple[Concept, str, str]]] = {}
    for row in read_table("normality.tsv"):
        groups, predicates, concept_name, finding, state, rule = row[:6]
        concept = plain.get(concept_name) or _concept(concept_name, finding, "")
        concept = Concept(concept_name, finding if finding != "-" else None, (finding,) if finding != "-" else (),
                          concept.options - {"sign"})  # fmt: skip
        for group in groups.split("|"):
            for predicate in predicates.split("|"):
                normality.setdefault((group, predicate), []).append((concept, state, rule))

    vocabulary = _vocabulary(builder, builder.entries)
    automaton = ahocorasick.Automaton()
    for key, entry in builder.entries.items():
        automaton.add_word("".join(vocabulary[w] for w in key), (len(key) - 1, entry))
    automaton.make_automaton()
    table = WordTable(vocabulary, (noun for noun in sorted(builder.nouns) if len(noun) >= 6))
    return Lexicon(vocabulary, table, automaton, {k: tuple(v) for k, v in normality.items()})


def _vocabulary(builder: _Builder, keys: Iterable[tuple[str, ...]]) -> dict[str, str]:
    vocabulary: dict[str, str] = {}
    for key in keys:
        for word in key:
            if word not in vocabulary:
                high, low = divmod(len(vocabulary), _ROW)
                vocabulary[word] = chr(_HIGH + high) + chr(_LOW + low)
    for variant, canonical in builder.variants.items():
        if canonical in vocabulary:
            vocabulary[variant] = vocabulary[canonical]
            for form in plurals(variant):
                vocabulary.setdefault(form, vocabulary[canonical])
    return vocabulary
