"""The cues of a sentence: which lexicon hits deny, doubt or set aside a mention, in which direction, by which rule.

How far each of them reaches is found by the walks of :mod:`clinclip.text.reading.scopes`.
"""

from __future__ import annotations

from clinclip.text.reading import roles as r
from clinclip.text.reading.cues import NEGATED, PRESENT, UNCERTAIN, Cue
from clinclip.text.reading.scopes import ANY_CUE, CLAUSE_END, CONJUNCTION, Reach

#: How far "pain-free", a minus sign, "DVT prophylaxis" reach.
NEAR_REACH = 3

#: what may stand behind a predicate that closes its clause
_CLOSING = (
    CLAUSE_END | r.COMMA | r.CLOSE | r.AND | r.WITHIN | r.AFTER | r.QUESTION | r.RELATIVE | r.FOR | r.WITH | r.ADVERB
    | r.HYPOTHETICAL | r.COLON | r.VERB
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
        for i, flags in enumerate(self.F):
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
                between = [f for f, s in zip(self.F, self.S, strict=True) if outer.end <= s < cue.start]
                if not any(f & (CONJUNCTION | r.CONCEPT) for f in between):
                    cue.kind, cue.state, cue.rule = r.PSEUDO, PRESENT, "not-without"
            outer = cue if cue.kind == r.NEG_PRE and cue.rule == "denied-verb" else None

    def _cue(self, i: int, flags: int, found: list[Cue]) -> int:
        """Append the cues that the hit makes; returns the last hit that they use."""
        add = self._add
        if flags & r.NEG_NOT:
            return self._not(i, found)
        if flags & r.PSEUDO:
            backward = self.X[i].rules.get(r.PSEUDO) == "not-resolved"
            add(found, i, r.PSEUDO, PRESENT, "pseudo-negation", forward=not backward)
        elif flags & r.RESOLUTION:
            add(found, i, r.REMOVED if flags & r.REMOVED else r.RESOLUTION, NEGATED, "resolution")
        elif flags & (r.RESOLVED | r.REMOVED):
            self._resolved(i, found)
        elif flags & r.EXCLUDED and not flags & r.UNC_POST:
            active = not self._closes(i) and not (i and self.F[i - 1] & r.COPULA and self.E[i - 1] == self.S[i])
            add(found, i, r.NEG_PRE if active else r.NEG_POST, NEGATED, "excluded", forward=active)
        elif flags & r.NEG_PRE and not (flags & r.NEG_POST and self._predicative(i)):
            return self._no(i, found)
        elif flags & r.NEG_POST:
            if self._none_lately(i):
                return i
            add(found, i, r.NEG_POST, NEGATED, "negated-after", forward=False, near=bool(flags & r.NEAR))
        elif flags & r.NEG_NEAR and self.S[i] > 0 and self._ends_item(i):
            add(found, i, r.NEG_POST, NEGATED, "negated-after", forward=False, near=True)  # "rash (-), itching (+)"
        elif flags & r.NEG_NEAR:
            add(found, i, r.NEG_NEAR, NEGATED, "negated-before", near=True)
        elif flags & (r.UNC_PRE | r.UNC_POST):
            self._uncertain(i, flags, found)
        elif flags & r.INDICATION:
            add(found, i, r.INDICATION, UNCERTAIN, "indication")
        elif flags & r.HYPOTHETICAL:
            if flags & r.VERB and self.S[i] > 0:
                return i  # "should" asks for a condition only where it begins the sentence
            add(found, i, r.HYPOTHETICAL, UNCERTAIN, "hypothetical")
        elif flags & r.HYPOTHETICAL_POST:
            add(found, i, r.HYPOTHETICAL, UNCERTAIN, "hypothetical", forward=False, near=True)
        elif flags & r.OTHER_SUBJECT or (flags & r.OTHER_PERSON and self._person_with_disease(i)):
            behind = bool(flags & r.NEAR)  # "alcoholism in his father"
            add(found, i, r.OTHER_SUBJECT, UNCERTAIN, "other-subject", forward=not behind, to_end=True)
        elif flags & r.HISTORY:
            add(found, i, r.HISTORY, UNCERTAIN, "history")
        elif flags & r.DISEASE_HISTORY:
            add(found, i, r.DISEASE_HISTORY, UNCERTAIN, "history", near=True)
        elif flags & r.COMPARISON:
            add(found, i, r.COMPARISON, UNCERTAIN, "comparison")
        return i

    def _add(
        self, found: list[Cue], i: int, kind: int, state: str, rule: str, *, forward: bool = True, strict: bool = False,
        near: bool = False, to_end: bool = False, last: int | None = None,
    ) -> None:  # fmt: skip
        """Append a cue made of the hits i..last with its reach."""
        last = i if last is None else last
        rule = self.X[i].rules.get(kind, rule)
        start, end = self.S[i], self.E[last]
        if not forward:
            low = max(self._backward(i, kind), start - NEAR_REACH if near else 0)
            found.append(Cue(kind, state, rule, start, end, low, start))
        elif to_end:
            found.append(Cue(kind, state, rule, start, end, end, self._end_of_clause(last)))
        else:
            high, islands = self._forward(last, strict=strict or near, first=i)
            if near:
                high = min(high, end + (1 if self.F[i] & r.NEAR else NEAR_REACH))
            found.append(Cue(kind, state, rule, start, end, end, high, islands))

    def _no(self, i: int, found: list[Cue]) -> int:
        """Reads "no", "without" ...; "Pneumothorax: no." answers what stands before, "no change in" denies nothing."""
        if i > 0 and self.F[i - 1] & (r.COLON | r.OPEN) and self.E[i - 1] == self.S[i] and self._closes(i):
            self._add(found, i, r.NEG_POST, NEGATED, "answer", forward=False)
            return i
        k, at = i + 1, self.E[i]
        while k < self._n and self.S[k] == at and self.F[k] & (r.DEGREE | r.MODIFIER | r.ADVERB):
            if self.F[k] & r.CHANGE_NOUN:
                break
            at = self.E[k]
            k += 1
        change = k < self._n and self.S[k] == at and self.F[k] & r.CHANGE_NOUN and not self.F[k] & r.CONCEPT
        if change and not (k + 1 < self._n and self.S[k + 1] == self.E[k] and self.F[k + 1] & r.SUGGEST):
            self._add(found, i, r.PSEUDO, PRESENT, "no-change", last=k)
            return k
        self._add(found, i, r.NEG_PRE, NEGATED, "negated-before")
        return i

    def _not(self, i: int, found: list[Cue]) -> int:
        """Reads "not", "no longer", "cannot": what follows decides the direction."""
        S, E, F = self.S, self.E, self.F
        if i and F[i - 1] & r.COLON and E[i - 1] == S[i] and self._ends_item(i):
            self._add(found, i, r.NEG_POST, NEGATED, "answer", forward=False)  # "smoking: never"
            return i
        k, at, before = i + 1, E[i], 0
        while k < self._n and S[k] == at and F[k] & r.ADVERB and not F[k] & r.SEEN:
            before |= F[k] & r.PRIOR
            at = E[k]
            k += 1
        flags = F[k] if k < self._n and S[k] == at else 0
        if flags & r.EXCLUDED:
            self._add(found, i, r.UNC_POST, UNCERTAIN, "not-excluded", forward=False, last=k)
            return k
        if flags & r.EXCLUDE:
            self._add(found, i, r.UNC_PRE, UNCERTAIN, "cannot-exclude", last=k)
            return k
        if flags & (r.RESOLVED | r.REMOVED | r.CHANGED) and not flags & r.SEEN:
            rule = "not-changed" if flags & r.CHANGED else "not-resolved"
            found.append(Cue(r.PSEUDO, PRESENT, rule, S[i], E[k], self._backward(i, r.PSEUDO), S[i]))
            return k
        if flags & r.SEEN and S[i] == 0 and k + 1 < self._n and F[k + 1] & r.COPULA:  # "not seen is the nodule"
            self._add(found, i, r.NEG_PRE, NEGATED, "not-seen", last=k + 1)
            return k + 1
        if flags & r.SEEN and (before or self._before(k)):
            found.append(Cue(r.PSEUDO, PRESENT, "not-seen-before", S[i], E[k], self._backward(i, r.PSEUDO), S[i]))
            return k
        if flags & r.SEEN and not self._active(i, k) and not self._has_object(k):
            self._add(found, i, r.NEG_POST, NEGATED, "not-seen", forward=False, last=k)
            return k
        made = k < self._n and self.X[k].phrase in _MADE and i > 0 and F[i - 1] & r.COPULA and E[i - 1] == S[i]
        if made and self._closes(k):
            self._add(found, i, r.NEG_POST, NEGATED, "not-made", forward=False, last=k)
            return k
        if flags & (r.UNC_POST | r.UNC_PRE) and self._closes(k):
            self._add(found, i, r.NEG_POST, NEGATED, "not-suspected", forward=False, last=k)
            return k
        last = k if flags & (r.UNC_PRE | r.AFFIRM | r.NEG_PRE | r.AFTER) else i
        self._add(found, i, r.NEG_PRE, NEGATED, "denied-verb", last=last)
        return last

    def _ends_item(self, i: int) -> bool:
        """Whether a comma, the end of a clause or of the sentence follows directly."""
        if self.E[i] >= self.size:
            return True
        return i + 1 < self._n and self.S[i + 1] == self.E[i] and bool(self.F[i + 1] & (r.COMMA | CLAUSE_END))

    def _none_lately(self, i: int) -> bool:
        """Whether "none" counts a time and not the thing: "has migraines, although none recently"."""
        if self.X[i].phrase != "none" or i == 0 or i + 1 >= self._n or not self.F[i - 1] & r.END:
            return False
        near = self.E[i - 1] == self.S[i] and self.E[i] == self.S[i + 1] and self.X[i - 1].phrase != ";"
        return near and bool(self.F[i + 1] & (r.ADVERB | r.AFTER | r.WITHIN))

    def _active(self, i: int, k: int) -> bool:
        """Whether the object stands behind: "has not shown X", unlike "has not been shown"."""
        if i == 0 or self.E[i - 1] != self.S[i] or self.X[i - 1].phrase not in {"has", "have", "had"}:
            return False
        return self.E[i] == self.S[k] and not self._closes(k)

    def _before(self, k: int) -> bool:
        """Whether the denial speaks of the past: "not seen previously", "not evident on the prior exam"."""
        for j in range(k + 1, min(k + 4, self._n)):
            if self.S[j] - self.E[k] > 3 or self.F[j] & (CLAUSE_END | r.COMMA):
                return False
            if self.F[j] & r.PRIOR:
                return True
        return False

    def _predicative(self, i: int) -> bool:
        """Whether "negative", "absent", "unlikely" speaks of what stands before, not of the noun behind it."""
        if self.S[i] == 0:
            return False
        if self._closes(i):
            return True
        linked = i > 0 and self.E[i - 1] == self.S[i] and self.F[i - 1] & r.COPULA and not self.F[i - 1] & r.START
        noun = (
            i + 1 < self._n and self.S[i + 1] - self.E[i] <= 1 and self.F[i + 1] & (r.CONCEPT | r.MODIFIER | r.ANATOMY)
        )
        if noun and self.F[i + 1] & r.MODIFIER and self._closes(i + 1):
            return True  # "was negative bilaterally"
        return bool(linked and not noun)

    def _has_object(self, k: int) -> bool:
        """Whether the participle has an object behind it: "was not given aspirin", "was not noted to have fever"."""
        if k + 1 >= self._n or self.S[k + 1] != self.E[k]:
            return False
        flags = self.F[k + 1]
        return bool(flags & (r.CONCEPT | r.MODIFIER | r.DEGREE | r.ARTICLE)) or self.X[k + 1].phrase in {
            "to be",
            "to have",
        }

    def _resolved(self, i: int, found: list[Cue]) -> None:
        flags = self.F[i]
        before = self.F[i - 1] if i > 0 and self.E[i - 1] == self.S[i] else 0
        kind, rule = (r.RESOLVED, "resolved") if flags & r.RESOLVED else (r.REMOVED, "removed")
        if kind == r.RESOLVED and before & r.COPULA and self.X[i].phrase in {"cleared", "stopped"}:
            return  # "was cleared for discharge", "aspirin was stopped"
        opens = self.S[i] == 0 or before & (r.THE | r.ARTICLE | r.AND | r.WITH | r.COMMA)
        self._add(found, i, kind, NEGATED, rule, forward=bool(opens) and not self._closes(i), strict=True)

    def _uncertain(self, i: int, flags: int, found: list[Cue]) -> None:
        if self._is_low(i):
            self._add(found, i, r.NEG_PRE, NEGATED, "low-suspicion", strict=True)
            return
        closes = self.S[i] > 0 and self._closes(i, seen=True)
        if not closes and flags & r.UNC_POST and self.X[i].phrase.endswith(("to exclude", "to rule out")):
            self._add(found, i, r.UNC_PRE, UNCERTAIN, "cannot-exclude", strict=True)  # "it is difficult to exclude X"
            return
        if flags & r.UNC_POST and (closes or not (flags & r.UNC_PRE or "likely" in self.X[i].phrase)):
            self._add(found, i, r.UNC_POST, UNCERTAIN, "uncertain-after", forward=False)
        else:
            listed = self.X[i].phrase.startswith(("differential", "ddx"))  # "differential includes ARDS, edema and ..."
            self._add(found, i, r.UNC_PRE, UNCERTAIN, "uncertain-before", strict=not listed)

    def _is_low(self, i: int) -> bool:
        """Whether a noun of degree is called low: "suspicion for X is low", "the probability of X was minimal"."""
        if not _DEGREE_NOUNS.intersection(self.X[i].phrase.split()):
            return False
        for k in range(i + 1, min(i + 10, self._n - 1)):
            if self.F[k] & CLAUSE_END:
                return False
            if self.F[k] & r.COPULA and self.S[k + 1] - self.E[k] <= 1:
                return self.X[k + 1].phrase in {"low", "minimal", "minor", "small", "unlikely"}
        return False

    def _person_with_disease(self, i: int) -> bool:
        """Whether this is somebody else's disease: "mother had", "brother with", "father died of"."""
        for k in range(i + 1, min(i + 4, self._n)):
            if self.S[k] - self.E[i] > 3 or self.F[k] & (CLAUSE_END | r.COMMA):
                return False
            if self.F[k] & (r.PERSON_VERB | r.WITH | r.HISTORY) or self.X[k].phrase in {"has", "had", "have"}:
                return True
        return False

    def _closes(self, i: int, seen: bool = False) -> bool:
        """Whether the hit ends its clause: nothing follows, or what begins another."""
        if self.E[i] >= self.size:
            return True
        if i + 1 >= self._n or self.S[i + 1] != self.E[i]:
            return False
        flags = self.F[i + 1]
        return bool(flags & _CLOSING) or (seen and bool(flags & r.SEEN) and self._closes(i + 1))

    def beside_versus(self, start: int, end: int) -> bool:
        """Whether "versus" stands directly before or behind the words [start, end)."""
        return any(
            self.X[i].phrase in {"versus", "vs"} and (self.S[i] == end or self.E[i] == start) for i in range(self._n)
        )
