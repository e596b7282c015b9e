"""Further twins of a report: the wrong side, the wrong severity, the wrong finding. The same contract as a negation.

Words change where the finding is stated; everything else stays byte for byte. The result is read back: the finding must
have changed as asked, and no label may change that the edit does not entail. Such twins are false in exactly one
respect, so they test (or train) whether a model reads sides and sizes at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from clinclip.errors import ConfigError
from clinclip.findings import NO_FINDING, LabelState, check_finding
from clinclip.text.draws import Draws
from clinclip.text.editing.agreement import is_singular
from clinclip.text.editing.edits import apply_edits, merge_spans
from clinclip.text.editing.negation import EXCLUDED, Attempt
from clinclip.text.editing.subject import Subject, anatomy_rules, claim, statement_span, unentailed_change
from clinclip.text.reading.nounphrases import Item, SpanMention, noun_phrases, words_of
from clinclip.text.reading.wordclasses import PLACE_WORDS, SIDES
from clinclip.text.types import SWAP_KINDS, Assertion, EditedReport

_ASSERTED = (LabelState.PRESENT, LabelState.UNCERTAIN)
#: Places that exist on one side only: their side cannot be exchanged.
_ONE_SIDED = re.compile(r"(?i)\b(?:middle lobe|lingula\w*|rml|retrocardiac|heart)\b")
#: "Slightly increased" tells a course, not a size.
_CHANGED = re.compile(r"increas|decreas|improv|wors|larger|smaller|progress|diminish|enlarging|chang|less|more")
#: Size and degree words and what they become. Words for size and words for degree stay apart.
SEVERITY_SWAPS: dict[str, tuple[str, ...]] = {
    "trace": ("large",), "tiny": ("large",), "small": ("large",), "small-to-moderate": ("large",),
    "moderate-sized": ("tiny", "small"), "large": ("small", "tiny"), "moderate-to-large": ("small",),
    "massive": ("small", "tiny"), "minimal": ("severe", "marked"), "slight": ("severe", "marked"),
    "mild": ("severe", "marked"), "minor": ("severe",), "moderate": ("minimal", "mild"), "marked": ("minimal", "mild"),
    "severe": ("mild", "minimal"), "extensive": ("minimal",), "mildly": ("severely", "markedly"),
    "minimally": ("severely", "markedly"), "slightly": ("severely", "markedly"), "moderately": ("minimally", "mildly"),
    "severely": ("mildly", "minimally"), "markedly": ("mildly", "minimally"),
}  # fmt: skip
#: Findings that have a size; the others have a degree.
SIZED = frozenset({"Pleural Effusion", "Pneumothorax", "Lung Lesion", "Lung Opacity", "Consolidation"})
AS_SIZE = {"severe": "large", "marked": "large", "minimal": "tiny", "mild": "small"}
AS_DEGREE = {"large": "severe", "small": "mild", "tiny": "minimal"}
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


def swap_side(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Exchange left and right wherever one positive finding is stated.

    Args:
        report: A report, or its findings and impression.
        finding: Which one; None draws among the positive ones whose statements name a single side.
        seed: Seed of the draw; the report takes part in it.

    Returns:
        The edited report, or None when no finding has a side or no candidate reads back as it must.

    Raises:
        ConfigError: unknown finding.
    """
    return _first(attempt_swaps("swap_side", report, finding, seed))


