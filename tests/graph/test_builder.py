"""The rule-built graph: sentences with their entities and relations, written by hand in RadGraph's manner."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.graph import build_graph
from clinclip.graph.schema import Entity, Relation, ReportGraph
from clinclip.graph.score import ParserScore, score_parser
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.report import write_report
from clinclip.phantom.world import make_patient

#: sentence -> (entities as "word label", relations as "head label tail")
CASES = {
    "There is a small left pleural effusion.": (
        "small DP, left ANAT, pleural ANAT, effusion DP",
        "small modify effusion, left modify pleural, effusion located_at pleural",
    ),
    "No pneumothorax or focal consolidation.": (
        "pneumothorax DA, focal DA, consolidation DA",
        "focal modify consolidation",
    ),
    "Possible left lower lobe pneumonia.": (
        "Possible U, left ANAT, lower ANAT, lobe ANAT, pneumonia U",
        "Possible modify pneumonia, left modify lobe, lower modify lobe, pneumonia located_at lobe",
    ),
    "The heart is mildly enlarged.": (
        "heart ANAT, mildly DP, enlarged DP",
        "mildly modify enlarged, enlarged located_at heart",
    ),
    "The heart is not enlarged.": ("heart ANAT, enlarged DA", "enlarged located_at heart"),
    "The lungs are clear.": ("lungs ANAT, clear DP", "clear located_at lungs"),
    "The cardiac and mediastinal contours are normal.": (
        "cardiac ANAT, mediastinal ANAT, contours ANAT, normal DP",
        "cardiac modify contours, mediastinal modify contours, normal located_at contours",
    ),
    "Atelectasis is seen in the right lower lobe.": (
        "Atelectasis DP, right ANAT, lower ANAT, lobe ANAT",
        "right modify lobe, lower modify lobe, Atelectasis located_at lobe",
    ),
    "A right basilar opacity may represent pneumonia.": (
        "right ANAT, basilar ANAT, opacity DP, pneumonia U",
        "right modify basilar, opacity located_at basilar, opacity suggestive_of pneumonia",
    ),
    "No significant change in the left effusion.": (
        "change DA, left ANAT, effusion DP",
        "effusion located_at left",
    ),
    "The effusion is unchanged.": ("effusion DP, unchanged DP", "unchanged modify effusion"),
    "Endotracheal tube in standard position.": ("Endotracheal ANAT, tube DP", "Endotracheal modify tube"),
    "Enlargement of the cardiac silhouette.": (
        "Enlargement DP, cardiac ANAT, silhouette ANAT",
        "cardiac modify silhouette, Enlargement located_at silhouette",
    ),
    "Left lower lobe airspace opacity.": (
        "Left ANAT, lower ANAT, lobe ANAT, airspace ANAT, opacity DP",
        "Left modify lobe, lower modify lobe, opacity located_at lobe, opacity located_at airspace",
    ),
    "Comparison is made to the prior study.": ("", ""),
}  # fmt: skip
_SHORT = {"ANAT-DP": "ANAT", "OBS-DP": "DP", "OBS-U": "U", "OBS-DA": "DA"}


@pytest.mark.parametrize("sentence", CASES)
def test_sentences(sentence: str) -> None:
    graph = build_graph(sentence)
    entities, relations = CASES[sentence]
    assert ", ".join(f"{e.text} {_SHORT[e.label]}" for e in graph.entities) == entities
    found = {f"{graph.entities[r.head].text} {r.label} {graph.entities[r.tail].text}" for r in graph.relations}
    assert found == {r for r in relations.split(", ") if r}


def test_history_is_no_entity_of_this_image() -> None:
    text = "INDICATION: Rule out pneumonia.\n\nFINDINGS: Small effusion."
    assert [e.text for e in build_graph(text).entities] == ["Small", "effusion"]


def phantom_scores(patients: int, seed: int) -> ParserScore:
    """Score the builder on findings and impressions of phantom reports."""
    documents = []
    knobs = PhantomKnobs()
    for index in range(patients):
        patient = make_patient(index, 3 * index, 3, seed, knobs)
        for study in patient.studies:
            page = write_report(patient, study, seed, knobs)
            for name in {"findings", "impression", "body"} & page.sections.keys():
                start, end = page.sections[name]
                inside = [i for i, e in enumerate(page.entities) if start <= e[0] and e[1] <= end]
                number = {i: n for n, i in enumerate(sorted(inside, key=lambda i: page.entities[i][0]))}
                chosen = sorted((page.entities[i] for i in inside), key=lambda e: e[0])
                entities = [Entity(s - start, e - start, page.text[s:e], label) for s, e, label in chosen]
                relations = [
                    Relation(number[h], number[t], label)
                    for h, t, label in page.relations
                    if h in number and t in number
                ]
                text = page.text[start:end]
                documents.append((text, ReportGraph(tuple(entities), tuple(relations)), build_graph(text)))
    return score_parser(documents)


def test_against_the_phantoms_truth() -> None:
    score = phantom_scores(60, seed=11)
    strict, relations = score.spans["strict"].f1, score.relation_micro().f1
    print(f"\nphantom graphs, {score.documents} texts: strict span F1 {strict:.3f}, relation F1 {relations:.3f}")
    assert score.documents > 200
    assert strict > 0.92
    assert relations > 0.80
    assert score.spans_by_label["strict"]["OBS-DA"].f1 > 0.90


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gives_a_valid_graph(text: str) -> None:
    graph = build_graph(text)
    starts = [e.start for e in graph.entities]
    assert starts == sorted(starts)
    assert all(text[e.start : e.end] == e.text and e.start < e.end for e in graph.entities)
    assert all(0 <= r.head < len(graph) and 0 <= r.tail < len(graph) and r.head != r.tail for r in graph.relations)


def fastest(text: str) -> float:
    """CPU seconds of the fastest of three builds; collecting the whole test run's garbage is no part of them."""
    seconds = []
    for _ in range(3):
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            build_graph(text)
            seconds.append(time.process_time() - start)
        finally:
            gc.enable()
    return min(seconds)


def test_run_time_is_linear() -> None:
    unit = "There is a small left pleural effusion, and bibasilar atelectasis without pneumothorax "
    for text in (unit, unit + ". "):
        small, large = 200, 1600  # times the unit: 2,400 and 19,200 words
        seconds = [fastest(text * size) for size in (small, large)]
        assert seconds[1] < 3 * (large / small) * max(seconds[0], 0.02)
