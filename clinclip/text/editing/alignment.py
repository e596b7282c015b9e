"""One item of a CXR-Align-shaped benchmark from one report: in plain sentences, with a denial, and incomplete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clinclip.draws import Draws
from clinclip.findings import NO_FINDING, LabelState
from clinclip.text.editing.base import EXCLUDED
from clinclip.text.editing.denials import agreed_place
from clinclip.text.editing.negation import Negate
from clinclip.text.editing.omission import Omit
from clinclip.text.editing.plain import plain_report, plain_sentences
from clinclip.text.editing.subject import Subject
from clinclip.text.editing.templates import TemplateSet

#: Why a report gives no item.
NORMAL = "normal study"
NOTHING_POSITIVE = "no positive finding"
NOTHING_PLAIN = "no sentence of one finding remains"


@dataclass(frozen=True, slots=True)
class AlignItem:
    """One item, in the fields of ``cxr-align.json``.

    Attributes:
        chosen: the finding.
        report: one finding a sentence, no comparisons.
        negation: the report with the finding denied.
        omitted: the report without any sentence on the finding.
        location: where the report says that it is ("left lower lobe", "left"), "" where it does not say. The meaning of
            the published file's field of this name is not documented; this is ours.
        template: id of the wording of the denial.
    """

    chosen: str
    report: str
    negation: str
    omitted: str
    location: str
    template: str


def make_item(report: str, seed: int = 0, templates: TemplateSet = "eval") -> AlignItem | str:
    """Build the item of one report, or say why there is none.

    The chosen finding is drawn among the positive ones of the *plain* report (Support Devices excluded); one whose
    negation or omission does not read back as it must is passed over for the next.

    Args:
        report: Findings and impression, or either.
        seed: Seed of the draw; the report takes part in it.
        templates: Wordings of the denial: "eval", so that a model trained on "train" wordings is tested on others.
    """
    whole = Subject(report)
    if whole.labels[NO_FINDING] is LabelState.PRESENT:
        return NORMAL
    if not any(f not in EXCLUDED for f in whole.positives):
        return NOTHING_POSITIVE
    sentences, _ = plain_sentences(report)
    if not sentences:
        return NOTHING_PLAIN
    subject = Subject(plain_report(sentences))
    draws = Draws(seed, report)
    reason = NOTHING_POSITIVE
    for finding in draws.order([f for f in subject.asserted if f not in EXCLUDED], "chosen"):
        outcome = _item(subject, finding, draws, templates)
        if isinstance(outcome, AlignItem):
            return outcome
        reason = outcome
    return reason


def _item(subject: Subject, finding: str, draws: Draws, templates: TemplateSet) -> AlignItem | str:
    denied = Negate().attempt(subject, finding, draws, templates)
    if denied.edited is None:
        return f"negate: {denied.reason}"
    left_out = Omit().attempt(subject, finding, draws)
    if left_out.edited is None:
        return f"omit: {left_out.reason}"
    return AlignItem(
        chosen=finding,
        report=subject.text,
        negation=denied.edited.text,
        omitted=left_out.edited.text,
        location=" ".join(_place(subject, finding)),
        template=denied.edited.template or "",
    )


def _place(subject: Subject, finding: str) -> Iterator[str]:
    place = agreed_place(subject.of(finding, LabelState.PRESENT))
    yield from (part for part in (place.side, place.site) if part)
