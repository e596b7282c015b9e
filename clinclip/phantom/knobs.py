"""The knobs of the phantom: what makes its studies easy or hard, each with a realistic default."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clinclip.errors import ConfigError

#: Share of *abnormal* studies that show each finding, before co-occurrence and persistence add to it. Anchored to
#: published label shares of large chest X-ray collections; the tail goes down to a few per thousand.
PREVALENCE: dict[str, float] = {
    "effusion": 0.30,
    "atelectasis": 0.28,
    "cardiomegaly": 0.22,
    "opacity": 0.18,
    "edema": 0.17,
    "pneumonia": 0.11,
    "consolidation": 0.07,
    "pneumothorax": 0.075,
    "nodule": 0.05,
    "fracture": 0.045,
    "pleural_thickening": 0.025,
    "mediastinal_widening": 0.025,
    "mass": 0.015,
    "hyperinflation": 0.10,
    "tortuous_aorta": 0.12,
    "degenerative": 0.12,
    "granuloma": 0.04,
    "scoliosis": 0.04,
    "elevated_hemidiaphragm": 0.035,
    "hiatal_hernia": 0.03,
    "fibrosis": 0.02,
    "subcutaneous_emphysema": 0.012,
    "pneumoperitoneum": 0.004,
}


@dataclass(frozen=True)
class PhantomKnobs:
    """What makes phantom studies easy or hard. Shares are probabilities in [0, 1] unless said otherwise.

    World:
        studies_per_patient: mean number of studies a patient (geometric, so most have one or two and a few have many).
        max_studies: most studies a patient.
        normal: share of studies without any finding, devices aside.
        prevalence: share of abnormal studies with each finding (see PREVALENCE); given names replace single values.
        co_occurrence: how strongly findings pull each other in (effusion brings atelectasis, oedema brings effusion and
            cardiomegaly); 0 draws them independently.
        persistence: chance that an acute finding is still there in the next study.
        devices: multiplies the chance of every line, tube and implant.

    Image:
        visibility: mean contrast of findings; 1 is textbook clear, 0 invisible.
        visibility_spread: standard deviation of that contrast (log scale).
        small: skew of the sizes towards small ones; 0 makes all sizes equally likely, 1 nearly all small.
        overlap: strength of what looks like disease and is not: skin folds, nipple and breast shadows, prominent
            vessels, low volumes, rotation, scapular edges, clothing and leads.
        noise: quantum noise and grain, as a multiple of a well-exposed radiograph.
        exposure_spread: standard deviation of exposure and of the display curve (log scale).
        markers: chance of burnt-in side letters and of the word PORTABLE.
        lateral: chance that an ambulatory study has a lateral view.
        repeat: chance that a study has a second frontal image.

    Report against image:
        missed: chance that a finding on the image is not reported.
        overcalled: expected number of findings in an abnormal report that the image does not show.
        uncertain: share of reported findings whose presence is hedged.

    Report language:
        list_negation: chance that findings denied together share one negation over a list.
        but_list: chance that a present finding is joined to that list ("no ... or ..., but there is ...").
        negatives: share of the absent findings that a report cares to deny.
        pseudo_negation: chance that a stable finding is told by a negation that denies only its change.
        resolved: chance that a finding that has gone is mentioned as gone.
        history: chance that indication or history names a finding, whether or not it is there.
        comparison: chance that a report of a patient with priors compares with them.
        stock_normal: share of normal reports dictated from a few stock texts (near-duplicates).
        identity_cues: chance of sentences that identify the examination and not the disease (view, technique, habitus,
            old hardware, side of a device).
        abbreviations: chance that a term is abbreviated in the indication.
        misspelling: expected misspelt words per 1,000.

    Report form:
        findings_only: share of reports without an impression.
        impression_only: share of reports without findings section.
        no_sections: share of reports that are running text without section headers.
        addendum: share of reports with an addendum before the report.
        wet_read: share of reports with a preliminary reading above the report.
        odd_headers: share of reports whose headers are spelt so that the official parser treats them differently.

    Tables:
        label_noise: chance per label that the table departs from the report, as an automatic labeler errs.
        missing_label_rows: share of studies without a row in the label tables (at least one study in 20 or more).
        blank_label_rows: share of rows without any label (at least one in 20 or more).
        blank_view: share of images with a blank view position.
        validate: share of patients in the validation split.
        test: share of patients in the test split.
    """

    studies_per_patient: float = 3.0
    max_studies: int = 24
    normal: float = 0.33
    prevalence: Mapping[str, float] = field(default_factory=lambda: dict(PREVALENCE))
    co_occurrence: float = 1.0
    persistence: float = 0.6
    devices: float = 1.0

    visibility: float = 0.55
    visibility_spread: float = 0.45
    small: float = 0.5
    overlap: float = 1.0
    noise: float = 1.0
    exposure_spread: float = 0.15
    markers: float = 0.85
    lateral: float = 0.72
    repeat: float = 0.10

    missed: float = 0.06
    overcalled: float = 0.05
    uncertain: float = 0.16

    list_negation: float = 0.8
    but_list: float = 0.22
    negatives: float = 0.8
    pseudo_negation: float = 0.5
    resolved: float = 0.6
    history: float = 0.55
    comparison: float = 0.75
    stock_normal: float = 0.55
    identity_cues: float = 0.5
    abbreviations: float = 0.4
    misspelling: float = 0.6

    findings_only: float = 0.12
    impression_only: float = 0.10
    no_sections: float = 0.045
    addendum: float = 0.015
    wet_read: float = 0.03
    odd_headers: float = 0.03

    label_noise: float = 0.01
    missing_label_rows: float = 0.0005
    blank_label_rows: float = 0.0106
    blank_view: float = 0.04
    validate: float = 0.08
    test: float = 0.12

    def __post_init__(self) -> None:
        unknown = set(self.prevalence) - set(PREVALENCE)
        if unknown:
            raise ConfigError(
                f"prevalence names {sorted(unknown)} are no phantom findings; allowed: {', '.join(PREVALENCE)}"
            )
        object.__setattr__(self, "prevalence", {**PREVALENCE, **self.prevalence})
        for name, value in self.prevalence.items():
            _check_range(f"prevalence.{name}", value, 1.0)
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name == "max_studies":
                if not isinstance(value, int) or value < 1:
                    raise ConfigError(f"knob max_studies={value!r} must be a whole number of at least 1")
            elif f.name == "studies_per_patient":
                if value < 1:
                    raise ConfigError(f"knob studies_per_patient={value!r} must be at least 1: it is a mean")
            elif f.name != "prevalence":
                _check_range(f.name, value, _UPPER.get(f.name, 1.0))
        if self.validate + self.test > 0.9:
            raise ConfigError(
                f"knobs validate={self.validate} and test={self.test} leave less than a tenth of the patients to train"
            )
        forms = self.findings_only + self.impression_only + self.no_sections
        if forms > 1:
            raise ConfigError(f"knobs findings_only, impression_only and no_sections sum to {forms}; at most 1 is left")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the header file."""
        return dataclasses.asdict(self)


