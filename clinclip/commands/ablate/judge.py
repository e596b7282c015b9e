"""Judge one checkpoint by the tasks that the ablation compares, keeping bootstrap values to pair rows by."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.errors import DataError
from clinclip.evaluation.result import Headline
from clinclip.files import load_arrays, save_arrays


def run_folder(out: Path, row: str, seed: int) -> Path:
    """The folder of one run."""
    return out / "runs" / row / f"seed{seed}"


def result_file(out: Path, row: str, seed: int) -> Path:
    """Where one run's numbers are."""
    return run_folder(out, row, seed) / "judged.npz"


@dataclass(frozen=True)
class Judged:
    """The numbers of one checkpoint.

    Attributes:
        columns: what each of them is.
        point: float64 (C,) the numbers.
        drawn: float32 (R, C) their bootstrap values; the same resamples for every checkpoint of one manifest.
        facts: manifest hash, split, and by task its protocol's hash and how many images of how many patients.
    """

    columns: tuple[Headline, ...]
    point: np.ndarray
    drawn: np.ndarray
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        words = {"columns": [asdict(c) for c in self.columns], "facts": self.facts}
        save_arrays(path, words=np.array(json.dumps(words)), point=self.point, drawn=self.drawn.astype(np.float32))

    @classmethod
    def read(cls, path: Path) -> Judged:
        """Read what :meth:`save` wrote. Raises DataError: it is missing or damaged."""
        try:
            stored = load_arrays(path, "words", "point", "drawn")
            words = json.loads(str(stored["words"]))
            columns = tuple(Headline(**{**c, "rows": tuple(c["rows"])}) for c in words["columns"])
        except (DataError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not the result of an ablation run ({error}); delete it and run again") from error
        return cls(columns, stored["point"], stored["drawn"], words["facts"])


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
