"""The report of a study: which statements are made, in which order, under which headers."""

from __future__ import annotations

import random

from clinclip.data.phantom.body import conclude, describe
from clinclip.data.phantom.grammar import Draft, Scope
from clinclip.data.phantom.knobs import PhantomKnobs
from clinclip.data.phantom.layout import RULE, Page, misspell
from clinclip.data.phantom.rng import stream
from clinclip.data.phantom.wording.headers import (
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
from clinclip.data.phantom.wording.statements import NONTERMINALS
from clinclip.data.phantom.world import Patient, Study
from clinclip.findings import FINDING_INDEX

_ALL = {**NONTERMINALS, **HEADER_NONTERMINALS}
_ODD = {
    "FINDINGS:": ("Findings:", "FINDINGS", "FINDINGS 1:", "FINDINGS;"),
    "IMPRESSION:": ("Impression:", "IMPRESSIONS", "IMPRESSION", "CONCLUSION:", "FINDINGS/IMPRESSION:"),
}


def write_report(patient: Patient, study: Study, seed: int, knobs: PhantomKnobs) -> Page:
    """Write one report.

    Args:
        patient: Who (sex and habitus get into words).
        study: What was examined and found.
        seed: Seed of the data set.
        knobs: Difficulty.

    Returns:
        The laid-out page with its mentions and graph, offsets into ``page.text``.
    """
    rng = stream(seed, "report", study.index)
    page = Page()
    wide = rng.random() < 0.45
    draw = rng.random()
    form = "both"
    for name, share in (
        ("findings", knobs.findings_only),
        ("impression", knobs.impression_only),
        ("none", knobs.no_sections),
    ):
        if draw < share:
            form = name
            break
        draw -= share
    views = "two" if any(i.view == "LATERAL" for i in study.images) else "one"
    if all(i.view == "AP" for i in study.images) and study.setting in {"icu", "ward"}:
        views = "portable"
    findings = Draft(rng, _ALL)
    impression = Draft(rng, _ALL)
    compares = study.number > 0 and rng.random() < knobs.comparison
    denied: set[str] = set()
    if form in {"both", "findings", "none"}:
        describe(findings, patient, study, views, compares, denied, knobs)
    if form in {"both", "impression"}:
        conclude(impression, study, views, compares, denied, full=form == "impression", knobs=knobs)
    for draft in (findings, impression):
        misspell(draft, rng, knobs.misspelling)
    if rng.random() < knobs.addendum:
        page.line("                                 FINAL ADDENDUM")
        page.section("addendum", "ADDENDUM", _plain(rng, rng.choice(ADDENDA)), inline=True, graph=False, wide=wide)
        page.line()
        page.line(RULE)
    elif rng.random() < knobs.wet_read:
        wet = Draft(rng, _ALL)
        conclude(wet, study, views, compares, set(), full=False, knobs=knobs)
        page.line(f"WET READ: ___ ___ ___ {rng.randint(1, 12)}:{rng.randint(0, 59):02d} {rng.choice('AP')}M")
        page.section("wet_read", "", wet, inline=False, graph=False, wide=wide)
        page.line(RULE)
    page.line("                                 FINAL REPORT")
    _front(page, rng, patient, study, views, compares, form, wide, knobs)
    odd = rng.random() < knobs.odd_headers
    last = "findings" if form == "findings" else "impression"
    for name, draft in (("findings", findings), ("impression", impression)):
        if not draft.text:
            continue
        if form == "none":
            page.section("body", "", draft, inline=False, graph=True, wide=wide)
            continue
        header = f"{name.upper()}:"
        if odd and (name == last or rng.random() < 0.5):
            header = rng.choice(_ODD[header])
        page.section(name, header, draft, inline=rng.random() < 0.4, graph=True, wide=wide)
        if name != last:
            page.line()
    page.finish()
    return page


def _front(
    page: Page,
    rng: random.Random,
    patient: Patient,
    study: Study,
    views: str,
    compares: bool,
    form: str,
    wide: bool,
    knobs: PhantomKnobs,
) -> None:
    """Everything above the findings."""
    indication = _indication(rng, patient, study, knobs)
    comparison = _plain(rng, rng.choice(COMPARISON[compares]))
    technique = _plain(rng, rng.choice(TECHNIQUE[views]))
    if form == "none":
        title = _plain(rng, f"{rng.choice(TITLES[views])}")
        page.section("title", "", title, inline=False, graph=False, wide=False)
        page.line()
        page.section("indication", rng.choice(("HISTORY:", "REASON FOR EXAMINATION:", "INDICATION:")), indication,
                     inline=True, graph=False, wide=wide)  # fmt: skip
        page.line()
        return
    if rng.random() < 0.6:
        page.section(
            "examination",
            "EXAMINATION:",
            _plain(rng, rng.choice(EXAMINATION[views])),
            inline=True,
            graph=False,
            wide=False,
        )
        page.line()
        page.section("indication", "INDICATION:", indication, inline=True, graph=False, wide=wide)
        page.line()
        if rng.random() < 0.75:
            page.section("technique", "TECHNIQUE:", technique, inline=True, graph=False, wide=wide)
            page.line()
    else:
        page.section("title", "", _plain(rng, rng.choice(TITLES[views])), inline=False, graph=False, wide=False)
        page.line()
        header = rng.choice(
            ("HISTORY:", "INDICATION:", "REASON FOR EXAM:", "CLINICAL HISTORY:", "CLINICAL INFORMATION:")
        )
        page.section("indication", header, indication, inline=True, graph=False, wide=wide)
        page.line()
    page.section(
        "comparison",
        "COMPARISON:" if rng.random() < 0.85 else "COMPARISONS:",
        comparison,
        inline=True,
        graph=False,
        wide=wide,
    )
    page.line()


def _plain(rng: random.Random, template: str) -> Draft:
    """A draft of words that state nothing."""
    draft = Draft(rng, _ALL)
    draft.sentence(template, Scope(), end="")
    return draft


def _indication(rng: random.Random, patient: Patient, study: Study, knobs: PhantomKnobs) -> Draft:
    """Why the study was asked for. It names findings that are there, were there, or are feared."""
    draft = Draft(rng, _ALL)
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
    from clinclip.data.phantom.catalog import KINDS

    named = Scope(kind, KINDS[kind].finding, "U", role="history")
    draft.render(f"<{word}>", named)


def report_labels(page: Page) -> dict[str, str]:
    """The 14 states by the report's own mentions: present over uncertain over absent.

    Only findings, impression and running text count; history and requests do not. No Finding is present when no other
    observation, devices aside, is present or uncertain. Parents are not derived from children.
    """
    rank = {"not_mentioned": 0, "absent": 1, "uncertain": 2, "present": 3}
    labels = dict.fromkeys(FINDING_INDEX, "not_mentioned")
    for m in page.mentions:
        if m.finding and m.role == "finding" and m.section in {"findings", "impression", "body"}:
            if rank[m.state] > rank[labels[m.finding]]:
                labels[m.finding] = m.state
    disease = [s for f, s in labels.items() if f not in {"No Finding", "Support Devices"}]
    if not any(s in {"present", "uncertain"} for s in disease):
        labels["No Finding"] = "present"
    return labels
