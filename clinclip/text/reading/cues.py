"""A cue with its reach, and which of several cues decides a mention."""

from __future__ import annotations

from clinclip.findings import LabelState
from clinclip.text.reading import roles

NEGATED, UNCERTAIN, PRESENT = LabelState.ABSENT, LabelState.UNCERTAIN, LabelState.PRESENT

#: "to exclude an underlying mass": the order decides, however near the history is
_FAR = 1 << 20


class Cue:
    """A cue with its reach, in words.

    Attributes:
        kind: role bit.
        state: what it says about mentions in its reach.
        rule: name of the rule.
        start: its first word.
        end: one past its last word.
        low: first word of its reach; a mention must lie inside.
        high: one past the last word of its reach.
        islands: word ranges inside the reach that it does not touch.
    """

    __slots__ = ("end", "high", "islands", "kind", "low", "rule", "start", "state")

    def __init__(
        self, kind: int, state: LabelState | str, rule: str, start: int, end: int, low: int, high: int,
        islands: tuple[tuple[int, int], ...] = (),
    ) -> None:  # fmt: skip
        self.kind, self.state, self.rule = kind, LabelState(state), rule
        self.start, self.end, self.low, self.high, self.islands = start, end, low, high, islands

    def covers(self, start: int, end: int) -> bool:
        """Whether the words [start, end) lie in reach."""
        if start < self.low or end > self.high or (start < self.end and end > self.start):
            return False
        return not self.islands or not any(a <= start < b for a, b in self.islands)


def decide(cues: list[Cue], start: int, end: int) -> Cue | None:
    """The cue that decides the words [start, end), or None when nothing touches them.

    The nearest cue decides, except: a negation that governs an uncertainty ("no finding suspicious for") wins, a
    backward negation wins over an uncertainty before the mention ("possible nodule is no longer seen"), and history,
    indication and other subjects speak only where neither is.
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
        elif cue.kind & (roles.UNC_PRE | roles.UNC_POST | roles.PSEUDO):
            if gap < gap_uncertain:
                uncertain, gap_uncertain = cue, gap
        elif gap + (cue.kind == roles.DISEASE_HISTORY) * _FAR < gap_other:
            other, gap_other = cue, gap + (cue.kind == roles.DISEASE_HISTORY) * _FAR
    if negated is not None and uncertain is not None:
        if uncertain.kind == roles.PSEUDO:
            return uncertain if gap_uncertain <= gap_negated else negated
        if negated.start > start:  # behind the mention the last word counts: "not seen but cannot be excluded"
            return uncertain if uncertain.start > negated.start else negated
        if uncertain.start > start:
            if negated.rule == "denied-verb" and uncertain.end <= negated.high and uncertain.rule == "uncertain-after":
                return negated  # "did not feel that endocarditis was likely"
            return negated if gap_negated <= gap_uncertain else uncertain
        return negated
    return negated or uncertain or other
