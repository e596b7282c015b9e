"""Patients and their studies: who they are, what they have, how it comes and goes. No pixels and no words here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from clinclip.draws import digest, permuted, stream
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.knobs import PhantomKnobs

#: Limits of ``extent`` between the four grades.
GRADES: tuple[tuple[float, str], ...] = ((0.22, "trace"), (0.48, "mild"), (0.76, "moderate"), (1.01, "severe"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding or device of one study.

    Attributes:
        uid: the same number in all studies of the patient; seeds where and how it is drawn.
        kind: key of KINDS.
        side: "left", "right", "bilateral" or None.
        zone: place within the side (see KINDS), or None.
        extent: size or severity in [0, 1].
        contrast: visibility on the image (1 is textbook clear).
        on_image: False when the report is wrong to mention it.
        reported: False when the report overlooks it.
        certain: False when the report hedges.
        change: "new", "increased", "decreased", "unchanged" against the study before, or None without one.
    """

    uid: int
    kind: str
    side: str | None
    zone: str | None
    extent: float
    contrast: float
    on_image: bool = True
    reported: bool = True
    certain: bool = True
    change: str | None = None

    @property
    def grade(self) -> str:
        """The size in words: trace, mild, moderate or severe."""
        return next(name for limit, name in GRADES if self.extent < limit)

    @property
    def finding(self) -> str | None:
        """The CheXpert observation, or None."""
        return KINDS[self.kind].finding


@dataclass(frozen=True, slots=True)
class Image:
    """One exposure. ``view`` is what was exposed, ``position`` what the metadata say ("" when blank)."""

    image_id: str
    view: str
    position: str
    number: int


