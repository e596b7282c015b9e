"""What findings and impression say: the statements of one study, their order and their wording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clinclip.phantom.anatomy import Pose
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.grammar import Draft, Scope, parse
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.mention import Detail, denied_scope, finding_scope
from clinclip.phantom.wording import statements as general
from clinclip.phantom.wording.devices import DEVICE_GONE, DEVICE_PRESENT, IDENTITY, REMOVED
from clinclip.phantom.wording.headers import CLOSINGS
from clinclip.phantom.wording.normal import NORMAL, NORMAL_IMPRESSION, NOTHING_NEW, STOCK
from clinclip.phantom.wording.phrases import PHRASES
from clinclip.phantom.wording.specific import SPECIFIC
from clinclip.phantom.world import Finding, Patient, Study

_AIRSPACE = frozenset({"consolidation", "pneumonia", "opacity"})
_CHEST = _AIRSPACE | {"nodule", "mass", "edema", "atelectasis", "effusion", "pneumothorax"}
_LUNG = _AIRSPACE | {"nodule", "mass", "edema", "atelectasis", "fibrosis", "granuloma"}
#: Findings that are no longer deniable once one of these is reported; others conflict with themselves only.
_CONFLICTS = dict.fromkeys(_AIRSPACE, _AIRSPACE) | {k: frozenset({"nodule", "mass"}) for k in ("nodule", "mass")}
#: Chance that each absent finding is denied, before ``knobs.negatives``.
_DENY = {"effusion": 0.95, "pneumothorax": 0.95, "consolidation": 0.72, "edema": 0.32, "pneumonia": 0.12,
         "opacity": 0.12, "cardiomegaly": 0.06, "nodule": 0.05, "mass": 0.03, "atelectasis": 0.04,
         "subcutaneous_emphysema": 0.03,
         "pneumoperitoneum": 0.06, "fracture": 0.08}  # fmt: skip
#: Order of the organs in a report: lungs, pleura, vessels, heart, bones, abdomen.
_ORGAN = {"effusion": 2, "pneumothorax": 2, "pleural_thickening": 2, "cardiomegaly": 4, "mediastinal_widening": 4,
          "tortuous_aorta": 4, "hiatal_hernia": 4, "fracture": 5, "degenerative": 5, "scoliosis": 5,
          "subcutaneous_emphysema": 5, "pneumoperitoneum": 6, "elevated_hemidiaphragm": 6}  # fmt: skip
#: Organ -> (place in the order, chance to be called normal, findings that forbid it).
_NORMAL_ORGANS: dict[str, tuple[float, float, frozenset[str]]] = {
    "lungs": (1.0, 0.4, _LUNG),
    "heart": (4.0, 0.6, frozenset({"cardiomegaly"})),
    "mediastinum": (4.4, 0.55, frozenset({"mediastinal_widening", "tortuous_aorta", "hiatal_hernia"})),
    "bones": (5.5, 0.3, frozenset({"fracture", "degenerative", "scoliosis"})),
    "vessels": (3.0, 0.12, frozenset({"edema"})),
    "pleura": (2.8, 0.06, frozenset({"effusion", "pleural_thickening"})),
    "hila": (4.5, 0.06, frozenset({"mass"})),
    "abdomen": (6.0, 0.06, frozenset({"pneumoperitoneum"})),
    "aorta": (4.6, 0.06, frozenset({"tortuous_aorta", "mediastinal_widening"})),
    "trachea": (4.7, 0.06, frozenset({"mediastinal_widening", "mass", "ett"})),
}
_MINOR = frozenset({"tortuous_aorta", "degenerative", "granuloma", "scoliosis", "hiatal_hernia", "hyperinflation"})
#: Mostly told in sentences of their own ("the heart is enlarged").
_OWN_WORDS = frozenset({"cardiomegaly", "mediastinal_widening", "tortuous_aorta", "hyperinflation"})
_OLD_HARDWARE = frozenset({"sternal_wires", "clips", "spinal_hardware", "valve"})
_TERSE = ("{np} {loc}", "{np} {loc}", "{a} {np} {loc}", "There {is} {a} {np} {loc}")


@dataclass(frozen=True, slots=True)
class Occasion:
    """What the dictation is about: the study, and what its form allows.

    Attributes:
        patient, study, pose: who, what, and how the patient lay on the first frontal film.
        views: "two", "one" or "portable".
        compares: whether priors are compared with.
        knobs: difficulty.
    """

    patient: Patient
    study: Study
    pose: Pose
    views: str
    compares: bool
    knobs: PhantomKnobs

    def reported(self, devices: bool) -> list[Finding]:
        """What the report mentions as there: lines and tubes, or disease."""
        return [f for f in self.study.findings if f.reported and KINDS[f.kind].device == devices]


def _deniable(kind: str, there: set[str]) -> bool:
    return not _CONFLICTS.get(kind, frozenset({kind})) & there


def describe(draft: Draft, on: Occasion) -> None:
    """Write the findings section."""
    rng = draft.rng
    disease = on.reported(devices=False)
    _identity(draft, on)
    late = rng.random() < 0.3
    if not late:
        _devices(draft, on)
    gone = [
        f
        for f in on.study.resolved
        if f.kind in PHRASES
        and on.compares
        and rng.random() < on.knobs.resolved
        and _deniable(f.kind, {d.kind for d in disease})
    ]
    if not disease and not gone and rng.random() < on.knobs.stock_normal:
        _stock(draft)
    else:
        _organs(draft, on, disease, gone)
    if late:
        _devices(draft, on)


def _identity(draft: Draft, on: Occasion) -> None:
    rng, cues = draft.rng, on.knobs.identity_cues
    if rng.random() < cues * 0.5:
        draft.sentence(rng.choice(IDENTITY["two" if on.views == "two" else "one"]), Scope())
    if on.patient.habitus > 1.0 and rng.random() < cues:
        draft.sentence(rng.choice(IDENTITY["large"]), Scope())
    if on.pose.inspiration < 0.84 and rng.random() < 0.3 + 0.6 * cues:
        draft.sentence(rng.choice(IDENTITY["low"]), Scope())
    if abs(on.pose.yaw) > 0.9 and rng.random() < cues:
        scope = Scope(slots={"turn": "right" if on.pose.yaw < 0 else "left"})
        draft.sentence(rng.choice(IDENTITY["rotated"]), scope)


def _devices(draft: Draft, on: Occasion) -> None:
    rng = draft.rng
    there = on.reported(devices=True)
    for f in there:
        if f.kind in _OLD_HARDWARE and rng.random() > 0.35 + on.knobs.identity_cues:
            continue
        scope = finding_scope(draft, f, "O", Detail(side=0.95))
        draft.sentence(draft.choose(DEVICE_PRESENT[f.kind], scope.tags), scope)
    kinds = {f.kind for f in on.study.findings}
    for f in on.study.resolved:
        if (
            f.kind in DEVICE_GONE
            and f.kind not in kinds
            and on.compares
            and f.reported
            and rng.random() < on.knobs.resolved
        ):
            scope = finding_scope(draft, f, "X", Detail(side=0.8))
            scope.slots["gone"] = DEVICE_GONE[f.kind]
            scope.said["change"] = "resolved"
            draft.sentence(draft.choose(REMOVED, scope.tags), scope)


def _stock(draft: Draft) -> None:
    for part in draft.rng.choice(STOCK):
        if part.startswith("list:"):
            _deny_list(draft, part.removeprefix("list:").split(","), None)
        else:
            _normal(draft, part)


def _normal(draft: Draft, organ: str) -> None:
    template, denies = draft.rng.choice(NORMAL[organ])
    scope = Scope(implies=tuple((k, KINDS[k].finding, "absent") for k in denies))
    draft.sentence(template, scope)


def _deny_list(draft: Draft, kinds: list[str], but: Finding | None) -> None:
    """One negation over several findings, and one that may escape it."""
    frame = Scope()
    frame.items = [denied_scope(draft, k) for k in kinds]
    frame.number = frame.items[0].number
    options = tuple(
        t
        for t in general.ABSENT_LIST
        if (len(kinds) == 2 or "neither" not in t) and (_CHEST.issuperset(kinds) or "lungs" not in t)
    )
    if but is not None:
        options = general.ABSENT_LIST_BUT
        frame.children["p"] = finding_scope(draft, but, "O", Detail())
    draft.sentence(draft.choose(options, set()), frame)


def _deny(draft: Draft, kind: str) -> None:
    options = general.ABSENT
    own = SPECIFIC.get(kind, {}).get("absent")
    if own and draft.rng.random() < 0.35:
        options = own
    scope = denied_scope(draft, kind)
    draft.sentence(draft.choose(options, scope.tags), scope)


def _deny_other_side(draft: Draft, finding: Finding) -> None:
    scope = denied_scope(draft, finding.kind, side="left" if finding.side == "right" else "right")
    draft.sentence(draft.choose(general.OTHER_SIDE, scope.tags), scope)


def _gone(draft: Draft, finding: Finding) -> None:
    scope = finding_scope(draft, finding, "X", Detail(severity=0.3, zone=0.3))
    scope.said["change"] = "resolved"
    draft.sentence(draft.choose(general.RESOLVED, scope.tags), scope)


def _pair(draft: Draft, first: Finding, second: Finding) -> None:
    frame = Scope()
    frame.children = {"p": finding_scope(draft, first, "O", Detail()), "q": finding_scope(draft, second, "O", Detail())}
    draft.sentence(draft.choose(general.PAIR, set()), frame)


def _organs(draft: Draft, on: Occasion, disease: list[Finding], gone: list[Finding]) -> None:
    """Statements organ by organ: what is there, what has gone, what is denied."""
    rng, knobs = draft.rng, on.knobs
    steps: list[tuple[float, Callable[[], None]]] = []

    def at(place: float, spread: float, write: Callable[..., None], *args: object) -> None:
        steps.append((place + rng.random() * spread, lambda: write(draft, *args)))

    blocked = {f.kind for f in disease} | {f.kind for f in gone}
    deny = [
        k for k, chance in _DENY.items() if _deniable(k, blocked) and rng.random() < chance * knobs.negatives * 1.05
    ]
    if {"pneumonia", "consolidation"} <= set(deny) and rng.random() < 0.6:
        deny.remove("pneumonia")
    rng.shuffle(deny)
    told = list(disease)
    if len(deny) > 1 and rng.random() < knobs.list_negation:
        escaping = [f for f in told if f.certain and f.kind not in _MINOR | _OWN_WORDS]
        but = rng.choice(escaping) if escaping and rng.random() < knobs.but_list else None
        if but is not None:
            told.remove(but)
        at(2.4 if rng.random() < 0.75 else 0.4, 0.3, _deny_list, deny[:5], but)
        for kind in deny[5:]:
            at(5.3, 0.4, _deny, kind)
    else:
        for kind in deny:
            at(_ORGAN.get(kind, 1) + 0.7, 0.2, _deny, kind)
    joined = [
        f for f in told if f.certain and f.kind in {"effusion", "atelectasis", "opacity", "consolidation", "edema"}
    ]
    if len(joined) >= 2 and rng.random() < 0.35:
        first, second = joined[:2]
        told = [f for f in told if f not in (first, second)]
        at(1.2, 0.8, _pair, first, second)
    for f in told:
        at(_ORGAN.get(f.kind, 1), 0.5, state_finding, f, on)
        if f.kind in {"effusion", "pneumothorax"} and f.side in {"left", "right"} and rng.random() < 0.15:
            at(_ORGAN[f.kind] + 0.5, 0.1, _deny_other_side, f)
    for f in gone:
        at(_ORGAN.get(f.kind, 1), 0.6, _gone, f)
    denied = set(deny)
    for organ, (place, chance, forbidden) in _NORMAL_ORGANS.items():
        implied = {k for _, kinds in NORMAL[organ] for k in kinds}
        if forbidden & blocked or implied & denied or rng.random() > chance * (0.4 + 0.75 * knobs.negatives):
            continue
        if organ == "heart" and "mediastinal_widening" not in blocked and rng.random() < 0.45:
            organ = "cardiomediastinum"
            implied = implied | {"mediastinal_widening"}
        at(place, 0.2, _normal, organ)
        denied |= implied
    heart_first = rng.random() < 0.3
    for _, write in sorted(((p - 4 if heart_first and 4 <= p < 5 else p, w) for p, w in steps), key=lambda s: s[0]):
        write()


def state_finding(draft: Draft, finding: Finding, on: Occasion, terse: bool = False) -> None:
    """One statement about a finding that is there, or may be."""
    rng = draft.rng
    options, name = _manner(draft, finding, on, terse)
    letter = "O" if finding.certain else "U"
    scope = finding_scope(draft, finding, letter, Detail(change=0.35 if name == "present" and on.compares else 0.0))
    if name not in {"present", "uncertain"}:
        scope.said["change"] = "unchanged" if name.startswith("stable") else name
    own = tuple(t for t in SPECIFIC.get(finding.kind, {}).get(name, ()) if parse(t).fits(scope.tags))
    if own and rng.random() < (0.8 if finding.kind in _OWN_WORDS else 0.3 if terse else 0.5):
        options = own
    prefix = ""
    if on.compares and name not in {"uncertain", "present"} and rng.random() < 0.12:
        prefix = rng.choice(general.COMPARED)
        options = (
            tuple(t for t in options if "PRIOR" not in t and "AGAIN" not in t and "prior" not in t and "___" not in t)
            or options
        )
    draft.sentence(draft.choose(options, scope.tags), scope, prefix=prefix)


def _manner(draft: Draft, finding: Finding, on: Occasion, terse: bool) -> tuple[tuple[str, ...], str]:
    """Which kind of statement: present, changed, or doubtful."""
    rng = draft.rng
    if not finding.certain:
        return general.UNCERTAIN, "uncertain"
    change = finding.change if on.compares and finding.kind not in _MINOR else None
    if change == "unchanged" and rng.random() < 0.75:
        if rng.random() < on.knobs.pseudo_negation:
            return general.STABLE_PSEUDO, "stable_pseudo"
        return general.STABLE, "stable"
    if change == "increased" and rng.random() < 0.8:
        return general.INCREASED, change
    if change == "decreased" and rng.random() < 0.8:
        return general.DECREASED, change
    if change == "new" and rng.random() < 0.5:
        return general.NEW, change
    return (_TERSE if terse else general.PRESENT), "present"


def conclude(draft: Draft, on: Occasion, full: bool) -> None:
    """Write the impression. ``full`` when there is no findings section: devices and denials come here too."""
    rng = draft.rng
    disease = on.reported(devices=False)
    there = {f.kind for f in disease}
    major = sorted((f for f in disease if f.kind not in _MINOR), key=lambda f: -f.extent - 0.3 * (f.change == "new"))
    chosen = major[: rng.choice((2, 3, 3, 4))]
    if not chosen:
        old = on.compares and disease and rng.random() < 0.4
        draft.sentence(rng.choice(NOTHING_NEW if old else NORMAL_IMPRESSION), Scope())
    elif on.compares and all(f.change == "unchanged" for f in chosen) and rng.random() < 0.35:
        draft.sentence(rng.choice(NOTHING_NEW), Scope())
        if rng.random() < 0.6:
            state_finding(draft, chosen[0], on, terse=True)
    else:
        numbered = len(chosen) > 1 and rng.random() < 0.4
        for i, f in enumerate(chosen):
            if numbered:
                draft.text = draft.text.rstrip() + ("\n" if i else "") + f"{i + 1}. "
            state_finding(draft, f, on, terse=True)
    tubes = {f.kind for f in on.reported(devices=True)} & {"chest_tube", "pigtail", "ij_line", "subclavian_line"}
    if full and rng.random() < 0.7:
        free = [k for k in ("effusion", "pneumothorax", "consolidation") if _deniable(k, there)]
        if len(free) > 1:
            _deny_list(draft, free, None)
    elif "pneumothorax" not in there and rng.random() < (0.35 if tubes else 0.06):
        _deny(draft, "pneumothorax")
    if full:
        _devices(draft, on)
    if rng.random() < 0.08:
        draft.sentence(rng.choice(CLOSINGS), Scope())
