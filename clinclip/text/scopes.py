"""How far a cue reaches: syntax-light rules that turn the lexicon hits of one sentence into scopes.

A forward cue ("no") reaches along its list ("no effusion, consolidation, or pneumothorax") and ends where a new
statement begins: at "but" and its kin, at a cause ("due to"), at "with", and at a comma or "and" behind which stands
what only a new statement has (a subject with its verb, an article, or a property such as "small" or "stable" that only
an existing thing can have). A backward cue ("has resolved") reaches over its subject, back to the verb of another
statement. All walks are bounded, so that run time stays linear in the length of the text.
"""

from __future__ import annotations

from clinclip.text import roles as r
from clinclip.text.cues import NEGATED, PRESENT, UNCERTAIN, Cue
from clinclip.text.lexicon.build import Entry

#: No cue reaches further than this many words.
MAX_REACH = 80
#: How far "pain-free", a minus sign, "DVT prophylaxis" reach.
NEAR_REACH = 3

_CLAUSE_END = r.END | r.EXCEPT
_CONJUNCTION = r.AND | r.OR | r.COMMA
_OTHER_CUE = r.UNC_PRE | r.HISTORY | r.INDICATION | r.OTHER_SUBJECT | r.HYPOTHETICAL | r.WITH
_ANY_CUE = (
    r.NEG_PRE | r.NEG_POST | r.NEG_NOT | r.NEG_NEAR | r.UNC_PRE | r.UNC_POST | r.RESOLVED | r.REMOVED | r.RESOLUTION
    | r.HISTORY | r.HYPOTHETICAL | r.OTHER_SUBJECT | r.INDICATION | r.PSEUDO | r.EXCLUDED | r.OTHER_PERSON
    | r.DISEASE_HISTORY | r.COMPARISON | r.HYPOTHETICAL_POST
)  # fmt: skip
#: what may stand behind a predicate that closes its clause
_CLOSING = (
    _CLAUSE_END | r.COMMA | r.CLOSE | r.AND | r.WITHIN | r.AFTER | r.QUESTION | r.RELATIVE | r.FOR | r.WITH | r.ADVERB
    | r.HYPOTHETICAL | r.COLON | r.VERB
)  # fmt: skip


_DEGREE_NOUNS = frozenset({"suspicion", "probability", "likelihood", "concern"})


