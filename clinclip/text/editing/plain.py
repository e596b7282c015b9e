"""One finding a sentence, no comparison with priors: the first two passes of the CXR-Align construction, by rules.

The benchmark was made by three passes of a hosted language model: (1) split a report into sentences of
one finding each, lists of negations expanded, remarks on procedure, quality and positioning dropped; (2) delete
comparisons with earlier studies, keep negations; (3) delete the sentences about the chosen finding. This does (1)
and (2); the third is :func:`clinclip.text.omit`. Every sentence is read back: it must say of its finding what the
report said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clinclip.findings import LabelState
from clinclip.text.editing.agreement import match_initial
from clinclip.text.editing.removal import in_order, prefix_end, restatements
from clinclip.text.editing.rewrite import proposals
from clinclip.text.editing.subject import Subject, claim, sentence_claims
from clinclip.text.reading.nounphrases import SpanMention, words_of
from clinclip.text.reading.wordclasses import OTHER_NOUNS
from clinclip.text.types import SILENT_RULES, Assertion

_TEMPORAL = re.compile(
    r"(?i)\b(?:unchang\w*|stable|new|newly|increas\w+|decreas\w+|worsen\w*|improv\w+|interval|persist\w*|again|prior|"
    r"previous\w*|since|compar\w+|remain\w*|now|known|residual|resol\w+|progress\w*|enlarging|developing|"
    r"redemonstrat\w+|still|similar|constant|changed?|earlier|before|longer|regress\w*|diminish\w*|"
    r"recent|development|same appearance|today|removed|removal|withdrawn|currently|current|preceding|last|evolving|"
    r"reaccumulat\w*|clearing|cleared|better|(?:larger|smaller|more|less|worse)(?!\s+(?:severe\s+|prominent\s+|pronounced\s+|so\s+)?"
    r"(?:on|at|in)\s+the\s+(?:left|right|base|apex)|\s+than\s+(?:left|right)))\b|_{2,}"
)
_OPENING = re.compile(
    r"(?i)^(?:(?:also|additionally|in addition|again|once again|as before|incidentally)\b,?\s*)?"
    r"(?:(?:seen|noted|demonstrated|identified|visualized)\s+(?:is|are)\s+)?"
)
#: A sentence of its own leans on no other.
_LEANING = re.compile(r"(?i)^(?:adjacent|associated|subsequent|resultant|resulting|accompanying)\s+(?=\w)")
#: Words that can be struck out where they stand.
_STRIKE = (
    re.compile(
        r"(?i)^(?:interval\s+)?(?:development|appearance|increase|decrease|worsening|improvement|progression|"
        r"reduction)\s+(?:of|in)\s+(?:the\s+|an?\s+)?"
    ),
    re.compile(
        r"(?i),?\s*\b(?:as\s+)?(?:when\s+)?(?:compar(?:ed|ison)\s+(?:to|with)|(?:similar|comparable)\s+to|since|from|than)\s+(?:the\s+|a\s+)?"
        r"(?:\w+\s+)?(?:prior|previous|earlier|preceding|recent|last|_{2,})"
        r"(?:\s+(?:study|exam\w*|radiograph\w*|film|image\w*|one))?"
        r"(?:\s+(?:from|of|on|dated)\s+_{2,})?"
    ),
    re.compile(r"(?i),?\s*\b(?:in the interval|as before|as on the prior|since _{2,}|from _{2,})"),
    re.compile(
        r"(?i),\s*(?:not\s+(?:significantly\s+)?changed|(?:un)?changed|stable|new|(?:(?:slightly|mildly|now)\s+)?"
        r"(?:increased|decreased|improved|(?:worse|larger|smaller)(?!\s+(?:on|at|in)\s+the\s+(?:left|right|base|apex))"
        r"|worsened))\b"
    ),
    re.compile(
        r"(?i)\b(?:(?:previously|again)\s+(?:seen|noted|described|identified)|unchanged|stable|newly|new|interval|known|"
        r"increasing|decreasing|worsening|improving|enlarging|persistent|persisting|residual|increased|decreased|"
        r"improved|previous|prior|"
        r"developing|currently|now|again|still|evolving)\s+"
    ),
)
_BROKEN = re.compile(r"(?i)\b(?:has|have|had)\s*(?:in|of|with|from|at|and|but|by|[,.;])(?:\s|$)")
_DANGLING = re.compile(
    r"(?i)\b(?:is|are|was|were|has|have|remains?|appears?|been|not|the|a|an|of|in|with|and|or|but)\s*\.?$"
)
_REMARK = re.compile(
    r"(?i)\b(?:views?|technique|portable|semi-?erect|upright|supine|projection|position(?:ing|ed)?|rotat\w+|"
    r"inspirat\w+|"
    r"obtained|performed|exam\w*|study|radiograph\w*|film|image[sd]?|comparison|recommend\w*|discuss\w*|communicat\w*|"
    r"notif\w*|telephone\w*|dr\.?|reviewed|correlat\w*|follow-?up|procedure|habitus|limit\w*|evaluat\w*)\b"
)
_ADVICE = re.compile(r"(?i)\b(?:recommend\w*|discuss\w*|communicat\w*|notif\w*|telephone\w*|follow-?up|correlat\w*)\b")


@dataclass(frozen=True, slots=True)
class PlainSentence:
    """A sentence about one finding.

    Attributes:
        text: capital first, full stop last, no line break.
        findings: observations that it speaks of (several only where one statement denies several: "lungs are clear").
        state: what it says of them; None for a statement outside the vocabulary.
    """

    text: str
    findings: tuple[str, ...]
    state: LabelState | None


def plain_sentences(report: str) -> tuple[list[PlainSentence], Counter[str]]:
    """Split a report into sentences of one finding each, without comparisons.

    Returns:
        The sentences, in order, each once; and how many were dropped, by reason.
    """
    subject = Subject(report)
    by_sentence: dict[tuple[int, int], list[Assertion]] = {}
    for assertion in subject.assertions:
        by_sentence.setdefault(assertion.sentence, []).append(assertion)
    made: list[PlainSentence] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    for span in subject.sentences:
        mentions = [a for a in by_sentence.get(span, []) if a.rule not in SILENT_RULES]
        if len(mentions) < len(by_sentence.get(span, [])):
            dropped["history or indication"] += 1
        begin = prefix_end(report, *span, by_sentence.get(span, []))
        sentence = report[begin : span[1]]
        if not mentions:
            kept = _outside(sentence) if span not in by_sentence else None
            if kept is None:
                dropped["no finding"] += 1
                continue
            candidates = [PlainSentence(kept, (), None)]
        else:
            candidates = []
            for unit in _units(mentions):
                text = _isolate(sentence, begin, mentions, unit)
                if text is None:
                    dropped["cannot be isolated"] += 1
                    continue
                findings = tuple(dict.fromkeys(a.finding for a in unit if a.finding))
                candidates.append(PlainSentence(text, findings, unit[0].state))
        for candidate in candidates:
            if candidate.text.lower() in seen:
                continue
            seen.add(candidate.text.lower())
            made.append(candidate)
    return made, dropped


def _units(mentions: Sequence[Assertion]) -> list[list[Assertion]]:
    """Mentions of the same words belong together, and neighbours that say the same.

    "Lungs are clear" denies several findings at once; "internal jugular" and "Swan-Ganz catheter" are one device.
    """
    units: list[list[Assertion]] = []
    for assertion in sorted(mentions, key=lambda a: (a.start, a.end)):
        last = units[-1][-1] if units else None
        same = last is not None and (last.start, last.end) == (assertion.start, assertion.end)
        joined = (
            last is not None
            and 0 <= assertion.start - last.end <= 1
            and (last.finding, last.state) == (assertion.finding, assertion.state)
        )
        if same or joined:
            units[-1].append(assertion)
        else:
            units.append([assertion])
    return units


def _outside(sentence: str) -> str | None:
    """A sentence without a finding, if it describes the chest and neither technique nor the past."""
    words = {w.low for w in words_of(sentence)}
    if not words & OTHER_NOUNS or _REMARK.search(sentence):
        return None
    text = _without_past(sentence)
    return text if text and not _TEMPORAL.search(text) else None


def _isolate(sentence: str, offset: int, mentions: Sequence[Assertion], unit: Sequence[Assertion]) -> str | None:
    """The sentence that says of this unit, and of nothing else, what the report says."""
    ordered, places = in_order(mentions)
    spans = [
        SpanMention(start - offset, end - offset, a not in unit)
        for a, (start, end) in zip(ordered, places, strict=True)
    ]
    if all(not s.doomed for s in spans):
        texts = [sentence]
    else:
        texts = [p.text for p in proposals(sentence, spans)]
    texts += [p.text for p in restatements(sentence, spans, [a for a in ordered if a in unit])]
    wanted = Counter(claim(a)[:3] for a in unit)
    best: tuple[int, str] | None = None
    for text in texts:
        for candidate in dict.fromkeys((_tidy(text), _without_past(text))):
            if not candidate or _TEMPORAL.search(candidate) or _ADVICE.search(candidate):
                continue
            claims = sentence_claims(candidate)
            if Counter(c[:3] for c in claims) != wanted:
                continue
            loss = sum((Counter(claim(a)[:6] for a in unit) - Counter(c[:6] for c in claims)).values())
            if best is None or loss < best[0]:
                best = (loss, candidate)
    return best[1] if best else None


def _tidy(text: str) -> str:
    text = _OPENING.sub("", " ".join(text.split())).strip(" ,;:.")
    text = _LEANING.sub("", text)
    return match_initial(text, "A") + "." if text else ""


def _without_past(text: str) -> str:
    """Strike out words of comparison; "" when that leaves a sentence without its predicate."""
    whole = text = " ".join(text.split())
    text = re.sub(r"(?i)\bremains\b", "is", re.sub(r"(?i)\bremain\b", "are", text))
    for pattern in _STRIKE:
        text = pattern.sub("" if pattern.pattern.startswith("(?i),") else " ", text)
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".")
    if text != whole:  # "a new opacity" -> "an opacity"
        text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
        text = re.sub(r"\b([Aa])n (?=[b-df-hj-np-tv-z])", r"\1 ", text)
    tidy = _tidy(text)
    return "" if _DANGLING.search(tidy) or _BROKEN.search(tidy) else tidy


def plain_report(sentences: Sequence[PlainSentence]) -> str:
    """The sentences as running text."""
    return " ".join(s.text for s in sentences)
