"""The outcome of an evaluation, and its three forms: results.json, results.md, report.html.

What was measured never stands alone: protocol, data, checkpoint and exposure travel with it. Nothing here holds a
report text, an image, a path or a patient's id; examples, which do, go only into report.html and when asked for.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clinclip
from clinclip.evaluation.exposure import Exposure
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.tables import Style, Table, interval_text, markdown
from clinclip.metrics.arrays import plain
from clinclip.metrics.intervals import Interval

SCHEMA = 1
TITLES = {
    "zero-shot": "Zero-shot classification",
    "retrieval": "Report retrieval",
    "align": "CXR-Align: negation and completeness",
    "probe": "Linear probe",
}
_PERCENT = Style(percent=True)
#: headline name -> (what it says, how it is printed)
HEADLINES: dict[str, tuple[str, Style]] = {
    "auroc_macro": ("macro AUROC", Style()),
    "auprc_macro": ("macro AUPRC", Style()),
    "i2t_r1": ("image to report R@1", _PERCENT),
    "i2t_r5": ("image to report R@5", _PERCENT),
    "i2t_r10": ("image to report R@10", _PERCENT),
    "i2t_median_rank": ("median rank, image to report", Style(decimals=1)),
    "t2i_r1": ("report to image R@1", _PERCENT),
    "t2i_r5": ("report to image R@5", _PERCENT),
    "t2i_r10": ("report to image R@10", _PERCENT),
    "t2i_median_rank": ("median rank, report to image", Style(decimals=1)),
    "report_vs_negation": ("report > negation", _PERCENT),
    "report_vs_omitted": ("report > omitted", _PERCENT),
    "omitted_vs_negation": ("omitted > negation", _PERCENT),
    "three_way_top1": ("3-way top-1", _PERCENT),
    "full_order": ("full order", _PERCENT),
    "auroc_1": ("AUROC, 1 % of the labels", Style()),
    "auroc_10": ("AUROC, 10 % of the labels", Style()),
    "auroc_100": ("AUROC, all labels", Style()),
}
DISCLAIMER = "Research software; not a medical device."


@dataclass(frozen=True)
class ModelOutcome:
    """One checkpoint's results.

    Attributes:
        name: file or folder name of the checkpoint.
        sha256: of its weights.
        logit_scale: factor of the cosines.
        train: identity of its training data (manifest hashes, clinclip version).
        exposure: overlap with the test data.
        tables: what was measured.
        figures: aggregates to draw.
        headline: short name -> the numbers to quote.
    """

    name: str
    sha256: str
    logit_scale: float
    train: dict[str, Any]
    exposure: Exposure
    tables: tuple[Table, ...]
    figures: dict[str, Any]
    headline: dict[str, Interval]


@dataclass(frozen=True)
class Example:
    """An item for readers who may see patients: a PNG and lines of (label, text, score, is it the true one)."""

    png: bytes
    title: str
    lines: tuple[tuple[str, str, float, bool], ...]


@dataclass(frozen=True)
class Evaluation:
    """Everything that one run of ``clinclip evaluate`` found.

    Attributes:
        task: a key of :data:`TITLES`.
        protocol: how it was measured.
        protocol_hash: hash of the protocol with everything it names.
        data: facts of the test items: data set, manifest hash, split, counts, label source, rule-set version.
        models: one checkpoint, or two that are compared.
        differences: first minus second with paired intervals, empty for one checkpoint.
        notes: what a reader must know.
        examples: only with ``--show-patients``.
    """

    task: str
    protocol: Protocol
    protocol_hash: str
    data: dict[str, Any]
    models: tuple[ModelOutcome, ...]
    differences: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """Heading of the report."""
        return TITLES[self.task]

    @property
    def interval_note(self) -> str:
        """How the intervals were made."""
        p = self.protocol
        if not p.resamples:
            return "No intervals (0 resamples)."
        return (
            f"In brackets: {100 * p.level:g} % intervals, percentile bootstrap over patients, "
            f"{p.resamples:,} resamples, seed {p.seed}; a resample in which a number does not exist is left out of its "
            "interval."
        )


def _cell(cell: Interval) -> dict[str, Any]:
    return {"value": cell.value, "low": cell.low, "high": cell.high, "undefined_resamples": cell.undefined}


def _table(table: Table) -> dict[str, Any]:
    rows = [
        {"label": r.label, "counts": r.counts, "note": r.note, "cells": {c: _cell(v) for c, v in r.cells.items()}}
        for r in table.rows
    ]
    return {"title": table.title, "about": table.about, "columns": list(table.columns), "rows": rows}


def as_json(evaluation: Evaluation) -> str:
    """``results.json``: stable keys for machines; undefined numbers are null."""
    record = {
        "schema": SCHEMA,
        "clinclip": clinclip.__version__,
        "task": evaluation.task,
        "protocol": {
            "name": evaluation.protocol.name,
            "hash": evaluation.protocol_hash,
            "content": evaluation.protocol.content,
        },
        "data": evaluation.data,
        "headline": {k: _cell(v) for k, v in evaluation.models[0].headline.items()},
        "models": [
            {
                "name": m.name,
                "sha256": m.sha256,
                "logit_scale": m.logit_scale,
                "train": m.train,
                "exposure": m.exposure.as_dict(),
                "headline": {k: _cell(v) for k, v in m.headline.items()},
                "tables": {t.key: _table(t) for t in m.tables},
                "figures": m.figures,
            }
            for m in evaluation.models
        ],
        "differences": {t.key: _table(t) for t in evaluation.differences},
        "notes": list(evaluation.notes),
    }
    return json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What stands next to every number, as (name, value) lines."""
    lines = [("protocol", f"{evaluation.protocol.name} (hash {evaluation.protocol_hash})")]
    for key, value in evaluation.data.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        lines.append((key.replace("_", " "), text[:12] if key.endswith("hash") else text))
    for letter, m in zip("AB", evaluation.models, strict=False):
        label = "checkpoint" if len(evaluation.models) == 1 else f"checkpoint {letter}"
        lines.append((label, f"{m.name} (SHA-256 {m.sha256[:12]}, logit scale {m.logit_scale:.1f})"))
        lines.append((label.replace("checkpoint", "exposure"), f"{m.exposure.status}: {' '.join(m.exposure.reasons)}"))
    lines.append(("intervals", evaluation.interval_note))
    return lines