#: Knobs that are multipliers or strengths rather than probabilities, and how far they may go.
_UPPER = {
    "co_occurrence": 3.0,
    "devices": 10.0,
    "visibility": 2.0,
    "visibility_spread": 2.0,
    "overlap": 3.0,
    "noise": 10.0,
    "exposure_spread": 1.0,
    "overcalled": 3.0,
    "misspelling": 100.0,
}


def _check_range(name: str, value: float, upper: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= upper:
        raise ConfigError(f"knob {name}={value!r} must be a number from 0 to {upper:g}")


def parse_knobs(settings: Iterable[str]) -> PhantomKnobs:
    """Knobs from ``name=value`` strings; ``prevalence.<finding>=value`` sets one prevalence.

    Raises:
        ConfigError: An unknown name, a value that is no number, or one out of range.
    """
    values: dict[str, Any] = {}
    prevalence: dict[str, float] = {}
    types = {f.name: f.type for f in dataclasses.fields(PhantomKnobs) if f.name != "prevalence"}
    for setting in settings:
        name, sign, text = setting.partition("=")
        name = name.strip()
        if not sign:
            raise ConfigError(f"--knob {setting!r} is not of the form name=value")
        try:
            number = float(text)
        except ValueError:
            raise ConfigError(f"--knob {setting!r}: {text!r} is not a number") from None
        if name.startswith("prevalence."):
            prevalence[name.removeprefix("prevalence.")] = number
        elif name in types:
            values[name] = int(number) if types[name] == "int" and number == int(number) else number
        else:
            raise ConfigError(
                f"--knob {name!r} does not exist; allowed: {', '.join(sorted(types))}, prevalence.<finding>"
            )
    return PhantomKnobs(**values, prevalence=prevalence)


def describe_knobs() -> str:
    """The knobs with their defaults and meaning: taken from the docstring, so that it cannot differ from it."""
    defaults = PhantomKnobs().to_dict()
    lines = []
    for line in (PhantomKnobs.__doc__ or "").splitlines()[2:]:
        name, colon, meaning = line.strip().partition(":")
        if colon and name in defaults and name != "prevalence":
            line = f"  {name}={defaults[name]}:{meaning}"
        lines.append(line.removeprefix("    ") if not (colon and name in defaults) else line)
    shares = ", ".join(f"{k}={v}" for k, v in defaults["prevalence"].items())
    return "\n".join(lines).rstrip() + f"\n\nprevalence.<finding> (defaults): {shares}"
