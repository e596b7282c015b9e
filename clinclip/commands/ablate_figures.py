"""The figures of an ablation: rows by metrics with intervals, and validation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clinclip.commands.ablate_runs import Plan
from clinclip.commands.ablate_table import Cell, Metric

#: logged metric -> heading
CURVES = {
    "val/align/report_vs_negation": "report > negation (validation)",
    "val/zero_shot/auroc_macro": "zero-shot AUROC (validation)",
    "val/retrieval/i2t_r10": "image to report R@10 (validation)",
}


def draw(plan: Plan, columns: Sequence[Metric], table: Mapping[str, Mapping[str, Cell]]) -> list[Path]:
    """Write ``ablation.png`` and ``curves.png`` into the plan's folder; returns what was written."""
    from clinclip.evaluation.figures import curves_by_row, rows_by_metrics

    titles = [m.title for m in columns]
    cells = {row: [(c.mean, c.low, c.high) for c in (own[m.name] for m in columns)] for row, own in table.items()}
    figures = {"ablation.png": rows_by_metrics(titles, cells)}
    panels = {}
    for tag, title in CURVES.items():
        lines = {row: line for row in plan.rows if (line := curve(plan, row, tag)) is not None}
        if lines:
            panels[title] = lines
    if panels:
        figures["curves.png"] = curves_by_row(panels)
    for name, content in figures.items():
        (plan.out / name).write_bytes(content)
    return [plan.out / name for name in figures]


def curve(plan: Plan, row: str, tag: str) -> tuple[list[float], list[float]] | None:
    """Epochs and the mean over seeds of a logged metric; None where a seed has not logged it."""
    runs = [scalars(plan.folder(row, seed) / "logs", tag) for seed in plan.seeds]
    if not runs or len({len(r) for r in runs}) > 1 or not runs[0]:
        return None
    return [float(i + 1) for i in range(len(runs[0]))], np.mean(runs, axis=0).tolist()


def scalars(folder: Path, tag: str) -> list[float]:
    """All values of a tag in a TensorBoard folder, in order of their steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return []
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    if tag not in events.Tags()["scalars"]:
        return []
    # a resumed run writes a step twice; the later one counts
    by_step = {event.step: event.value for event in events.Scalars(tag)}
    return [by_step[step] for step in sorted(by_step)]
