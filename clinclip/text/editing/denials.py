"""The sentence that denies a finding: drawn from the wordings, at the place that the report named, in its letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clinclip.draws import Draws
from clinclip.findings import LabelState
from clinclip.text.editing.removal import SentenceChange
from clinclip.text.editing.subject import sentence_claims
from clinclip.text.editing.templates import (
    TEMPLATES,
    Place,
    Template,
    TemplateSet,
    fill,
    noun_phrase,
    nouns_for,
)
from clinclip.text.types import Assertion

#: Denials that are tried for one finding before it is given up.
MAX_TRIES = 6


@dataclass(frozen=True, slots=True)
class Denial:
    """A sentence that denies a finding.

    Attributes:
        template: the wording it was made with.
        sentence: without final full stop.
    """

    template: Template
    sentence: str


def denials(
    finding: str, doomed: Sequence[Assertion], draws: Draws, templates: TemplateSet, number: int
) -> Iterator[Denial]:
    """Up to :data:`MAX_TRIES` wordings that read as a denial of just this finding.

    Args:
        finding: what is denied.
        doomed: its statements in the report, which say how it is called there, and where it is.
        draws: source of the random choices.
        templates: wordings to draw from.
        number: which of several negations of the same finding this is; each draws another wording.
    """
    mentions = tuple(f"{a.concept} {a.text}".lower() for a in doomed if a.state is LabelState.PRESENT)
    nouns = nouns_for(finding, mentions)
    place = agreed_place(doomed)
    general = [t for t in TEMPLATES[templates] if t.findings is None]
    special = [t for t in TEMPLATES[templates] if t.findings and finding in t.findings]
    count = 0
    for turn in range(4 * MAX_TRIES):
        key = (templates, finding, number, turn)
        pool = special if special and draws.chance(0.3, "special", *key) else general
        template = draws.pick(pool, "template", *key)
        noun = draws.pick(nouns, "noun", *key)
        phrase = noun_phrase(noun, place, draws.number("place", *key))
        sentence = fill(template, phrase, noun.plural, place.side)
        if sentence is None:
            continue
        claims = sentence_claims(f"{sentence}.")
        if claims and all(c[1] == finding and c[2] is LabelState.ABSENT for c in claims):
            count += 1
            yield Denial(template, sentence)
            if count == MAX_TRIES:
                return


def agreed_place(mentions: Sequence[Assertion]) -> Place:
    """Side and site on which all positive mentions that name one agree; opposite sides make "bilateral"."""
    sides = {a.side for a in mentions if a.side}
    side = sides.pop() if len(sides) == 1 else "bilateral" if sides else None
    sites = {site.removeprefix("left ").removeprefix("right ") for a in mentions for site in a.locations}
    return Place(side, sites.pop() if len(sites) == 1 else None)


def in_place_of(text: str, change: SentenceChange, denial: str) -> str:
    """The denial in the letters of the sentence it replaces, beside what remains of that sentence."""
    old = text[change.start : change.end]
    letters = [c for c in old if c.isalpha()]
    opens_with_number = next((c.isdigit() for c in old if c.isalnum()), False)
    if len(letters) > 3 and all(c.isupper() for c in letters):
        denial = denial.upper()
    elif letters and letters[0].islower() and not opens_with_number:
        denial = denial[0].lower() + denial[1:]
    final = old[len(old.rstrip(".!?")) :] and "."
    if not change.text:
        return denial + final
    if change.removed_first:
        return f"{denial}. {change.text}"
    rest = change.text if change.text.endswith((".", "!", "?")) else change.text + "."
    return f"{rest} {denial}{final}"
