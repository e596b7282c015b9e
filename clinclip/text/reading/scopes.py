"""How far a cue reaches: syntax-light rules that turn the lexicon hits of one sentence into scopes.

A forward cue ("no") reaches along its list ("no effusion, consolidation, or pneumothorax") and ends where a new
statement begins: at "but" and its kin, at a cause ("due to"), at "with", and at a comma or "and" behind which stands
what only a new statement has (a subject with its verb, an article, or a property such as "small" or "stable" that only
an existing thing can have). A backward cue ("has resolved") reaches over its subject, back to the verb of another
statement. All walks are bounded, so that run time stays linear in the length of the text.
"""

from __future__ import annotations

from clinclip.text.reading import roles
from clinclip.text.reading.lexicon.build import Entry

#: No cue reaches further than this many words.
MAX_REACH = 80

#: what ends every reach
CLAUSE_END = roles.END | roles.EXCEPT
#: what continues a list or opens a new statement
CONJUNCTION = roles.AND | roles.OR | roles.COMMA
_OTHER_CUE = roles.UNC_PRE | roles.HISTORY | roles.INDICATION | roles.OTHER_SUBJECT | roles.HYPOTHETICAL | roles.WITH
#: what may make a cue
ANY_CUE = (
    roles.NEG_PRE | roles.NEG_POST | roles.NEG_NOT | roles.NEG_NEAR | roles.UNC_PRE | roles.UNC_POST | roles.RESOLVED
    | roles.REMOVED | roles.RESOLUTION | roles.HISTORY | roles.HYPOTHETICAL | roles.OTHER_SUBJECT | roles.INDICATION
    | roles.PSEUDO | roles.EXCLUDED | roles.OTHER_PERSON | roles.DISEASE_HISTORY | roles.COMPARISON
    | roles.HYPOTHETICAL_POST
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

    Attributes:
        starts: first word of each hit.
        ends: one past its last word.
        bits: what it can be, bits of :mod:`clinclip.text.reading.roles`.
        entries: its lexicon entry.
    """

    __slots__ = ("_n", "bits", "ends", "entries", "size", "starts")

    def __init__(self, hits: list[tuple[int, int, Entry]], size: int) -> None:
        self.starts, self.ends, self.entries = zip(*hits, strict=True) if hits else ((), (), ())
        self.bits = [entry.flags for entry in self.entries]
        self._n = len(hits)
        self.size = size

    # ------------------------------------------------------------------ forward

    def _end_of_clause(self, i: int) -> int:
        for j in range(i + 1, self._n):
            if self.bits[j] & CLAUSE_END:
                return self.starts[j]
        return self.size

    def _forward(self, i: int, *, strict: bool, first: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """First word behind the reach of the cue that ends with hit ``i``, and the places inside that it spares."""
        starts, ends, bits, n = self.starts, self.ends, self.bits, self._n
        limit = min(self.size, ends[i] + MAX_REACH)
        verb = self._verb_before(first)
        denies = bool(bits[first] & roles.VERB and bits[first] & roles.NEG_PRE)
        noun = self.entries[first].phrase in {"absence of", "lack of"}
        aside = self.entries[first].rules.get(roles.NEG_PRE) == "without"
        chained = (
            first > 1
            and bits[first - 1] & roles.COMMA
            and any(f & roles.NEG_PRE for f in bits[max(0, first - 4) : first])
        )
        islands: list[tuple[int, int]] = []
        depth = 0
        j = i + 1
        while j < n and starts[j] < limit:
            flags = bits[j]
            if flags & (CLAUSE_END | roles.AFTER):
                if not (denies and self.entries[j].phrase == ";" and self._bare_item(j)):
                    return starts[j], tuple(islands)
            elif flags & roles.OPEN:
                depth += 1
            elif flags & roles.CLOSE:
                if depth == 0:
                    return starts[j], tuple(islands)
                depth -= 1
            elif (
                aside
                and (flags & roles.START or self.entries[j].phrase in _FINITE)
                and not (bits[j - 1] & (roles.RELATIVE | roles.THE) and ends[j - 1] == starts[j])
            ):  # "weakness without sensory loss suggests ...", "without oxygen she becomes ..."
                return starts[j], tuple(islands)
            elif self._breaks(i, j, flags) or (noun and flags & roles.UNC_PRE):
                return starts[j], tuple(islands)
            elif flags & CONJUNCTION:
                opens, following = self._opens(j, verb, strict, denies)
                if opens or (chained and flags & roles.COMMA and self._affirmed(j)):
                    return starts[j], tuple(islands)
                j = following
                continue
            elif flags & roles.WITHIN and starts[j] > ends[i] and self._spares(j):
                islands.append((starts[j], self._end_of_phrase(j)))
            elif flags & roles.VERB and not flags & roles.SUGGEST:
                if noun and not flags & roles.COPULA:
                    return starts[j], tuple(islands)  # "the absence of a lateral view limits ..."
                verb = True
            j += 1
        return limit, tuple(islands)

    def _affirmed(self, j: int) -> bool:
        """Whether the item behind the comma ends in "present": "no pallor, no icterus, oedema present"."""
        for k in range(j + 1, min(self._n, j + 8)):
            if self.bits[k] & (CONJUNCTION | CLAUSE_END | roles.VERB):
                return False
            if self.bits[k] & roles.SEEN and self.starts[k] > self.ends[j]:
                return self.ends[k] == self.size or bool(
                    k + 1 < self._n
                    and self.bits[k + 1] & (CLAUSE_END | roles.COMMA)
                    and self.starts[k + 1] == self.ends[k]
                )
        return False

    def _spares(self, j: int) -> bool:
        """Whether the place that begins at ``j`` exists: "bleeding from the ulcer", "no pain elicited on the mass"."""
        if self.bits[j - 1] & roles.SEEN and self.ends[j - 1] == self.starts[j]:
            return True
        return j + 1 < self._n and bool(self.bits[j + 1] & roles.THE) and self.starts[j + 1] == self.ends[j]

    def _breaks(self, i: int, j: int, flags: int) -> bool:
        """Whether the hit ``j`` ends the reach of the cue that ends with hit ``i``, conjunctions apart."""
        if flags & roles.AFFIRM:
            return any(f & (CONJUNCTION | roles.VERB | roles.COLON) for f in self.bits[i + 1 : j])
        if flags & roles.WITH:
            return self.starts[j] > self.ends[i]
        if flags & roles.FOR:  # "no treatment for", but "no evidence for", "not for"
            return not (self.ends[j - 1] == self.starts[j] and self.bits[j - 1] & (roles.EVIDENCE | roles.NEG_NOT))
        if flags & roles.RELATIVE:  # "which is", but "no findings which suggest"
            return not any(f & roles.SUGGEST for f in self.bits[j : j + 4])
        return False

    def _bare_item(self, j: int) -> bool:
        """Whether an item without a statement of its own follows the semicolon ("denies fever; chills; sweats")."""
        for k in range(j + 1, self._n):
            if self.bits[k] & CLAUSE_END:
                return self.starts[k] - self.ends[j] <= 5
            if self.bits[k] & (
                roles.VERB | roles.EXISTING | roles.AFFIRM | roles.NEG_PRE | roles.START | roles.PREDICATE | roles.COLON
            ):
                return False
        return self.size - self.ends[j] <= 5

    def _verb_before(self, i: int) -> bool:
        for j in range(i - 1, max(-1, i - 8), -1):
            if self.bits[j] & (CLAUSE_END | roles.COMMA | roles.AND):
                return False
            if self.bits[j] & roles.VERB:
                return True
        return bool(self.bits[i] & roles.VERB)

    def _end_of_phrase(self, j: int) -> int:
        for k in range(j + 1, self._n):
            if self.bits[k] & (CONJUNCTION | CLAUSE_END | roles.VERB | roles.CLOSE):
                return self.starts[k]
        return self.size

    def _opens(self, j: int, verb: bool, strict: bool, denies: bool) -> tuple[bool, int]:
        """Whether a new statement begins behind the conjunction at ``j``; and the first hit behind the conjunctions."""
        starts, ends, bits, n = self.starts, self.ends, self.bits, self._n
        flags = bits[j]
        k, at = j + 1, ends[j]
        while k < n and starts[k] == at and bits[k] & CONJUNCTION:
            flags |= bits[k]
            at = ends[k]
            k += 1
        first = bits[k] if k < n and starts[k] == at else 0
        if first & (CLAUSE_END | roles.NEG_PRE | roles.NEG_NOT):
            return True, k
        if flags & roles.OR:
            return bool(first & roles.START and not first & roles.RELATIVE), k
        if first & (roles.START | roles.AFFIRM | roles.ARTICLE | roles.VERB | _OTHER_CUE) or (
            first and self.entries[k].phrase in {"positive", "pos"}
        ):
            return True, k
        segment = 0
        m = k
        while m < n and not bits[m] & (CONJUNCTION | CLAUSE_END):
            segment |= bits[m]
            if bits[m] & roles.MODIFIER and self.entries[m].phrase.startswith(("has ", "have ")):
                segment |= roles.VERB  # "and pneumonia has developed"
            m += 1
        if segment & roles.AFFIRM or (flags & roles.COMMA and segment & roles.NEG_PRE):
            return True, k  # "without fever, diarrhea without blood"
        comma_only = flags & roles.COMMA and not flags & roles.AND
        if (
            comma_only
            and j
            and bits[j - 1] & roles.EXISTING
            and ends[j - 1] == starts[j]
            and bits[j - 2 if j > 1 else 0] & roles.NEG_PRE
        ):
            return False, k  # "no warm, red joints": the comma stands between adjectives
        closed = self._closed_by_or(m)
        if segment & roles.VERB and not (closed and not strict and segment & roles.SEEN):
            # "no effusion and pneumothorax is seen" shares its verb; "no effusion and the heart is large" does not
            return bool(verb or not segment & roles.SEEN or comma_only), k
        if denies:
            return False, k
        if first & (roles.EXISTING | roles.THE | roles.PREDICATE):
            return not (closed and comma_only), k
        return bool(strict and comma_only and not closed), k

    def _closed_by_or(self, m: int) -> bool:
        """Whether the list goes on to an "or" before a verb or a new clause: then all its items share the cue."""
        for k in range(m, min(self._n, m + 24)):
            flags = self.bits[k]
            if flags & roles.OR:
                return True
            if flags & (CLAUSE_END | roles.VERB | roles.NEG_PRE | roles.NEG_NOT | roles.START | roles.AFFIRM):
                return False
        return False

    # ------------------------------------------------------------------ backward

    def _backward(self, i: int, kind: int) -> int:
        """First word of the reach of a backward cue that starts with hit ``i``."""
        starts, ends, bits = self.starts, self.ends, self.bits
        limit = starts[i] - MAX_REACH
        separators: list[int] = []
        alternatives = False
        j = i - 1
        at = starts[i]
        # the cue's own auxiliaries: "has been removed", "is surgically absent", "now resolved"
        while j >= 0 and at - ends[j] <= (1 if bits[j] & roles.COPULA else 0):
            if not bits[j] & roles.ADVERB and (not bits[j] & roles.VERB or bits[j] & roles.START):
                break
            at = starts[j]
            j -= 1
        if j >= 0 and bits[j] & (roles.COMMA | roles.COLON | roles.OPEN) and ends[j] == at:
            # "pneumothorax, resolved", "pneumothorax: none", "fever (no)"; "effusions, previously seen, are gone"
            opening = self._parenthesis(j) if bits[j] & roles.COMMA else None
            j = (j if opening is None else opening) - 1
        bare = (
            kind == roles.NEG_POST and at == starts[i] and bits[i] & roles.NEG_NOT
        )  # "was searched for and not found"
        shares = roles.END | (roles.AND if bare or kind in (roles.RESOLVED, roles.REMOVED) else 0)
        if j > 0 and ends[j] == at and bits[j] & shares:
            j = self._shared_subject(j)  # "was considered but was felt to be unlikely"
        while j >= 0:
            flags = bits[j]
            if starts[j] < limit or flags & (CLAUSE_END | roles.AFTER):
                return ends[j]
            if flags & (roles.NEG_PRE | roles.NEG_NOT) and separators:
                return ends[separators[-1]]
            if flags & roles.VERB and not flags & roles.SEEN:
                return ends[separators[-1]] if separators else ends[j]
            if flags & roles.RELATIVE:
                if j > 0 and bits[j - 1] & roles.COMMA:
                    separators.clear()
                    j -= 1  # "effusion, which was large, has resolved"
            elif flags & roles.OR:
                alternatives = True
                separators.append(j)
            elif flags & roles.AND:
                separators.append(j)
            elif flags & roles.COMMA:
                if not alternatives and not any(bits[s] & roles.AND for s in separators):
                    return ends[j]
                separators.append(j)
            elif kind == roles.UNC_POST and flags & roles.WITH:
                return ends[j]
            elif kind == roles.UNC_POST and flags & roles.SUPERIMPOSED:
                return starts[j]
            elif flags & roles.CLOSE and (opening := self._aside(j)) is not None:
                j = opening  # "edema (pedal) was absent"
            elif flags & (roles.OPEN | roles.CLOSE):
                return ends[j]
            j -= 1
        return max(0, limit)

    def _aside(self, j: int) -> int | None:
        """The bracket that opens the short remark closed at ``j``, where the remark makes no statement of its own."""
        for k in range(j - 1, max(-1, j - 6), -1):
            if self.starts[j] - self.ends[k] > 6 or self.bits[k] & (CLAUSE_END | ANY_CUE | roles.VERB | roles.CLOSE):
                return None
            if self.bits[k] & roles.OPEN:
                return k
        return None

    def _shared_subject(self, j: int) -> int:
        """The hit before the previous predicate, whose subject the conjunction at ``j`` shares; ``j`` if none."""
        for k in range(j - 1, -1, -1):
            if self.bits[k] & CLAUSE_END:
                break
            if self.bits[k] & (roles.VERB | roles.UNC_POST) and not self.bits[k] & roles.START:
                while k > 0 and self.bits[k - 1] & (roles.VERB | roles.ADVERB) and self.ends[k - 1] == self.starts[k]:
                    k -= 1
                return k - 1
        return j

    def _parenthesis(self, j: int) -> int | None:
        """The comma that opens the parenthesis closed at ``j``, if any: "effusions, previously seen, are absent"."""
        for k in range(j - 1, max(-1, j - 6), -1):
            if self.bits[k] & roles.COMMA:
                return k if self.starts[j] - self.ends[k] <= 6 and k > 0 else None
            if self.bits[k] & (roles.CONCEPT | roles.AND | roles.OR | CLAUSE_END):
                return None
        return None
