from __future__ import annotations

import collections
import re

import pytest

from clinclip.draws import stream
from clinclip.findings import FINDINGS
from clinclip.phantom.body import Occasion, state_finding
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.grammar import Draft
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.report import WORDS, report_labels, write_report
from clinclip.phantom.world import Finding
from tests.phantom.conftest import KNOBS, people

#: Words that are mentions wherever they stand in findings or impression.
LEXICON = re.compile(
    r"effusion|pneumothora|atelecta|pneumonia|consolid|edema|opacit|opacif|nodul|\bmass\b|masses|fractur|cardiomeg|infect"
    r"|infiltr|emphysem|COPD|granulom|hernia|fibro|scolio|congest|failure|enlarged|widened|thicken|plaque|hyperinfl"
    r"|degenerat|spondyl|tortuo|free air|pneumoperi|heart size|catheter|pacemaker|PICC",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def pages(many_patients):
    return [(p, s, write_report(p, s, 11, KNOBS)) for p in many_patients for s in p.studies]


def test_pages_are_laid_out_as_mimic_lays_them_out(pages):
    rules = 0
    for _, _, page in pages:
        lines = page.text.split("\n")
        assert page.text.endswith("\n") and all(len(line) <= 79 for line in lines)
        assert "                                 FINAL REPORT" in lines
        for start, end in page.sections.values():
            body = page.text[start:end].split("\n")
            assert all(line.startswith(" ") for line in body[1:])
        rules += "_" * 78 in lines
    assert 0 < rules < 0.15 * len(pages)


def test_offsets_point_at_the_words(pages):
    for _, _, page in pages:
        for m in page.mentions:
            assert " ".join(page.text[m.start : m.end].split()) == m.text
            assert page.sections[m.section][0] <= m.start < m.end <= page.sections[m.section][1]
        for start, end, label in page.entities:
            assert page.text[start:end].strip() == page.text[start:end] != ""
            assert label in {"ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"}
        assert page.entities == sorted(page.entities)
        assert len(set(page.entities)) == len(page.entities)
        for head, tail, label in page.relations:
            assert head != tail and max(head, tail) < len(page.entities)
            assert label in {"modify", "located_at", "suggestive_of"}


def test_no_finding_is_named_without_a_mention(pages):
    missed = collections.Counter()
    words = 0
    for _, _, page in pages:
        for name in {"findings", "impression", "body"} & set(page.sections):
            start, end = page.sections[name]
            for match in LEXICON.finditer(page.text, start, end):
                words += 1
                if not any(m.start <= match.start() and match.end() <= m.end for m in page.mentions):
                    missed[match.group().lower()] += 1
    assert words > 5000 and not missed


def test_reported_findings_are_mentioned_and_unreported_ones_are_not(pages):
    spoken = left_out = silent_ones = 0
    for _, study, page in pages:
        named = {m.lesion for m in page.mentions if m.role == "finding" and m.lesion is not None}
        gone = {f.uid for f in study.resolved}
        silent = {f.uid for f in study.findings if not f.reported}
        assert not (silent - gone) & named
        said = {f.uid for f in study.findings if f.reported}
        spoken, left_out, silent_ones = (
            spoken + len(said & named),
            left_out + len(said - named),
            silent_ones + len(silent),
        )
    assert spoken > 1000 and silent_ones > 20
    assert left_out < 0.25 * spoken, (spoken, left_out)


def test_states_follow_the_certainty_of_the_finding(pages):
    seen = collections.Counter()
    for _, study, page in pages:
        certain = {f.uid: f.certain for f in study.findings}
        for m in page.mentions:
            if m.lesion in certain and m.section in {"findings", "impression", "body"} and not m.implied:
                own = next(f for f in study.findings if f.uid == m.lesion)
                if own.kind == m.concept and m.change != "resolved":
                    assert m.state == ("present" if certain[m.lesion] else "uncertain"), m
                    seen[m.state] += 1
    assert min(seen["present"], seen["uncertain"]) > 50  # otherwise nothing above was asked


def test_labels_follow_the_mentions(pages):
    order = ("not_mentioned", "absent", "uncertain", "present")
    shares = collections.Counter()
    for _, _, page in pages:
        labels = report_labels(page)
        assert tuple(labels) == FINDINGS
        for name in FINDINGS[1:]:
            states = [
                m.state
                for m in page.mentions
                if m.finding == name and m.role == "finding" and m.section in {"findings", "impression", "body"}
            ]
            assert labels[name] == max(["not_mentioned", *states], key=order.index)
        shares.update(name for name, state in labels.items() if state == "present")
    n = len(pages)
    assert 0.33 < shares["No Finding"] / n < 0.46
    assert 0.15 < shares["Pleural Effusion"] / n < 0.35
    assert shares["Pleural Other"] / n < 0.07 and shares["Fracture"] / n < 0.09


def test_sections_have_the_shares_of_the_knobs(pages):
    n = len(pages)
    impression = sum("impression" in p.sections for *_, p in pages) / n
    body = sum("body" in p.sections for *_, p in pages) / n
    assert impression == pytest.approx(1 - KNOBS.findings_only - KNOBS.no_sections, abs=0.03)
    assert body == pytest.approx(KNOBS.no_sections, abs=0.02)


def test_normal_reports_are_near_duplicates(pages):
    normal = [p for *_, p in pages if report_labels(p)["No Finding"] == "present"]
    texts = [" ".join(p.text[slice(*p.sections["impression"])].split()) for p in normal if "impression" in p.sections]
    assert len(set(texts)) < 0.7 * len(texts)


def test_dozens_of_wordings_for_each_finding_and_state(pages):
    patient, study, _ = pages[0]
    for kind in ("effusion", "pneumothorax", "cardiomegaly", "consolidation", "pneumonia", "opacity", "nodule", "edema",
                 "atelectasis", "fracture", "pleural_thickening", "mediastinal_widening"):  # fmt: skip
        k = KINDS[kind]
        for certain, change in (
            (True, None),
            (True, "unchanged"),
            (True, "increased"),
            (True, "decreased"),
            (False, None),
        ):
            seen = set()
            for i in range(150):
                d = Draft(stream("wording", kind, i), WORDS)
                f = Finding(1, kind, k.sides[0][0] if k.sides else None, k.zones[0][0] if k.zones else None, 0.3, 1.0,
                            certain=certain, change=change)  # fmt: skip
                on = Occasion(patient, study, None, "one", change is not None, KNOBS)  # type: ignore[arg-type]
                state_finding(d, f, on)
                seen.add(d.text)
            assert len(seen) >= 24, (kind, certain, change, len(seen))


def mentions_of(knobs: PhantomKnobs):
    return [(s, write_report(p, s, 5, knobs)) for p in people(5, 180, knobs) for s in p.studies]


def test_knobs_turn_the_language():
    def pages_with(pattern: str, knobs: PhantomKnobs) -> int:
        return sum(bool(re.search(pattern, " ".join(p.text.split()))) for _, p in mentions_of(knobs))

    but = r"(?:but|although|aside from|except for|other than|without|however|; no)"
    lists = r"[Nn]o [\w ]+, [\w ,]+ or "
    assert pages_with(lists, PhantomKnobs(list_negation=1.0)) > 2 * pages_with(
        lists, PhantomKnobs(list_negation=0.0, stock_normal=0.0)
    )
    assert pages_with(but, PhantomKnobs(but_list=1.0)) > pages_with(but, PhantomKnobs(but_list=0.0))
    pseudo = (
        r"(?i)no [\w ]*(?:change|increase|improvement|worsening|decrease) (?:in|of) the|not [\w ]*(?:changed|resolved)"
    )
    assert pages_with(pseudo, PhantomKnobs(pseudo_negation=1.0)) > 3 * pages_with(
        pseudo, PhantomKnobs(pseudo_negation=0.0)
    )
    assert pages_with("FINAL ADDENDUM", PhantomKnobs(addendum=1.0)) == len(mentions_of(KNOBS))
    assert pages_with("FINAL ADDENDUM|WET READ", PhantomKnobs(addendum=0.0, wet_read=0.0)) == 0


def test_history_names_findings_that_are_not_there():
    there = not_there = 0
    for study, page in mentions_of(PhantomKnobs(history=1.0)):
        kinds = {f.kind for f in study.findings}
        for m in page.mentions:
            if m.role == "history":
                there += m.concept in kinds
                not_there += m.concept not in kinds
    assert not_there > there > 20


def test_the_same_seed_writes_the_same_words(many_patients):
    patient = many_patients[7]
    for study in patient.studies:
        assert write_report(patient, study, 11, KNOBS).text == write_report(patient, study, 11, KNOBS).text
        assert write_report(patient, study, 12, KNOBS).text != write_report(patient, study, 11, KNOBS).text
