"""Judge one checkpoint by three tasks and keep every bootstrap value, so that rows and seeds can be paired later."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.errors import DataError
from clinclip.evaluation.tables import Measured

#: name of the file in a run's folder
RESULTS = "judged.npz"


@dataclass(frozen=True)
class Judged:
    """All numbers of one checkpoint.

    Attributes:
        index: (task, table, row label, column) -> position.
        point: float64 (C,) the numbers.
        drawn: float32 (R, C) their bootstrap values; the same resamples for every checkpoint of one manifest.
        facts: manifest and protocol hashes, numbers of images and positives.
    """

    index: dict[tuple[str, str, str, str], int]
    point: np.ndarray
    drawn: np.ndarray
    facts: dict[str, Any]

    def columns(self, task: str, table: str, rows: list[str], column: str) -> np.ndarray:
        """Positions of these rows' numbers."""
        try:
            return np.array([self.index[task, table, row, column] for row in rows], dtype=np.int64)
        except KeyError as error:
            raise DataError(f"no number {error.args[0]} among the judged ones") from None


def judge(checkpoint: Path, manifest: Path, out: Path, split: str = "test", resamples: int = 1000) -> None:
    """Measure a checkpoint on a manifest and write :data:`RESULTS` into ``out``, atomically."""
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.run import exposure, make_task
    from clinclip.evaluation.tasks import TASKS
    from clinclip.evaluation.tasks.base import Embedder
    from clinclip.export.checkpoint import load

    opened, embed = Manifest.load(manifest), Embedder(load(str(checkpoint)))
    names: list[tuple[str, str, str, str]] = []
    points, drawn = [], []
    facts: dict[str, Any] = {"manifest": opened.hash, "split": split, "sha256": embed.model.sha256, "positives": {}}
    for kind in (k for k in TASKS if k.ablation):
        task_name, task = kind.name, make_task(kind, opened, split=split, resamples=resamples)
        exposure(task, embed.model).enforce(False)
        measured = task.run(embed, tables=kind.ablation).measured
        found, values, resampled = flat(task_name, measured)
        names += found
        points.append(values)
        drawn.append(resampled)
        facts[task_name] = {
            "protocol": task.protocol.hash(**task.resolved),
            "images": len(task.items.rows),
            "patients": len(np.unique(task.items.patient)),
        }
        if task_name == "zero-shot":
            facts["positives"] = {r.label: r.counts["positives"] for r in measured.table("ranking").rows if r.counts}
        if task_name == "align":
            facts[task_name]["items"] = next(iter(measured.table("align").rows[0].counts.values()))
    out.mkdir(parents=True, exist_ok=True)
    writing = out / "judged.writing.npz"
    np.savez_compressed(
        writing,
        names=np.array(json.dumps(names)),
        facts=np.array(json.dumps(facts)),
        point=np.concatenate(points),
        drawn=np.concatenate(drawn, axis=1).astype(np.float32),
    )
    os.replace(writing, out / RESULTS)


def flat(task: str, measured: Measured) -> tuple[list[tuple[str, str, str, str]], np.ndarray, np.ndarray]:
    """Names, numbers (C,) and bootstrap values (R, C) of all cells, row after row and table after table."""
    names = [(task, t.key, row.label, column) for t in measured.tables for row in t.rows for column in t.columns]
    values = [row.cells[column].value for t in measured.tables for row in t.rows for column in t.columns]
    drawn = np.zeros((0, len(names))) if measured.drawn is None else measured.drawn
    return names, np.array(values, dtype=np.float64), drawn


def read(path: Path) -> Judged:
    """Read what :func:`judge` wrote.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = [tuple(name) for name in json.loads(str(stored["names"]))]
            facts = json.loads(str(stored["facts"]))
            point, drawn = stored["point"], stored["drawn"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: not the result of an ablation run ({error}); delete it and run again") from error
    return Judged({name: i for i, name in enumerate(names)}, point, drawn, facts)  # type: ignore[misc]


def main(arguments: Namespace) -> int:
    """``clinclip ablate judge``: what every run does after its training."""
    judge(arguments.checkpoint, arguments.manifest, arguments.out, arguments.split, arguments.resamples)
    return 0
