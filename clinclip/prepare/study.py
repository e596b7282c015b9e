"""What preparation stores about the text of one study: read labels, edited twins, graph, and what is missing.

A pure function of (text, seed): no files, no state, safe in a process pool.
"""

from __future__ import annotations

from typing import TypedDict

from clinclip.draws import Draws
from clinclip.findings import FINDINGS, LabelState, column_name
from clinclip.graph.batch import graph_to_column
from clinclip.graph.builder import build_graph
from clinclip.prepare.annotate import AnnotateOptions
from clinclip.text.editing import EDITS
from clinclip.text.editing.base import EXCLUDED, ReportEdit
from clinclip.text.editing.subject import Subject
from clinclip.text.twins import twins_to_column
from clinclip.text.types import EditedReport

#: Reasons of the drop report. A report can have several.
NO_FINDINGS = "no finding is mentioned"
NOT_NEGATABLE = "no positive finding to negate"
NEGATION_FAILED = "no negation reads back as it must"
NO_GRAPH = "the graph has no entity"


class ReportAnnotation(TypedDict):
    """Manifest columns of one text.

    Attributes:
        labels: ``read_<finding>`` column -> int8 code, the 14 of them.
        twins: JSON of :func:`clinclip.text.twins.twins_to_column`.
        graph: JSON of :func:`clinclip.graph.batch.graph_to_column`.
        reasons: what the drop report should count.
        discarded: reasons of the discarded candidates, one entry each.
    """

    labels: dict[str, int]
    twins: str
    graph: str
    reasons: list[str]
    discarded: list[str]


def annotate_report(text: str, options: AnnotateOptions | None = None, graph: bool = True) -> ReportAnnotation:
    """Read one text and write its twins.

    Args:
        text: The report text by the text policy, as it will be tokenised.
        options: How many twins of each kind, and the seed, in which the text takes part. None is the default ones.
        graph: Whether to build the graph.

    Returns:
        Column values; empty lists where the report has nothing to edit.
    """
    options = options or AnnotateOptions()
    subject = Subject(text)
    draws = Draws(options.seed, text)
    findings = [f for f in subject.asserted if f not in EXCLUDED]
    discarded: list[str] = []
    made: list[tuple[EditedReport, str | None]] = []
    for kind, edit in EDITS.items():
        for style in edit.styles:
            wanted = options.twins(kind, style)
            made += [(twin, style) for twin in _twins(edit, style, subject, findings, draws, wanted, discarded)]
    built = build_graph(subject) if graph else None
    reasons: list[str] = []
    if all(state is LabelState.NOT_MENTIONED for state in subject.labels.values()):
        reasons.append(NO_FINDINGS)
    if not findings:
        reasons.append(NOT_NEGATABLE)
    elif options.negations and not any((e.kind, style) == ("negate", "train") for e, style in made):
        reasons.append(NEGATION_FAILED)
    if built is not None and not len(built):
        reasons.append(NO_GRAPH)
    return ReportAnnotation(
        labels={f"read_{column_name(f)}": subject.labels[f].code for f in FINDINGS},
        twins=twins_to_column(made),
        graph=graph_to_column(built) if built is not None else '{"entities":[],"relations":[]}',
        reasons=reasons,
        discarded=discarded,
    )


def _twins(
    edit: ReportEdit,
    style: str | None,
    subject: Subject,
    findings: list[str],
    draws: Draws,
    wanted: int,
    discarded: list[str],
) -> list[EditedReport]:
    """Up to ``wanted`` distinct twins.

    Findings take turns, so that a report with several positive ones is not always edited in the same one; one that
    failed is not tried again.
    """
    made: list[EditedReport] = []
    alive = edit.order(findings, draws, style) if wanted > 0 else []
    number = 0
    while alive and len(made) < wanted and number <= 2 * wanted:
        for finding in list(alive):
            if len(made) == wanted:
                break
            attempt = edit.attempt(subject, finding, draws, style, number)
            if attempt.edited is not None and all(attempt.edited.text != twin.text for twin in made):
                made.append(attempt.edited)
            elif attempt.reason:
                discarded.append(f"{edit.kind}: {attempt.reason}")
            if attempt.edited is None or not edit.varied:
                alive.remove(finding)
        number += 1
    return made
