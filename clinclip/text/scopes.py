"""How far a cue reaches: the syntax-light rules that turn lexicon hits of one sentence into scopes.

A forward cue ("no") reaches along its list ("no effusion, consolidation, or pneumothorax") and ends where a new statement
begins: at "but" and its kin, at a cause ("due to"), at "with", and at a comma or "and" behind which there is something that
only a new statement has (a subject with its verb, an article, or a property such as "small" or "stable" that only an
existing thing can have). A backward cue ("has resolved") reaches over its subject to the verb before. All walks are
bounded, so that run time stays linear in the length of the text.
"""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text import roles as r
from clinclip.text.lexicon.build import Entry

#: No cue reaches further than this many words.
MAX_REACH = 80

_CLAUSE_END = r.END | r.EXCEPT
_CONJUNCTION = r.AND | r.OR | r.COMMA
_NEW_STATEMENT = r.START | r.AFFIRM
_ANY_CUE = (
    r.NEG_PRE | r.NEG_POST | r.NEG_NOT | r.UNC_PRE | r.UNC_POST | r.RESOLVED | r.REMOVED | r.RESOLUTION
    | r.HISTORY | r.HYPOTHETICAL | r.OTHER_SUBJECT | r.INDICATION | r.PSEUDO
)  # fmt: skip

NEGATED, UNCERTAIN, PRESENT = LabelState.ABSENT, LabelState.UNCERTAIN, LabelState.PRESENT


class Cue:
    """A cue with its reach, in words.

    Attributes:
        kind: role bit.
        state: what it says about mentions in its reach.
        rule: name of the rule.
        start, end: its own words.
        low, high: its reach; a mention must lie inside.
        islands: word ranges inside the reach that it does not touch.
    """

    __slots__ = ("end", "high", "islands", "kind", "low", "rule", "start", "state")

    def __init__(
        self, kind: int, state: LabelState, rule: str, start: int, end: int, low: int, high: int,
        islands: tuple[tuple[int, int], ...] = (),
    ) -> None:  # fmt: skip
        self.kind, self.state, self.rule = kind, state, rule
        self.start, self.end, self.low, self.high, self.islands = start, end, low, high, islands

    def covers(self, start: int, end: int) -> bool:
        """Whether the words [start, end) lie in reach."""
        return (
            self.low <= start
            and end <= self.high
            and (start >= self.end or end <= self.start)
            and not any(a <= start < b for a, b in self.islands)
        )


