"""Negated reports and graphs on phantom reports: yield, read-back, completeness by the generator's truth, speed.

The generator's grammar shares nothing with the reader, so its truth is an independent judge: after a negation, no span
in which the generator stated the finding may be left. The clock compares an edit with the reading it is made of: a twin
is found by reading the report, and proven by reading it again.
"""

from __future__ import annotations

from collections import Counter

from clinclip.findings import FINDINGS, NO_FINDING, LabelState
from clinclip.graph import build_graph
from clinclip.graph.schema import Entity, Relation, ReportGraph
from clinclip.graph.score import score_parser
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.layout import Page
from clinclip.phantom.report import write_report
from clinclip.phantom.world import count_studies, make_patient
from clinclip.prepare.study import annotate_report
from clinclip.text import EDITS, label_report, negate
from clinclip.text.editing.base import Yield
from clinclip.text.editing.edits import undo_edits
from clinclip.text.editing.subject import ancestors
from clinclip.text.types import EditedReport
from tests.benchmarks.harness import Row, interleaved

REPORTS = 10_000
TIMED = 400


def phantom_pages(count: int, seed: int) -> list[Page]:
    """Report files of ``count`` studies with their truth."""
    knobs = PhantomKnobs()
    pages: list[Page] = []
    number = 0
    while len(pages) < count:
        size = count_studies(number, seed, knobs)
        patient = make_patient(number, len(pages), size, seed, knobs)
        pages += [write_report(patient, study, seed, knobs) for study in patient.studies]
        number += 1
    return pages[:count]


def left_over(page: Page, edited: EditedReport) -> int:
    """Statements of the finding, by the generator's truth, that no edit touched."""
    return sum(
        m.finding == edited.finding
        and m.state in {"present", "uncertain"}
        and m.role == "finding"
        and m.section in {"findings", "impression", "body"}
        and not any(e.start < m.end and m.start < e.end for e in edited.edits)
        for m in page.mentions
    )


def confirmed(edited: EditedReport, wanted: LabelState) -> bool:
    """Read afresh: the finding has the wanted state, every label that is not entailed is as before."""
    after = label_report(edited.text)
    free = {edited.finding, NO_FINDING, *ancestors(edited.finding)}
    assert undo_edits(edited.text, edited.edits) == edited.source
    return after[edited.finding] is wanted and all(
        after[f] is edited.labels_before[f] for f in FINDINGS if f not in free
    )


def edit_all(pages: list[Page], kind: str) -> list[Row]:
    """Yield, read-back and completeness of one kind of edit."""
    tally = Yield()
    good = complete = 0
    templates: Counter[str | None] = Counter()
    wanted = LabelState.ABSENT if kind == "negate" else LabelState.NOT_MENTIONED
    for page in pages:
        attempts = []
        for one in EDITS[kind].attempts(page.text, seed=1):
            attempts.append(one)
            if one.edited is not None:
                good += confirmed(one.edited, wanted)
                complete += not left_over(page, one.edited)
                templates[one.edited.template] += 1
                break
        tally.add(attempts)
    print(f"{kind}: {tally}")
    name = f"{kind}, {len(pages)} phantom reports"
    return [
        Row(f"{name}: yield", tally.edited, tally.eligible, tally.rate, 0.97, "reports"),
        Row(f"{name}: read back", good, tally.edited, good / tally.edited, 1.0, "reports"),
        Row(f"{name}: nothing left, by truth", complete, tally.edited, complete / tally.edited, 0.99, "reports"),
    ]


def graph_rows(pages: list[Page]) -> list[Row]:
    """Strict span F1 and relation F1 of rule-built graphs on findings and impressions."""
    documents = []
    for page in pages:
        for name in {"findings", "impression", "body"} & page.sections.keys():
            start, end = page.sections[name]
            inside = [i for i, e in enumerate(page.entities) if start <= e[0] and e[1] <= end]
            order = sorted(inside, key=lambda i: page.entities[i][0])
            number = {i: n for n, i in enumerate(order)}
            chosen = [page.entities[i] for i in order]
            entities = tuple(Entity(s - start, e - start, page.text[s:e], label) for s, e, label in chosen)
            kept = [(number[h], number[t], k) for h, t, k in page.relations if h in number and t in number]
            text = page.text[start:end]
            gold = ReportGraph(entities, tuple(Relation(*edge) for edge in kept))
            documents.append((text, gold, build_graph(text)))
    score = score_parser(documents)
    strict, relation = score.spans["strict"], score.relation_micro()
    return [
        Row(
            "graph: strict entity F1",
            strict.correct,
            strict.possible,
            strict.f1,
            0.93,
            "entities",
            note="phantom truth",
        ),
        Row(
            "graph: relation F1", relation.correct, relation.possible, relation.f1, 0.82, "edges", note="phantom truth"
        ),
    ]


def speed_rows(pages: list[Page]) -> list[Row]:
    """An edit against reading the same reports twice, and reports a second."""
    texts = [page.text for page in pages]
    # the sentence cache must not serve one side only: both read the same sentences, warm
    edits = interleaved(
        lambda: [negate(t, seed=2) for t in texts],
        lambda: [(label_report(t), label_report(t)) for t in texts],
    )
    everything, _ = interleaved(lambda: [annotate_report(t) for t in texts], lambda: None, repeats=3)
    per_second = len(texts) / edits[0]
    return [
        Row("negate against reading twice (times)", *edits, edits[0] / edits[1], 6.0, better="smaller"),
        Row("negate, reports/s on one core", per_second, 500, per_second / 500, 1.0, "1/s"),
        Row("annotate (5 twins, omission, graph), reports/s", len(texts) / everything, 100,
            len(texts) / everything / 100, 1.0, "1/s"),
    ]  # fmt: skip


def run() -> list[Row]:
    """All rows."""
    pages = phantom_pages(REPORTS, seed=2026)
    return [
        *edit_all(pages, "negate"),
        *edit_all(pages, "omit"),
        *graph_rows(pages[:1500]),
        *speed_rows(pages[:TIMED]),
    ]
