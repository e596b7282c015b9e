"""The manifest columns of one text."""

from __future__ import annotations

import json

from clinclip.findings import FINDINGS, LabelState, column_name
from clinclip.graph.batch import graph_from_column
from clinclip.prepare.study import NEGATION_FAILED, NO_FINDINGS, NO_GRAPH, NOT_NEGATABLE, annotate_report
from clinclip.text import find_assertions, label_report
from clinclip.text.stored import assertions_from_column

REPORT = "There is a small left pleural effusion. Mild cardiomegaly. No pneumothorax."


def test_columns_hold_what_the_contract_says() -> None:
    row = annotate_report(REPORT, seed=5, negations=4, eval_negations=1)
    assert row["labels"]["read_pleural_effusion"] == 1
    assert list(row["labels"]) == [f"read_{column_name(f)}" for f in FINDINGS]
    negations = json.loads(row["negations"])
    assert [n["templates"] for n in negations] == ["train"] * 4 + ["eval"]
    assert {n["finding"] for n in negations} == {"Pleural Effusion", "Cardiomegaly"}
    assert len({n["text"] for n in negations}) == 5
    for twin in negations:
        assert twin["template"].startswith(twin["templates"] + "/")
        assert twin["labels"] == [label_report(twin["text"])[f].code for f in FINDINGS]
        assert twin["labels"][FINDINGS.index(twin["finding"])] == LabelState.ABSENT.code
    omissions = json.loads(row["omissions"])
    assert [o["finding"] for o in omissions] == [negations[-1]["finding"]]
    assert omissions[0]["labels"][FINDINGS.index(omissions[0]["finding"])] == LabelState.NOT_MENTIONED.code
    swaps = {twin["kind"]: twin for twin in json.loads(row["swaps"])}
    assert list(swaps) == ["swap_side", "swap_severity"], "a pneumothorax is mentioned: no other finding can stand in"
    assert "right pleural effusion" in swaps["swap_side"]["text"]
    for twin in swaps.values():
        assert twin["text"] != REPORT
        assert twin["labels"] == [label_report(twin["text"])[f].code for f in FINDINGS]
    assert [t["kind"] for t in (*negations, *omissions)] == ["negate"] * 5 + ["omit"]
    (other,) = json.loads(annotate_report("There is a small left pleural effusion.")["swaps"])[2:]
    assert (other["kind"], other["text"]) == ("swap_finding", "There is a small left pneumothorax.")
    assert annotate_report(REPORT, seed=5, swaps=0)["swaps"] == "[]"
    graph = graph_from_column(row["graph"], REPORT)
    assert "effusion" in [e.text for e in graph.entities]
    assert assertions_from_column(row["assertions"], REPORT) == find_assertions(REPORT)
    assert row["reasons"] == []


def test_the_findings_take_turns() -> None:
    findings = [n["finding"] for n in json.loads(annotate_report(REPORT, negations=4, eval_negations=0)["negations"])]
    assert findings[0] != findings[1]
    assert findings[:2] == findings[2:]


def test_it_is_repeatable_and_depends_on_the_seed() -> None:
    assert annotate_report(REPORT, seed=1) == annotate_report(REPORT, seed=1)
    assert len({annotate_report(REPORT, seed=s)["negations"] for s in range(5)}) == 5


def test_reasons_for_the_drop_report() -> None:
    assert annotate_report("The lungs are clear. No effusion.")["reasons"] == [NOT_NEGATABLE]
    assert annotate_report("")["reasons"] == [NO_FINDINGS, NOT_NEGATABLE, NO_GRAPH]
    failed = annotate_report("Opacity, which may represent consolidation.")
    assert failed["reasons"] == [NEGATION_FAILED]
    assert "negate: a more specific finding implies it" in failed["discarded"]
    assert annotate_report(REPORT, graph=False)["graph"] == '{"entities":[],"relations":[]}'
