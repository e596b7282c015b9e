"""The twin of a report in which one finding is called another."""

from __future__ import annotations

import re

from clinclip.draws import Draws
from clinclip.findings import LabelState
from clinclip.text.editing.agreement import is_singular
from clinclip.text.editing.base import ASSERTED, ReportEdit
from clinclip.text.editing.edits import apply_edits, merge_spans
from clinclip.text.editing.exchange import exchanged, in_case
from clinclip.text.editing.subject import Subject, anatomy_rules, unentailed_change
from clinclip.text.reading.nounphrases import words_of
from clinclip.text.reading.wordclasses import PLACE_WORDS
from clinclip.text.types import EditedReport

#: Findings that can stand in for one another in the same sentence, and their nouns (singular, plural).
FINDING_SWAPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Pleural Effusion": (("Pneumothorax", "pneumothorax", "pneumothoraces"),),
    "Pneumothorax": (("Pleural Effusion", "pleural effusion", "pleural effusions"),),
    "Consolidation": (("Atelectasis", "atelectasis", "atelectasis"), ("Lung Lesion", "nodule", "nodules")),
    "Atelectasis": (("Consolidation", "consolidation", "consolidations"), ("Pneumonia", "pneumonia", "pneumonia")),
    "Pneumonia": (("Atelectasis", "atelectasis", "atelectasis"),),
    "Lung Opacity": (("Lung Lesion", "nodule", "nodules"),),
    "Edema": (("Atelectasis", "atelectasis", "atelectasis"), ("Pneumonia", "pneumonia", "pneumonia")),
}
_PLACE_BEHIND = re.compile(r"(?i)\s+(?:of|in|at|within)\s+the\s")


class SwapFinding(ReportEdit):
    """Call one positive finding another, which the report does not mention; side, place and size stay."""

    kind = "swap_finding"

    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        """Exchange the nouns of all mentions."""
        if any(a.rule in anatomy_rules() for a in subject.of(finding, *ASSERTED)):
            return "the finding is told through anatomy"
        options = [o for o in FINDING_SWAPS.get(finding, ()) if subject.labels[o[0]] is LabelState.NOT_MENTIONED]
        if not options:
            return "no other finding can take its place"
        reason = "does not read back as exchanged"
        for other, singular, plural in draws.order(options, self.kind, finding):
            spans = _renamed(subject, finding, singular, plural)
            after = Subject(apply_edits(subject.text, merge_spans(subject.text, spans)))
            if after.labels[finding] in ASSERTED or after.labels[other] is not subject.labels[finding]:
                continue
            if unentailed_change(subject.labels, after.labels, {finding}, {other}):
                reason = "another label changed"
                continue
            return exchanged(self.kind, subject, after, finding, spans)
        return reason


def _renamed(subject: Subject, finding: str, singular: str, plural: str) -> list[tuple[int, int, str]]:
    """(start, end, new) for every noun of a finding, and for the articles before them."""
    spans: list[tuple[int, int, str]] = []
    for start, end in dict.fromkeys((a.start, a.end) for a in subject.of(finding, *ASSERTED)):
        start += _place_length(subject.text[start:end])
        old = subject.text[start:end]
        if tail := _PLACE_BEHIND.search(old):  # "collapse of the right lower lobe"
            end, old = start + tail.start(), old[: tail.start()]
        new = singular if is_singular(old) else plural
        spans.append((start, end, in_case(new, old.split()[0])))
        article = re.search(r"(?i)\b(an?)\s+$", subject.text[:start])
        if article:
            wanted = "an" if new[0] in "aeiou" else "a"
            spans.append((article.start(1), article.end(1), in_case(wanted, article.group(1))))
    return spans


def _place_length(mention: str) -> int:
    """Characters of the places and sides that a mention begins with: they stay."""
    words = words_of(mention)
    lead = 0
    while lead < len(words) - 1 and words[lead].low in PLACE_WORDS:
        lead += 1
    return words[lead].start


def swap_finding(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Call one positive finding another, which the report does not mention; side, place and size stay.

    Args, result and errors as :func:`clinclip.text.swap_side`. ``EditedReport.finding`` is the finding that was
    replaced.
    """
    return SwapFinding().first(report, finding, seed)
