"""How far a cue reaches: syntax-light rules that turn the lexicon hits of one sentence into scopes.

A forward cue ("no") reaches along its list ("no effusion, consolidation, or pneumothorax") and ends where a new
statement begins: at "but" and its kin, at a cause ("due to"), at "with", and at a comma or "and" behind which stands
what only a new statement has (a subject with its verb, an article, or a property such as "small" or "stable" that only
an existing thing can have). A backward cue ("has resolved") reaches over its subject, back to the verb of another
statement. All walks are bounded, so that run time stays linear in the length of the text.
"""

from __future__ import annotations

from clinclip.text.reading import roles as r
from clinclip.text.reading.lexicon.build import Entry

#: No cue reaches further than this many words.
MAX_REACH = 80

#: what ends every reach
CLAUSE_END = r.END | r.EXCEPT
#: what continues a list or opens a new statement
CONJUNCTION = r.AND | r.OR | r.COMMA
_OTHER_CUE = r.UNC_PRE | r.HISTORY | r.INDICATION | r.OTHER_SUBJECT | r.HYPOTHETICAL | r.WITH
#: what may make a cue
ANY_CUE = (
    r.NEG_PRE | r.NEG_POST | r.NEG_NOT | r.NEG_NEAR | r.UNC_PRE | r.UNC_POST | r.RESOLVED | r.REMOVED | r.RESOLUTION
    | r.HISTORY | r.HYPOTHETICAL | r.OTHER_SUBJECT | r.INDICATION | r.PSEUDO | r.EXCLUDED | r.OTHER_PERSON
    | r.DISEASE_HISTORY | r.COMPARISON | r.HYPOTHETICAL_POST
)  # fmt: skip

#: finite verbs behind which "X without Y" goes on about X
_FINITE = frozenset(
    ["is", "are", "was", "were", "has", "had", "have", "suggests", "indicates", "represents", "remains"]
)


