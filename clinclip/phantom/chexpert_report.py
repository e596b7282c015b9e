"""The same dictations as CheXpert Plus holds them: another hospital's headers, no wrapping, mostly impressions."""

from __future__ import annotations

from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.layout import Page
from clinclip.phantom.report import dictate, indicate, plain
from clinclip.phantom.wording.headers import COMPARISON
from clinclip.phantom.world import Patient, Study

_PROCEDURE = {
    "two": ("Two views of the chest.", "Frontal and lateral views of the chest.", "PA and lateral views of the chest."),
    "portable": (
        "Single portable AP view of the chest.",
        "One view of the chest.",
        "Single AP semiupright view of the chest.",
    ),
    "one": ("One view of the chest.", "Single frontal view of the chest."),
}
_SUMMARY = (
    "1-NO SIGNIFICANT ABNORMALITY",
    "2-ABNORMAL, PREVIOUSLY REPORTED",
    "4-POSSIBLE SIGNIFICANT ABNORMALITY/CHANGE, MAY NEED ACTION",
)


def write_plus_report(patient: Patient, study: Study, seed: int, knobs: PhantomKnobs) -> Page:
    """Write one report in the form of CheXpert Plus. Nearly all have an impression, about 27 % findings.

    Args:
        patient: Who.
        study: What was examined and found.
        seed: Seed of the data set.
        knobs: Difficulty; the shares of forms do not apply here.
    """
    told = dictate(patient, study, seed, knobs, (("impression", 0.73), ("findings", 0.01)))
    rng, page = told.rng, Page(width=10**6, margin="")
    number = "".join(rng.choice("0123456789") for _ in range(8))
    date = f"{rng.randint(1, 12)}/{rng.randint(1, 28)}/{study.when.year - 110}"

    def part(name: str, header: str, text: str) -> None:
        page.section(name, header, plain(rng, text), inline=True, graph=False, wide=False)
        page.line()

    page.line("NARRATIVE:")
    part("title", "RADIOGRAPHIC EXAMINATION OF THE CHEST:", date)
    sex = "Male" if patient.sex == "M" else "Female"
    page.section(
        "history",
        "CLINICAL HISTORY:",
        plain(rng, f"{study.age} years of age, {sex}."),
        inline=True,
        graph=False,
        wide=False,
    )
    page.section("indication", "HISTORY:", indicate(rng, told.on), inline=True, graph=False, wide=False)
    page.line()
    part("comparison", "COMPARISON:", rng.choice(COMPARISON[told.on.compares]))
    part("technique", "PROCEDURE COMMENTS:", rng.choice(_PROCEDURE[told.on.views]))
    if told.findings.text:
        page.section("findings", "FINDINGS:", told.findings, inline=False, graph=True, wide=False)
        page.line()
    if told.impression.text:
        page.section("impression", "IMPRESSION:", told.impression, inline=False, graph=True, wide=False)
        page.line()
    page.line("END OF IMPRESSION:")
    page.line()
    sick = any(f.reported and f.finding not in {None, "Support Devices"} for f in study.findings)
    part("summary", "SUMMARY:", rng.choice(_SUMMARY[1:]) if sick else _SUMMARY[0])
    part("accession_number", "ACCESSION NUMBER:", number)
    page.finish()
    return page
