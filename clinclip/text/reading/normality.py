"""Statements about anatomy that deny or assert a finding: "lungs are clear", "heart size is normal", "heart enlarged".

A predicate ("normal", "clear", "enlarged", "stable") is linked to its subjects, before it over a verb or colon
("heart and mediastinum are normal", "Heart: normal") or behind it as an adjective ("normal heart, lungs and pleura").
What the pair means for the 14 observations stands in ``lexicon/normality.tsv``.
"""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading import roles as r
from clinclip.text.reading.clauses import Clauses
from clinclip.text.reading.cues import Cue
from clinclip.text.reading.lexicon.build import Concept, Lexicon

_LIST = r.AND | r.OR | r.COMMA
#: words without a lexicon entry that may stand between a subject and its predicate
MAX_GAP = 7
#: words without an entry that may be a list's last subject: "heart and pulmonary ___ are normal"
MAX_UNNAMED = 3
#: When several predicates describe one subject, the first class in this order speaks ("stable and normal").
_ORDER = ("enlarged", "abnormal", "blunted", "borderline", "normal", "clear", "sharp", "intact", "unclear", "stable")

#: classes whose denial denies the finding
_ABNORMAL = frozenset({"enlarged", "abnormal", "blunted"})

Statement = tuple[Concept, int, int, LabelState, str, int, int]


def _stands_alone(c: Clauses, j: int, limit: int) -> bool:
    """Whether the anatomy is a noun phrase of its own: not "cardiac rhythm", not "heart" in "heart rate"."""
    following = j + 1 < len(c.F) and c.S[j + 1] == c.E[j]
    if c.F[j] & r.ADJECTIVE:
        return following and bool(c.F[j + 1] & _LIST)
    return following or c.E[j] >= limit


def _forward_subjects(c: Clauses, i: int) -> list[int]:
    """Subjects behind an adjective: "normal heart, lungs and pleura", "normal size of the heart"."""
    subjects: list[int] = []
    at, j, n = c.E[i], i + 1, len(c.F)
    while j < n:
        flags = c.F[j]
        if flags & r.ANATOMY:
            if c.S[j] - at > (0 if not subjects else 3):
                break
            if _stands_alone(c, j, c.size):
                subjects.append(j)
            at = c.E[j]
        elif (
            flags & (r.MODIFIER | r.THE | r.WITHIN | r.ARTICLE | r.ADVERB)
            and not flags & r.PREDICATE
            and c.S[j] - at <= 1
        ) or (flags & _LIST and subjects and c.S[j] - at <= 2):
            at = c.E[j]
        else:
            break
        j += 1
    if subjects and j < n and c.F[j] & r.COPULA and len(subjects) > 1:
        # "normal heart, lungs are clear": what has its own verb is not in the list
        last = subjects[-1]
        k = last - 1
        while k > i and not c.F[k] & r.COMMA:
            k -= 1
        subjects = [s for s in subjects if s < k]
    elif subjects and j < n and c.F[j] & r.COPULA:
        subjects = []
    return subjects


def _backward_subjects(c: Clauses, i: int) -> tuple[list[int], bool]:
    """Subjects before a predicate, and whether a "not" stands between."""
    subjects: list[int] = []
    negated = False
    k = i
    while k > 0 and c.E[k - 1] == c.S[k] and c.F[k - 1] & (r.NEG_NOT | r.ADVERB):
        k -= 1
    shared = k > 0 and c.E[k - 1] == c.S[k] and bool(c.F[k - 1] & (_LIST | r.END))  # "is midline and not widened"
    verb, last = False, i
    j = i - 1
    while j >= 0:
        flags = c.F[j]
        if subjects:
            if flags & r.ANATOMY and c.S[subjects[-1]] - c.E[j] <= 3:
                if _stands_alone(c, j, c.S[i]):
                    subjects.append(j)
            elif not flags & (_LIST | r.THE | r.MODIFIER | r.WITHIN | r.ARTICLE) or flags & r.PREDICATE:
                break
        elif flags & r.ANATOMY:
            if c.S[i] - c.E[j] > MAX_GAP + 4 or (not verb and not shared and c.S[i] - c.E[j] > 2):
                break
            if not _stands_alone(c, j, c.S[i]):
                break
            subjects.append(j)
        elif flags & r.NEG_NOT:
            negated = True
        elif flags & (r.NEG_PRE | r.EXCEPT):
            break
        elif flags & (r.CONCEPT | r.PREDICATE | _LIST | r.END):
            unnamed = flags & _LIST and verb and last == j + 1 and 0 < c.S[last] - c.E[j] <= MAX_UNNAMED
            if not shared and not unnamed and not (flags & r.PREDICATE and c.E[j] == c.S[i]):
                break
        elif flags & r.VERB:
            verb, last = True, j
        j -= 1
    return subjects, negated


def statements(c: Clauses, cues: list[Cue], lex: Lexicon) -> list[Statement]:
    """What the sentence says about anatomy, as assertions of findings."""
    said: dict[int, dict[str, tuple[int, bool, LabelState | None, str]]] = {}
    excepted = any(f & r.EXCEPT for f in c.F)
    for i, flags in enumerate(c.F):
        if not flags & r.PREDICATE:
            continue
        negated = False
        subjects = _forward_subjects(c, i)
        if not subjects or (i > 0 and c.F[i - 1] & r.ANATOMY and c.E[i - 1] == c.S[i]):
            behind, negated = _backward_subjects(c, i)
            subjects = behind or subjects
        if not subjects:
            continue
        uncertain: LabelState | None = None
        rule = ""
        for cue in cues:
            if cue.covers(c.S[i], c.E[i]):
                if cue.kind & r.NEG_PRE:
                    negated = True
                elif cue.state is LabelState.UNCERTAIN:
                    uncertain, rule = cue.state, cue.rule
        predicate = c.X[i].predicate or ""
        for subject in subjects:
            said.setdefault(subject, {}).setdefault(predicate, (i, negated, uncertain, rule))
    results: list[Statement] = []
    for subject, predicates in said.items():
        for name in _ORDER:
            if name not in predicates:
                continue
            i, negated, uncertain, rule = predicates[name]
            meanings = lex.normality.get((c.X[subject].group or "", name), ())
            mixed = (
                name in {"enlarged", "abnormal"}
                and "normal" in predicates
                and not predicates["normal"][1]
                and not negated
            )
            for concept, state_name, table_rule in meanings:
                state = LabelState(state_name)
                if negated:
                    if name not in _ABNORMAL:
                        continue
                    state = LabelState.ABSENT
                if excepted and state is LabelState.ABSENT:
                    continue
                if mixed:
                    state, table_rule = LabelState.UNCERTAIN, "normal-to-enlarged"
                elif uncertain is not None:
                    state, table_rule = uncertain, rule
                results.append((concept, c.S[subject], c.E[subject], state, table_rule, c.S[i], c.E[i]))
            if meanings and not negated:
                break
    return results