class Reach:
    """Lexicon hits of a sentence, in order, as parallel lists, and the walks that find how far a cue reaches.

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

    # ------------------------------------------------------------------ forward

    def _end_of_clause(self, i: int) -> int:
        for j in range(i + 1, self._n):
            if self.F[j] & CLAUSE_END:
                return self.S[j]
        return self.size

    def _forward(self, i: int, *, strict: bool, first: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """First word behind the reach of the cue that ends with hit ``i``, and the places inside that it spares."""
        S, E, F, n = self.S, self.E, self.F, self._n
        limit = min(self.size, E[i] + MAX_REACH)
        verb = self._verb_before(first)
        denies = bool(F[first] & r.VERB and F[first] & r.NEG_PRE)
        noun = self.X[first].phrase in {"absence of", "lack of"}
        aside = self.X[first].rules.get(r.NEG_PRE) == "without"
        chained = first > 1 and F[first - 1] & r.COMMA and any(f & r.NEG_PRE for f in F[max(0, first - 4) : first])
        islands: list[tuple[int, int]] = []
        depth = 0
        j = i + 1
        while j < n and S[j] < limit:
            flags = F[j]
            if flags & (CLAUSE_END | r.AFTER):
                if not (denies and self.X[j].phrase == ";" and self._bare_item(j)):
                    return S[j], tuple(islands)
            elif flags & r.OPEN:
                depth += 1
            elif flags & r.CLOSE:
                if depth == 0:
                    return S[j], tuple(islands)
                depth -= 1
            elif (
                aside
                and (flags & r.START or self.X[j].phrase in _FINITE)
                and not (F[j - 1] & (r.RELATIVE | r.THE) and E[j - 1] == S[j])
            ):  # "weakness without sensory loss suggests ...", "without oxygen she becomes ..."
                return S[j], tuple(islands)
            elif self._breaks(i, j, flags) or (noun and flags & r.UNC_PRE):
                return S[j], tuple(islands)
            elif flags & CONJUNCTION:
                opens, following = self._opens(j, verb, strict, denies)
                if opens or (chained and flags & r.COMMA and self._affirmed(j)):
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

    def _affirmed(self, j: int) -> bool:
        """Whether the item behind the comma ends in "present": "no pallor, no icterus, oedema present"."""
        for k in range(j + 1, min(self._n, j + 8)):
            if self.F[k] & (CONJUNCTION | CLAUSE_END | r.VERB):
                return False
            if self.F[k] & r.SEEN and self.S[k] > self.E[j]:
                return self.E[k] == self.size or bool(
                    k + 1 < self._n and self.F[k + 1] & (CLAUSE_END | r.COMMA) and self.S[k + 1] == self.E[k]
                )
        return False

    def _spares(self, j: int) -> bool:
        """Whether the place that begins at ``j`` exists: "bleeding from the ulcer", "no pain elicited on the mass"."""
        if self.F[j - 1] & r.SEEN and self.E[j - 1] == self.S[j]:
            return True
        return j + 1 < self._n and bool(self.F[j + 1] & r.THE) and self.S[j + 1] == self.E[j]

    def _breaks(self, i: int, j: int, flags: int) -> bool:
        """Whether the hit ``j`` ends the reach of the cue that ends with hit ``i``, conjunctions apart."""
        if flags & r.AFFIRM:
            return any(f & (CONJUNCTION | r.VERB | r.COLON) for f in self.F[i + 1 : j])
        if flags & r.WITH:
            return self.S[j] > self.E[i]
        if flags & r.FOR:  # "no treatment for", but "no evidence for", "not for"
            return not (self.E[j - 1] == self.S[j] and self.F[j - 1] & (r.EVIDENCE | r.NEG_NOT))
        if flags & r.RELATIVE:  # "which is", but "no findings which suggest"
            return not any(f & r.SUGGEST for f in self.F[j : j + 4])
        return False

    def _bare_item(self, j: int) -> bool:
        """Whether an item without a statement of its own follows the semicolon ("denies fever; chills; sweats")."""
        for k in range(j + 1, self._n):
            if self.F[k] & CLAUSE_END:
                return self.S[k] - self.E[j] <= 5
            if self.F[k] & (r.VERB | r.EXISTING | r.AFFIRM | r.NEG_PRE | r.START | r.PREDICATE | r.COLON):
                return False
        return self.size - self.E[j] <= 5

    def _verb_before(self, i: int) -> bool:
        for j in range(i - 1, max(-1, i - 8), -1):
            if self.F[j] & (CLAUSE_END | r.COMMA | r.AND):
                return False
            if self.F[j] & r.VERB:
                return True
        return bool(self.F[i] & r.VERB)

    def _end_of_phrase(self, j: int) -> int:
        for k in range(j + 1, self._n):
            if self.F[k] & (CONJUNCTION | CLAUSE_END | r.VERB | r.CLOSE):
                return self.S[k]
        return self.size

    def _opens(self, j: int, verb: bool, strict: bool, denies: bool) -> tuple[bool, int]:
        """Whether a new statement begins behind the conjunction at ``j``; and the first hit behind the conjunctions."""
        S, E, F, n = self.S, self.E, self.F, self._n
        flags = F[j]
        k, at = j + 1, E[j]
        while k < n and S[k] == at and F[k] & CONJUNCTION:
            flags |= F[k]
            at = E[k]
            k += 1
        first = F[k] if k < n and S[k] == at else 0
        if first & (CLAUSE_END | r.NEG_PRE | r.NEG_NOT):
            return True, k
        if flags & r.OR:
            return bool(first & r.START and not first & r.RELATIVE), k
        if first & (r.START | r.AFFIRM | r.ARTICLE | r.VERB | _OTHER_CUE) or (
            first and self.X[k].phrase in {"positive", "pos"}
        ):
            return True, k
        segment = 0
        m = k
        while m < n and not F[m] & (CONJUNCTION | CLAUSE_END):
            segment |= F[m]
            if F[m] & r.MODIFIER and self.X[m].phrase.startswith(("has ", "have ")):
                segment |= r.VERB  # "and pneumonia has developed"
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
            if flags & (CLAUSE_END | r.VERB | r.NEG_PRE | r.NEG_NOT | r.START | r.AFFIRM):
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
        bare = kind == r.NEG_POST and at == S[i] and F[i] & r.NEG_NOT  # "was searched for and not found"
        shares = r.END | (r.AND if bare or kind in (r.RESOLVED, r.REMOVED) else 0)
        if j > 0 and E[j] == at and F[j] & shares:
            j = self._shared_subject(j)  # "was considered but was felt to be unlikely"
        while j >= 0:
            flags = F[j]
            if S[j] < limit or flags & (CLAUSE_END | r.AFTER):
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
            elif flags & r.CLOSE and (opening := self._aside(j)) is not None:
                j = opening  # "edema (pedal) was absent"
            elif flags & (r.OPEN | r.CLOSE):
                return E[j]
            j -= 1
        return max(0, limit)

    def _aside(self, j: int) -> int | None:
        """The bracket that opens the short remark closed at ``j``, where the remark makes no statement of its own."""
        for k in range(j - 1, max(-1, j - 6), -1):
            if self.S[j] - self.E[k] > 6 or self.F[k] & (CLAUSE_END | ANY_CUE | r.VERB | r.CLOSE):
                return None
            if self.F[k] & r.OPEN:
                return k
        return None

    def _shared_subject(self, j: int) -> int:
        """The hit before the previous predicate, whose subject the conjunction at ``j`` shares; ``j`` if none."""
        for k in range(j - 1, -1, -1):
            if self.F[k] & CLAUSE_END:
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
            if self.F[k] & (r.CONCEPT | r.AND | r.OR | CLAUSE_END):
                return None
        return None
