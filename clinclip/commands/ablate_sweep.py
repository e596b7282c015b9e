"""How the gain of rows moves along one knob of the phantom studies."""

from __future__ import annotations

import json
from dataclasses import replace

from clinclip.commands import ablate_judge, ablate_runs, ablate_table
from clinclip.commands.ablate_runs import Plan
from clinclip.errors import ConfigError
from clinclip.evaluation.tables import EN_DASH


def parse_sweep(text: str) -> tuple[str, tuple[str, ...]]:
    """``NAME=V1,V2`` -> name and values.

    Raises:
        ConfigError: another form.
    """
    name, _, values = text.partition("=")
    found = tuple(v.strip() for v in values.split(",") if v.strip())
    if not name or len(found) < 2:
        raise ConfigError(
            f"--sweep {text}: NAME=V1,V2,... with a knob of `clinclip phantom knobs` and two values or more"
        )
    return name, found


def sweep(plan: Plan, knob: str, values: tuple[str, ...], jobs: int, threads: int) -> str:
    """Run the plan at every value of a knob; returns and writes a table of the rows' gains over the first one."""
    lines: list[str] = []
    record = {}
    for value in values:
        here = replace(plan, out=plan.out / f"{knob}-{value}", knobs=(*plan.knobs, f"{knob}={value}"))
        print(f"\n{knob}={value}", flush=True)
        ablate_runs.run(here, jobs, threads)
        results = {row: [ablate_judge.read(here.results(row, seed)) for seed in here.seeds] for row in here.rows}
        columns, table = ablate_table.build(results, ablate_runs.prevalence(here.data))
        shown = [
            m for m in columns if m.name in ("report_vs_negation", "report_vs_omitted", "auroc_common", "label_f1")
        ]
        if not lines:
            titles = [f"{m.title} ({row})" for m in shown for row in here.rows]
            lines = [f"| {knob} | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
        cells = [_cell(table[row][m.name]) for m in shown for row in here.rows]
        lines.append(f"| {value} | {' | '.join(cells)} |")
        record[value] = ablate_table.as_json(columns, table, results)
    text = "\n".join(lines)
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / f"sweep-{knob}.md").write_text(text + "\n", encoding="utf-8")
    (plan.out / f"sweep-{knob}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return "\n" + text


def _cell(found: ablate_table.Cell) -> str:
    if found.difference is None:
        return f"{found.mean:.3f}"
    gain, low, high = found.difference
    return f"{found.mean:.3f} ({gain:+.3f}, {low:+.3f} {EN_DASH} {high:+.3f})"
