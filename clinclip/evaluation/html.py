"""``report.html``: one self-contained file, no script, no network, readable on paper too."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import clinclip
from clinclip.evaluation import figures
from clinclip.evaluation.report import DISCLAIMER, facts, summary
from clinclip.evaluation.result import Result
from clinclip.evaluation.tables import Style, Table, number
from clinclip.metrics.intervals import Interval

TEMPLATES = Path(__file__).parent / "templates"


def _interval(cell: Interval, style: Style) -> str:
    if math.isnan(cell.low) or math.isnan(cell.value):
        return ""
    return f"{number(cell.low, style)} to {number(cell.high, style)}"


def _td(cell: Interval, style: Style, count_undefined: bool) -> str:
    inner = number(cell.value, style)
    between = _interval(cell, style)
    if between:
        inner += f"<small>{between}</small>"
    if count_undefined and cell.undefined and between:
        inner += f'<span class="note">not in {cell.undefined:,} resamples</span>'
    kind = ""
    if style.sign and not math.isnan(cell.low) and (cell.low > 0 or cell.high < 0):
        kind = ' class="apart"'
    return f"<td{kind}>{inner}</td>"


def _table(table: Table) -> str:
    counts = list(dict.fromkeys(name for row in table.rows for name in row.counts))
    titles = [f"{c} (%)" if c in table.percent else c for c in table.columns]
    head = "".join(f"<th>{escape(t)}</th>" for t in ["", *counts, *titles])
    body = []
    for row in table.rows:
        mean = row.label.startswith(("macro", "mean", "all items"))
        # said once a row where it holds for all of its numbers
        missing = {cell.undefined for cell in row.cells.values() if not math.isnan(cell.low)}
        together = len(missing) == 1
        remarks = [row.note] if row.note else []
        if together and max(missing):
            remarks.append(f"not in {max(missing):,} resamples")
        note = "".join(f'<span class="note">{escape(remark)}</span>' for remark in remarks)
        cells = [f"<td>{escape(row.label)}{note}</td>"]
        cells += [f'<td class="count">{row.counts[c]:,}</td>' if c in row.counts else "<td></td>" for c in counts]
        cells += [_td(row.cells[c], table.style(c), not together) for c in table.columns]
        body.append(f"<tr{' class=mean' if mean else ''}>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _section(title: str, about: str, *parts: str) -> str:
    content = "".join(p for p in parts if p)
    return f"<section><h2>{escape(title)}</h2><p>{escape(about)}</p>{content}</section>" if content else ""


def _cards(result: Result) -> str:
    cards = []
    first = result.models[0]
    for headline in first.outcome.headlines:
        title, style, cell = headline.title, first.style(headline), first.cell(headline)
        unit = " %" if style.percent else ""
        second = ""
        if len(result.models) > 1:
            other = result.models[1].cell(headline)
            second = f'<div class="second"><b>{number(other.value, style)}{unit}</b></div>'
        cards.append(
            f'<div class="card"><span>{escape(title)}</span><b>{number(cell.value, style)}{unit}</b>'
            f"<span>{_interval(cell, style)}</span>{second}</div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _key(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    items = [f'<span class="key" style="background:{c}"></span>{escape(n)}' for c, n in zip(figures.COLOURS, names)]  # noqa: B905
    return f"<p>{' &nbsp; '.join(items)}</p>"


def _figures(result: Result, names: list[str]) -> str:
    tables = {t.key: [m.tables[i] for m in result.models] for i, t in enumerate(result.models[0].tables)}
    drawn = result.task.draw(tables, [m.outcome.figures for m in result.models], names)
    return "".join(_section(d.title, d.about, d.svg) for d in drawn)


def _examples(result: Result) -> str:
    if not result.models[0].outcome.examples:
        return ""
    items = []
    for example in result.models[0].outcome.examples:
        picture = base64.b64encode(example.png).decode()
        lines = "".join(
            f'<p class="{"true" if true else "other"}"><b>{escape(label)}</b> ({score:.3f})<br>{escape(text)}</p>'
            for label, text, score, true in example.lines
        )
        image = f'<img alt="radiograph" src="data:image/png;base64,{picture}">' if picture else ""
        items.append(f'<div class="example">{image}<p><b>{escape(example.title)}</b></p>{lines}</div>')
    about = "Patient data, shown because --show-patients was given. Do not pass this file on."
    return _section("Examples", about, f'<div class="examples">{"".join(items)}</div>')


def _warnings(result: Result) -> str:
    parts = []
    for m in result.models:
        reasons = escape(" ".join(m.exposure.reasons))
        if m.exposure.status == "exposed":
            parts.append(f'<div class="red">EXPOSED: {escape(m.name)} has seen this test data. {reasons}</div>')
        elif m.exposure.status == "unknown":
            parts.append(f'<div class="amber"><b>Exposure unknown</b> ({escape(m.name)}): {reasons}</div>')
    parts += [f'<div class="amber">{escape(note)}</div>' for note in result.notes]
    return "".join(parts)


def _facts(result: Result) -> str:
    lines = []
    for name, value in facts(result):
        text = escape(value)
        if name.startswith("exposure"):
            status, _, reason = value.partition(": ")
            text = f'<span class="{escape(status)}">{escape(status)}</span> {escape(reason)}'
        lines.append(f"<dt>{escape(name)}</dt><dd>{text}</dd>")
    return _section(
        "What was measured, on what, how",
        result.protocol.about or "Numbers without these lines do not reproduce.",
        f"<dl>{''.join(lines)}</dl>",
    )


def as_html(result: Result) -> str:
    """The report as one HTML page."""
    names = [m.name for m in result.models]
    if len(names) > 1:
        names = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=False)]
    lines = "".join(f"<p>{escape(line)}</p>" for line in (*summary(result), result.interval_note))
    body = [
        f"<header><h1>{escape(result.task.title)}</h1>{lines}</header>",
        _key(names),
        _warnings(result),
        _cards(result),
    ]
    first = result.models[0].tables[0]
    if len(names) == 1:
        body.append(_section(first.title, first.about, _table(first)))
        body.append(_figures(result, names))
        body += [_section(t.title, t.about, _table(t)) for t in result.models[0].tables[1:]]
    else:
        about = "First minus second, paired intervals; shaded where the interval leaves out zero."
        body += [_section(f"{t.title} (A minus B)", about, _table(t)) for t in result.differences]
        body.append(_figures(result, names))
        for name, model in zip(names, result.models, strict=True):
            body += [_section(f"{t.title} ({name})", t.about, _table(t)) for t in model.tables]
    body += [_examples(result), _facts(result)]
    body.append(f"<footer>clinclip {clinclip.__version__}. {DISCLAIMER}</footer>")
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(result.task.title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )
