"""Sentences that deny a finding, in radiologists' styles. Data tables; nothing here reads or writes a report.

Two disjoint sets: models train on negations written with TRAIN and are evaluated on negations written with EVAL, so
that an evaluation measures the understanding of a negation and not the recognition of a phrase. Disjoint means that no
template of one set occurs inside a template of the other, whatever the finding (a test holds the tables to it): the
training set owns "no <finding>", "no evidence of <finding>", "is not seen"; the evaluation set owns "no visible
<finding>", "no sign of <finding>", "is absent".

``{np}`` is a noun phrase with its side and place, ``{is}`` agrees with it, ``{side}`` is a side alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clinclip.errors import ConfigError

TemplateSet = Literal["train", "eval"]
TEMPLATE_SETS: tuple[TemplateSet, ...] = ("train", "eval")


@dataclass(frozen=True, slots=True)
class Template:
    """One way to deny a finding.

    Attributes:
        id: "<set>/<name>", stored with every edited report.
        pattern: the sentence with its place holders, without final full stop.
        findings: the observations it can deny, or None for every noun phrase.
    """

    id: str
    pattern: str
    findings: tuple[str, ...] | None = None


def _table(kind: TemplateSet, rows: dict[str, str], findings: tuple[str, ...] | None = None) -> tuple[Template, ...]:
    return tuple(Template(f"{kind}/{name}", pattern, findings) for name, pattern in rows.items())


_CARDIOMEGALY = ("Cardiomegaly",)
_MEDIASTINUM = ("Enlarged Cardiomediastinum",)
_EFFUSION = ("Pleural Effusion",)
_FRACTURE = ("Fracture",)
_EDEMA = ("Edema",)
_LUNG = ("Atelectasis", "Consolidation", "Lung Opacity", "Lung Lesion", "Pneumonia")

TRAIN: tuple[Template, ...] = (
    *_table(
        "train",
        {
            "no": "No {np}",
            "there-is-no": "There {is} no {np}",
            "no-seen": "No {np} {is} seen",
            "no-identified": "No {np} {is} identified",
            "no-present": "No {np} {is} present",
            "no-noted": "No {np} {is} noted",
            "no-detected": "No {np} {is} detected",
            "there-is-no-seen": "There {is} no {np} seen",
            "there-is-no-on-this-study": "There {is} no {np} on this study",
            "no-evidence": "No evidence of {np}",
            "there-is-no-evidence": "There is no evidence of {np}",
            "no-radiographic-evidence": "No radiographic evidence of {np}",
            "there-is-no-radiographic-evidence": "There is no radiographic evidence of {np}",
            "np-not-seen": "{np} {is} not seen",
            "np-not-identified": "{np} {is} not identified",
        },
    ),
    *_table(
        "train",
        {
            "heart-size-normal": "Heart size is normal",
            "the-heart-size-normal": "The heart size is normal",
            "heart-normal-in-size": "The heart is normal in size",
            "heart-not-enlarged": "The heart is not enlarged",
            "silhouette-normal-size": "The cardiac silhouette is normal in size",
        },
        _CARDIOMEGALY,
    ),
    *_table(
        "train",
        {
            "mediastinum-not-widened": "The mediastinum is not widened",
            "no-mediastinal-widening": "There is no widening of the mediastinum",
        },
        _MEDIASTINUM,
    ),
    *_table(
        "train",
        {
            "angles-sharp": "The costophrenic angles are sharp",
            "angles-clear": "Costophrenic angles are clear",
            "angle-side-sharp": "The {side} costophrenic angle is sharp",
            "spaces-clear": "The pleural spaces are clear",
        },
        _EFFUSION,
    ),
    *_table(
        "train",
        {
            "bones-intact": "The osseous structures are intact",
            "bony-thorax-intact": "The bony thorax is intact",
        },
        _FRACTURE,
    ),
    *_table(
        "train",
        {"vasculature-normal": "The pulmonary vasculature is normal", "vascularity-normal": "Vascularity is normal"},
        _EDEMA,
    ),
)

EVAL: tuple[Template, ...] = (
    *_table(
        "eval",
        {
            "visible": "No visible {np}",
            "there-is-visible": "There {is} no visible {np}",
            "appreciable": "No appreciable {np}",
            "there-is-appreciable": "There {is} no appreciable {np}",
            "discernible": "No discernible {np}",
            "sign": "No sign of {np}",
            "there-is-sign": "There is no sign of {np}",
            "signs": "There are no signs of {np}",
            "absent": "{np} {is} absent",
            "not-present": "{np} {is} not present",
            "not-demonstrated": "{np} {is} not demonstrated",
            "not-visualized": "{np} {is} not visualized",
            "negative": "Negative for {np}",
            "study-negative": "The study is negative for {np}",
        },
    ),
    *_table(
        "eval",
        {
            "cardiac-size-normal": "Cardiac size is normal",
            "heart-within-limits": "Heart size is within normal limits",
            "heart-of-normal-size": "The heart is of normal size",
            "silhouette-not-enlarged": "The cardiac silhouette is not enlarged",
        },
        _CARDIOMEGALY,
    ),
    *_table("eval", {"mediastinum-normal-width": "The mediastinum is of normal width"}, _MEDIASTINUM),
    *_table(
        "eval",
        {
            "sulci-sharp": "The costophrenic sulci are sharp",
            "sulcus-side-clear": "The {side} costophrenic sulcus is clear",
        },
        _EFFUSION,
    ),
    *_table("eval", {"ribs-intact": "The visualized bones are intact"}, _FRACTURE),
    *_table("eval", {"vasculature-within-limits": "The pulmonary vasculature is within normal limits"}, _EDEMA),
)

TEMPLATES: dict[TemplateSet, tuple[Template, ...]] = {"train": TRAIN, "eval": EVAL}


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun for a finding in a denial.

    Attributes:
        text: "pleural effusion".
        key: used only where every removed mention contains this word; None fits every mention.
        plural: takes "are".
        sided: may be preceded by a side or a place.
    """

    text: str
    key: str | None = None
    plural: bool = False
    sided: bool = True


#: How each observation is named when it is denied.
NOUNS: dict[str, tuple[Noun, ...]] = {
    "Enlarged Cardiomediastinum": (
        Noun("mediastinal widening", sided=False),
        Noun("widening of the mediastinum", sided=False),
        Noun("enlargement of the cardiomediastinal silhouette", "cardiomediastinal", sided=False),
    ),
    "Cardiomegaly": (
        Noun("cardiomegaly", sided=False),
        Noun("cardiac enlargement", sided=False),
        Noun("enlargement of the cardiac silhouette", sided=False),
    ),
    "Lung Opacity": (
        Noun("airspace opacity"),
        Noun("focal opacity"),
        Noun("airspace opacities", plural=True),
        Noun("infiltrate", "infiltrat"),
        Noun("fibrosis", "fibro"),
        Noun("interstitial abnormality", "interstitial"),
        Noun("interstitial lung disease", "interstitial lung disease"),
    ),
    "Lung Lesion": (
        Noun("pulmonary nodule or mass"),
        Noun("lung nodule", "nodul"),
        Noun("pulmonary nodule", "nodul"),
        Noun("pulmonary nodules", "nodul", plural=True),
        Noun("lung mass", "mass"),
        Noun("pulmonary mass", "mass"),
    ),
    "Edema": (
        Noun("pulmonary edema", sided=False),
        Noun("edema", sided=False),
        Noun("interstitial edema", "interstitial", sided=False),
        Noun("pulmonary vascular congestion", "congest", sided=False),
        Noun("congestive heart failure", "failure", sided=False),
    ),
    "Consolidation": (Noun("consolidation"), Noun("focal consolidation"), Noun("airspace consolidation")),
    "Pneumonia": (Noun("pneumonia"), Noun("focal pneumonia")),
    "Atelectasis": (Noun("atelectasis"), Noun("lobar collapse", "collapse")),
    "Pneumothorax": (Noun("pneumothorax"),),
    "Pleural Effusion": (
        Noun("pleural effusion"),
        Noun("effusion"),
        Noun("pleural effusions", plural=True),
        Noun("pleural fluid"),
    ),
    "Pleural Other": (
        Noun("pleural thickening"),
        Noun("pleural scarring", "scar"),
        Noun("pleural plaque", "plaque"),
    ),
    "Fracture": (
        Noun("acute fracture", sided=False),
        Noun("fracture"),
        Noun("rib fracture", "rib"),
        Noun("rib fractures", "rib", plural=True),
    ),
    "Support Devices": (
        Noun("support device", sided=False),
        Noun("lines or tubes", plural=True, sided=False),
        Noun("endotracheal tube", "endotracheal", sided=False),
        Noun("central venous catheter", "central", sided=False),
        Noun("pacemaker", "pacemaker", sided=False),
        Noun("chest tube", "chest tube"),
    ),
}

