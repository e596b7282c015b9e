"""Scopes: what a template may know of one finding, and how its side, size and place get into words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clinclip.phantom.catalog import KINDS
from clinclip.phantom.grammar import Draft, Scope
from clinclip.phantom.wording.phrases import (
    ADJECTIVE_PLACES,
    ADVERBS,
    AMOUNTS,
    CHANGE_WORDS,
    DENIED,
    PHRASES,
    PLACES,
    SEVERITY,
)
from clinclip.phantom.world import Finding

_ORDINALS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "3rd", "5th", "6th", "7th")


@dataclass(frozen=True, slots=True)
class Detail:
    """How much a statement tells: chances that side, size, place and change are said."""

    side: float = 0.93
    severity: float = 0.62
    zone: float = 0.85
    change: float = 0.0


def finding_scope(
    draft: Draft, finding: Finding, letter: str, detail: Detail, role: str = "finding", kind: str | None = None
) -> Scope:
    """The scope of a statement about a finding.

    Args:
        draft: The text it will be written to (its generator decides what is said).
        finding: The finding; only its side, zone and extent get into words.
        letter: State: O present, U uncertain, X absent (gone).
        detail: How much is said.
        role: "finding", "history" or "evidence" (an observation that suggests the parent scope's finding).
        kind: Call it by another kind's names ("opacity" for a pneumonia).
    """
    rng = draft.rng
    concept = kind or finding.kind
    scope = Scope(concept, KINDS[concept].finding, letter, role=role, lesion=finding.uid)
    tags = scope.tags
    tags.add(finding.grade)
    if finding.zone:
        tags.add(finding.zone)
    plan: dict[str, str] = {}
    if finding.kind == "scoliosis":
        tags.add(str(finding.side))  # a bend to one side, not at one side
    elif finding.side == "bilateral":
        tags.add("bil")
        if rng.random() < 0.85:
            plan["side"] = "bilateral"
    elif finding.side and rng.random() < detail.side:
        plan["side"] = finding.side
        tags |= {"lat", finding.side}
    if rng.random() < detail.severity:
        plan["severity"] = finding.grade
        tags.add("sev")
    if finding.zone in PLACES and rng.random() < detail.zone:
        plan["zone"] = finding.zone
        tags.add("loc")
    if finding.change and rng.random() < detail.change:
        plan["change"] = finding.change
    if concept in PHRASES:
        scope.np = draft.choose(PHRASES[concept], tags)
        scope.number = scope.np.number or "sg"
    scope.plan = plan
    scope.slots = dict(_SLOTS)
    if concept == "nodule":
        scope.slots["mm"] = f"[{4 + int(finding.extent * 16)} mm:F~h]"
    elif concept == "mass":
        scope.slots["mm"] = f"[{2 + finding.extent * 6:.1f} cm:F~h]"
    scope.finding_record = finding
    return scope


def denied_scope(draft: Draft, kind: str, letter: str = "X", side: str | None = None) -> Scope:
    """The scope of a finding that is denied, in one of its bare names."""
    scope = Scope(kind, KINDS[kind].finding, letter)
    scope.np = draft.choose(DENIED[kind], scope.tags)
    scope.number = scope.np.number or "sg"
    scope.plan = {"side": side} if side else {}
    if side:
        scope.tags |= {"lat", side}
    scope.slots = dict(_SLOTS)
    return scope


def _np(draft: Draft, scope: Scope) -> None:
    if scope.np is None:
        raise LookupError(f"{scope.concept!r} has no noun phrase")
    if scope.finding_record is None and "side" in scope.plan:
        _side(draft, scope)
        draft.write(" ")
    draft.render(scope.np, scope)


def _side(draft: Draft, scope: Scope) -> None:
    side = scope.plan.get("side")
    if side and "side" not in scope.said:
        scope.said["side"] = side
        draft.render(f"[{side}:As]", scope)


def _sided(draft: Draft, scope: Scope) -> None:
    side = scope.plan.get("side")
    if side == "bilateral":
        _side(draft, scope)
    elif side and "side" not in scope.said:
        scope.said["side"] = side
        draft.render(f"[{side}-sided:As]", scope)


def _severity(draft: Draft, scope: Scope) -> None:
    grade = scope.plan.get("severity")
    if grade and "severity" not in scope.said:
        scope.said["severity"] = grade
        words = SEVERITY.get(scope.concept, SEVERITY[""])[grade]
        draft.render(f"[{'/'.join(words)}:F~h]", scope)


def _amount(draft: Draft, scope: Scope) -> None:
    grade = scope.plan.get("severity", "mild")
    scope.said["severity"] = grade
    draft.render(f"[{'/'.join(AMOUNTS[grade])}:F~h]", scope)


def _adverb(draft: Draft, scope: Scope) -> None:
    grade = scope.plan.get("severity")
    if grade and "severity" not in scope.said:
        scope.said["severity"] = grade
        draft.render(f"[{'/'.join(ADVERBS[grade])}:F~h]", scope)


def _change(draft: Draft, scope: Scope) -> None:
    change = scope.plan.get("change")
    if change and "change" not in scope.said:
        scope.said["change"] = change
        draft.render(f"[{'/'.join(CHANGE_WORDS[change])}:F~h]", scope)


def _place(draft: Draft, scope: Scope) -> None:
    zone = scope.plan.get("zone")
    if zone and "zone" not in scope.said and "l" not in scope.ids:
        if scope.concept in {"effusion", "pleural_thickening", "edema"}:
            _side_after(draft, scope)
            return
        scope.said["zone"] = zone
        if zone != "retrocardiac" and scope.plan.get("side") == "bilateral":
            scope.said.setdefault("side", "bilateral")
        draft.render(draft.choose(PLACES[zone], _place_tags(scope)), scope)
        _settle_side(draft, scope)
    else:
        _side_after(draft, scope)


def _settle_side(draft: Draft, scope: Scope) -> None:
    """The lingula is on the left; nobody says so again."""
    if draft.text.endswith(("lingula", "lingular")):
        scope.said.setdefault("side", "left")


def _side_after(draft: Draft, scope: Scope) -> None:
    side = scope.plan.get("side")
    if side and "side" not in scope.said and scope.concept not in {"edema", "hyperinflation", "fibrosis"}:
        scope.said["side"] = side
        draft.render("[bilaterally:As]" if side == "bilateral" else f"on the [{side}:As]", scope)


def _adjective_place(draft: Draft, scope: Scope) -> None:
    zone = scope.plan.get("zone")
    # half of the places stand before the noun, half after it
    if not zone or "zone" in scope.said or zone not in ADJECTIVE_PLACES or draft.rng.random() < 0.45:
        if draft.rng.random() < 0.5:
            _side(draft, scope)
        return
    scope.said["zone"] = zone
    if zone != "retrocardiac" and scope.plan.get("side") == "bilateral":
        scope.said.setdefault("side", "bilateral")
    draft.render(draft.choose(ADJECTIVE_PLACES[zone], _place_tags(scope)), scope)
    _settle_side(draft, scope)


def _place_tags(scope: Scope) -> set[str]:
    """Tags of the place: the side counts even where it is not said again."""
    finding = scope.finding_record
    side = finding.side if finding is not None else None
    return {scope.concept, "bil" if side == "bilateral" else str(side)}


def _ordinal(draft: Draft, scope: Scope) -> None:
    # the same rib whenever it is told of
    number = scope.lesion or 0
    draft.render(f"[{_ORDINALS[number % len(_ORDINALS)]}:A~l]", scope)


def _evidence(kind: str) -> Callable[[Draft, Scope], None]:
    def write(draft: Draft, scope: Scope) -> None:
        finding = scope.finding_record
        assert finding is not None
        child = finding_scope(draft, finding, "O", Detail(), role="evidence", kind=kind)
        scope.children["evidence"] = child
        draft.render("{a} {np} {loc}", child)
        for key in ("side", "zone"):
            if key in child.said:
                scope.said.setdefault(key, child.said[key])

    return write


_SLOTS: dict[str, Callable[[Draft, Scope], None] | str] = {
    "np": _np,
    "side": _side,
    "sided": _sided,
    "sev": _severity,
    "amount": _amount,
    "sevadv": _adverb,
    "chg": _change,
    "loc": _place,
    "adjloc": _adjective_place,
    "ordinal": _ordinal,
    "n": lambda draft, scope: draft.write(str(draft.rng.randint(2, 28))),
    "cm": lambda draft, scope: draft.write(f"{draft.rng.uniform(2.5, 6.5):.1f}"),
    "mm": "",
    "@opacity": _evidence("opacity"),
    "@consolidation": _evidence("consolidation"),
}