@dataclass(frozen=True, slots=True)
class Study:
    """One examination.

    Attributes:
        index: running number over the whole data set.
        number: running number within the patient, from 0.
        study_id: "50414267".
        setting: "outpatient", "emergency", "ward" or "icu".
        when: shifted date and time.
        images: the exposures.
        findings: everything there is or is said to be, devices included.
        resolved: findings of the study before that have gone.
        age: years at the time of the study.
    """

    index: int
    number: int
    study_id: str
    setting: str
    when: datetime
    images: tuple[Image, ...]
    findings: tuple[Finding, ...]
    resolved: tuple[Finding, ...]
    age: int


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient with all studies.

    Attributes:
        index: running number.
        subject_id: "10000032".
        sex: "M" or "F".
        habitus: 0 average, negative slender, positive large.
        frailty: 0 healthy, 1 chronically ill, 2 critically ill.
        studies: in order of time.
    """

    index: int
    subject_id: str
    sex: str
    habitus: float
    frailty: int
    studies: tuple[Study, ...] = field(default=())


_FRAILTY = ((0, 0.50), (1, 0.30), (2, 0.20))
_MORE_STUDIES = (0.55, 1.1, 1.95)
#: Exponents that turn the normal share into one share a frailty and give the mean back (checked by a test).
_NORMAL_EXPONENT = (0.18, 0.75, 2.2)
_SETTINGS = (
    (("outpatient", 0.5), ("emergency", 0.5)),
    (("outpatient", 0.35), ("emergency", 0.3), ("ward", 0.35)),
    (("ward", 0.4), ("icu", 0.6)),
)
#: How likely a device is in each setting.
_DEVICE_CHANCE: dict[str, tuple[float, float, float, float]] = {
    # outpatient, emergency, ward, icu
    "ett": (0.0, 0.01, 0.02, 0.42),
    "tracheostomy": (0.0, 0.005, 0.02, 0.08),
    "ng_tube": (0.0, 0.01, 0.05, 0.32),
    "feeding_tube": (0.0, 0.0, 0.03, 0.14),
    "picc": (0.015, 0.02, 0.15, 0.12),
    "ij_line": (0.0, 0.005, 0.05, 0.32),
    "subclavian_line": (0.0, 0.0, 0.02, 0.07),
    "port": (0.04, 0.04, 0.05, 0.03),
    "dialysis_catheter": (0.01, 0.02, 0.04, 0.05),
    "swan_ganz": (0.0, 0.0, 0.005, 0.08),
    "pacemaker": (0.04, 0.05, 0.09, 0.08),
    "icd": (0.01, 0.015, 0.03, 0.03),
    "chest_tube": (0.0, 0.005, 0.04, 0.10),
    "pigtail": (0.0, 0.005, 0.04, 0.04),
    "valve": (0.015, 0.015, 0.03, 0.05),
    "sternal_wires": (0.05, 0.06, 0.12, 0.20),
    "clips": (0.05, 0.05, 0.07, 0.06),
    "spinal_hardware": (0.015, 0.015, 0.02, 0.02),
}
_SETTING_INDEX = {"outpatient": 0, "emergency": 1, "ward": 2, "icu": 3}
#: finding -> (what it pulls in, chance at co_occurrence 1)
_PULLS: dict[str, tuple[tuple[str, float], ...]] = {
    "effusion": (("atelectasis", 0.45),),
    "edema": (("cardiomegaly", 0.45), ("effusion", 0.4)),
    "cardiomegaly": (("edema", 0.12),),
    "mass": (("nodule", 0.1), ("effusion", 0.15)),
    "fracture": (("pneumothorax", 0.06),),
    "pneumothorax": (("subcutaneous_emphysema", 0.08), ("atelectasis", 0.15)),
    "pneumonia": (("effusion", 0.15),),
    "scoliosis": (("degenerative", 0.3),),
}
#: How much likelier a finding is in outpatient, emergency, ward, icu.
_SETTING_FACTOR: dict[str, tuple[float, float, float, float]] = {
    "effusion": (0.5, 0.7, 1.3, 1.5),
    "atelectasis": (0.5, 0.8, 1.2, 1.5),
    "edema": (0.3, 0.8, 1.2, 1.7),
    "pneumothorax": (0.5, 0.7, 1.3, 1.5),
    "nodule": (1.8, 1.0, 0.7, 0.4),
    "mass": (1.8, 1.0, 0.7, 0.4),
    "hyperinflation": (1.6, 1.3, 0.7, 0.3),
    "degenerative": (1.6, 1.3, 0.6, 0.1),
    "scoliosis": (1.5, 1.3, 0.6, 0.2),
    "granuloma": (1.6, 1.2, 0.6, 0.3),
    "fracture": (0.9, 1.6, 0.8, 0.6),
    "tortuous_aorta": (1.3, 1.3, 0.9, 0.5),
}


def weighted(rng: random.Random, options: tuple[tuple[str, float], ...]) -> str:
    """One of the options by weight."""
    return rng.choices([o for o, _ in options], [w for _, w in options])[0]


def count_studies(index: int, seed: int, knobs: PhantomKnobs) -> int:
    """How many studies the patient would have in an endless data set."""
    rng = stream(seed, "count", index)
    mean = 1 + (knobs.studies_per_patient - 1) * _MORE_STUDIES[_frailty(index, seed)]
    n = 1
    while n < knobs.max_studies and rng.random() > 1 / mean:
        n += 1
    return n


def _frailty(index: int, seed: int) -> int:
    rng = stream(seed, "frailty", index)
    return rng.choices([f for f, _ in _FRAILTY], [w for _, w in _FRAILTY])[0]


def make_patient(index: int, first_study: int, n_studies: int, seed: int, knobs: PhantomKnobs) -> Patient:
    """Draw one patient with all studies.

    Args:
        index: Running number of the patient.
        first_study: Running number of the patient's first study.
        n_studies: How many studies.
        seed: Seed of the data set.
        knobs: Difficulty.
    """
    rng = stream(seed, "patient", index)
    frailty = _frailty(index, seed)
    age = int(min(91, max(18, rng.gauss((47, 63, 65)[frailty], 16))))
    patient = Patient(
        index=index,
        subject_id=str(10_000_000 + permuted(index, 10_000_000, seed, "subject")),
        sex=rng.choice("MF"),
        habitus=max(-1.2, min(2.2, rng.gauss(0.25, 0.7))),
        frailty=frailty,
    )
    when = datetime(rng.randint(2110, 2200), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23))
    start = when
    before: tuple[Finding, ...] = ()
    had_study = False
    studies = []
    for number in range(n_studies):
        rng = stream(seed, "study", index, number)
        setting = weighted(rng, _SETTINGS[frailty])
        days = {"icu": 1.2, "ward": 3.0}.get(setting, 120.0)
        when = when + timedelta(
            days=rng.lognormvariate(0, 0.8) * days * (1 if number else 0), seconds=rng.random() * 9e4
        )
        findings, resolved = _evolve(rng, before, had_study, patient, setting, number, knobs)
        index_in_all = first_study + number
        studies.append(
            Study(
                index=index_in_all,
                number=number,
                study_id=str(50_000_000 + permuted(index_in_all, 10_000_000, seed, "study-id")),
                setting=setting,
                when=when,
                images=_exposures(rng, setting, seed, index_in_all, knobs),
                findings=findings,
                resolved=resolved,
                age=age + (when - start).days // 365,
            )
        )
        before, had_study = findings, True
    return replace(patient, studies=tuple(studies))


def _evolve(
    rng: random.Random,
    before: tuple[Finding, ...],
    had_study: bool,
    patient: Patient,
    setting: str,
    number: int,
    knobs: PhantomKnobs,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings of the next study, and what has gone since the one before."""
    column = _SETTING_INDEX[setting]
    chronic = any(not KINDS[f.kind].acute and not KINDS[f.kind].device for f in before)
    normal = not chronic and rng.random() < knobs.normal ** _NORMAL_EXPONENT[patient.frailty]
    kept: list[Finding] = []
    resolved: list[Finding] = []
    for old in before:
        kind = KINDS[old.kind]
        if not old.on_image:
            continue
        if kind.device:
            stays = not kind.acute or rng.random() < (0.8 if column >= 2 else 0.05)
            (kept if stays else resolved).append(replace(old, change="unchanged" if stays else old.change))
            continue
        if kind.acute and (normal or rng.random() > knobs.persistence):
            if old.reported:
                resolved.append(old)
            continue
        kept.append(_next_form(rng, old, kind.acute, knobs))
    kinds = {f.kind for f in kept}
    uid = 1000 * (number + 1)
    fresh: list[str] = []
    if not normal:
        for name, share in knobs.prevalence.items():
            # persistence and chronic disease already supply their part of the later studies
            chance = share * _SETTING_FACTOR.get(name, (1, 1, 1, 1))[column] * (0.45 if number else 1.0)
            if name not in kinds and rng.random() < chance:
                fresh.append(name)
        if not fresh and not any(not KINDS[k].device for k in kinds):
            fresh.append(weighted(rng, tuple(knobs.prevalence.items())))
        for name in list(fresh):
            for other, chance in _PULLS.get(name, ()):
                if other not in kinds and other not in fresh and rng.random() < chance * knobs.co_occurrence:
                    fresh.append(other)
    for name, chances in _DEVICE_CHANCE.items():
        factor = knobs.devices * (0.15 if KINDS[name].acute is False and number else 1.0)
        if name not in kinds and rng.random() < chances[column] * factor:
            fresh.append(name)
    fresh = _compatible(fresh, kinds)
    for name in fresh:
        uid += 1
        kept.append(_first_form(rng, uid, name, had_study, knobs))
    if not normal and rng.random() < knobs.overcalled:
        names = [
            n for n in ("effusion", "atelectasis", "opacity", "edema", "cardiomegaly") if n not in kinds | set(fresh)
        ]
        if names:
            uid += 1
            kept.append(
                replace(_first_form(rng, uid, rng.choice(names), had_study, knobs), on_image=False, extent=0.15)
            )
    return tuple(kept), tuple(resolved)