def summary(evaluation: Evaluation) -> list[str]:
    """One line a checkpoint with everything that must stand next to its numbers."""
    data = evaluation.data
    on = (
        f"protocol {evaluation.protocol.name} ({evaluation.protocol_hash}); {data['data_set']}, {data['split']} split, "
        f"{data['images']:,} images of {data['patients']:,} patients (manifest {str(data['manifest_hash'])[:12]})"
    )
    return [f"{m.name} ({m.sha256[:12]}): {on}; exposure {m.exposure.status}" for m in evaluation.models]


def as_markdown(evaluation: Evaluation) -> str:
    """``results.md``: tables to paste into a paper, with everything that must be said beside them."""
    parts = [f"# {evaluation.title}", ""]
    exposed = [m for m in evaluation.models if m.exposure.status == "exposed"]
    for m in exposed:
        parts += [f"**EXPOSED: {m.name} has seen this test data. {' '.join(m.exposure.reasons)}**", ""]
    parts += [f"- {name}: {value}" for name, value in facts(evaluation)]
    parts += [f"- note: {note}" for note in evaluation.notes]
    for letter, m, line in zip("AB", evaluation.models, summary(evaluation), strict=False):
        if len(evaluation.models) > 1:
            parts += ["", f"## {letter}: {m.name}"]
        for table in m.tables:
            parts += ["", f"### {table.title}", "", table.about, "", markdown(table), "", f"*{line}*"]
    if evaluation.differences:
        parts += ["", "## A minus B, paired intervals"]
        for table in evaluation.differences:
            parts += ["", f"### {table.title}", "", markdown(table)]
    return "\n".join([*parts, "", DISCLAIMER, ""])


def as_text(evaluation: Evaluation) -> str:
    """The headline for the terminal, one line a number and model."""
    lines = [f"{evaluation.title}: {evaluation.protocol.name} (hash {evaluation.protocol_hash})"]
    for m in evaluation.models:
        lines.append(f"  {m.name} ({m.sha256[:12]}), exposure: {m.exposure.status}")
        for key, cell in m.headline.items():
            title, style = HEADLINES.get(key, (key, Style()))
            lines.append(f"    {title:<29} {interval_text(cell, style)}{' %' if style.percent else ''}")
    return "\n".join(lines)


def write(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write the three files into ``out``, each atomically; results.json last, so that its presence means complete."""
    from clinclip.evaluation.html import as_html

    out.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.html": as_html(evaluation),
        "results.md": as_markdown(evaluation),
        "results.json": as_json(evaluation),
    }
    paths = []
    for name, content in contents.items():
        handle, temporary = tempfile.mkstemp(dir=out, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, out / name)
        finally:
            Path(temporary).unlink(missing_ok=True)
        paths.append(out / name)
    return paths
