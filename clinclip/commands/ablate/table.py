"""The table of an ablation, printed and written: what `clinclip.evaluation.comparison` computes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.commands.ablate.judge import result_file
from clinclip.commands.ablate.runs import ROWS
from clinclip.evaluation.comparison import Cell, Judged, compare
from clinclip.evaluation.result import Headline
from clinclip.files import write_text


def markdown(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> str:
    """The table in Markdown, and what the numbers are."""
    lines = [f"| row | seeds | {' | '.join(c.title for c in columns)} |", "|---" * (2 + len(columns)) + "|"]
    for row, cells in table.items():
        lines.append(f"| {row} | {len(results[row])} | {' | '.join(cells[c.name].text() for c in columns)} |")
    return "\n".join(lines) + "\n\n" + legend(columns, table, results)


def legend(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> str:
    """What the numbers are."""
    facts = next(iter(results.values()))[0].facts
    data = "; ".join(f"{t}: {f['images']} images of {f['patients']} patients" for t, f in facts["tasks"].items())
    said = " ".join(f"{c.title}: {c.about}." for c in columns if c.about)
    return (
        "Means over seeds; in brackets 95 % intervals, bootstrap over patients of the mean. ▲ ▼: the paired "
        f"interval of the difference to {next(iter(table))} leaves out zero. The {facts['split']} split; {data}. {said}"
    )


def as_json(
    columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]], results: Mapping[str, Sequence[Judged]]
) -> dict[str, Any]:
    """Everything, JSON-able."""
    return {
        "legend": legend(columns, table, results),
        "about": {row: ROWS.get(row, "") for row in table},
        "metrics": {c.name: {"title": c.title, "table": c.table, "rows": c.rows, "column": c.column} for c in columns},
        "rows": {
            row: {
                name: {
                    "mean": c.mean,
                    "low": c.low,
                    "high": c.high,
                    "clear": c.clear,
                    "sd_over_seeds": None if np.isnan(c.spread) else c.spread,
                    "difference": c.difference,
                }
                for name, c in cells.items()
            }
            for row, cells in table.items()
        },
        "seeds": {
            row: [dict(zip((c.name for c in columns), run.point.tolist(), strict=True)) for run in each]
            for row, each in results.items()
        },
        "facts": next(iter(results.values()))[0].facts,
    }


def report(out: Path, rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Write ``ablation.json``, ``ablation.md`` and the figures from the finished runs; returns the Markdown."""
    from clinclip.commands.ablate.figures import draw

    there = {row: [p for seed in seeds if (p := result_file(out, row, seed)).is_file()] for row in rows}
    results = {row: [Judged.read(path) for path in paths] for row, paths in there.items()}
    columns, table = compare(results)
    text = markdown(columns, table, results)
    write_text(out / "ablation.md", text + "\n")
    draw(out, seeds, columns, table)
    write_text(out / "ablation.json", json.dumps(as_json(columns, table, results), indent=2) + "\n")
    return text