def _compatible(fresh: list[str], kinds: set[str]) -> list[str]:
    """Drop what excludes something that is already there (one airway tube, one generator ...)."""
    groups = (("ett", "tracheostomy"), ("pacemaker", "icd"), ("ng_tube", "feeding_tube"), ("chest_tube", "pigtail"),
              ("ij_line", "subclavian_line", "swan_ganz"), ("consolidation", "pneumonia"), ("nodule", "granuloma"),
              ("hyperinflation", "elevated_hemidiaphragm"))  # fmt: skip
    taken = set(kinds)
    out = []
    for name in fresh:
        if not any(name in g and any(o in taken for o in g) for g in groups):
            out.append(name)
            taken.add(name)
    return out


def _first_form(rng: random.Random, uid: int, name: str, had_study: bool, knobs: PhantomKnobs) -> Finding:
    kind = KINDS[name]
    extent = 0.5 if kind.device else min(0.999, rng.betavariate(1.3, 1.3 + 4 * knobs.small))
    contrast = knobs.visibility * rng.lognormvariate(0, knobs.visibility_spread) * (0.7 + 0.6 * extent)
    side = weighted(rng, kind.sides) if kind.sides else None
    zone = weighted(rng, kind.zones) if kind.zones else None
    if zone == "retrocardiac":
        side = "left"  # little of the right lung lies behind the heart
    return Finding(
        uid=uid,
        kind=name,
        side=side,
        zone=zone,
        extent=extent,
        contrast=rng.uniform(0.7, 1.1) if kind.device else min(1.6, contrast),
        reported=rng.random() >= (0.04 if kind.device else knobs.missed),
        certain=kind.device or rng.random() >= knobs.uncertain * _doubt(name),
        change="new" if had_study else None,
    )


