"""Labels of a report: the 14 CheXpert observations, aggregated over its mentions.

The aggregation is CheXpert's (Irvin et al., AAAI 2019): over all mentions of an observation, present wins over
uncertain and uncertain over absent; a present child makes its parent present (their figure 1); No Finding is present
only when no other observation, Support Devices aside, is present or uncertain. Decisions where CheXpert leaves room,
each with its reason:

- Only findings, impression and text without a title are read. History, indication, technique, comparison and a
  preliminary read beside a final one do not say what this image shows.
- Statements about history, other people, prior studies and hypothetical conditions say nothing about the image.
- A question ("rule out pneumonia", "blunted angle") counts only while nothing in the report answers it: such
  *weak* statements yield to any explicit one about the same finding. So does vascular congestion (the early stage of
  oedema) to a statement about oedema itself.
- No Finding must be read, not inferred from silence: it needs at least one denial or normality statement; an empty text
  has no label. Diseases outside the 14 (emphysema, hiatal hernia, free air) forbid it, incidental findings (old
  granuloma, degenerative spine, tortuous aorta) do not. It is never absent or uncertain, as in CheXpert's files.
- Uncertainty and absence are not passed from child to parent or back: "possible pneumonia" makes no consolidation.
"""

from __future__ import annotations

from functools import lru_cache

from clinclip.findings import FINDINGS, NO_FINDING, PARENT, SUPPORT_DEVICES, LabelState
from clinclip.text.reading.mentions import CACHE_SIZE, read_words
from clinclip.text.reading.words import fold, split_words
from clinclip.text.sections import reading_spans
from clinclip.text.sentences import sentence_keys
from clinclip.text.types import SILENT_RULES

_ABSENT, _UNCERTAIN, _PRESENT = 1, 2, 3
_STATES = (LabelState.NOT_MENTIONED, LabelState.ABSENT, LabelState.UNCERTAIN, LabelState.PRESENT)
_RANK = {state: rank for rank, state in enumerate(_STATES)}
#: rules whose mentions yield to explicit statements
_ASKING = frozenset({"indication", "question"})
_EXCUSED = frozenset({NO_FINDING, SUPPORT_DEVICES})
#: child before its parent before its grandparent, so that one pass suffices
_UPWARDS = tuple(sorted(PARENT.items(), key=lambda pair: pair[1] in PARENT, reverse=True))

#: (finding, rank) of explicit and of weak statements; whether something is denied, whether another disease is there
Votes = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...], bool, bool]


@lru_cache(maxsize=CACHE_SIZE)
def _votes(key: str) -> Votes:
    strong: dict[str, int] = {}
    weak: dict[str, int] = {}
    denies = other = False
    for mention in read_words(split_words(key))[0]:
        if mention.rule in SILENT_RULES:
            continue
        concept, rank = mention.concept, _RANK[mention.state]
        if rank == _ABSENT:
            denies = True
            names = concept.absent
        else:
            names = () if concept.finding is None else (concept.finding,)
            denies = denies or concept.finding == NO_FINDING
            other = other or (concept.finding is None and not concept.options & {"incidental", "process"})
        into = weak if "weak" in concept.options or mention.rule in _ASKING else strong
        for name in names:
            into[name] = max(rank, into.get(name, 0))
    return tuple(strong.items()), tuple(weak.items()), denies, other


def label_report(report: str, parents: bool = True) -> dict[str, LabelState]:
    """The state of each of the 14 CheXpert observations in a report.

    Args:
        report: a report in any form; the section titles of MIMIC-CXR, Open-i and their kin are known.
        parents: let a present child make its parent present. The published label tables of MIMIC-CXR and CheXpert's
            labeler leave parents as mentioned; use False to compare with them.

    Returns:
        One state for each name of :data:`clinclip.findings.FINDINGS`, in that order.
    """
    strong: dict[str, int] = {}
    weak: dict[str, int] = {}
    denies = other = False
    for begin, stop, role in reading_spans(report):
        if role != "reading":
            continue
        part = report[begin:stop]
        for key in sentence_keys(part, fold(part)):
            said, hinted, denied, foreign = _votes(key)
            denies = denies or denied
            other = other or foreign
            for name, rank in said:
                if rank > strong.get(name, 0):
                    strong[name] = rank
            for name, rank in hinted:
                if rank > weak.get(name, 0):
                    weak[name] = rank
    ranks = {**weak, **strong}
    if parents:
        for child, parent in _UPWARDS:
            if ranks.get(child) == _PRESENT:
                ranks[parent] = _PRESENT
    disease = other or any(rank >= _UNCERTAIN for name, rank in ranks.items() if name not in _EXCUSED)
    ranks[NO_FINDING] = _PRESENT if denies and not disease else 0
    return {name: _STATES[ranks.get(name, 0)] for name in FINDINGS}