def swap_severity(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Make one positive finding much smaller or larger than stated. Args, result and errors as :func:`swap_side`."""
    return _first(attempt_swaps("swap_severity", report, finding, seed))


def swap_finding(report: str, finding: str | None = None, seed: int = 0) -> EditedReport | None:
    """Call one positive finding another, which the report does not mention; side, place and size stay.

    Args, result and errors as :func:`swap_side`. ``EditedReport.finding`` is the finding that was replaced.
    """
    return _first(attempt_swaps("swap_finding", report, finding, seed))


def _first(attempts: Iterator[Attempt]) -> EditedReport | None:
    return next((a.edited for a in attempts if a.edited is not None), None)


def attempt_swaps(kind: str, report: str | Subject, finding: str | None = None, seed: int = 0) -> Iterator[Attempt]:
    """Try the positive findings in random order, one attempt each, failures with their reason.

    Raises:
        ConfigError: unknown kind or finding.
    """
    if kind not in SWAP_KINDS:
        raise ConfigError(f"kind={kind!r} is not one of {', '.join(SWAP_KINDS)}")
    subject = report if isinstance(report, Subject) else Subject(report)
    draws = Draws(seed, subject.text)
    if finding is not None:
        check_finding(finding)
        if finding == NO_FINDING:
            raise ConfigError(f"finding={NO_FINDING!r} cannot be edited: it is derived from the other findings")
        candidates = [finding] if finding in subject.asserted else []
    else:
        candidates = draws.order([f for f in subject.asserted if f not in EXCLUDED], kind)
    if not candidates:
        yield Attempt(kind, None, None, "no positive finding to edit")
    for name in candidates:
        if kind == "swap_finding":
            yield _swap_finding(subject, name, draws)
        else:
            yield _swap_words(kind, subject, name, draws)


def _items(subject: Subject, mentions: Sequence[Assertion]) -> list[tuple[int, Item]] | None:
    """(offset of the sentence, noun phrase) of each mention; None where one shares its phrase with another finding."""
    chosen = {(a.start, a.end) for a in mentions}
    found: list[tuple[int, Item]] = []
    for sentence in dict.fromkeys(a.sentence for a in mentions):
        inside = sorted((a for a in subject.assertions if a.sentence == sentence), key=lambda a: (a.start, a.end))
        unique = list({(a.start, a.end): a for a in inside}.values())
        spans = []
        for assertion in unique:
            start, end = statement_span(assertion)
            doomed = (assertion.start, assertion.end) in chosen
            spans.append(SpanMention(start - sentence[0], end - sentence[0], doomed))
        items = noun_phrases(words_of(subject.text[sentence[0] : sentence[1]]), spans)
        if items is None:
            return None
        found += [(sentence[0], item) for item in items if item.doomed]
    return found


def _swap_words(kind: str, subject: Subject, finding: str, draws: Draws) -> Attempt:
    """Exchange side or severity words in the noun phrases (for adverbs: the sentences) of all mentions."""
    mentions = subject.of(finding, *_ASSERTED)
    items = _items(subject, mentions)
    if items is None:
        return Attempt(kind, finding, None, "the statement is shared with another finding")
    spans: list[tuple[int, int, str]] = []
    for offset, item in items:
        phrase = subject.text[offset + item.start : offset + item.end]
        if kind == "swap_side" and _ONE_SIDED.search(phrase):
            return Attempt(kind, finding, None, "the place exists on one side only")
        words = words_of(phrase)
        for number, word in enumerate(words):
            new = _exchange(kind, finding, word.low, draws)
            if new is not None and not (number + 1 < len(words) and _CHANGED.match(words[number + 1].low)):
                start = offset + item.start + word.start
                old = subject.text[start : start + word.end - word.start]
                spans.append((start, start + len(old), _in_case(new, old)))
    if not spans:
        return Attempt(
            kind, finding, None, "the statements name no side" if kind == "swap_side" else "no severity is named"
        )
    return _read_back(kind, subject, finding, spans, mentions)


def _exchange(kind: str, finding: str, word: str, draws: Draws) -> str | None:
    if kind == "swap_side":
        return SIDES.get(word)
    options = SEVERITY_SWAPS.get(word)
    if not options:
        return None
    new = draws.pick(options, kind, word)
    return AS_SIZE.get(new, new) if finding in SIZED else AS_DEGREE.get(new, new)


def _in_case(new: str, old: str) -> str:
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _read_back(
    kind: str, subject: Subject, finding: str, spans: list[tuple[int, int, str]], mentions: Sequence[Assertion]
) -> Attempt:
    edits = merge_spans(subject.text, spans)
    after = Subject(apply_edits(subject.text, edits))
    if after.labels != subject.labels:
        return Attempt(kind, finding, None, "a label changed")
    now = after.of(finding, *_ASSERTED)
    if len(now) != len(mentions) or len(after.assertions) != len(subject.assertions):
        return Attempt(kind, finding, None, "mentions were lost or gained")
    value = (lambda a: a.side) if kind == "swap_side" else (lambda a: a.severity)
    moved = [(value(a), value(b)) for a, b in zip(mentions, now, strict=True)]
    if not any(a != b for a, b in moved) or any(a is not None and a == b and a != "bilateral" for a, b in moved):
        return Attempt(kind, finding, None, "does not read back as exchanged")
    others = [[claim(a) for a in s.assertions if a.finding != finding] for s in (subject, after)]
    if Counter(others[0]) != Counter(others[1]):
        return Attempt(kind, finding, None, "another finding changed")
    return Attempt(kind, finding, _edited(kind, subject, after, finding, spans))


def _edited(
    kind: str, subject: Subject, after: Subject, finding: str, spans: list[tuple[int, int, str]]
) -> EditedReport:
    return EditedReport(
        text=after.text,
        source=subject.text,
        kind=kind,
        finding=finding,
        edits=merge_spans(subject.text, spans),
        template=None,
        labels_before=dict(subject.labels),
        labels_after=dict(after.labels),
    )


_PLACE_BEHIND = re.compile(r"(?i)\s+(?:of|in|at|within)\s+the\s")


def _place_length(mention: str) -> int:
    """Characters of the places and sides that a mention begins with: they stay."""
    words = words_of(mention)
    lead = 0
    while lead < len(words) - 1 and words[lead].low in PLACE_WORDS:
        lead += 1
    return words[lead].start


def _swap_finding(subject: Subject, finding: str, draws: Draws) -> Attempt:
    kind = "swap_finding"
    mentions = subject.of(finding, *_ASSERTED)
    if any(a.rule in anatomy_rules() for a in mentions):
        return Attempt(kind, finding, None, "the finding is told through anatomy")
    options = [o for o in FINDING_SWAPS.get(finding, ()) if subject.labels[o[0]] is LabelState.NOT_MENTIONED]
    if not options:
        return Attempt(kind, finding, None, "no other finding can take its place")
    reason = "does not read back as exchanged"
    for other, singular, plural in draws.order(options, kind, finding):
        spans: list[tuple[int, int, str]] = []
        for start, end in dict.fromkeys((a.start, a.end) for a in mentions):
            start += _place_length(subject.text[start:end])
            old = subject.text[start:end]
            if tail := _PLACE_BEHIND.search(old):  # "collapse of the right lower lobe"
                end, old = start + tail.start(), old[: tail.start()]
            new = singular if is_singular(old) else plural
            spans.append((start, end, _in_case(new, old.split()[0])))
            article = re.search(r"(?i)\b(an?)\s+$", subject.text[:start])
            if article:
                wanted = "an" if new[0] in "aeiou" else "a"
                spans.append((article.start(1), article.end(1), _in_case(wanted, article.group(1))))
        edits = merge_spans(subject.text, spans)
        after = Subject(apply_edits(subject.text, edits))
        if after.labels[finding] in _ASSERTED or after.labels[other] is not subject.labels[finding]:
            continue
        if unentailed_change(subject.labels, after.labels, {finding}, {other}):
            reason = "another label changed"
            continue
        return Attempt(kind, finding, _edited(kind, subject, after, finding, spans))
    return Attempt(kind, finding, None, reason)