def _doubt(name: str) -> float:
    """Some findings are hedged more often than others."""
    return {"pneumonia": 2.6, "consolidation": 1.6, "atelectasis": 1.5, "nodule": 1.2, "pneumothorax": 0.5,
            "cardiomegaly": 0.4, "edema": 0.9, "effusion": 0.8, "fracture": 0.8}.get(name, 0.5)  # fmt: skip


def _next_form(rng: random.Random, old: Finding, acute: bool, knobs: PhantomKnobs) -> Finding:
    """The same finding one study later."""
    drift = rng.gauss(0, 0.16 if acute else 0.03)
    extent = min(0.999, max(0.03, old.extent + drift))
    change = "unchanged" if abs(extent - old.extent) < 0.07 else "increased" if extent > old.extent else "decreased"
    return replace(
        old,
        extent=extent,
        contrast=min(1.6, max(0.05, old.contrast * rng.lognormvariate(0, 0.15))),
        reported=rng.random() >= knobs.missed,
        certain=old.certain or rng.random() < 0.5,
        change=change,
    )


def _exposures(rng: random.Random, setting: str, seed: int, study: int, knobs: PhantomKnobs) -> tuple[Image, ...]:
    if setting in {"icu", "ward"} and rng.random() < (0.97 if setting == "icu" else 0.7):
        views = ["AP"]
    elif rng.random() < knobs.lateral:
        views = ["PA" if rng.random() < 0.9 else "AP", "LATERAL"]
    else:
        views = ["PA" if rng.random() < 0.6 else "AP"]
    if rng.random() < knobs.repeat:
        views.append(views[0])
    lateral = "LL" if rng.random() < 0.35 else "LATERAL"
    order = list(range(len(views)))
    rng.shuffle(order)
    images = []
    for number in order:
        view = views[number]
        position = "" if rng.random() < knobs.blank_view else lateral if view == "LATERAL" else view
        name = (digest(seed, "image", study, number) + digest(seed, "image-tail", study, number)).hex()[:40]
        images.append(Image("-".join(name[i : i + 8] for i in range(0, 40, 8)), view, position, number))
    return tuple(images)
