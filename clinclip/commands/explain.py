"""``clinclip explain``: show mentions, cues and their reach, in colour, for users who disagree."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinclip.text.reading.tracing import SentenceTrace

_COLOUR = {"present": "32", "absent": "31", "uncertain": "33"}
_SIGN = {"present": "+", "absent": "-", "uncertain": "?"}


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="clinclip explain",
        description="Show what clinclip reads in a report or sentence: each mention with its state (green: present, "
        "red: absent, yellow: uncertain), the cue that decided it (underlined), the rule, and how far each cue "
        "reaches.",
    )
    p.add_argument("report", nargs="?", default=None, help="the text itself; '-' or nothing reads standard input")
    p.add_argument("--text", type=Path, default=None, metavar="FILE", help="read the text from a file")
    p.add_argument("--phrase", default=None, help="explain the state of this phrase instead of the chest findings")
    p.add_argument("--json", action="store_true", help="machine-readable output")
    p.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: in a terminal, unless NO_COLOR is set",
    )
    return p


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    from clinclip.errors import ConfigError, ReportTextError
    from clinclip.text.labels import label_report
    from clinclip.text.reading.tracing import trace

    if args.report not in {None, "-"} and args.text is not None:
        raise ConfigError("give the text as an argument or with --text FILE, not both")
    if args.text is not None:
        try:
            report = args.text.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ReportTextError(f"--text {args.text}: {error.strerror}") from error
    elif args.report in {None, "-"}:
        report = sys.stdin.read()
    else:
        report = args.report
    traces = trace(report, args.phrase)
    labels = {} if args.phrase else {k: str(v) for k, v in label_report(report).items() if v != "not_mentioned"}
    if args.json:
        print(json.dumps({"sentences": [asdict(t) for t in traces], "labels": labels}, indent=2))
        return 0
    colour = args.color == "always" or (
        args.color == "auto"
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
    for sentence in traces:
        print("\n".join(render(report, sentence, colour)))
    if args.phrase and not any(t.assertions for t in traces):
        print(f"{args.phrase!r} does not occur in the text")
    if labels:
        print("\nlabels")
        width = max(map(len, labels))
        for name, state in labels.items():
            print(f"  {name:<{width}}  {_paint(state, _COLOUR[state], colour)}")
    return 0


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def render(report: str, sentence: SentenceTrace, colour: bool) -> list[str]:
    """The lines that show one sentence."""
    marks: dict[int, tuple[int, str, str]] = {}
    for a in sentence.assertions:
        marks[a.start] = (a.end, _COLOUR[a.state] + ";1", _SIGN[a.state])
        if a.cue_start is not None and a.cue_end is not None:
            marks.setdefault(a.cue_start, (a.cue_end, "4", ""))
    shown, at = "", sentence.start
    for start in sorted(marks):
        if start < at:
            continue
        end, code, sign = marks[start]
        words = report[start:end]
        plain = f"[{sign}{words}]" if sign else f"<{words}>"
        shown += report[at:start] + (_paint(words, code, True) if colour else plain)
        at = end
    shown += report[at : sentence.end]
    lines = [" ".join(shown.split())]
    if sentence.role != "reading":
        lines[0] += f"   ({sentence.role} section)"
    for a in sentence.assertions:
        name = f"{a.finding}: {a.concept}" if a.finding and a.finding.lower() != a.concept else a.finding or a.concept
        more = [x for x in (a.side, ", ".join(a.locations), a.severity, a.change) if x]
        why = f"rule {a.rule}" + (f", cue {' '.join(a.cue.split())!r}" if a.cue else "")
        detail = f" ({'; '.join(more)})" if more else ""
        lines.append(f"  {_paint(f'{a.state:<9}', _COLOUR[a.state], colour)} {name}{detail}   {why}")
    for c in sentence.cues:
        reach = " ".join(report[c.reach[0] : c.reach[1]].split())
        if reach:
            lines.append(f"  cue {' '.join(c.text.split())!r} ({c.state}, {c.rule}) reaches: {reach}")
    return lines
