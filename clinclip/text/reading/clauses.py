"""The cues of a sentence: which lexicon hits deny, doubt or set aside a mention, in which direction, by which rule.

How far each of them reaches is found by the walks of :mod:`clinclip.text.reading.scopes`.
"""

from __future__ import annotations

from clinclip.text.reading import roles
from clinclip.text.reading.cues import NEGATED, PRESENT, UNCERTAIN, Cue
from clinclip.text.reading.scopes import ANY_CUE, CLAUSE_END, CONJUNCTION, Reach

#: How far "pain-free", a minus sign, "DVT prophylaxis" reach.
NEAR_REACH = 3

#: what may stand behind a predicate that closes its clause
_CLOSING = (
    CLAUSE_END | roles.COMMA | roles.CLOSE | roles.AND | roles.WITHIN | roles.AFTER | roles.QUESTION | roles.RELATIVE
    | roles.FOR | roles.WITH | roles.ADVERB | roles.HYPOTHETICAL | roles.COLON | roles.VERB
)  # fmt: skip
#: participles of a procedure, a device or a drug: what "was not placed" is not there
_MADE = frozenset(["placed", "inserted", "started", "initiated", "used", "prescribed", "ordered", "made", "transfused"])
#: nouns that have a degree: "suspicion is low"
_DEGREE_NOUNS = frozenset({"suspicion", "probability", "likelihood", "concern"})


