"""What preparation stores about the text of one study: read labels, edited twins, graph, and what is missing.

A pure function of (text, seed): no files, no state, safe in a process pool.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypedDict

from clinclip.findings import FINDINGS, LabelState, column_name
from clinclip.graph.batch import graph_to_column
from clinclip.graph.builder import build_graph
from clinclip.text.draws import Draws
from clinclip.text.editing.negation import EXCLUDED, Attempt, edit_finding
from clinclip.text.editing.subject import Subject
from clinclip.text.editing.swaps import attempt_swaps
from clinclip.text.editing.templates import TemplateSet
from clinclip.text.stored import assertions_to_column
from clinclip.text.types import SWAP_KINDS, EditedReport

#: Reasons of the drop report. A report can have several.
NO_FINDINGS = "no finding is mentioned"
NOT_NEGATABLE = "no positive finding to negate"
NEGATION_FAILED = "no negation reads back as it must"
NO_GRAPH = "the graph has no entity"


class ReportAnnotation(TypedDict):
    """Manifest columns of one text.

    Attributes:
        labels: ``read_<finding>`` column -> int8 code, the 14 of them.
        assertions: JSON of :func:`clinclip.text.stored.assertions_to_column`.
        negations: JSON list of {text, kind, finding, template, templates, labels}; templates is "train" or "eval".
        omissions: the same form; template and templates are null.
        swaps: the same form, of the kinds "swap_side", "swap_severity" and "swap_finding".
        graph: JSON of :func:`clinclip.graph.batch.graph_to_column`.
        reasons: what the drop report should count.
        discarded: reasons of the discarded candidates, one entry each.
    """

    labels: dict[str, int]
    assertions: str
    negations: str
    omissions: str
    swaps: str
    graph: str
    reasons: list[str]
    discarded: list[str]


def annotate_report(
    text: str,
    seed: int = 0,
    negations: int = 4,
    eval_negations: int = 1,
    omissions: int = 1,
    swaps: int = 1,
    graph: bool = True,
) -> ReportAnnotation:
    """Read one text and write its twins.

    Args:
        text: The report text by the text policy, as it will be tokenised.
        seed: Seed of the choices; the text takes part in it.
        negations: Negated twins with training wordings. Findings take turns, so that a report with several positive
            findings is not always negated in the same one; repeated findings get other wordings.
        eval_negations: Negated twins with evaluation wordings.
        omissions: Twins with a finding left out, of the same findings as the evaluation negations.
        swaps: Twins of each further kind (wrong side, severity, finding).
        graph: Whether to build the graph.

    Returns:
        Column values; empty lists where the report has nothing to edit.
    """
    subject = Subject(text)
    draws = Draws(seed, text)
    findings = [f for f in subject.asserted if f not in EXCLUDED]
    discarded: list[str] = []
    train = _twins("negate", subject, draws.order(findings, "train"), draws, "train", negations, discarded)
    order = draws.order(findings, "eval")
    held_out = _twins("negate", subject, order, draws, "eval", eval_negations, discarded)
    left_out = _twins("omit", subject, order, draws, "eval", omissions, discarded)
    exchanged = [twin for kind in SWAP_KINDS for twin in _swapped(kind, subject, seed, swaps, discarded)]
    built = build_graph(subject) if graph else None
    reasons: list[str] = []
    if all(state is LabelState.NOT_MENTIONED for state in subject.labels.values()):
        reasons.append(NO_FINDINGS)
    if not findings:
        reasons.append(NOT_NEGATABLE)
    elif negations and not train:
        reasons.append(NEGATION_FAILED)
    if built is not None and not len(built):
        reasons.append(NO_GRAPH)
    return ReportAnnotation(
        labels={f"read_{column_name(f)}": subject.labels[f].code for f in FINDINGS},
        assertions=assertions_to_column(subject.assertions),
        negations=_column([(e, "train") for e in train] + [(e, "eval") for e in held_out]),
        omissions=_column([(e, None) for e in left_out]),
        swaps=_column([(e, None) for e in exchanged]),
        graph=graph_to_column(built) if built is not None else '{"entities":[],"relations":[]}',
        reasons=reasons,
        discarded=discarded,
    )


def _twins(
    kind: str,
    subject: Subject,
    findings: list[str],
    draws: Draws,
    templates: TemplateSet,
    wanted: int,
    discarded: list[str],
) -> list[EditedReport]:
    """Up to ``wanted`` distinct twins, the findings taking turns; failed findings are not tried again."""
    made: list[EditedReport] = []
    alive = list(findings)
    number = 0
    while alive and len(made) < wanted:
        for finding in list(alive):
            if len(made) == wanted:
                break
            attempt: Attempt = edit_finding(kind, subject, finding, draws, templates, number)
            fresh = attempt.edited is not None and all(attempt.edited.text != m.text for m in made)
            if attempt.edited is not None and fresh:
                made.append(attempt.edited)
            elif attempt.reason:
                discarded.append(f"{kind}: {attempt.reason}")
            if attempt.edited is None or kind == "omit":
                alive.remove(finding)
        number += 1
        if number > 2 * wanted:
            break
    return made


def _swapped(kind: str, subject: Subject, seed: int, wanted: int, discarded: list[str]) -> list[EditedReport]:
    """Up to ``wanted`` twins of one kind, each of another finding."""
    made: list[EditedReport] = []
    for attempt in attempt_swaps(kind, subject, seed=seed) if wanted > 0 else ():
        if attempt.edited is not None:
            made.append(attempt.edited)
        elif attempt.reason:
            discarded.append(f"{kind}: {attempt.reason}")
        if len(made) == wanted:
            break
    return made


def _column(twins: Sequence[tuple[EditedReport, str | None]]) -> str:
    rows = [
        {
            "text": e.text,
            "kind": e.kind,
            "finding": e.finding,
            "template": e.template,
            "templates": templates,
            "labels": [e.labels_after[f].code for f in FINDINGS],
        }
        for e, templates in twins
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
