"""The three forms of a result: results.json, results.md, report.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import clinclip
from clinclip.evaluation.result import ModelOutcome, Result
from clinclip.evaluation.tables import Table, interval_text, markdown
from clinclip.files import write_text
from clinclip.metrics.arrays import plain
from clinclip.metrics.intervals import Interval

SCHEMA = 1
DISCLAIMER = "Research software; not a medical device."


def _cell(cell: Interval) -> dict[str, Any]:
    return {"value": cell.value, "low": cell.low, "high": cell.high, "undefined_resamples": cell.undefined}


def _headline(model: ModelOutcome) -> dict[str, Any]:
    return {h.name: {"title": h.title, **_cell(model.cell(h))} for h in model.outcome.headlines}


def _table(table: Table) -> dict[str, Any]:
    rows = [
        {"label": r.label, "counts": r.counts, "note": r.note, "cells": {c: _cell(v) for c, v in r.cells.items()}}
        for r in table.rows
    ]
    return {"title": table.title, "about": table.about, "columns": list(table.columns), "rows": rows}


def as_json(result: Result) -> str:
    """``results.json``: stable keys for machines; undefined numbers are null."""
    record = {
        "schema": SCHEMA,
        "clinclip": clinclip.__version__,
        "task": result.task.name,
        "protocol": {
            "name": result.protocol.name,
            "hash": result.protocol_hash,
            "content": result.protocol.content,
        },
        "data": result.data,
        "headline": _headline(result.models[0]),
        "models": [
            {
                "name": m.name,
                "sha256": m.sha256,
                "logit_scale": m.logit_scale,
                "train": m.train,
                "exposure": m.exposure.as_dict(),
                "headline": _headline(m),
                "tables": {t.key: _table(t) for t in m.tables},
                "figures": m.outcome.figures,
            }
            for m in result.models
        ],
        "differences": {t.key: _table(t) for t in result.differences},
        "notes": list(result.notes),
    }
    return json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def facts(result: Result) -> list[tuple[str, str]]:
    """What stands next to every number, as (name, value) lines."""
    lines = [("protocol", f"{result.protocol.name} (hash {result.protocol_hash})")]
    for key, value in result.data.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        lines.append((key.replace("_", " "), text[:12] if key.endswith("hash") else text))
    for letter, m in zip("AB", result.models, strict=False):
        label = "checkpoint" if len(result.models) == 1 else f"checkpoint {letter}"
        lines.append((label, f"{m.name} (SHA-256 {m.sha256[:12]}, logit scale {m.logit_scale:.1f})"))
        lines.append((label.replace("checkpoint", "exposure"), f"{m.exposure.status}: {' '.join(m.exposure.reasons)}"))
    lines.append(("intervals", result.interval_note))
    return lines


def summary(result: Result) -> list[str]:
    """One line a checkpoint with everything that must stand next to its numbers."""
    data = result.data
    on = (
        f"protocol {result.protocol.name} ({result.protocol_hash}); {data['data_set']}, {data['split']} split, "
        f"{data['images']:,} images of {data['patients']:,} patients (manifest {str(data['manifest_hash'])[:12]})"
    )
    return [f"{m.name} ({m.sha256[:12]}): {on}; exposure {m.exposure.status}" for m in result.models]


def as_markdown(result: Result) -> str:
    """``results.md``: tables to paste into a paper, with everything that must be said beside them."""
    parts = [f"# {result.task.title}", ""]
    exposed = [m for m in result.models if m.exposure.status == "exposed"]
    for m in exposed:
        parts += [f"**EXPOSED: {m.name} has seen this test data. {' '.join(m.exposure.reasons)}**", ""]
    parts += [f"- {name}: {value}" for name, value in facts(result)]
    parts += [f"- note: {note}" for note in result.notes]
    for letter, m, line in zip("AB", result.models, summary(result), strict=False):
        if len(result.models) > 1:
            parts += ["", f"## {letter}: {m.name}"]
        for table in m.tables:
            parts += ["", f"### {table.title}", "", table.about, "", markdown(table), "", f"*{line}*"]
    if result.differences:
        parts += ["", "## A minus B, paired intervals"]
        for table in result.differences:
            parts += ["", f"### {table.title}", "", markdown(table)]
    return "\n".join([*parts, "", DISCLAIMER, ""])


def as_text(result: Result) -> str:
    """The headline for the terminal, one line a number and model."""
    lines = [f"{result.task.title}: {result.protocol.name} (hash {result.protocol_hash})"]
    for m in result.models:
        lines.append(f"  {m.name} ({m.sha256[:12]}), exposure: {m.exposure.status}")
        if m.unlike:
            lines.append(f"    prepared otherwise than its training data: {'; '.join(m.unlike)}")
        for headline in m.outcome.headlines:
            style = m.style(headline)
            text = interval_text(m.cell(headline), style)
            lines.append(f"    {headline.title:<29} {text}{' %' if style.percent else ''}")
    return "\n".join(lines)


def write(result: Result, out: Path) -> list[Path]:
    """Write the three files into ``out``, each atomically; results.json last, so that its presence means complete."""
    from clinclip.evaluation.html import as_html

    contents = {"report.html": as_html(result), "results.md": as_markdown(result), "results.json": as_json(result)}
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]
