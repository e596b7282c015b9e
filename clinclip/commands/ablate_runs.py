"""The runs of an ablation: data made once, then every row and seed trained and judged, some at a time, resumable."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from clinclip.commands.ablate_judge import RESULTS
from clinclip.commands.stages import Stage, StageError, is_done, run_stage
from clinclip.files import config_file

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
        family: ``phantom`` or ``mimic``: which configurations.
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
    family: str = "phantom"
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

    def data_stages(self) -> list[Stage]:
        """Generate and prepare, unless a manifest was given."""
        if self.manifest is not None:
            return []
        files = self.out / "download"
        knobs = [part for knob in self.knobs for part in ("--knob", knob)]
        size = ("--studies", str(self.studies), "--seed", str(self.data_seed))
        phantom = Stage(
            "phantom", "generate phantom studies", ("phantom", "mimic-cxr", "--out", str(files), *size, *knobs)
        )
        command = ("prepare", "mimic-cxr", "--images", str(files), "--out", str(self.data), "--image-size", "112")
        prepare = Stage("prepare", "prepare them", command, depends=phantom.identity, folder=self.data)
        return [phantom, prepare]

    def folder(self, row: str, seed: int) -> Path:
        """The folder of one run."""
        return self.out / "runs" / row / f"seed{seed}"

    def results(self, row: str, seed: int) -> Path:
        """Where one run's numbers are."""
        return self.folder(row, seed) / RESULTS

    def run_stages(self, row: str, seed: int) -> list[Stage]:
        """Train, then judge the last checkpoint (no choice by a metric: no row gains from a lucky epoch)."""
        folder = self.folder(row, seed)
        data = self.data_stages()
        fit = Stage(
            f"{row}-seed{seed}-fit",
            f"train {row}, seed {seed}",
            (
                *("fit", "--config", str(config_file(f"site/{self.family}.yaml"))),
                *("--config", str(config_file(f"rows/{row}.yaml"))),
                f"--data.manifests=['{self.data}']",
                f"--seed_everything={seed}",
                f"--data.seed={seed}",
                f"--trainer.default_root_dir={folder}",
                "--trainer.logger=TensorBoardLogger",
                f"--trainer.logger.save_dir={folder}",
                "--trainer.logger.name=logs",
                "--trainer.logger.version=",
                "--trainer.logger.default_hp_metric=false",
                "--trainer.enable_progress_bar=false",
                *(f"--{option}" for option in self.options),
            ),
            depends=data[-1].identity if data else "",
            resume_from=folder / "logs" / "checkpoints" / "last.ckpt",
            folder=folder,
        )
        judge = Stage(
            f"{row}-seed{seed}-judge",
            f"judge {row}, seed {seed}",
            (
                *("ablate", "judge", "--checkpoint", str(fit.resume_from), "--manifest", str(self.data)),
                *("--out", str(folder), "--split", self.split, "--resamples", str(self.resamples)),
            ),
            depends=fit.identity,
        )
        return [fit, judge]


@dataclass
class Progress:
    """Lines that say what is running, what is done and how long the rest will take."""

    total: int
    jobs: int
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    fresh: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def finished(self, what: str, seconds: float, ran: bool) -> None:
        """One more run is complete."""
        with self._lock:
            self.done += 1
            self.fresh += ran
            line = f"[{self.done}/{self.total}] {what}: " + (f"{seconds / 60:.1f} min" if ran else "done before")
            if self.fresh and self.done < self.total:
                pace = (time.monotonic() - self.started) / self.fresh
                line += f"; about {(self.total - self.done) * pace / 60:.0f} min left"
            print(line, flush=True)


def run(plan: Plan, jobs: int, threads: int) -> None:
    """Carry out everything that is not done yet.

    Raises:
        StageError: a command failed; what was finished stays finished.
        KeyboardInterrupt: the same, on Ctrl-C.
    """
    markers, logs = plan.out / "stages", plan.out / "log"
    for stage in plan.data_stages():
        if not is_done(stage, markers):
            print(f"{stage.title} ({logs / (stage.name + '.log')})", flush=True)
        run_stage(stage, markers, threads=threads, log=logs / f"{stage.name}.log")
    # seed by seed, so that a whole table stands early
    todo = [(row, seed) for seed in plan.seeds for row in plan.rows]
    progress = Progress(len(todo), jobs)
    stop = threading.Event()

    def one(row: str, seed: int) -> None:
        begun, ran = time.monotonic(), False
        for stage in plan.run_stages(row, seed):
            if stop.is_set():
                return
            ran |= run_stage(stage, markers, threads=threads, log=logs / f"{row}-seed{seed}.log")
        progress.finished(f"{row}, seed {seed}", time.monotonic() - begun, ran)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, row, seed) for row, seed in todo]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        failed = next((f.exception() for f in done if f.exception() is not None), None)
        if failed is not None:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(failed, (StageError, KeyboardInterrupt)):
                raise failed
            raise StageError(f"ablation: {failed}") from failed


def default_jobs() -> tuple[int, int]:
    """Runs at once and threads of each: tiny towers gain nothing from a second thread."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores, 1), 1


def prevalence(manifest: Path) -> dict[str, float]:
    """Finding -> share of the training images that have it, by the labels that zero-shot uses."""
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.items import label_codes, label_source, select
    from clinclip.findings import FINDINGS, STATE_CODE, LabelState

    items = select(Manifest.load(manifest), "train")
    codes = label_codes(items, label_source(items.manifest, "auto"))
    return dict(zip(FINDINGS, (codes == STATE_CODE[LabelState.PRESENT]).mean(0).tolist(), strict=True))


def costs(plan: Plan, rows: Sequence[str]) -> dict[str, float]:
    """Row -> mean minutes of training and judging, as far as its logs tell; empty where they do not."""
    found: dict[str, float] = {}
    for row in rows:
        minutes = [m for seed in plan.seeds if (m := _minutes(plan, row, seed)) is not None]
        if minutes:
            found[row] = sum(minutes) / len(minutes)
    return found


def _minutes(plan: Plan, row: str, seed: int) -> float | None:
    """From the first record of a run to its results."""
    results, folder = plan.results(row, seed), plan.folder(row, seed)
    config = folder / "logs" / "config.yaml"
    if not results.is_file() or not config.is_file():
        return None
    return (results.stat().st_mtime - config.stat().st_mtime) / 60