#: Places, as the reader names them without their side -> adjective before the noun, or phrase after it.
PLACE_ADJECTIVES: dict[str, str] = {
    "apex": "apical", "base": "basilar", "lung base": "basilar", "perihilar": "perihilar", "hilum": "perihilar",
    "retrocardiac": "retrocardiac", "lower lobe": "lower lobe", "upper lobe": "upper lobe",
    "middle lobe": "middle lobe",
}  # fmt: skip
PLACE_PHRASES: dict[str, str] = {
    "apex": "at the {side}apex", "base": "at the {side}base", "lung base": "at the {side}lung base",
    "upper lobe": "in the {side}upper lobe", "lower lobe": "in the {side}lower lobe",
    "middle lobe": "in the {side}middle lobe", "lingula": "in the lingula", "lung": "in the {side}lung",
    "upper lung": "in the {side}upper lung", "lower lung": "in the {side}lower lung",
    "mid lung": "in the {side}mid lung",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where the removed mentions said the finding was; only what they agree on. Any part may be None.

    Attributes:
        side: "left", "right" or "bilateral".
        site: a key of PLACE_ADJECTIVES or PLACE_PHRASES.
    """

    side: str | None = None
    site: str | None = None


def noun_phrase(noun: Noun, place: Place, form: int) -> str:
    """Compose side, place and noun.

    Args:
        noun: What is denied.
        place: What may be said about where.
        form: Any integer; chooses among the ways to say it, the plain noun included.
    """
    side = f"{place.side} " if place.side in {"left", "right"} else ""
    forms = [noun.text]
    if noun.sided:
        if side:
            focal = noun.text.startswith("focal ")  # nobody says "right focal pneumonia"
            forms.append(f"{noun.text} on the {place.side}" if focal else side + noun.text)
        elif place.side == "bilateral" and not noun.plural:
            forms.append(f"{noun.text} on either side")
        site = place.site
        if site in PLACE_ADJECTIVES:
            first, head = ("focal ", noun.text[6:]) if noun.text.startswith("focal ") else ("", noun.text)
            forms.append(f"{first}{side}{PLACE_ADJECTIVES[site]} {head}")
        if site in PLACE_PHRASES and not (site == "lingula" and side == "right "):
            where = PLACE_PHRASES[site].format(side=side)
            if not side and site not in {"lingula", "middle lobe"}:
                where = "at the apices" if site == "apex" else f"{where}s"
            forms.append(f"{noun.text} {where}")
    return forms[form % len(forms)]


def nouns_for(finding: str, mentions: tuple[str, ...]) -> tuple[Noun, ...]:
    """Nouns that fit everything that was said: keyed ones only if every mention contains the key."""
    rows = NOUNS.get(finding, ())
    keyed = tuple(n for n in rows if n.key and mentions and all(n.key in m for m in mentions))
    return keyed + tuple(n for n in rows if n.key is None)


def fill(template: Template, phrase: str, plural: bool, side: str | None) -> str | None:
    """The sentence without its full stop, first letter capital; None where the template needs a side and has none."""
    if "{side}" in template.pattern and side not in {"left", "right"}:
        return None
    text = template.pattern.replace("{np}", phrase).replace("{side}", side or "")
    text = text.replace("{is}", "are" if plural else "is")
    return text[0].upper() + text[1:]


def template_set(style: str | None) -> TemplateSet:
    """A set of wordings by its name; None is "train". Raises ConfigError for another."""
    for name in TEMPLATE_SETS:
        if style in (name, None):
            return name
    raise ConfigError(f"templates={style!r} is not one of {', '.join(TEMPLATE_SETS)}")