class Clauses:
    """Lexicon hits of a sentence, in order, as parallel lists, and the walks over them.

    Args:
        hits: (start, end, entry), sorted, not overlapping.
        size: number of words of the sentence.
    """

    __slots__ = ("E", "F", "S", "X", "_n", "size")

    def __init__(self, hits: list[tuple[int, int, Entry]], size: int) -> None:
        self.S, self.E, self.X = zip(*hits, strict=True) if hits else ((), (), ())
        self.F = [entry.flags for entry in self.X]
        self._n = len(hits)
        self.size = size

    # ------------------------------------------------------------------ cues

    def cues(self) -> list[Cue]:
        """Every cue with its reach, in order of position."""
        found: list[Cue] = []
        skip = -1
        for i, flags in enumerate(self.F):
            if flags & _ANY_CUE and i > skip:
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
                if not any(f & (_CONJUNCTION | r.CONCEPT) for f in between):
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
            self._no(i, found)
        elif flags & r.NEG_POST:
            add(found, i, r.NEG_POST, NEGATED, "negated-after", forward=False, near=bool(flags & r.NEAR))
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

    def _no(self, i: int, found: list[Cue]) -> None:
        """Reads "no", "without" ...; "Pneumothorax: no." answers what stands before, "no change in" denies nothing."""
        if i > 0 and self.F[i - 1] & (r.COLON | r.OPEN) and self.E[i - 1] == self.S[i] and self._closes(i):
            self._add(found, i, r.NEG_POST, NEGATED, "answer", forward=False)
            return
        k, at = i + 1, self.E[i]
        while k < self._n and self.S[k] == at and self.F[k] & (r.DEGREE | r.MODIFIER | r.ADVERB):
            if self.F[k] & r.CHANGE_NOUN:
                break
            at = self.E[k]
            k += 1
        if k < self._n and self.S[k] == at and self.F[k] & r.CHANGE_NOUN and not self.F[k] & r.CONCEPT:
            self._add(found, i, r.PSEUDO, PRESENT, "no-change", last=k)
            return
        self._add(found, i, r.NEG_PRE, NEGATED, "negated-before")

    def _not(self, i: int, found: list[Cue]) -> int:
        """Reads "not", "no longer", "cannot": what follows decides the direction."""
        S, E, F = self.S, self.E, self.F
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
        if flags & (r.UNC_POST | r.UNC_PRE) and self._closes(k):
            self._add(found, i, r.NEG_POST, NEGATED, "not-suspected", forward=False, last=k)
            return k
        last = k if flags & (r.UNC_PRE | r.AFFIRM | r.NEG_PRE | r.AFTER) else i
        self._add(found, i, r.NEG_PRE, NEGATED, "denied-verb", last=last)
        return last

    def _active(self, i: int, k: int) -> bool:
        """Whether the object stands behind: "has not shown X", unlike "has not been shown"."""
        if i == 0 or self.E[i - 1] != self.S[i] or self.X[i - 1].phrase not in {"has", "have", "had"}:
            return False
        return self.E[i] == self.S[k] and not self._closes(k)

    def _before(self, k: int) -> bool:
        """Whether the denial speaks of the past: "not seen previously", "not evident on the prior exam"."""
        for j in range(k + 1, min(k + 4, self._n)):
            if self.S[j] - self.E[k] > 3 or self.F[j] & (_CLAUSE_END | r.COMMA):
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
        if flags & r.UNC_POST and (closes or not (flags & r.UNC_PRE or "likely" in self.X[i].phrase)):
            self._add(found, i, r.UNC_POST, UNCERTAIN, "uncertain-after", forward=False)
        else:
            self._add(found, i, r.UNC_PRE, UNCERTAIN, "uncertain-before", strict=True)

    def _is_low(self, i: int) -> bool:
        """Whether a noun of degree is called low: "suspicion for X is low", "the probability of X was minimal"."""
        if not _DEGREE_NOUNS.intersection(self.X[i].phrase.split()):
            return False
        for k in range(i + 1, min(i + 10, self._n - 1)):
            if self.F[k] & _CLAUSE_END:
                return False
            if self.F[k] & r.COPULA and self.S[k + 1] - self.E[k] <= 1:
                return self.X[k + 1].phrase in {"low", "minimal", "minor", "small", "unlikely"}
        return False

    def _person_with_disease(self, i: int) -> bool:
        """Whether this is somebody else's disease: "mother had", "brother with", "father died of"."""
        for k in range(i + 1, min(i + 4, self._n)):
            if self.S[k] - self.E[i] > 3 or self.F[k] & (_CLAUSE_END | r.COMMA):
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

    # ------------------------------------------------------------------ forward

    def _end_of_clause(self, i: int) -> int:
        for j in range(i + 1, self._n):
            if self.F[j] & _CLAUSE_END:
                return self.S[j]
        return self.size

    def _forward(self, i: int, *, strict: bool, first: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """First word behind the reach of the cue that ends with hit ``i``, and the places inside that it spares."""
        S, E, F, n = self.S, self.E, self.F, self._n
        limit = min(self.size, E[i] + MAX_REACH)
        verb = self._verb_before(first)
        denies = bool(F[first] & r.VERB and F[first] & r.NEG_PRE)
        noun = self.X[first].phrase in {"absence of", "lack of"}
        islands: list[tuple[int, int]] = []
        depth = 0
        j = i + 1
        while j < n and S[j] < limit:
            flags = F[j]
            if flags & (_CLAUSE_END | r.AFTER):
                if not (denies and self.X[j].phrase == ";" and self._bare_item(j)):
                    return S[j], tuple(islands)
            elif flags & r.OPEN:
                depth += 1
            elif flags & r.CLOSE:
                if depth == 0:
                    return S[j], tuple(islands)
                depth -= 1
            elif self._breaks(i, j, flags) or (noun and flags & r.UNC_PRE):
                return S[j], tuple(islands)
            elif flags & _CONJUNCTION:
                opens, following = self._opens(j, verb, strict, denies)
                if opens:
                    return S[j], tuple(islands)
                j = following
                continue
            elif flags & r.WITHIN and S[j] > E[i] and self._spares(j):
                islands.append((S[j], self._end_of_phrase(j)))
            elif flags & r.VERB and not flags & r.SUGGEST:
                if noun and not flags & r.COPULA:
                    return S[j], tuple(islands)  # "the absence of a lateral view limits ..."
                verb = True
            j += 1
        return limit, tuple(islands)

    def _spares(self, j: int) -> bool:
        """Whether the place that begins at ``j`` exists: "bleeding from the ulcer", "no pain elicited on the mass"."""
        if self.F[j - 1] & r.SEEN and self.E[j - 1] == self.S[j]:
            return True
        return j + 1 < self._n and bool(self.F[j + 1] & r.THE) and self.S[j + 1] == self.E[j]

    def _breaks(self, i: int, j: int, flags: int) -> bool:
        """Whether the hit ``j`` ends the reach of the cue that ends with hit ``i``, conjunctions apart."""
        if flags & r.AFFIRM:
            return any(f & (_CONJUNCTION | r.VERB | r.COLON) for f in self.F[i + 1 : j])
        if flags & r.WITH:
            return self.S[j] > self.E[i]
        if flags & r.FOR:  # "no treatment for", but "no evidence for"
            return not (self.E[j - 1] == self.S[j] and self.F[j - 1] & r.EVIDENCE)
        if flags & r.RELATIVE:  # "which is", but "no findings which suggest"
            return not any(f & r.SUGGEST for f in self.F[j : j + 4])
        return False

    def _bare_item(self, j: int) -> bool:
        """Whether an item without a statement of its own follows the semicolon ("denies fever; chills; sweats")."""
        for k in range(j + 1, self._n):
            if self.F[k] & _CLAUSE_END:
                return self.S[k] - self.E[j] <= 5
            if self.F[k] & (r.VERB | r.EXISTING | r.AFFIRM | r.NEG_PRE | r.START | r.PREDICATE | r.COLON):
                return False
        return self.size - self.E[j] <= 5

    def _verb_before(self, i: int) -> bool:
        for j in range(i - 1, max(-1, i - 8), -1):
            if self.F[j] & (_CLAUSE_END | r.COMMA | r.AND):
                return False
            if self.F[j] & r.VERB:
                return True
        return bool(self.F[i] & r.VERB)

    def _end_of_phrase(self, j: int) -> int:
        for k in range(j + 1, self._n):
            if self.F[k] & (_CONJUNCTION | _CLAUSE_END | r.VERB | r.CLOSE):
                return self.S[k]
        return self.size

    def _opens(self, j: int, verb: bool, strict: bool, denies: bool) -> tuple[bool, int]:
        """Whether a new statement begins behind the conjunction at ``j``; and the first hit behind the conjunctions."""
        S, E, F, n = self.S, self.E, self.F, self._n
        flags = F[j]
        k, at = j + 1, E[j]
        while k < n and S[k] == at and F[k] & _CONJUNCTION:
            flags |= F[k]
            at = E[k]
            k += 1
        first = F[k] if k < n and S[k] == at else 0
        if first & (_CLAUSE_END | r.NEG_PRE | r.NEG_NOT):
            return True, k
        if flags & r.OR:
            return bool(first & r.START and not first & r.RELATIVE), k
        if first & (r.START | r.AFFIRM | r.ARTICLE | r.VERB | _OTHER_CUE):
            return True, k
        segment = 0
        m = k
        while m < n and not F[m] & (_CONJUNCTION | _CLAUSE_END):
            segment |= F[m]
            m += 1
        if segment & r.AFFIRM or (flags & r.COMMA and segment & r.NEG_PRE):
            return True, k  # "without fever, diarrhea without blood"
        comma_only = flags & r.COMMA and not flags & r.AND
        if comma_only and j and F[j - 1] & r.EXISTING and E[j - 1] == S[j] and F[j - 2 if j > 1 else 0] & r.NEG_PRE:
            return False, k  # "no warm, red joints": the comma stands between adjectives
        closed = self._closed_by_or(m)
        if segment & r.VERB and not (closed and not strict and segment & r.SEEN):
            # "no effusion and pneumothorax is seen" shares its verb; "no effusion and the heart is large" does not
            return bool(verb or not segment & r.SEEN or comma_only), k
        if denies:
            return False, k
        if first & (r.EXISTING | r.THE | r.PREDICATE):
            return not (closed and comma_only), k
        return bool(strict and comma_only and not closed), k

    def _closed_by_or(self, m: int) -> bool:
        """Whether the list goes on to an "or" before a verb or a new clause: then all its items share the cue."""
        for k in range(m, min(self._n, m + 24)):
            flags = self.F[k]
            if flags & r.OR:
                return True
            if flags & (_CLAUSE_END | r.VERB | r.NEG_PRE | r.NEG_NOT | r.START | r.AFFIRM):
                return False
        return False

    # ------------------------------------------------------------------ backward

    def _backward(self, i: int, kind: int) -> int:
        """First word of the reach of a backward cue that starts with hit ``i``."""
        S, E, F = self.S, self.E, self.F
        limit = S[i] - MAX_REACH
        separators: list[int] = []
        alternatives = False
        j = i - 1
        at = S[i]
        # the cue's own auxiliaries: "has been removed", "is surgically absent", "now resolved"
        while j >= 0 and at - E[j] <= (1 if F[j] & r.COPULA else 0):
            if not F[j] & r.ADVERB and (not F[j] & r.VERB or F[j] & r.START):
                break
            at = S[j]
            j -= 1
        if j >= 0 and F[j] & (r.COMMA | r.COLON | r.OPEN) and E[j] == at:
            # "pneumothorax, resolved", "pneumothorax: none", "fever (no)"; "effusions, previously seen, are gone"
            opening = self._parenthesis(j) if F[j] & r.COMMA else None
            j = (j if opening is None else opening) - 1
        shares = r.END | (r.AND if kind in (r.RESOLVED, r.REMOVED) else 0)
        if j > 0 and E[j] == at and F[j] & shares:
            j = self._shared_subject(j)  # "was considered but was felt to be unlikely"
        while j >= 0:
            flags = F[j]
            if S[j] < limit or flags & (_CLAUSE_END | r.AFTER):
                return E[j]
            if flags & (r.NEG_PRE | r.NEG_NOT) and separators:
                return E[separators[-1]]
            if flags & r.VERB and not flags & r.SEEN:
                return E[separators[-1]] if separators else E[j]
            if flags & r.RELATIVE:
                if j > 0 and F[j - 1] & r.COMMA:
                    separators.clear()
                    j -= 1  # "effusion, which was large, has resolved"
            elif flags & r.OR:
                alternatives = True
                separators.append(j)
            elif flags & r.AND:
                separators.append(j)
            elif flags & r.COMMA:
                if not alternatives and not any(F[s] & r.AND for s in separators):
                    return E[j]
                separators.append(j)
            elif kind == r.UNC_POST and flags & r.WITH:
                return E[j]
            elif kind == r.UNC_POST and flags & r.SUPERIMPOSED:
                return S[j]
            elif flags & (r.OPEN | r.CLOSE):
                return E[j]
            j -= 1
        return max(0, limit)

    def _shared_subject(self, j: int) -> int:
        """The hit before the previous predicate, whose subject the conjunction at ``j`` shares; ``j`` if none."""
        for k in range(j - 1, -1, -1):
            if self.F[k] & _CLAUSE_END:
                break
            if self.F[k] & (r.VERB | r.UNC_POST) and not self.F[k] & r.START:
                while k > 0 and self.F[k - 1] & (r.VERB | r.ADVERB) and self.E[k - 1] == self.S[k]:
                    k -= 1
                return k - 1
        return j

    def _parenthesis(self, j: int) -> int | None:
        """The comma that opens the parenthesis closed at ``j``, if any: "effusions, previously seen, are absent"."""
        for k in range(j - 1, max(-1, j - 6), -1):
            if self.F[k] & r.COMMA:
                return k if self.S[j] - self.E[k] <= 6 and k > 0 else None
            if self.F[k] & (r.CONCEPT | r.AND | r.OR | _CLAUSE_END):
                return None
        return None
