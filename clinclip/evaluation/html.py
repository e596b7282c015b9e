"""The pages, by Jinja2 with autoescape: ``report.html`` of an evaluation, and the frame of every other page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clinclip
from clinclip.evaluation.figures import COLOURS
from clinclip.evaluation.report import DISCLAIMER, facts, summary
from clinclip.evaluation.result import Result
from clinclip.evaluation.tables import Style, Table, number
from clinclip.metrics.intervals import Interval

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, title: str, **values: Any) -> str:
    """A page from a template of this package; every value is escaped unless the template says otherwise.

    Args:
        template: file name in ``templates``.
        title: of the page.
        values: what the template names; a name that it uses and that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template(template)
    return page.render(title=title, version=clinclip.__version__, disclaimer=DISCLAIMER, **values)


def encoded(png: bytes) -> str:
    """A picture as it stands in a page."""
    return base64.b64encode(png).decode()


def as_html(result: Result) -> str:
    """The report as one HTML page."""
    models, head = result.models, result.models[0]
    names = [m.name for m in models]
    key: list[tuple[str, str]] = []
    if len(models) > 1:
        names = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=False)]
        key = list(zip(COLOURS, names, strict=False))
    if len(models) == 1:
        first, rest = head.tables[:1], head.tables[1:]
        before, after = [_view(t, t.title) for t in first], [_view(t, t.title) for t in rest]
    else:
        about = "First minus second, paired intervals; shaded where the interval leaves out zero."
        before = [_view(t, f"{t.title} (A minus B)", about) for t in result.differences]
        after = [_view(t, f"{t.title} ({n})") for n, m in zip(names, models, strict=True) for t in m.tables]
    by_key = {t.key: [m.tables[i] for m in models] for i, t in enumerate(head.tables)}
    return render(
        "report.html",
        result.task.title,
        lines=(*summary(result), result.interval_note),
        key=key,
        models=models,
        notes=result.notes,
        cards=_cards(result),
        first=before,
        drawings=result.task.draw(by_key, [m.outcome.figures for m in models], names),
        rest=after,
        examples=[
            {"png": encoded(e.png), "title": e.title, "lines": e.lines} for m in models for e in m.outcome.examples
        ],
        about=result.protocol.about or "Numbers without these lines do not reproduce.",
        facts_of_it=facts(result),
    )


def _between(cell: Interval, style: Style) -> str:
    if math.isnan(cell.low) or math.isnan(cell.value):
        return ""
    return f"{number(cell.low, style)} to {number(cell.high, style)}"


def _cards(result: Result) -> list[dict[str, str]]:
    cards = []
    for headline in result.models[0].outcome.headlines:
        style = result.models[0].style(headline)
        cells = [m.cell(headline) for m in result.models]
        values = [number(cell.value, style) + (" %" if style.percent else "") for cell in cells]
        second = values[1] if len(values) > 1 else ""
        between = _between(cells[0], style)
        cards.append({"title": headline.title, "value": values[0], "between": between, "second": second})
    return cards


def _view(table: Table, title: str, about: str | None = None) -> dict[str, Any]:
    """A table as words: what the template only has to place."""
    counts = list(dict.fromkeys(name for row in table.rows for name in row.counts))
    titles = [f"{c} (%)" if c in table.percent else c for c in table.columns]
    rows = []
    for row in table.rows:
        # said once a row where it holds for all of its numbers
        missing = {cell.undefined for cell in row.cells.values() if not math.isnan(cell.low)}
        together = len(missing) == 1
        notes = [row.note] if row.note else []
        if together and max(missing):
            notes.append(f"not in {max(missing):,} resamples")
        rows.append(
            {
                "label": row.label,
                "mean": row.label.startswith(("macro", "mean", "all items")),
                "notes": notes,
                "counts": [f"{row.counts[c]:,}" if c in row.counts else "" for c in counts],
                "cells": _cells([row.cells[c] for c in table.columns], table, not together),
            }
        )
    return {"title": title, "about": table.about if about is None else about, "heads": [*counts, *titles], "rows": rows}


def _cells(cells: Sequence[Interval], table: Table, count_undefined: bool) -> list[dict[str, Any]]:
    views = []
    for column, cell in zip(table.columns, cells, strict=True):
        style = table.style(column)
        between = _between(cell, style)
        note = f"not in {cell.undefined:,} resamples" if count_undefined and cell.undefined and between else ""
        apart = style.sign and not math.isnan(cell.low) and (cell.low > 0 or cell.high < 0)
        views.append({"value": number(cell.value, style), "between": between, "note": note, "apart": apart})
    return views
