"""What findings and impression say: the statements of one study, their order and their wording."""

from __future__ import annotations

from clinclip.data.phantom.catalog import KINDS
from clinclip.data.phantom.grammar import Draft, Scope
from clinclip.data.phantom.knobs import PhantomKnobs
from clinclip.data.phantom.mention import Detail, denied_scope, finding_scope
from clinclip.data.phantom.wording import statements as general
from clinclip.data.phantom.wording.devices import DEVICE_GONE, DEVICE_PRESENT, IDENTITY, REMOVED
from clinclip.data.phantom.wording.headers import CLOSINGS
from clinclip.data.phantom.wording.normal import NORMAL, NORMAL_IMPRESSION, NOTHING_NEW, STOCK
from clinclip.data.phantom.wording.phrases import DENIED, PHRASES
from clinclip.data.phantom.wording.specific import SPECIFIC
from clinclip.data.phantom.world import Finding, Patient, Study

#: Findings that may not be denied beside a reported one.
_CONFLICTS: dict[str, frozenset[str]] = {
    "effusion": frozenset({"effusion"}),
    "pneumothorax": frozenset({"pneumothorax"}),
    "consolidation": frozenset({"consolidation", "pneumonia", "opacity"}),
    "pneumonia": frozenset({"consolidation", "pneumonia", "opacity"}),
    "opacity": frozenset({"consolidation", "opacity", "pneumonia"}),
    "nodule": frozenset({"nodule", "mass"}),
    "mass": frozenset({"nodule", "mass"}),
    "edema": frozenset({"edema"}),
    "atelectasis": frozenset({"atelectasis"}),
    "cardiomegaly": frozenset({"cardiomegaly"}),
    "mediastinal_widening": frozenset({"mediastinal_widening"}),
    "fracture": frozenset({"fracture"}),
    "pneumoperitoneum": frozenset({"pneumoperitoneum"}),
    "subcutaneous_emphysema": frozenset({"subcutaneous_emphysema"}),
}
_LUNG = frozenset(
    {"consolidation", "pneumonia", "opacity", "nodule", "mass", "edema", "atelectasis", "fibrosis", "granuloma"}
)
#: Chance that each absent finding is denied, before ``knobs.negatives``.
_DENY = {"effusion": 0.95, "pneumothorax": 0.95, "consolidation": 0.72, "edema": 0.32, "pneumonia": 0.12, "opacity": 0.12,
         "cardiomegaly": 0.06, "nodule": 0.05, "mass": 0.03, "atelectasis": 0.04, "subcutaneous_emphysema": 0.03,
         "pneumoperitoneum": 0.06, "fracture": 0.08}  # fmt: skip
_ORGAN = {"effusion": 2, "pneumothorax": 2, "pleural_thickening": 2, "cardiomegaly": 4, "mediastinal_widening": 4,
          "tortuous_aorta": 4, "hiatal_hernia": 4, "fracture": 5, "degenerative": 5, "scoliosis": 5,
          "subcutaneous_emphysema": 5, "pneumoperitoneum": 6, "elevated_hemidiaphragm": 6}  # fmt: skip
_MINOR = frozenset({"tortuous_aorta", "degenerative", "granuloma", "scoliosis", "hiatal_hernia", "hyperinflation"})
_TERSE = ("{np} {loc}", "{np} {loc}", "{a} {np} {loc}", "There {is} {a} {np} {loc}")


def describe(
    draft: Draft, patient: Patient, study: Study, views: str, compares: bool, denied: set[str], knobs: PhantomKnobs
) -> None:
    """Write the findings section. ``denied`` collects the kinds that were denied."""
    rng = draft.rng
    reported = [f for f in study.findings if f.reported]
    disease = [f for f in reported if not KINDS[f.kind].device]
    _identity(draft, patient, views, knobs)
    devices = [f for f in reported if KINDS[f.kind].device]
    late = rng.random() < 0.3
    if not late:
        _devices(draft, study, devices, compares, knobs)
    gone = [f for f in study.resolved if f.kind in PHRASES and compares and rng.random() < knobs.resolved]
    gone = [f for f in gone if not _CONFLICTS.get(f.kind, frozenset()) & {d.kind for d in disease}]
    if not disease and not gone and rng.random() < knobs.stock_normal:
        _stock(draft, {f.kind for f in disease}, denied)
    else:
        _organs(draft, study, disease, gone, compares, denied, knobs)
    if late:
        _devices(draft, study, devices, compares, knobs)


