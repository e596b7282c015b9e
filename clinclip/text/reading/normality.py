"""Statements about anatomy that deny or assert a finding: "lungs are clear", "heart size is normal", "heart enlarged".

A predicate ("normal", "clear", "enlarged", "stable") is linked to its subjects, before it over a verb or colon
("heart and mediastinum are normal", "Heart: normal") or behind it as an adjective ("normal heart, lungs and pleura").
What the pair means for the 14 observations stands in ``lexicon/normality.tsv``.
"""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading import roles
from clinclip.text.reading.clauses import Clauses
from clinclip.text.reading.cues import Cue
from clinclip.text.reading.lexicon.build import Concept, Lexicon

_LIST = roles.AND | roles.OR | roles.COMMA
#: words without a lexicon entry that may stand between a subject and its predicate
MAX_GAP = 7
#: words without an entry that may be a list's last subject: "heart and pulmonary ___ are normal"
MAX_UNNAMED = 3
#: When several predicates describe one subject, the first class in this order speaks ("stable and normal").
_ORDER = ("enlarged", "abnormal", "blunted", "borderline", "normal", "clear", "sharp", "intact", "unclear", "stable")

#: classes whose denial denies the finding
_ABNORMAL = frozenset({"enlarged", "abnormal", "blunted"})

Statement = tuple[Concept, int, int, LabelState, str, int, int]


def _stands_alone(clauses: Clauses, j: int, limit: int) -> bool:
    """Whether the anatomy is a noun phrase of its own: not "cardiac rhythm", not "heart" in "heart rate"."""
    following = j + 1 < len(clauses.bits) and clauses.starts[j + 1] == clauses.ends[j]
    if clauses.bits[j] & roles.ADJECTIVE:
        return following and bool(clauses.bits[j + 1] & _LIST)
    return following or clauses.ends[j] >= limit


def _forward_subjects(clauses: Clauses, i: int) -> list[int]:
    """Subjects behind an adjective: "normal heart, lungs and pleura", "normal size of the heart"."""
    subjects: list[int] = []
    at, j, n = clauses.ends[i], i + 1, len(clauses.bits)
    while j < n:
        flags = clauses.bits[j]
        if flags & roles.ANATOMY:
            if clauses.starts[j] - at > (0 if not subjects else 3):
                break
            if _stands_alone(clauses, j, clauses.size):
                subjects.append(j)
            at = clauses.ends[j]
        elif (
            flags & (roles.MODIFIER | roles.THE | roles.WITHIN | roles.ARTICLE | roles.ADVERB)
            and not flags & roles.PREDICATE
            and clauses.starts[j] - at <= 1
        ) or (flags & _LIST and subjects and clauses.starts[j] - at <= 2):
            at = clauses.ends[j]
        else:
            break
        j += 1
    if subjects and j < n and clauses.bits[j] & roles.COPULA and len(subjects) > 1:
        # "normal heart, lungs are clear": what has its own verb is not in the list
        last = subjects[-1]
        k = last - 1
        while k > i and not clauses.bits[k] & roles.COMMA:
            k -= 1
        subjects = [s for s in subjects if s < k]
    elif subjects and j < n and clauses.bits[j] & roles.COPULA:
        subjects = []
    return subjects


def _backward_subjects(clauses: Clauses, i: int) -> tuple[list[int], bool]:
    """Subjects before a predicate, and whether a "not" stands between."""
    subjects: list[int] = []
    negated = False
    k = i
    while k > 0 and clauses.ends[k - 1] == clauses.starts[k] and clauses.bits[k - 1] & (roles.NEG_NOT | roles.ADVERB):
        k -= 1
    shared = (
        k > 0 and clauses.ends[k - 1] == clauses.starts[k] and bool(clauses.bits[k - 1] & (_LIST | roles.END))
    )  # "is midline and not widened"
    verb, last = False, i
    j = i - 1
    while j >= 0:
        flags = clauses.bits[j]
        if subjects:
            if flags & roles.ANATOMY and clauses.starts[subjects[-1]] - clauses.ends[j] <= 3:
                if _stands_alone(clauses, j, clauses.starts[i]):
                    subjects.append(j)
            elif (
                not flags & (_LIST | roles.THE | roles.MODIFIER | roles.WITHIN | roles.ARTICLE)
                or flags & roles.PREDICATE
            ):
                break
        elif flags & roles.ANATOMY:
            if clauses.starts[i] - clauses.ends[j] > MAX_GAP + 4 or (
                not verb and not shared and clauses.starts[i] - clauses.ends[j] > 2
            ):
                break
            if not _stands_alone(clauses, j, clauses.starts[i]):
                break
            subjects.append(j)
        elif flags & roles.NEG_NOT:
            negated = True
        elif flags & (roles.NEG_PRE | roles.EXCEPT):
            break
        elif flags & (roles.CONCEPT | roles.PREDICATE | _LIST | roles.END):
            unnamed = (
                flags & _LIST and verb and last == j + 1 and 0 < clauses.starts[last] - clauses.ends[j] <= MAX_UNNAMED
            )
            if not shared and not unnamed and not (flags & roles.PREDICATE and clauses.ends[j] == clauses.starts[i]):
                break
        elif flags & roles.VERB:
            verb, last = True, j
        j -= 1
    return subjects, negated


def statements(clauses: Clauses, cues: list[Cue], lex: Lexicon) -> list[Statement]:
    """What the sentence says about anatomy, as assertions of findings."""
    said: dict[int, dict[str, tuple[int, bool, LabelState | None, str]]] = {}
    excepted = any(f & roles.EXCEPT for f in clauses.bits)
    for i, flags in enumerate(clauses.bits):
        if not flags & roles.PREDICATE:
            continue
        negated = False
        subjects = _forward_subjects(clauses, i)
        if not subjects or (i > 0 and clauses.bits[i - 1] & roles.ANATOMY and clauses.ends[i - 1] == clauses.starts[i]):
            behind, negated = _backward_subjects(clauses, i)
            subjects = behind or subjects
        if not subjects:
            continue
        uncertain: LabelState | None = None
        rule = ""
        for cue in cues:
            if cue.covers(clauses.starts[i], clauses.ends[i]):
                if cue.kind & roles.NEG_PRE:
                    negated = True
                elif cue.state is LabelState.UNCERTAIN:
                    uncertain, rule = cue.state, cue.rule
        predicate = clauses.entries[i].predicate or ""
        for subject in subjects:
            said.setdefault(subject, {}).setdefault(predicate, (i, negated, uncertain, rule))
    results: list[Statement] = []
    for subject, predicates in said.items():
        for name in _ORDER:
            if name not in predicates:
                continue
            i, negated, uncertain, rule = predicates[name]
            meanings = lex.normality.get((clauses.entries[subject].group or "", name), ())
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
                results.append(
                    (
                        concept,
                        clauses.starts[subject],
                        clauses.ends[subject],
                        state,
                        table_rule,
                        clauses.starts[i],
                        clauses.ends[i],
                    )
                )
            if meanings and not negated:
                break
    return results
