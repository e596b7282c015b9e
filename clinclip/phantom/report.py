"""The report of a study: which statements are made, in which order, under which headers."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from clinclip.draws import stream
from clinclip.findings import FINDING_INDEX
from clinclip.phantom.anatomy import pose_of
from clinclip.phantom.body import Occasion, conclude, describe
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.grammar import Draft, Scope
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.layout import RULE, Page, misspell
from clinclip.phantom.wording.headers import (
    ADDENDA,
    ASKED,
    COMPARISON,
    EXAMINATION,
    HEADER_NONTERMINALS,
    INDICATION,
    PAST,
    TECHNIQUE,
    TITLES,
)
from clinclip.phantom.wording.statements import NONTERMINALS
from clinclip.phantom.world import Image, Patient, Study

WORDS = {**NONTERMINALS, **HEADER_NONTERMINALS}
_ODD = {
    "FINDINGS:": ("Findings:", "FINDINGS", "FINDINGS 1:", "FINDINGS;"),
    "IMPRESSION:": ("Impression:", "IMPRESSIONS", "IMPRESSION", "CONCLUSION:", "FINDINGS/IMPRESSION:"),
}


@dataclass(frozen=True, slots=True)
class Dictation:
    """What was dictated, before it is laid out.

    Attributes:
        on: the occasion.
        form: "both", "findings", "impression" or "none" (running text without headers).
        findings, impression: the drafts; empty where the form has no such section.
        rng: goes on with the choices of the layout.
        wide: two blanks after a full stop.
    """

    on: Occasion
    form: str
    findings: Draft
    impression: Draft
    rng: random.Random
    wide: bool


def dictate(
    patient: Patient, study: Study, seed: int, knobs: PhantomKnobs, forms: tuple[tuple[str, float], ...]
) -> Dictation:
    """Decide what is said of a study.

    Args:
        patient: Who (sex and habitus get into words).
        study: What was examined and found.
        seed: Seed of the data set.
        knobs: Difficulty.
        forms: Form -> share; the rest has both sections.
    """
    rng = stream(seed, "report", study.index)
    wide = rng.random() < 0.45
    draw = rng.random()
    form = "both"
    for name, share in forms:
        if draw < share:
            form = name
            break
        draw -= share
    views = "two" if any(i.view == "LATERAL" for i in study.images) else "one"
    if all(i.view == "AP" for i in study.images) and study.setting in {"icu", "ward"}:
        views = "portable"
    compares = study.number > 0 and rng.random() < knobs.comparison
    on = Occasion(patient, study, pose_of(study, _first_frontal(study), seed, knobs.overlap), views, compares, knobs)
    findings, impression = Draft(rng, WORDS), Draft(rng, WORDS)
    if form != "impression":
        describe(findings, on)
    if form in {"both", "impression"}:
        conclude(impression, on, full=form == "impression")
    for draft in (findings, impression):
        misspell(draft, rng, knobs.misspelling)
    return Dictation(on, form, findings, impression, rng, wide)


def write_report(patient: Patient, study: Study, seed: int, knobs: PhantomKnobs) -> Page:
    """Write one report as MIMIC-CXR holds it.

    Args:
        patient: Who.
        study: What was examined and found.
        seed: Seed of the data set.
        knobs: Difficulty.

    Returns:
        The laid-out page with its mentions and graph, offsets into ``page.text``.
    """
    forms = (("findings", knobs.findings_only), ("impression", knobs.impression_only), ("none", knobs.no_sections))
    told = dictate(patient, study, seed, knobs, forms)
    rng, page = told.rng, Page()
    if rng.random() < knobs.addendum:
        page.line("                                 FINAL ADDENDUM")
        page.section("addendum", "ADDENDUM", plain(rng, rng.choice(ADDENDA)), inline=True, graph=False, wide=told.wide)
        page.line()
        page.line(RULE)
    elif rng.random() < knobs.wet_read:
        wet = Draft(rng, WORDS)
        conclude(wet, told.on, full=False)
        page.line(f"WET READ: ___ ___ ___ {rng.randint(1, 12)}:{rng.randint(0, 59):02d} {rng.choice('AP')}M")
        page.section("wet_read", "", wet, inline=False, graph=False, wide=told.wide)
        page.line(RULE)
    page.line("                                 FINAL REPORT")
    _front(page, told)
    odd = rng.random() < knobs.odd_headers
    last = "findings" if told.form == "findings" else "impression"
    for name, draft in (("findings", told.findings), ("impression", told.impression)):
        if not draft.text:
            continue
        if told.form == "none":
            page.section("body", "", draft, inline=False, graph=True, wide=told.wide)
            continue
        header = f"{name.upper()}:"
        if odd and (name == last or rng.random() < 0.5):
            header = rng.choice(_ODD[header])
        page.section(name, header, draft, inline=rng.random() < 0.4, graph=True, wide=told.wide)
        if name != last:
            page.line()
    page.finish()
    return page


def _first_frontal(study: Study) -> Image:
    """The film that the words about posture are about."""
    return min((i for i in study.images if i.view != "LATERAL"), key=lambda i: i.number)


def _front(page: Page, told: Dictation) -> None:
    """Everything above the findings."""
    rng, on = told.rng, told.on

    def part(name: str, header: str, draft: Draft) -> None:
        page.section(name, header, draft, inline=bool(header), graph=False, wide=told.wide)
        page.line()

    indication = indicate(rng, on)
    if told.form == "none":
        part("title", "", plain(rng, rng.choice(TITLES[on.views])))
        part("indication", rng.choice(("HISTORY:", "REASON FOR EXAMINATION:", "INDICATION:")), indication)
        return
    if rng.random() < 0.6:
        part("examination", "EXAMINATION:", plain(rng, rng.choice(EXAMINATION[on.views])))
        part("indication", "INDICATION:", indication)
        if rng.random() < 0.75:
            part("technique", "TECHNIQUE:", plain(rng, rng.choice(TECHNIQUE[on.views])))
    else:
        part("title", "", plain(rng, rng.choice(TITLES[on.views])))
        headers = ("HISTORY:", "INDICATION:", "REASON FOR EXAM:", "CLINICAL HISTORY:", "CLINICAL INFORMATION:")
        part("indication", rng.choice(headers), indication)
    header = "COMPARISON:" if rng.random() < 0.85 else "COMPARISONS:"
    part("comparison", header, plain(rng, rng.choice(COMPARISON[on.compares])))


def plain(rng: random.Random, template: str) -> Draft:
    """A draft of words that state nothing."""
    draft = Draft(rng, WORDS)
    if "{" in template:
        draft.sentence(template, Scope(), end="")
    else:  # parentheses are meant
        draft.write(template)
    return draft


def indicate(rng: random.Random, on: Occasion) -> Draft:
    """Why the study was asked for. It names findings that are there, were there, or are feared."""
    patient, study, knobs = on.patient, on.study, on.knobs
    draft = Draft(rng, WORDS)
    scope = Scope()
    man = "M" if patient.sex == "M" else "F"
    scope.slots = {
        "sex": man,
        "man": rng.choice(("man", "male", "gentleman") if man == "M" else ("woman", "female", "lady")),
    }

    def asked(draft: Draft, _: Scope) -> None:
        # what is asked for depends on the disease only loosely
        there = [f.kind for f in study.findings if f.kind in ASKED]
        kind = (
            rng.choice(there)
            if there and rng.random() < 0.3
            else rng.choices(list(ASKED), [9, 4, 4, 4, 1, 1, 2, 1, 1, 1, 1, 1])[0]
        )
        _name(draft, rng, kind, ASKED[kind], knobs)

    def past(draft: Draft, _: Scope) -> None:
        had = [f.kind for f in (*study.findings, *study.resolved) if f.kind in PAST]
        kind = rng.choice(had) if had and rng.random() < 0.6 else rng.choice(list(PAST)) if rng.random() < 0.5 else ""
        _name(draft, rng, kind, PAST[kind], knobs)

    scope.slots |= {"why": asked, "why2": asked, "past": past}
    speaking = [t for t in INDICATION if "{why" in t or "{past" in t]
    silent = [t for t in INDICATION if t not in speaking]
    draft.sentence(rng.choice(speaking if rng.random() < knobs.history else silent), scope, end="")
    return draft


def _name(
    draft: Draft, rng: random.Random, kind: str, names: tuple[tuple[str, ...], tuple[str, ...]], knobs: PhantomKnobs
) -> None:
    word = rng.choice(names[1] if rng.random() < knobs.abbreviations else names[0])
    if not kind:
        draft.write(word)
        return
    named = Scope(kind, KINDS[kind].finding, "U", role="history")
    draft.render(f"<{word}>", named)


#: Sections whose mentions describe the image.
LABELLED = frozenset({"findings", "impression", "body"})


def report_labels(page: Page, sections: Collection[str] = LABELLED) -> dict[str, str]:
    """The 14 states by the report's own mentions: present over uncertain over absent.

    Only findings, impression and running text count; history and requests do not. No Finding is present when no other
    observation, devices aside, is present or uncertain. Parents are not derived from children.
    """
    rank = {"not_mentioned": 0, "absent": 1, "uncertain": 2, "present": 3}
    labels = dict.fromkeys(FINDING_INDEX, "not_mentioned")
    for m in page.mentions:
        if m.finding is None or m.role != "finding" or m.section not in sections:
            continue
        if rank[m.state] > rank[labels[m.finding]]:
            labels[m.finding] = m.state
    disease = [s for f, s in labels.items() if f not in {"No Finding", "Support Devices"}]
    if not any(s in {"present", "uncertain"} for s in disease):
        labels["No Finding"] = "present"
    return labels