def _identity(draft: Draft, patient: Patient, views: str, knobs: PhantomKnobs) -> None:
    rng = draft.rng
    if rng.random() < knobs.identity_cues * 0.5:
        draft.sentence(rng.choice(IDENTITY["PA" if views == "two" else "AP"]), Scope())
    if patient.habitus > 1.0 and rng.random() < knobs.identity_cues:
        draft.sentence(rng.choice(IDENTITY["large"]), Scope())


def _devices(draft: Draft, study: Study, devices: list[Finding], compares: bool, knobs: PhantomKnobs) -> None:
    rng = draft.rng
    for f in devices:
        if (
            f.kind in {"sternal_wires", "clips", "spinal_hardware", "valve"}
            and rng.random() > 0.35 + knobs.identity_cues
        ):
            continue
        scope = finding_scope(draft, f, "O", Detail(side=0.95))
        draft.sentence(draft.choose(DEVICE_PRESENT[f.kind], scope.tags), scope)
    for f in study.resolved:
        if f.kind in DEVICE_GONE and compares and f.reported and rng.random() < knobs.resolved:
            scope = finding_scope(draft, f, "X", Detail(side=0.8))
            scope.slots["gone"] = DEVICE_GONE[f.kind]
            scope.said["change"] = "resolved"
            draft.sentence(draft.choose(REMOVED, scope.tags), scope)


def _stock(draft: Draft, kinds: set[str], denied: set[str]) -> None:
    for part in draft.rng.choice(STOCK):
        if part.startswith("list:"):
            names = part.removeprefix("list:").split(",")
            _deny_list(draft, names, None)
            denied.update(names)
        else:
            _normal(draft, part, denied)


def _normal(draft: Draft, organ: str, denied: set[str]) -> None:
    template, denies = draft.rng.choice(NORMAL[organ])
    scope = Scope(implies=tuple((k, KINDS[k].finding, "absent") for k in denies))
    if not denies:
        template = template.replace("<", "").replace(">", "")
    draft.sentence(template, scope)
    denied.update(denies)


def _deny_list(draft: Draft, kinds: list[str], but: Finding | None) -> None:
    frame = Scope()
    frame.items = [denied_scope(draft, k) for k in kinds]
    frame.number = frame.items[-1].number
    if but is None:
        options = (
            general.ABSENT_LIST if len(kinds) == 2 else tuple(t for t in general.ABSENT_LIST if "neither" not in t)
        )
    else:
        options = general.ABSENT_LIST_BUT
        frame.children["p"] = finding_scope(draft, but, "O" if but.certain else "U", Detail())
        if not but.certain:
            options = tuple(t for t in options if "{p.is} {p.a}" in t)
            child = frame.children["p"]
            child.slots["certainly"] = "possible"
    draft.sentence(draft.choose(options, set()), frame)


