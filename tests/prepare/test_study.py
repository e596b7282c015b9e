"""The manifest columns of one text."""

from __future__ import annotations

from clinclip.findings import FINDINGS, LabelState, column_name
from clinclip.graph.batch import graph_from_column
from clinclip.prepare.annotate import AnnotateOptions
from clinclip.prepare.study import NEGATION_FAILED, NO_FINDINGS, NO_GRAPH, NOT_NEGATABLE, annotate_report
from clinclip.text import label_report
from clinclip.text.twins import Twin, twins_from_column

REPORT = "There is a small left pleural effusion. Mild cardiomegaly. No pneumothorax."


def twins(report: str, **options: int) -> dict[tuple[str, str | None], list[Twin]]:
    """(kind, style) -> twins of a report."""
    found: dict[tuple[str, str | None], list[Twin]] = {}
    for twin in twins_from_column(annotate_report(report, AnnotateOptions(**options))["twins"], report):
        found.setdefault((twin.kind, twin.style), []).append(twin)
    return found


def test_columns_hold_what_the_contract_says() -> None:
    row = annotate_report(REPORT, AnnotateOptions(seed=5))
    assert row["labels"]["read_pleural_effusion"] == 1
    assert list(row["labels"]) == [f"read_{column_name(f)}" for f in FINDINGS]
    graph = graph_from_column(row["graph"], REPORT)
    assert "effusion" in [e.text for e in graph.entities]
    assert row["reasons"] == []


def test_twins_of_every_kind_and_style() -> None:
    found = twins(REPORT, seed=5)
    counts = {key: len(made) for key, made in found.items()}
    assert counts == {
        ("negate", "train"): 4,
        ("negate", "eval"): 1,
        ("omit", None): 1,
        ("swap_side", None): 1,
        ("swap_severity", None): 1,
    }, "a pneumothorax is mentioned: no other finding can stand in"
    negated = found["negate", "train"] + found["negate", "eval"]
    assert {twin.finding for twin in negated} == {"Pleural Effusion", "Cardiomegaly"}
    for made in found.values():
        for twin in made:
            assert twin.text != REPORT
            assert twin.labels == tuple(label_report(twin.text)[f].code for f in FINDINGS)
    for twin in negated:
        assert twin.template is not None
        assert twin.template.startswith(f"{twin.style}/")
        assert twin.labels[FINDINGS.index(twin.finding)] == LabelState.ABSENT.code
    (omitted,) = found["omit", None]
    assert omitted.finding == found["negate", "eval"][0].finding, "the three texts differ in one thing"
    assert omitted.labels[FINDINGS.index(omitted.finding)] == LabelState.NOT_MENTIONED.code
    assert "right pleural effusion" in found["swap_side", None][0].text
    (other,) = twins("There is a small left pleural effusion.")["swap_finding", None]
    assert other.text == "There is a small left pneumothorax."


def test_options_say_how_many() -> None:
    found = twins(REPORT, negations=2, eval_negations=0, swaps=0)
    assert {key: len(made) for key, made in found.items()} == {("negate", "train"): 2, ("omit", None): 1}
    assert len(twins("Left effusion. Left pneumothorax.", swaps=2)["swap_side", None]) == 2


def test_the_findings_take_turns() -> None:
    findings = [twin.finding for twin in twins(REPORT)["negate", "train"]]
    assert len(findings) == 4
    assert findings[0] != findings[1]
    assert findings[:2] == findings[2:]


def test_it_is_repeatable_and_depends_on_the_seed() -> None:
    columns = [annotate_report(REPORT, AnnotateOptions(seed=s))["twins"] for s in range(5)]
    assert columns == [annotate_report(REPORT, AnnotateOptions(seed=s))["twins"] for s in range(5)]
    assert len(set(columns)) == 5


def test_reasons_for_the_drop_report() -> None:
    assert annotate_report("The lungs are clear. No effusion.")["reasons"] == [NOT_NEGATABLE]
    assert annotate_report("")["reasons"] == [NO_FINDINGS, NOT_NEGATABLE, NO_GRAPH]
    failed = annotate_report("Opacity, which may represent consolidation.")
    assert failed["reasons"] == [NEGATION_FAILED]
    assert "negate: a more specific finding implies it" in failed["discarded"]
    assert annotate_report(REPORT, graph=False)["graph"] == '{"entities":[],"relations":[]}'
