"""Judge one checkpoint by the tasks that the ablation compares, keeping bootstrap values to pair rows by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clinclip.evaluation.comparison import Judged
from clinclip.evaluation.result import Headline


def run_folder(out: Path, row: str, seed: int) -> Path:
    """The folder of one run."""
    return out / "runs" / row / f"seed{seed}"


def result_file(out: Path, row: str, seed: int) -> Path:
    """Where one run's numbers are."""
    return run_folder(out, row, seed) / "judged.npz"


def judge(checkpoint: Path, manifest: Path, result: Path, split: str = "test", resamples: int = 1000) -> None:
    """Measure a checkpoint on a manifest by every task that has tables for the ablation, and write the numbers."""
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.run import exposure, make_task
    from clinclip.evaluation.tasks import TASKS
    from clinclip.evaluation.tasks.base import Embedder
    from clinclip.export.checkpoint import load

    opened, embed = Manifest.load(manifest), Embedder(load(checkpoint))
    columns: list[Headline] = []
    values: list[tuple[float, np.ndarray]] = []
    facts: dict[str, Any] = {"manifest": opened.hash, "split": split, "tasks": {}}
    for kind in (task for task in TASKS if task.ablation):
        task = make_task(kind, opened, split=split, resamples=resamples)
        exposure(task, embed.model).enforce(False)
        measured = task.run(embed, tables=kind.ablation).measured
        found = task.compared(measured)
        columns += found
        values += [measured.mean(c.table, c.rows, c.column) for c in found]
        facts["tasks"][kind.title] = {
            "protocol": task.protocol.hash(**task.resolved),
            "images": len(task.items.rows),
            "patients": len(np.unique(task.items.patient)),
        }
    point, drawn = zip(*values, strict=True)
    Judged(tuple(columns), np.array(point), np.stack(drawn, axis=1), facts).save(result)