def _organs(
    draft: Draft,
    study: Study,
    disease: list[Finding],
    gone: list[Finding],
    compares: bool,
    denied: set[str],
    knobs: PhantomKnobs,
) -> None:
    """Statements organ by organ: what is there, what has gone, what is denied."""
    rng = draft.rng
    kinds = {f.kind for f in disease}
    blocked = kinds | {f.kind for f in gone}
    deny = [
        k
        for k, chance in _DENY.items()
        if not _CONFLICTS[k] & blocked and rng.random() < chance * knobs.negatives * 1.05
    ]
    if {"pneumonia", "consolidation"} <= set(deny) and rng.random() < 0.6:
        deny.remove("pneumonia")
    rng.shuffle(deny)
    grouped = deny if rng.random() < knobs.list_negation else []
    escaping = [
        f
        for f in disease
        if f.kind not in {"cardiomegaly", "mediastinal_widening"} and f.certain and f.kind not in _MINOR
    ]
    but = rng.choice(escaping) if len(grouped) > 1 and escaping and rng.random() < knobs.but_list else None
    steps: list[tuple[float, str, object]] = []
    for f in disease:
        if f is not but:
            steps.append((_ORGAN.get(f.kind, 1) + rng.random() * 0.5, "state", f))
    steps += [(_ORGAN.get(f.kind, 1) + rng.random() * 0.6, "gone", f) for f in gone]
    if len(grouped) > 1:
        at = 2.4 + rng.random() * 0.3 if rng.random() < 0.75 else 0.5
        while len(grouped) > 5:
            steps.append((at + 3, "deny", grouped.pop()))
        steps.append((at, "list", grouped))
    else:
        steps += [(_ORGAN.get(k, 1) + 0.7 + rng.random() * 0.2, "deny", k) for k in deny]
    denied.update(deny)
    for organ, at, needs in (
        ("lungs", 1.0, _LUNG),
        ("heart", 4.0, frozenset({"cardiomegaly"})),
        ("mediastinum", 4.4, frozenset({"mediastinal_widening", "tortuous_aorta", "hiatal_hernia"})),
        ("bones", 5.5, frozenset({"fracture", "degenerative", "scoliosis"})),
        ("vessels", 3.0, frozenset({"edema"})),
        ("pleura", 2.8, frozenset({"effusion", "pleural_thickening"})),
        ("hila", 4.5, frozenset({"mass"})),
        ("abdomen", 6.0, frozenset({"pneumoperitoneum"})),
        ("aorta", 4.6, frozenset({"tortuous_aorta", "mediastinal_widening"})),
        ("trachea", 4.7, frozenset({"mediastinal_widening", "mass", "ett"})),
    ):
        chance = {"lungs": 0.4, "heart": 0.6, "mediastinum": 0.55, "bones": 0.3, "vessels": 0.12}.get(organ, 0.06)
        implied = {k for _, ks in NORMAL[organ] for k in ks}
        if not needs & blocked and not implied & denied and rng.random() < chance * (0.4 + 0.75 * knobs.negatives):
            if organ == "heart" and not blocked & {"mediastinal_widening", "cardiomegaly"} and rng.random() < 0.45:
                organ = "cardiomediastinum"
            steps.append((at + rng.random() * 0.2, "normal", organ))
            denied.update(implied)
    if rng.random() < 0.3:  # heart first
        steps = [(at - 4 if 4 <= at < 5 else at, what, value) for at, what, value in steps]
    said_list = False
    for _, what, value in sorted(steps, key=lambda s: s[0]):
        if what == "state":
            state_finding(draft, value, compares, knobs)  # type: ignore[arg-type]
        elif what == "gone":
            _gone(draft, value)  # type: ignore[arg-type]
        elif what == "normal":
            _normal(draft, value, denied)  # type: ignore[arg-type]
        elif what == "list":
            _deny_list(draft, value, but)  # type: ignore[arg-type]
            said_list = True
        else:
            _deny(draft, value)  # type: ignore[arg-type]
    if but is not None and not said_list:
        raise AssertionError("a finding was left out with its list")


def _deny(draft: Draft, kind: str) -> None:
    options = general.ABSENT
    own = SPECIFIC.get(kind, {}).get("absent")
    if own and draft.rng.random() < 0.35:
        options = own
    scope = denied_scope(draft, kind)
    draft.sentence(draft.choose(options, scope.tags), scope)


def _gone(draft: Draft, finding: Finding) -> None:
    scope = finding_scope(draft, finding, "X", Detail(severity=0.3, zone=0.3))
    scope.said["change"] = "resolved"
    draft.sentence(draft.choose(general.RESOLVED, scope.tags), scope)


