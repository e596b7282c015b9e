"""The figures of an ablation: rows by metrics with intervals, and validation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clinclip.commands.ablate.judge import run_folder
from clinclip.evaluation.comparison import Cell
from clinclip.evaluation.result import Headline
from clinclip.files import write_bytes

#: logged metric -> heading
CURVES = {
    "val/align/report_vs_negation": "report > negation (validation)",
    "val/zero_shot/auroc_macro": "zero-shot AUROC (validation)",
    "val/retrieval/i2t_r10": "image to report R@10 (validation)",
}


def draw(out: Path, seeds: Sequence[int], columns: Sequence[Headline], table: Mapping[str, Mapping[str, Cell]]) -> None:
    """Write ``ablation.png`` and, where the runs have logged them, ``curves.png`` into ``out``."""
    from clinclip.evaluation.figures import curves_by_row, rows_by_metrics

    cells = {row: [(c.mean, c.low, c.high) for c in (own[h.name] for h in columns)] for row, own in table.items()}
    write_bytes(out / "ablation.png", rows_by_metrics([h.title for h in columns], cells))
    panels = {
        title: {row: line for row in table if (line := curve(out, row, seeds, tag)) is not None}
        for tag, title in CURVES.items()
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    if panels:
        write_bytes(out / "curves.png", curves_by_row(panels))


def curve(out: Path, row: str, seeds: Sequence[int], tag: str) -> tuple[list[float], list[float]] | None:
    """Epochs and the mean over seeds of a logged metric; None where a seed has not logged it."""
    runs = [scalars(run_folder(out, row, seed) / "logs", tag) for seed in seeds]
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
