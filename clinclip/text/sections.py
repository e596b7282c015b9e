"""Sections of a report: the official MIMIC-CXR parser's behaviour, study-level text policies, and a lenient reader.

:func:`split_sections` behaves as the section parser published with MIMIC-CXR, quirks included, because the text of a
study decides what a model sees and every published MIMIC-CXR number rests on that parser. Its rules, in words:

- A header is a newline, exactly one blank, then capitals, blanks and ``()/,-`` up to a colon, then white space. Headers
  in column 0, in mixed case or with a digit are not headers. Without any header the whole is ``full report``.
- After a header the search for the next one starts behind the next newline, so ``FINDINGS:`` directly followed by a
  newline and `` IMPRESSION:`` swallows the impression, while ``FINDINGS: `` with a trailing blank does not.
- Titles are normalised: those with "impression", "findings", "history", "comparison" or "addendum" to that word,
  CONCLUSION and FINDINGS/IMPRESSION to impression, titles that describe views ("CHEST, PORTABLE") to findings.
- Empty findings and impression sections are dropped. If neither is left, the last section's text behind its first
  empty line (newline, blank, newline) becomes ``last_paragraph``.
- The text of a study is its *last* impression, else findings, else last paragraph, else comparison.

The parser's rules for 54 single studies are not part of clinclip: see :class:`StudyRules`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from clinclip.errors import ConfigError, ReportTextError

_HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
_EMPTY_LINE = "\n \n"
#: whole titles -> section name: other words for a section, and the typing errors that occur
_ALIASES: dict[str, str] = {
    alias: name
    for name, aliases in {
        "impression": "conclusion|impresson|imprression|imoression|impressoin|imprssion|impresion|imperssion|mpression|"
        "impession|ndication|findings/ impression",
        "findings": "finding|findins|findindgs|findgings|findngs|findnings|finidngs|chest, two views",
        "comparison": "comparisons|comparision|reference exam",
        "indication": "reason for examination|reason for exam|clinical indication|idication|reason for the examination",
        "history": "clinical history|clinical information|patient history|pfi",
        "examination": "exam|type of examination",
        "recommendations": "recommendation(s)|recommendation",
        "wet read": "wetread",
    }.items()
    for alias in aliases.split("|")
}
_MAIN = ("impression", "findings", "history", "comparison", "addendum")
#: parts of titles that describe the views taken: what follows is the findings
_VIEWS = (
    "chest", "portable", "pa and lateral", "lateral and pa", "ap and lateral", "lateral and ap", "frontal and",
    "two views", "frontal view", "pa view", "ap view", "one view", "lateral view", "bone window", "frontal upright",
    "frontal semi-upright", "ribs", "pa and lat",
)  # fmt: skip
#: the order in which a section becomes the text of a study
OFFICIAL_ORDER = ("impression", "findings", "last_paragraph", "comparison")


@dataclass(frozen=True)
class StudyRules:
    """Hand-made rules for single studies, from a file that the user supplies.

    Attributes:
        sections: study id ("s50000001") -> name of the section that is its text.
        ranges: study id -> (start, end) of its text in the report; (0, 0) means that it has none.
    """

    sections: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> StudyRules:
        """Read ``{"sections": {study: title}, "ranges": {study: [start, end]}}``.

        Raises:
            ReportTextError: the file is not of that form; the message names the entry.
        """
        try:
            raw = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ReportTextError(f"section rules {path}: {error}") from error
        if not isinstance(raw, dict) or not set(raw) <= {"sections", "ranges"}:
            raise ReportTextError(f"section rules {path}: expected an object with the keys 'sections' and 'ranges'")
        sections, ranges = raw.get("sections", {}), raw.get("ranges", {})
        for study, name in sections.items():
            if not isinstance(name, str):
                raise ReportTextError(f"section rules {path}: sections[{study!r}] is {name!r}, not a section name")
        for study, pair in ranges.items():
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, int) and x >= 0 for x in pair)):
                raise ReportTextError(f"section rules {path}: ranges[{study!r}] is {pair!r}, not [start, end]")
        return cls(sections, {study: (pair[0], pair[1]) for study, pair in ranges.items()})


def _study_key(study_id: str) -> str:
    return study_id if study_id.startswith("s") else f"s{study_id}"


def _canonical_title(title: str) -> str:
    name = title.strip()
    if name in _ALIASES:
        return _ALIASES[name]
    for main in _MAIN:
        if main in name:
            return main
    if any(view in name for view in _VIEWS):
        return "findings"
    return name


def section_list(report: str) -> list[tuple[str, str]]:
    """(name, text) of every section in order, as the official parser returns them (texts not stripped)."""
    names: list[str] = []
    texts: list[str] = []
    match = _HEADER.search(report)
    if match is None:
        names, texts = ["full report"], [report]
    else:
        names, texts = ["preamble"], [report[: match.start(1)]]
        while match is not None:
            start = match.end()
            newline = report.find("\n", start)
            following = _HEADER.search(report, newline if newline >= 0 else start)
            names.append(_canonical_title(match.group(1).lower()))
            texts.append(report[start : following.start() if following else len(report)])
            match = following
    kept = [(n, t) for n, t in zip(names, texts, strict=True) if n not in {"impression", "findings"} or t.strip()]
    if kept and not any(n in {"impression", "findings"} for n, _ in kept):
        name, text = kept[-1]
        if _EMPTY_LINE in text:
            head, tail = text.split(_EMPTY_LINE, 1)
            kept[-1:] = [(name, head), ("last_paragraph", tail)]
    return kept


def split_sections(report: str, study_id: str | None = None, rules: StudyRules | None = None) -> dict[str, str]:
    """The sections of a report by the official MIMIC-CXR parser's behaviour.

    Args:
        report: the report's text, with either kind of line ends.
        study_id: with or without its leading "s"; needed for ``rules`` only.
        rules: hand-made rules for single studies. A study with a rule gets one entry, its text, named "impression";
            a study with the range (0, 0) gets none.

    Returns:
        Section name -> text without surrounding white space. The last of several sections of one name wins.

    Raises:
        ReportTextError: a rule names a section that the report does not have, or a range beyond its end.
    """
    if rules is not None and study_id is not None:
        key = _study_key(study_id)
        if key in rules.ranges:
            start, end = rules.ranges[key]
            if end > len(report) or start > end:
                raise ReportTextError(
                    f"study {key}: the section rule's range ({start}, {end}) does not fit a report of {len(report)} "
                    "characters; the rules belong to the reports as published"
                )
            text = report[start:end].strip()
            return {"impression": text} if text else {}
        if key in rules.sections:
            wanted = rules.sections[key]
            sections = {name: text.strip() for name, text in section_list(report)}
            if wanted not in sections:
                raise ReportTextError(
                    f"study {key}: the section rule asks for {wanted!r}; found: {', '.join(sections)}"
                )
            return {"impression": sections[wanted]}
    return {name: text.strip() for name, text in section_list(report)}


#: study-level text policies: what a model reads of a study
TEXT_POLICIES: dict[str, str] = {
    "official": "impression, else findings, else last paragraph, else comparison (as mimic_cxr_sectioned.csv users do)",
    "impression": "impression only",
    "findings": "findings only",
    "findings_impression": "findings and impression, else last paragraph, else the full report",
    "longest": "the longer of findings and impression (by characters), else last paragraph",
    "full": "every section except preamble, technique, comparison, history and indication",
}
_NOT_FINDINGS = (
    "preamble", "technique", "comparison", "history", "indication", "reason", "examination", "exam", "clinical",
    "notification", "type of", "date", "procedure",
)  # fmt: skip


def study_text(sections: Mapping[str, str], policy: str = "official") -> str:
    """The text of a study under a named policy (see TEXT_POLICIES); empty when the sections hold none.

    Raises:
        ConfigError: unknown policy.
    """
    get = sections.get
    if policy == "official":
        return next((sections[name] for name in OFFICIAL_ORDER if sections.get(name)), "")
    if policy in {"impression", "findings"}:
        return get(policy) or ""
    if policy == "findings_impression":
        parts = [text for name in ("findings", "impression") if (text := get(name))]
        return "\n\n".join(parts) if parts else (get("last_paragraph") or get("full report") or "")
    if policy == "longest":
        return max(get("findings") or "", get("impression") or "", key=len) or get("last_paragraph") or ""
    if policy == "full":
        return "\n\n".join(t for n, t in sections.items() if t and not n.startswith(_NOT_FINDINGS))
    raise ConfigError(f"sections policy={policy!r} is unknown; allowed: {', '.join(TEXT_POLICIES)} (data.sections)")


#: Titles that a lenient reader knows, in any corpus. Value: what the section says.
#: "reading": what the image shows; "context": why it was taken, what came before; "technique": how.
_TITLES: dict[str, str] = {
    **dict.fromkeys(
        ("findings", "finding", "impression", "impressions", "conclusion", "conclusions", "findings/impression",
         "findings and impression", "interpretation", "report", "result", "results", "opinion", "addendum", "imp",
         "chest x-ray"), "reading"),
    **dict.fromkeys(("wet read", "wetread", "preliminary report", "preliminary read"), "preliminary"),
    **dict.fromkeys(
        ("indication", "indications", "history", "clinical history", "clinical information", "clinical indication",
         "reason for exam", "reason for examination", "reason for study", "reason for this examination", "reason", "hx",
         "clinical data", "patient history", "medical history", "past medical history", "clinical details", "referral",
         "clinical question", "question", "medical condition", "underlying medical condition", "admitting diagnosis",
         "diagnosis", "order", "provided history", "symptoms"), "context"),
    **dict.fromkeys(
        ("technique", "procedure", "examination", "exam", "exam type", "type of examination", "comparison",
         "comparisons", "comparison exam", "comparison film", "views", "view", "date", "study", "notification",
         "reference exam", "recommendation", "recommendations"), "technique"),
}  # fmt: skip
#: a title on a line of its own, in capitals or capitalised
_TITLE_LINE = re.compile(
    r"^[ \t]*(FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|INTERPRETATION|REPORT|HISTORY|INDICATIONS?|TECHNIQUE|COMPARISONS?"
    r"|Findings?|Impressions?|Conclusions?|Interpretation|History|Indications?|Technique|Comparisons?)[ \t]*$",
    re.MULTILINE,
)
#: "PA AND LATERAL VIEWS OF THE CHEST:", "CHEST, PORTABLE AP:": a title that names the views opens the reading
_VIEW_TITLE = re.compile(
    r"(?=.*\b(?:CHEST|VIEWS?|RADIOGRAPHS?)\b)(?:(?:CHEST|PORTABLE|FRONTAL|LATERAL|UPRIGHT|SEMI-?UPRIGHT|"
    r"SUPINE|BEDSIDE|SINGLE|ONE|TWO|PA|AP|VIEWS?|RADIOGRAPHS?|X-?RAYS?|FILMS?|IMAGES?|AND|OF|THE|[0-9])[ ,()/-]*)+"
)
#: "LUNGS:", "LINES/TUBES:": under such titles a body without the title FINDINGS speaks of the image
_ORGAN_TITLE = re.compile(
    r"(?im)^[ \t]*(?:LUNGS?|PLEURA|PLEURAL SPACES?|HEART|CARDIAC|MEDIASTINUM|CARDIOMEDIASTIN\w+|BONES?|OSSEOUS|LINES|"
    r"TUBES|DEVICES|SUPPORT DEVICES)\b[\w ,/&()-]{0,40}:"
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_ENDS_SENTENCE = re.compile(r"[a-z)]\.(?:\s|$)")
_ENDING_TITLES = frozenset({"impression", "impressions", "imp", "conclusion", "conclusions", "opinion"})
_LAST_WORD = re.compile(r"[A-Za-z]+$")
_COLON = re.compile(r"[:;]")
_LONGEST_TITLE = max(map(len, _TITLES)) + 3
_LAST_WORDS = frozenset(title.replace("/", " ").replace("-", " ").split()[-1] for title in _TITLES)


def _title_before(report: str, colon: int, floor: int) -> tuple[int, str] | None:
    """(start, title) of the known title that ends at a colon, or None.

    It begins a line, follows a sentence, or stands in capitals; "FINDINGS 1:" is one, as in the corpora.
    """
    low = max(floor, colon - _LONGEST_TITLE - 20)
    line = report.rfind("\n", low, colon) + 1
    if line > low or low == 0:
        title = report[line:colon].strip(" \t\r").lower()
        if title in _TITLES:
            return line, title
    begin = max(floor, colon - _LONGEST_TITLE)
    chunk = report[begin:colon].rstrip(" \t")
    if chunk[-1:].isdigit():
        chunk = chunk[:-1].rstrip(" \t")
    last = _LAST_WORD.search(chunk)
    start = report.rfind("\n", low, colon) + 1
    head = report[start:colon].strip() if (start or low == 0) and start >= floor else ""
    if head.isupper() and head.lower() not in _TITLES and _VIEW_TITLE.fullmatch(head):
        return start, "findings"
    if last is None or last.group().lower() not in _LAST_WORDS:
        return None
    line = max(chunk.rfind("\n"), chunk.rfind("\r")) + 1
    stop = max(chunk.rfind(". "), chunk.rfind("? "), chunk.rfind("! ")) + 1
    opens = max(line, stop)
    whole = opens > 0 or begin == 0 or report[begin - 1] == "\n"
    title = chunk[opens:].strip()
    if whole and title.lower() in _TITLES and not (stop > line and title.islower()):
        return begin + opens + len(chunk[opens:]) - len(chunk[opens:].lstrip()), title.lower()
    words = title.split()
    for count in range(min(5, len(words)), 0, -1):  # "... since then IMPRESSION: ..."
        tail = " ".join(words[-count:])
        if tail.isupper() and tail.lower() in _TITLES:
            return begin + len(chunk) - len(tail), tail.lower()
    return None


def _is_body(text: str, untitled: bool) -> bool:
    """Whether the text before the first known title describes the image although no title says so."""
    if _ORGAN_TITLE.search(text):
        return True
    return untitled and len(_ENDS_SENTENCE.findall(text)) > 1


def _title_marks(report: str) -> list[tuple[int, int, str]]:
    """(start of title, start of its text, title) of every known title, in order."""
    marks: list[tuple[int, int, str]] = []
    floor = 0
    for match in _COLON.finditer(report):
        title = _title_before(report, match.start(), floor)
        if title is not None:
            marks.append((title[0], match.end(), title[1]))
            floor = match.end()
    marks.extend((m.start(1), m.end(1), m.group(1).lower()) for m in _TITLE_LINE.finditer(report))
    return sorted(marks)


def reading_spans(report: str) -> list[tuple[int, int, str]]:
    """(start, end, role) of the parts of a report of any origin, in order; the titles themselves are left out.

    Role is "reading" (findings, impression, text without a title), "preliminary" (a wet read beside a final reading),
    "context" (history, indication) or "technique" (technique, comparison, recommendation, notification). Text before
    the first known title is "reading", too; where a reading section follows it is a heading, unless it is the body
    itself: sentences before an impression, or paragraphs titled by organ. So is a paragraph between a context section
    and an impression where no findings are titled.
    """
    if ":" not in report and "\n" not in report:
        return [(0, len(report), "reading")]
    marks = _title_marks(report)
    if not marks:
        return [(0, len(report), "reading")]
    spans: list[tuple[int, int, str]] = []
    roles = [_TITLES[title] for _, _, title in marks]
    # only an impression is titled: the body before it is not, and its paragraph may follow a context section
    untitled = {t for _, _, t in marks if _TITLES[t] == "reading"} <= _ENDING_TITLES
    if marks[0][0] > 0:
        heading = "reading" in roles and not _is_body(report[: marks[0][0]], untitled)
        spans.append((0, marks[0][0], "technique" if heading else "reading"))
    for i, (_, end, _) in enumerate(marks):
        until = marks[i + 1][0] if i + 1 < len(marks) else len(report)
        body = None
        if untitled and roles[i] != "reading" and i + 1 < len(marks) and roles[i + 1] == "reading":
            body = _PARAGRAPH.search(report, end, until)
            if body is not None and not _ENDS_SENTENCE.search(report, body.end(), until):
                body = None
        spans.append((end, body.start() if body else until, roles[i]))
        if body is not None:
            spans.append((body.end(), until, "reading"))
    # A last part that is no reading, as in MIMIC-CXR: its text behind the first empty line is the reading.
    start, end, role = spans[-1]
    if role != "reading" and (gap := _PARAGRAPH.search(report[start:end])) is not None:
        spans[-1:] = [(start, start + gap.start(), role), (start + gap.end(), end, "reading")]
    if not any(role == "reading" for _, _, role in spans):  # a preliminary reading counts where there is no final one
        return [(a, b, "reading" if r == "preliminary" else r) for a, b, r in spans]
    return spans


#: words of a title -> name of its section, the first that fits; what is left is named by its role
_NAMES = (
    ("impression", "impression"), ("imp", "impression"), ("conclusion", "impression"), ("opinion", "impression"),
    ("interpretation", "impression"), ("addendum", "addendum"), ("history", "history"), ("hx", "history"),
    ("comparison", "comparison"), ("reference", "comparison"), ("recommendation", "recommendation"),
    ("notification", "notification"),
)  # fmt: skip
#: "FINAL REPORT": what stands above the first title without saying anything
_HEADING = re.compile(r"(?i:(?:final|preliminary|radiology|chest|x-?rays?|report|\W)*)|[A-Z0-9][^a-z.]*")
_NAME_OF_ROLE = {"reading": "findings", "preliminary": "wet read", "context": "indication", "technique": "technique"}


def titled_sections(report: str) -> dict[str, str]:
    r"""The sections of a report of any origin: titles in any column and case, with a colon or on a line alone.

    The counterpart of `split_sections` for corpora that are not MIMIC-CXR, with the same names. Several sections of one
    name are joined. A body without a title is ``findings`` where an impression is titled, else ``last_paragraph``;
    a report without any title is ``full report``.

    Args:
        report: with ``\n`` as line ends.

    Returns:
        Section name -> text without surrounding white space.
    """
    marks = _title_marks(report)
    if not marks:
        return {"full report": report.strip()}
    titles = {end: title for _, end, title in marks}
    names = {end: _section_name(title) for end, title in titles.items()}
    body = "findings" if "impression" in names.values() else "last_paragraph"
    found: dict[str, list[str]] = {}
    for start, end, role in reading_spans(report):
        text = report[start:end].strip()
        untitled = body if role == "reading" and not (start == 0 and _HEADING.fullmatch(text)) else "preamble"
        if text:
            found.setdefault(names.get(start, untitled), []).append(text)
    return {name: "\n\n".join(texts) for name, texts in found.items()}


def _section_name(title: str) -> str:
    known = next((name for part, name in _NAMES if title.startswith(part) or f" {part}" in f" {title}"), None)
    if known is None and "/impression" in title:
        known = "impression"
    return known or _NAME_OF_ROLE[_TITLES[title]]