def state_finding(
    draft: Draft, finding: Finding, compares: bool, knobs: PhantomKnobs, terse: bool = False, prefix: str = ""
) -> None:
    """One statement about a finding that is there, or may be."""
    rng = draft.rng
    own = SPECIFIC.get(finding.kind, {})
    if not finding.certain:
        options, name, letter = general.UNCERTAIN, "uncertain", "U"
    else:
        letter = "O"
        change = finding.change if compares and finding.kind not in _MINOR else None
        if change == "unchanged" and rng.random() < 0.75:
            pseudo = rng.random() < knobs.pseudo_negation
            options, name = (general.STABLE_PSEUDO, "stable_pseudo") if pseudo else (general.STABLE, "stable")
        elif change in {"increased", "decreased"} and rng.random() < 0.8:
            options, name = (general.INCREASED if change == "increased" else general.DECREASED), change
        elif change == "new" and rng.random() < 0.5:
            options, name = general.NEW, "new"
        else:
            options, name = (_TERSE if terse else general.PRESENT), "present"
    detail = Detail(change=0.35 if name == "present" and compares else 0.0)
    scope = finding_scope(draft, finding, letter, detail)
    if name not in {"present", "uncertain"}:
        scope.said["change"] = {"stable": "unchanged", "stable_pseudo": "unchanged"}.get(name, name)
    fitting = [t for t in own.get(name, ()) if _fits(t, scope.tags)]
    if fitting and rng.random() < (0.3 if terse else 0.5) + (
        0.3 if finding.kind in {"cardiomegaly", "mediastinal_widening"} else 0
    ):
        options = tuple(fitting)
    draft.sentence(prefix + rng.choice(options) if prefix else draft.choose(options, scope.tags), scope)


def _fits(template: str, tags: set[str]) -> bool:
    from clinclip.data.phantom.grammar import parse

    return parse(template).fits(tags)


def conclude(
    draft: Draft, study: Study, views: str, compares: bool, denied: set[str], full: bool, knobs: PhantomKnobs
) -> None:
    """Write the impression. ``full`` when there is no findings section: devices and denials come here."""
    rng = draft.rng
    disease = [f for f in study.findings if f.reported and not KINDS[f.kind].device]
    major = sorted((f for f in disease if f.kind not in _MINOR), key=lambda f: -f.extent - 0.3 * (f.change == "new"))
    items: list[str] = []
    start = len(draft.text)
    chosen = major[: rng.choice((2, 3, 3, 4))]
    if not chosen:
        if compares and disease and rng.random() < 0.4:
            draft.sentence(rng.choice(NOTHING_NEW), Scope())
        else:
            draft.sentence(rng.choice(NORMAL_IMPRESSION), Scope())
            if full and rng.random() < 0.5:
                _deny_list(draft, ["effusion", "pneumothorax"], None)
    elif compares and all(f.change == "unchanged" for f in chosen) and rng.random() < 0.35:
        draft.sentence(rng.choice(NOTHING_NEW), Scope())
        if rng.random() < 0.6:
            state_finding(draft, chosen[0], compares, knobs, terse=True)
    else:
        numbered = len(chosen) > 1 and rng.random() < 0.4
        for i, f in enumerate(chosen):
            if numbered:
                if i:
                    draft.text = draft.text.rstrip() + "\n"
                draft.text += f"{i + 1}. "
            state_finding(draft, f, compares, knobs, terse=True)
        kinds = {f.kind for f in study.findings if f.reported}
        if "pneumothorax" not in kinds and rng.random() < (
            0.35 if kinds & {"chest_tube", "pigtail", "ij_line"} else 0.08
        ):
            _deny(draft, "pneumothorax")
        elif full and rng.random() < 0.7:
            free = [k for k in ("effusion", "pneumothorax", "consolidation") if not _CONFLICTS[k] & kinds]
            if len(free) > 1:
                _deny_list(draft, free, None)
    if full:
        _devices(draft, study, [f for f in study.findings if f.reported and KINDS[f.kind].device], compares, knobs)
    if rng.random() < 0.08:
        draft.sentence(rng.choice(CLOSINGS), Scope())
    del items, start, views, denied


__all__ = ["DENIED", "conclude", "describe", "state_finding"]