class Clauses:
    """Lexicon hits of a sentence, in order, as parallel lists, and the walks over them.

    Args:
        hits: (start, end, entry), sorted, not overlapping.
        size: number of words of the sentence.
    """

    __slots__ = ("E", "F", "S", "X", "size")

    def __init__(self, hits: list[tuple[int, int, Entry]], size: int) -> None:
        self.S = [h[0] for h in hits]
        self.E = [h[1] for h in hits]
        self.X = [h[2] for h in hits]
        self.F = [h[2].flags for h in hits]
        self.size = size

    def cues(self) -> list[Cue]:
        """Every cue with its reach, in order of position."""
        found: list[Cue] = []
        skip = -1
        for i, flags in enumerate(self.F):
            if i <= skip or not flags & _ANY_CUE:
                continue
            if flags & r.NEG_NOT:
                skip = self._not(i, found)
            elif flags & r.NEG_PRE:
                self._no(i, found)
            elif flags & r.PSEUDO:
                continue
            elif flags & r.RESOLVED or flags & r.REMOVED:
                self._resolved(i, found)
            elif flags & r.RESOLUTION:
                self._add(found, i, r.RESOLUTION, NEGATED, "resolution", forward=True)
            elif flags & r.NEG_POST:
                self._add(found, i, r.NEG_POST, NEGATED, "negated-after", forward=False)
            elif flags & r.UNC_PRE and not (flags & r.UNC_POST and self._closes(i)):
                self._add(found, i, r.UNC_PRE, UNCERTAIN, "uncertain-before", forward=True, strict=True)
            elif flags & r.UNC_POST:
                self._add(found, i, r.UNC_POST, UNCERTAIN, "uncertain-after", forward=False)
            elif flags & r.INDICATION:
                self._add(found, i, r.INDICATION, UNCERTAIN, "indication", forward=True)
            elif flags & r.HYPOTHETICAL:
                self._add(found, i, r.HYPOTHETICAL, UNCERTAIN, "hypothetical", forward=True)
            elif flags & r.OTHER_SUBJECT:
                self._add(found, i, r.OTHER_SUBJECT, UNCERTAIN, "other-subject", forward=True, to_end=True)
            elif flags & r.HISTORY:
                self._add(found, i, r.HISTORY, UNCERTAIN, "history", forward=True)
        return found

    # ------------------------------------------------------------------ cues

    def _add(
        self, found: list[Cue], i: int, kind: int, state: LabelState, rule: str, *, forward: bool, strict: bool = False,
        last: int | None = None, to_end: bool = False,
    ) -> None:  # fmt: skip
        """Append a cue made of the hits i..last with its reach."""
        last = i if last is None else last
        rule = self.X[i].rules.get(kind, rule)
        start, end = self.S[i], self.E[last]
        if forward:
            if to_end:
                high, islands = self._end_of_clause(last), ()
            else:
                high, islands = self._forward(last, strict=strict, first=i)
            found.append(Cue(kind, state, rule, start, end, end, high, islands))
        else:
            low = self._backward(i, kind)
            found.append(Cue(kind, state, rule, start, end, low, start))

    def _no(self, i: int, found: list[Cue]) -> None:
        """ "no", "without", "denies" ...; "Pneumothorax: no." answers what stands before."""
        if self._closes(i) and i > 0 and self.F[i].bit_count() and self.S[i] > 0 and self._answers(i):
            self._add(found, i, r.NEG_POST, NEGATED, "answer", forward=False)
        else:
            self._add(found, i, r.NEG_PRE, NEGATED, "negated-before", forward=True)

    def _answers(self, i: int) -> bool:
        """Whether the hit is what follows a colon or dash, or stands alone behind its subject."""
        return bool(self.F[i - 1] & (r.COLON | r.OPEN | r.COMMA)) and self.E[i - 1] == self.S[i]

    def _not(self, i: int, found: list[Cue]) -> int:
        """ "not", "no longer", "cannot": what follows decides the direction. Returns the last hit that was used."""
        k, at = i + 1, self.E[i]
        n = len(self.F)
        while k < n and self.S[k] == at and self.F[k] & r.ADVERB and not self.F[k] & r.SEEN:
            at = self.E[k]
            k += 1
        flags = self.F[k] if k < n and self.S[k] == at else 0
        if flags & r.EXCLUDED:
            self._add(found, i, r.UNC_POST, UNCERTAIN, "not-excluded", forward=False, last=k)
            return k
        if flags & r.EXCLUDE:
            self._add(found, i, r.UNC_PRE, UNCERTAIN, "cannot-exclude", forward=True, last=k)
            return k
        if flags & (r.RESOLVED | r.REMOVED | r.CHANGED):
            low = self._backward(i, r.PSEUDO)
            found.append(Cue(r.PSEUDO, PRESENT, "not-resolved", self.S[i], self.E[k], low, self.S[i]))
            return k
        if flags & r.SEEN and not self._active(i):
            self._add(found, i, r.NEG_POST, NEGATED, "not-seen", forward=False, last=k)
            return k
        if flags & (r.UNC_POST | r.UNC_PRE) and self._closes(k):
            self._add(found, i, r.NEG_POST, NEGATED, "not-suspected", forward=False, last=k)
            return k
        last = k if flags & r.UNC_PRE else i
        self._add(found, i, r.NEG_PRE, NEGATED, "negated-before", forward=True, last=last)
        return last

    def _active(self, i: int) -> bool:
        """ "has not shown X" has its object behind, unlike "has not been shown"."""
        if i == 0 or self.E[i - 1] != self.S[i] or self.X[i - 1].phrase not in {"has", "have", "had"}:
            return False
        return i + 1 < len(self.F) and self.X[i + 1].phrase != "been" and not self._closes(i + 1)

    def _resolved(self, i: int, found: list[Cue]) -> None:
        flags = self.F[i]
        kind = r.RESOLVED if flags & r.RESOLVED else r.REMOVED
        rule = "resolved" if kind == r.RESOLVED else "removed"
        opens = self.S[i] == 0 or (
            i > 0 and self.E[i - 1] == self.S[i] and self.F[i - 1] & (r.THE | r.ARTICLE | r.AND | r.WITH | r.COMMA)
        )
        self._add(found, i, kind, NEGATED, rule, forward=bool(opens) and not self._closes(i), strict=True)

    def _closes(self, i: int) -> bool:
        """Whether nothing but punctuation or a new clause follows the hit at once."""
        if self.E[i] >= self.size:
            return True
        if i + 1 >= len(self.F) or self.S[i + 1] != self.E[i]:
            return False
        return bool(
            self.F[i + 1] & (_CLAUSE_END | r.COMMA | r.CLOSE | r.AND | r.WITHIN | r.AFTER | r.QUESTION | r.RELATIVE)
        )

    # ------------------------------------------------------------------ walks

    def _end_of_clause(self, i: int) -> int:
        for j in range(i + 1, len(self.F)):
            if self.F[j] & _CLAUSE_END:
                return self.S[j]
        return self.size

    def _forward(self, i: int, *, strict: bool, first: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """First word behind the reach of the cue that ends with hit ``i``, and the places inside that it spares."""
        S, E, F = self.S, self.E, self.F
        n = len(F)
        limit = E[i] + MAX_REACH
        verb = self._verb_before(first)
        islands: list[tuple[int, int]] = []
        depth = 0
        j = i + 1
        while j < n:
            flags = F[j]
            if S[j] > limit:
                return S[j], tuple(islands)
            if flags & (_CLAUSE_END | r.AFTER):
                return S[j], tuple(islands)
            if flags & r.OPEN:
                depth += 1
            elif flags & r.CLOSE:
                if depth == 0:
                    return S[j], tuple(islands)
                depth -= 1
            elif (
                (flags & r.AFFIRM and not self._governed(i, j))
                or (flags & r.WITH and S[j] > E[i])
                or (flags & r.FOR and not self._after_evidence(j))
                or (flags & r.RELATIVE and not self._suggesting(j))
            ):
                return S[j], tuple(islands)
            elif flags & _CONJUNCTION:
                opens, following = self._opens(j, verb, strict)
                if opens:
                    return S[j], tuple(islands)
                j = following
                continue
            elif flags & r.WITHIN and S[j] > E[i]:
                if j + 1 < n and F[j + 1] & r.THE and S[j + 1] == E[j]:
                    islands.append((S[j], self._end_of_phrase(j)))
            elif flags & r.VERB and not flags & r.SUGGEST:
                verb = True
            j += 1
        return min(self.size, limit), tuple(islands)

    def _verb_before(self, i: int) -> bool:
        for j in range(i - 1, max(-1, i - 8), -1):
            if self.F[j] & (_CLAUSE_END | r.COMMA | r.AND):
                return False
            if self.F[j] & r.VERB:
                return True
        return bool(self.F[i] & r.VERB)

    def _governed(self, i: int, j: int) -> bool:
        """Whether nothing separates the cue from a later "consistent with": "no opacity consistent with pneumonia"."""
        return not any(f & (_CONJUNCTION | r.VERB | r.COLON) for f in self.F[i + 1 : j]) and not self.F[j] & r.VERB

    def _after_evidence(self, j: int) -> bool:
        return j > 0 and self.E[j - 1] == self.S[j] and bool(self.F[j - 1] & r.EVIDENCE)

    def _suggesting(self, j: int) -> bool:
        """ "findings that would suggest", "nothing to indicate"."""
        return any(f & r.SUGGEST for f in self.F[j : j + 4])

    def _end_of_phrase(self, j: int) -> int:
        for k in range(j + 1, len(self.F)):
            if self.F[k] & (_CONJUNCTION | _CLAUSE_END | r.VERB | r.CLOSE):
                return self.S[k]
        return self.size

    def _opens(self, j: int, verb: bool, strict: bool) -> tuple[bool, int]:
        """Whether a new statement begins behind the conjunction at ``j``; and the first hit behind the conjunctions."""
        S, E, F = self.S, self.E, self.F
        n = len(F)
        flags = F[j]
        k, at = j + 1, E[j]
        while k < n and S[k] == at and F[k] & _CONJUNCTION:
            flags |= F[k]
            at = E[k]
            k += 1
        adjacent = k < n and S[k] == at
        first = F[k] if adjacent else 0
        if first & (_CLAUSE_END | r.NEG_PRE | r.NEG_NOT):
            return True, k
        if flags & r.OR:
            return bool(first & r.START), k
        if first & (_NEW_STATEMENT | r.ARTICLE | r.VERB):
            return True, k
        if first & (r.UNC_PRE | r.HISTORY | r.INDICATION | r.OTHER_SUBJECT | r.HYPOTHETICAL | r.WITH):
            return True, k
        segment = 0
        seen = False
        m = k
        while m < n and not F[m] & (_CONJUNCTION | _CLAUSE_END):
            segment |= F[m]
            if F[m] & r.SEEN:
                seen = True
            m += 1
        closed = self._closed_by_or(m)
        if segment & r.VERB and not (closed and not strict and seen):
            # "no effusion and pneumothorax is seen" shares its verb; "no effusion and the heart is large" does not
            return verb or not seen or bool(flags & r.COMMA and not flags & r.AND), k
        if segment & r.AFFIRM:
            return True, k
        if first & r.EXISTING or (first & r.THE and strict):
            return not (closed and flags & r.COMMA), k
        if strict and flags & r.COMMA and not flags & r.AND:
            return not closed, k
        return False, k

    def _closed_by_or(self, m: int) -> bool:
        """Whether the list goes on to an "or" before a verb or a new clause: then all its items share the cue."""
        for k in range(m, min(len(self.F), m + 24)):
            flags = self.F[k]
            if flags & r.OR:
                return True
            if flags & (_CLAUSE_END | r.VERB | r.NEG_PRE | r.NEG_NOT | r.START | r.AFFIRM):
                return False
        return False

    def _backward(self, i: int, kind: int) -> int:
        """First word of the reach of a backward cue that starts with hit ``i``."""
        S, E, F = self.S, self.E, self.F
        limit = S[i] - MAX_REACH
        separators: list[int] = []
        alternatives = False
        j = i - 1
        if j >= 0 and F[j] & (r.COMMA | r.COLON) and E[j] == S[i]:
            j -= 1  # "pneumothorax, resolved", "pneumothorax: none"
        at = S[i]
        while j >= 0 and E[j] == at and F[j] & (r.VERB | r.ADVERB) and not F[j] & r.EXISTING:
            at = S[j]  # the cue's own auxiliaries: "has been removed"
            j -= 1
        while j >= 0:
            flags = F[j]
            if S[j] < limit or flags & _CLAUSE_END:
                return E[j]
            if flags & (r.NEG_PRE | r.NEG_NOT) and separators:
                return E[separators[-1]]
            if flags & r.VERB and not flags & r.SEEN:
                return E[separators[-1]] if separators else E[j]
            if flags & r.RELATIVE:
                if j > 0 and F[j - 1] & r.COMMA and separators:
                    separators.clear()
                    j -= 2
                    continue
                j -= 1
                continue
            if flags & r.OR:
                alternatives = True
                separators.append(j)
            elif flags & r.AND:
                separators.append(j)
            elif flags & r.COMMA:
                if not alternatives and not any(F[s] & r.AND for s in separators):
                    return E[j]
                separators.append(j)
            elif flags & r.WITH and kind == r.UNC_POST:
                return E[j]
            elif flags & r.SUPERIMPOSED and kind == r.UNC_POST:
                return S[j]
            elif flags & (r.OPEN | r.CLOSE):
                return E[j]
            j -= 1
        return max(0, limit)


def decide(cues: list[Cue], start: int, end: int) -> Cue | None:
    """The cue that decides the words [start, end), or None when nothing touches them.

    The nearest cue decides, except: a negation that governs an uncertainty ("no finding suspicious for") wins, a backward
    negation wins over an uncertainty, and history, indication and other subjects speak only where neither is.
    """
    negated: Cue | None = None
    uncertain: Cue | None = None
    other: Cue | None = None
    gap_negated = gap_uncertain = gap_other = 1 << 30
    for cue in cues:
        if not cue.covers(start, end):
            continue
        gap = start - cue.end if cue.end <= start else cue.start - end
        if cue.state is NEGATED:
            if gap < gap_negated:
                negated, gap_negated = cue, gap
        elif cue.kind & (r.UNC_PRE | r.UNC_POST | r.PSEUDO):
            if gap < gap_uncertain:
                uncertain, gap_uncertain = cue, gap
        elif gap < gap_other:
            other, gap_other = cue, gap
    if negated is not None and uncertain is not None:
        if uncertain.kind == r.PSEUDO or negated.end > start:
            return uncertain if uncertain.kind == r.PSEUDO and gap_uncertain <= gap_negated else negated
        if uncertain.end <= start and uncertain.start > negated.start:
            return negated  # the negation governs the uncertainty: "no finding suspicious for pneumonia"
        return negated if gap_negated <= gap_uncertain else uncertain
    return negated or uncertain or other
