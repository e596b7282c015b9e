"""Labels of a report: the 14 CheXpert observations, aggregated over its mentions."""

from __future__ import annotations

from clinclip.findings import FINDINGS, NO_FINDING, PARENT, SUPPORT_DEVICES, LabelState
from clinclip.text.assertions import sentence_key
from clinclip.text.reading import read_sentence
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import split_sentences
from clinclip.text.words import fold

_RANK = {LabelState.ABSENT: 1, LabelState.UNCERTAIN: 2, LabelState.PRESENT: 3}
#: rules whose mentions do not say what this image shows
_SILENT = frozenset({"history", "other-subject", "hypothetical", "comparison"})


def label_report(report: str) -> dict[str, LabelState]:
    """The state of each of the 14 observations in a report."""
    strong: dict[str, LabelState] = {}
    weak: dict[str, LabelState] = {}
    normal = False
    abnormal = False
    for begin, stop, role in reading_spans(report):
        if role != "reading":
            continue
        part = report[begin:stop]
        folded = fold(part)
        for a, b in split_sentences(part):
            for m in read_sentence(sentence_key(folded[a:b])):
                if m.rule in _SILENT:
                    continue
                concept, state = m.concept, m.state
                options = concept.options
                if state is LabelState.ABSENT:
                    normal = True
                    names = concept.absent
                else:
                    normal = normal or concept.finding == NO_FINDING
                    names = (concept.finding,) if concept.finding else ()
                    if concept.finding is None and not options & {"incidental", "process"}:
                        abnormal = True
                into = weak if "weak" in options or m.rule == "indication" else strong
                for name in names:
                    if name not in into or _RANK[state] > _RANK[into[name]]:
                        into[name] = state
    labels = {name: strong.get(name, weak.get(name, LabelState.NOT_MENTIONED)) for name in FINDINGS}
    for child in ("Pneumonia", *(c for c in PARENT if c != "Pneumonia")):
        parent = PARENT[child]
        if _RANK.get(labels[child], 0) >= 2 and _RANK.get(labels[parent], 0) < _RANK[labels[child]]:
            labels[parent] = labels[child]
    asserted = any(
        labels[n] in (LabelState.PRESENT, LabelState.UNCERTAIN)
        for n in FINDINGS
        if n not in {NO_FINDING, SUPPORT_DEVICES}
    )
    labels[NO_FINDING] = LabelState.PRESENT if normal and not asserted and not abnormal else LabelState.NOT_MENTIONED
    return labels
