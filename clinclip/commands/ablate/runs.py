"""The runs of an ablation: data made once, then every row and seed trained and judged, some at a time, resumable."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinclip.commands.ablate.judge import judge, result_file, run_folder
from clinclip.commands.steps import StepError, call, placed, step
from clinclip.files import config_file, write_text
from clinclip.workers import worker_pool

#: row -> what it adds; the order of the table
ROWS: dict[str, str] = {
    "baseline": "plain CLIP",
    "soft_text": "soft labels: text",
    "soft_text_clinical": "soft labels: text, clinical",
    "negation": "negated reports",
    "negation_soft_text_clinical": "negated reports; soft labels: text, clinical",
    "graph": "graph stream; soft labels: graph",
    "graph_onehot": "graph stream",
    "graph_soft_all": "graph stream; soft labels: text, clinical, graph",
    "full": "negated reports; graph stream; soft labels: text, clinical, graph",
}


@dataclass(frozen=True)
class Plan:
    """What an ablation runs.

    Attributes:
        out: folder of everything.
        rows: keys of :data:`ROWS`.
        seeds: of the training; the data keep theirs.
        site: name of a file in ``configs/site``.
        manifest: a prepared manifest; None makes phantom studies.
        studies: phantom studies to make.
        data_seed: their seed.
        knobs: phantom knobs that depart from the defaults, ``NAME=VALUE``.
        options: further options of ``clinclip fit``, without the leading dashes.
        resamples: of the intervals.
        split: of the manifest that is judged.
    """

    out: Path
    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    site: str = "phantom"
    manifest: Path | None = None
    studies: int = 4000
    data_seed: int = 0
    knobs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    resamples: int = 1000
    split: str = "test"

    @property
    def data(self) -> Path:
        """The manifest's folder."""
        return self.out / "manifest" if self.manifest is None else self.manifest

    def fit(self, row: str, seed: int, spare: bool) -> tuple[str, ...]:
        """The training's command; ``spare``: no process of its own loads data."""
        return (
            *("fit", "--config", str(config_file(f"site/{self.site}.yaml"))),
            *("--config", str(config_file(f"rows/{row}.yaml"))),
            f"--seed_everything={seed}",
            f"--data.seed={seed}",
            *placed(run_folder(self.out, row, seed), "logs", self.data),
            "--trainer.enable_progress_bar=false",
            *(("--data.num_workers=0",) if spare else ()),
            *(f"--{option}" for option in self.options),
        )


def cores() -> int:
    """How many runs fit beside each other: tiny towers gain nothing from a second thread."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_data(plan: Plan) -> None:
    """Generate and prepare phantom studies, unless a manifest was given or they are there."""
    if plan.manifest is not None:
        return
    files = plan.out / "download"
    options = {"studies": plan.studies, "seed": plan.data_seed, "knobs": plan.knobs}

    def work(again: bool) -> None:
        size = ("--studies", str(plan.studies), "--seed", str(plan.data_seed))
        knobs = (part for knob in plan.knobs for part in ("--knob", knob))
        target = ("--out", str(plan.data), "--image-size", "112")
        log = plan.out / "log" / "data.log"
        print(f"generate and prepare phantom studies ({log})", flush=True)
        with _into(log):
            call("phantom", "mimic-cxr", "--out", str(files), *size, *knobs, show=True)
            call("prepare", "mimic-cxr", "--images", str(files), *target, show=True)

    step(plan.out / "data.json", options, plan.data / "header.json", work, (files, plan.data))


def run(plan: Plan, jobs: int) -> None:
    """Carry out what is not done yet, ``jobs`` runs at a time; seed by seed, so that a table stands early."""
    make_data(plan)
    todo = [(row, seed) for seed in plan.seeds for row in plan.rows]
    jobs = min(jobs, len(todo))
    # runs beside each other fill the cores: loading in processes of their own would only take turns
    spare = plan.site == "phantom" and 2 * jobs > cores()
    started, fresh = time.monotonic(), 0
    for done, (row, seed, worked) in enumerate(_each(plan, todo, jobs, spare), start=1):
        fresh += worked
        left = (len(todo) - done) * (time.monotonic() - started) / 60 / max(fresh, 1)
        rest = f"; about {left:.0f} min left" if worked and done < len(todo) else ""
        print(f"[{done}/{len(todo)}] {row}, seed {seed}" + (rest if worked else ": done before"), flush=True)


def _each(plan: Plan, todo: list[tuple[str, int]], jobs: int, spare: bool) -> Iterator[tuple[str, int, bool]]:
    """Row, seed and whether it ran, as they finish."""
    if jobs == 1:
        for row, seed in todo:
            yield row, seed, run_one(plan, row, seed, spare)
        return
    with worker_pool(jobs) as pool:
        waiting = {pool.submit(run_one, plan, row, seed, spare): (row, seed) for row, seed in todo}
        try:
            for future in as_completed(waiting):
                yield *waiting[future], future.result()
        except BrokenProcessPool:
            raise StepError("a run's process was killed (out of memory?); see the logs, and use fewer --jobs") from None
        except BaseException:
            # what is finished stays; a training that is cut off goes on from its last checkpoint
            for child in multiprocessing.active_children():
                child.kill()
            raise


def run_one(plan: Plan, row: str, seed: int, spare: bool) -> bool:
    """Train, then judge the last checkpoint (no choice by a metric: no row gains from a lucky epoch).

    Returns:
        False if both were finished before.
    """
    from clinclip.data.manifest import Manifest

    folder = run_folder(plan.out, row, seed)
    trained, checkpoint = folder / "trained", folder / "logs" / "checkpoints" / "last.ckpt"
    data = Manifest.load(plan.data).hash
    fitted: dict[str, Any] = {"row": row, "seed": seed, "site": plan.site, "options": plan.options, "data": data}
    judged = {"fit": fitted, "split": plan.split, "resamples": plan.resamples}

    def fit(again: bool) -> None:
        import torch

        torch.set_num_threads(1)
        resume = (f"--ckpt_path={checkpoint}",) if again and checkpoint.is_file() else ()
        with _into(plan.out / "log" / f"{row}-seed{seed}.log"):
            call(*plan.fit(row, seed, spare), *resume, show=True)
        write_text(trained, "finished\n")

    ran = step(folder.with_name(f"{folder.name}.json"), fitted, trained, fit, (folder,))
    result = result_file(plan.out, row, seed)
    return ran | step(
        folder / "judged.json",
        judged,
        result,
        lambda _: judge(checkpoint, plan.data, result, plan.split, plan.resamples),
    )


@contextmanager
def _into(log: Path) -> Iterator[None]:
    """What a command prints, and what Lightning logs, goes into a file."""
    import clinclip.cli  # noqa: F401  # Lightning makes its handler when it is imported, for the stream of that moment

    log.parent.mkdir(parents=True, exist_ok=True)
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    handlers = [h for logger in loggers for h in logger.handlers if isinstance(h, logging.StreamHandler)]
    with log.open("a", encoding="utf-8") as stream, redirect_stdout(stream), redirect_stderr(stream):
        before = [handler.setStream(stream) for handler in handlers]
        try:
            yield
        except StepError as error:
            raise StepError(f"{error}; its output is in {log}") from error
        finally:
            for handler, old in zip(handlers, before, strict=True):
                if old is not None:
                    handler.setStream(old)