class Clauses(Reach):
    """Lexicon hits of a sentence and the cues among them."""

    __slots__ = ()

    def cues(self) -> list[Cue]:
        """Every cue with its reach, in order of position."""
        found: list[Cue] = []
        skip = -1
        for i, flags in enumerate(self.bits):
            if flags & ANY_CUE and i > skip:
                skip = max(skip, self._cue(i, flags, found))
        if len(found) > 1:
            self._cancel(found)
        return found

    def _cancel(self, found: list[Cue]) -> None:
        """A "without" that is itself denied affirms: "cannot walk without pain"."""
        outer: Cue | None = None
        for cue in found:
            if outer is not None and cue.rule == "without" and outer.end <= cue.start < outer.high:
                between = [f for f, s in zip(self.bits, self.starts, strict=True) if outer.end <= s < cue.start]
                if not any(f & (CONJUNCTION | roles.CONCEPT) for f in between):
                    cue.kind, cue.state, cue.rule = roles.PSEUDO, PRESENT, "not-without"
            outer = cue if cue.kind == roles.NEG_PRE and cue.rule == "denied-verb" else None

    def _cue(self, i: int, flags: int, found: list[Cue]) -> int:
        """Append the cues that the hit makes; returns the last hit that they use."""
        add = self._add
        if flags & roles.NEG_NOT:
            return self._not(i, found)
        if flags & roles.PSEUDO:
            backward = self.entries[i].rules.get(roles.PSEUDO) == "not-resolved"
            add(found, i, roles.PSEUDO, PRESENT, "pseudo-negation", forward=not backward)
        elif flags & roles.RESOLUTION:
            add(found, i, roles.REMOVED if flags & roles.REMOVED else roles.RESOLUTION, NEGATED, "resolution")
        elif flags & (roles.RESOLVED | roles.REMOVED):
            self._resolved(i, found)
        elif flags & roles.EXCLUDED and not flags & roles.UNC_POST:
            active = not self._closes(i) and not (
                i and self.bits[i - 1] & roles.COPULA and self.ends[i - 1] == self.starts[i]
            )
            add(found, i, roles.NEG_PRE if active else roles.NEG_POST, NEGATED, "excluded", forward=active)
        elif flags & roles.NEG_PRE and not (flags & roles.NEG_POST and self._predicative(i)):
            return self._no(i, found)
        elif flags & roles.NEG_POST:
            if self._none_lately(i):
                return i
            add(found, i, roles.NEG_POST, NEGATED, "negated-after", forward=False, near=bool(flags & roles.NEAR))
        elif flags & roles.NEG_NEAR and self.starts[i] > 0 and self._ends_item(i):
            add(found, i, roles.NEG_POST, NEGATED, "negated-after", forward=False, near=True)  # "rash (-), itching (+)"
        elif flags & roles.NEG_NEAR:
            add(found, i, roles.NEG_NEAR, NEGATED, "negated-before", near=True)
        elif flags & (roles.UNC_PRE | roles.UNC_POST):
            self._uncertain(i, flags, found)
        elif flags & roles.INDICATION:
            add(found, i, roles.INDICATION, UNCERTAIN, "indication")
        elif flags & roles.HYPOTHETICAL:
            if flags & roles.VERB and self.starts[i] > 0:
                return i  # "should" asks for a condition only where it begins the sentence
            add(found, i, roles.HYPOTHETICAL, UNCERTAIN, "hypothetical")
        elif flags & roles.HYPOTHETICAL_POST:
            add(found, i, roles.HYPOTHETICAL, UNCERTAIN, "hypothetical", forward=False, near=True)
        elif flags & roles.OTHER_SUBJECT or (flags & roles.OTHER_PERSON and self._person_with_disease(i)):
            behind = bool(flags & roles.NEAR)  # "alcoholism in his father"
            add(found, i, roles.OTHER_SUBJECT, UNCERTAIN, "other-subject", forward=not behind, to_end=True)
        elif flags & roles.HISTORY:
            add(found, i, roles.HISTORY, UNCERTAIN, "history")
        elif flags & roles.DISEASE_HISTORY:
            add(found, i, roles.DISEASE_HISTORY, UNCERTAIN, "history", near=True)
        elif flags & roles.COMPARISON:
            add(found, i, roles.COMPARISON, UNCERTAIN, "comparison")
        return i

    def _add(
        self, found: list[Cue], i: int, kind: int, state: str, rule: str, *, forward: bool = True, strict: bool = False,
        near: bool = False, to_end: bool = False, last: int | None = None,
    ) -> None:  # fmt: skip
        """Append a cue made of the hits i..last with its reach."""
        last = i if last is None else last
        rule = self.entries[i].rules.get(kind, rule)
        start, end = self.starts[i], self.ends[last]
        if not forward:
            low = max(self._backward(i, kind), start - NEAR_REACH if near else 0)
            found.append(Cue(kind, state, rule, start, end, low, start))
        elif to_end:
            found.append(Cue(kind, state, rule, start, end, end, self._end_of_clause(last)))
        else:
            high, islands = self._forward(last, strict=strict or near, first=i)
            if near:
                high = min(high, end + (1 if self.bits[i] & roles.NEAR else NEAR_REACH))
            found.append(Cue(kind, state, rule, start, end, end, high, islands))

    def _no(self, i: int, found: list[Cue]) -> int:
        """Reads "no", "without" ...; "Pneumothorax: no." answers what stands before, "no change in" denies nothing."""
        if (
            i > 0
            and self.bits[i - 1] & (roles.COLON | roles.OPEN)
            and self.ends[i - 1] == self.starts[i]
            and self._closes(i)
        ):
            self._add(found, i, roles.NEG_POST, NEGATED, "answer", forward=False)
            return i
        k, at = i + 1, self.ends[i]
        while k < self._n and self.starts[k] == at and self.bits[k] & (roles.DEGREE | roles.MODIFIER | roles.ADVERB):
            if self.bits[k] & roles.CHANGE_NOUN:
                break
            at = self.ends[k]
            k += 1
        change = (
            k < self._n
            and self.starts[k] == at
            and self.bits[k] & roles.CHANGE_NOUN
            and not self.bits[k] & roles.CONCEPT
        )
        if change and not (k + 1 < self._n and self.starts[k + 1] == self.ends[k] and self.bits[k + 1] & roles.SUGGEST):
            self._add(found, i, roles.PSEUDO, PRESENT, "no-change", last=k)
            return k
        self._add(found, i, roles.NEG_PRE, NEGATED, "negated-before")
        return i

    def _not(self, i: int, found: list[Cue]) -> int:
        """Reads "not", "no longer", "cannot": what follows decides the direction."""
        starts, ends, bits = self.starts, self.ends, self.bits
        if i and bits[i - 1] & roles.COLON and ends[i - 1] == starts[i] and self._ends_item(i):
            self._add(found, i, roles.NEG_POST, NEGATED, "answer", forward=False)  # "smoking: never"
            return i
        k, at, before = i + 1, ends[i], 0
        while k < self._n and starts[k] == at and bits[k] & roles.ADVERB and not bits[k] & roles.SEEN:
            before |= bits[k] & roles.PRIOR
            at = ends[k]
            k += 1
        flags = bits[k] if k < self._n and starts[k] == at else 0
        if flags & roles.EXCLUDED:
            self._add(found, i, roles.UNC_POST, UNCERTAIN, "not-excluded", forward=False, last=k)
            return k
        if flags & roles.EXCLUDE:
            self._add(found, i, roles.UNC_PRE, UNCERTAIN, "cannot-exclude", last=k)
            return k
        if flags & (roles.RESOLVED | roles.REMOVED | roles.CHANGED) and not flags & roles.SEEN:
            rule = "not-changed" if flags & roles.CHANGED else "not-resolved"
            found.append(
                Cue(roles.PSEUDO, PRESENT, rule, starts[i], ends[k], self._backward(i, roles.PSEUDO), starts[i])
            )
            return k
        if (
            flags & roles.SEEN and starts[i] == 0 and k + 1 < self._n and bits[k + 1] & roles.COPULA
        ):  # "not seen is the nodule"
            self._add(found, i, roles.NEG_PRE, NEGATED, "not-seen", last=k + 1)
            return k + 1
        if flags & roles.SEEN and (before or self._before(k)):
            found.append(
                Cue(
                    roles.PSEUDO,
                    PRESENT,
                    "not-seen-before",
                    starts[i],
                    ends[k],
                    self._backward(i, roles.PSEUDO),
                    starts[i],
                )
            )
            return k
        if flags & roles.SEEN and not self._active(i, k) and not self._has_object(k):
            self._add(found, i, roles.NEG_POST, NEGATED, "not-seen", forward=False, last=k)
            return k
        made = (
            k < self._n
            and self.entries[k].phrase in _MADE
            and i > 0
            and bits[i - 1] & roles.COPULA
            and ends[i - 1] == starts[i]
        )
        if made and self._closes(k):
            self._add(found, i, roles.NEG_POST, NEGATED, "not-made", forward=False, last=k)
            return k
        if flags & (roles.UNC_POST | roles.UNC_PRE) and self._closes(k):
            self._add(found, i, roles.NEG_POST, NEGATED, "not-suspected", forward=False, last=k)
            return k
        last = k if flags & (roles.UNC_PRE | roles.AFFIRM | roles.NEG_PRE | roles.AFTER) else i
        self._add(found, i, roles.NEG_PRE, NEGATED, "denied-verb", last=last)
        return last

    def _ends_item(self, i: int) -> bool:
        """Whether a comma, the end of a clause or of the sentence follows directly."""
        if self.ends[i] >= self.size:
            return True
        return (
            i + 1 < self._n
            and self.starts[i + 1] == self.ends[i]
            and bool(self.bits[i + 1] & (roles.COMMA | CLAUSE_END))
        )

    def _none_lately(self, i: int) -> bool:
        """Whether "none" counts a time and not the thing: "has migraines, although none recently"."""
        if self.entries[i].phrase != "none" or i == 0 or i + 1 >= self._n or not self.bits[i - 1] & roles.END:
            return False
        near = (
            self.ends[i - 1] == self.starts[i]
            and self.ends[i] == self.starts[i + 1]
            and self.entries[i - 1].phrase != ";"
        )
        return near and bool(self.bits[i + 1] & (roles.ADVERB | roles.AFTER | roles.WITHIN))

    def _active(self, i: int, k: int) -> bool:
        """Whether the object stands behind: "has not shown X", unlike "has not been shown"."""
        if i == 0 or self.ends[i - 1] != self.starts[i] or self.entries[i - 1].phrase not in {"has", "have", "had"}:
            return False
        return self.ends[i] == self.starts[k] and not self._closes(k)

    def _before(self, k: int) -> bool:
        """Whether the denial speaks of the past: "not seen previously", "not evident on the prior exam"."""
        for j in range(k + 1, min(k + 4, self._n)):
            if self.starts[j] - self.ends[k] > 3 or self.bits[j] & (CLAUSE_END | roles.COMMA):
                return False
            if self.bits[j] & roles.PRIOR:
                return True
        return False

    def _predicative(self, i: int) -> bool:
        """Whether "negative", "absent", "unlikely" speaks of what stands before, not of the noun behind it."""
        if self.starts[i] == 0:
            return False
        if self._closes(i):
            return True
        linked = (
            i > 0
            and self.ends[i - 1] == self.starts[i]
            and self.bits[i - 1] & roles.COPULA
            and not self.bits[i - 1] & roles.START
        )
        noun = (
            i + 1 < self._n
            and self.starts[i + 1] - self.ends[i] <= 1
            and self.bits[i + 1] & (roles.CONCEPT | roles.MODIFIER | roles.ANATOMY)
        )
        if noun and self.bits[i + 1] & roles.MODIFIER and self._closes(i + 1):
            return True  # "was negative bilaterally"
        return bool(linked and not noun)

    def _has_object(self, k: int) -> bool:
        """Whether the participle has an object behind it: "was not given aspirin", "was not noted to have fever"."""
        if k + 1 >= self._n or self.starts[k + 1] != self.ends[k]:
            return False
        flags = self.bits[k + 1]
        return bool(flags & (roles.CONCEPT | roles.MODIFIER | roles.DEGREE | roles.ARTICLE)) or self.entries[
            k + 1
        ].phrase in {
            "to be",
            "to have",
        }

    def _resolved(self, i: int, found: list[Cue]) -> None:
        flags = self.bits[i]
        before = self.bits[i - 1] if i > 0 and self.ends[i - 1] == self.starts[i] else 0
        kind, rule = (roles.RESOLVED, "resolved") if flags & roles.RESOLVED else (roles.REMOVED, "removed")
        if kind == roles.RESOLVED and before & roles.COPULA and self.entries[i].phrase in {"cleared", "stopped"}:
            return  # "was cleared for discharge", "aspirin was stopped"
        opens = self.starts[i] == 0 or before & (roles.THE | roles.ARTICLE | roles.AND | roles.WITH | roles.COMMA)
        self._add(found, i, kind, NEGATED, rule, forward=bool(opens) and not self._closes(i), strict=True)

    def _uncertain(self, i: int, flags: int, found: list[Cue]) -> None:
        if self._is_low(i):
            self._add(found, i, roles.NEG_PRE, NEGATED, "low-suspicion", strict=True)
            return
        closes = self.starts[i] > 0 and self._closes(i, seen=True)
        if not closes and flags & roles.UNC_POST and self.entries[i].phrase.endswith(("to exclude", "to rule out")):
            self._add(
                found, i, roles.UNC_PRE, UNCERTAIN, "cannot-exclude", strict=True
            )  # "it is difficult to exclude X"
            return
        if flags & roles.UNC_POST and (closes or not (flags & roles.UNC_PRE or "likely" in self.entries[i].phrase)):
            self._add(found, i, roles.UNC_POST, UNCERTAIN, "uncertain-after", forward=False)
        else:
            listed = self.entries[i].phrase.startswith(
                ("differential", "ddx")
            )  # "differential includes ARDS, edema and ..."
            self._add(found, i, roles.UNC_PRE, UNCERTAIN, "uncertain-before", strict=not listed)

    def _is_low(self, i: int) -> bool:
        """Whether a noun of degree is called low: "suspicion for X is low", "the probability of X was minimal"."""
        if not _DEGREE_NOUNS.intersection(self.entries[i].phrase.split()):
            return False
        for k in range(i + 1, min(i + 10, self._n - 1)):
            if self.bits[k] & CLAUSE_END:
                return False
            if self.bits[k] & roles.COPULA and self.starts[k + 1] - self.ends[k] <= 1:
                return self.entries[k + 1].phrase in {"low", "minimal", "minor", "small", "unlikely"}
        return False

    def _person_with_disease(self, i: int) -> bool:
        """Whether this is somebody else's disease: "mother had", "brother with", "father died of"."""
        for k in range(i + 1, min(i + 4, self._n)):
            if self.starts[k] - self.ends[i] > 3 or self.bits[k] & (CLAUSE_END | roles.COMMA):
                return False
            if self.bits[k] & (roles.PERSON_VERB | roles.WITH | roles.HISTORY) or self.entries[k].phrase in {
                "has",
                "had",
                "have",
            }:
                return True
        return False

    def _closes(self, i: int, seen: bool = False) -> bool:
        """Whether the hit ends its clause: nothing follows, or what begins another."""
        if self.ends[i] >= self.size:
            return True
        if i + 1 >= self._n or self.starts[i + 1] != self.ends[i]:
            return False
        flags = self.bits[i + 1]
        return bool(flags & _CLOSING) or (seen and bool(flags & roles.SEEN) and self._closes(i + 1))

    def beside_versus(self, start: int, end: int) -> bool:
        """Whether "versus" stands directly before or behind the words [start, end)."""
        return any(
            self.entries[i].phrase in {"versus", "vs"} and (self.starts[i] == end or self.ends[i] == start)
            for i in range(self._n)
        )
