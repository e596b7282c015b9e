"""``clinclip demo``: the whole way on phantom studies, by the commands that a user would type.

generate -> prepare -> train the full method -> evaluate. Interrupted and started again, finished steps are skipped and
training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from clinclip.commands.steps import call, placed, step
from clinclip.files import config_file, write_text

#: side of the generated and of the cached images, in pixels; the configuration trains on 96
DRAWN, CACHED = 192, 112


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="clinclip demo", description="The whole way on phantom studies. Run again, it resumes."
    )
    add = top.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for everything (default: demo)")
    add("--studies", type=int, default=1600, help="phantom studies (default: 1600)")
    add("--epochs", type=int, default=12, help="training epochs (default: 12)")
    add("--seed", type=int, default=0, help="of studies and training (default: 0)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="further fit option (repeatable)")
    return top


def main(argv: list[str]) -> int:
    """Run the demo; returns the exit status."""
    args = parser().parse_args(argv)
    from clinclip.evaluation.tasks import TASKS

    out: Path = args.out
    files, manifest, run = out / "download", out / "manifest", out / "run"
    best, trained = run / "checkpoints" / "best.ckpt", run / "trained"
    tasks = [task for task in TASKS if task.demo]
    started = time.monotonic()

    def prepare(again: bool) -> None:
        size = ("--studies", str(args.studies), "--seed", str(args.seed), "--image-size", str(DRAWN))
        call("phantom", "mimic-cxr", "--out", str(files), *size, show=True)
        target = ("--out", str(manifest), "--image-size", str(CACHED))
        call("prepare", "mimic-cxr", "--images", str(files), *target, show=True)

    def fit(again: bool) -> None:
        last = run / "checkpoints" / "last.ckpt"
        call(
            "fit",
            *("--config", str(config_file("site/phantom.yaml"))),
            *("--config", str(config_file("rows/full.yaml"))),
            *placed(out, "run", manifest),
            f"--seed_everything={args.seed}",
            f"--trainer.max_epochs={args.epochs}",
            *(f"--{option}" for option in args.set),
            *((f"--ckpt_path={last}",) if again and last.is_file() else ()),
            show=True,
        )
        write_text(trained, "finished\n")

    data = {"studies": args.studies, "seed": args.seed}
    training: dict[str, Any] = {"data": data, "epochs": args.epochs, "set": args.set}
    _say(1, 2 + len(tasks), "phantom studies in MIMIC-CXR's layout, and a manifest of them")
    step(out / "data.json", data, manifest / "header.json", prepare, (files, manifest))
    _say(2, 2 + len(tasks), "train with soft labels, twins and graphs")
    step(out / "run.json", training, trained, fit, (run,))
    for number, task in enumerate(tasks, start=3):
        _say(number, 2 + len(tasks), f"evaluate: {task.title}")
        to = out / "evaluation" / task.name
        command = ("evaluate", task.name, "--checkpoint", str(best), "--manifest", str(manifest), "--out", str(to))
        result = to / "results.json"
        step(to.with_suffix(".json"), training, result, lambda _, c=command: call(*c, show=True), (to,))
    minutes = (time.monotonic() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes. These are phantom studies: the numbers show the way, not the worth.\n")
    print(_table(out))
    print(
        f"""
  reports       {", ".join(str(out / "evaluation" / task.name / "report.html") for task in tasks)}
  TensorBoard   tensorboard --logdir {run}
  checkpoint    {best}
  its config    {run / "config.yaml"}
"""
    )
    return 0


def _say(number: int, of: int, title: str) -> None:
    print(f"\n[{number}/{of}] {title}", flush=True)


def _table(out: Path) -> str:
    """The headline numbers that each task states for the demo, with their intervals."""
    from clinclip.evaluation.tasks import TASKS

    rows = []
    for task in (t for t in TASKS if t.demo):
        headline = json.loads((out / "evaluation" / task.name / "results.json").read_text(encoding="utf-8"))["headline"]
        cells = [c for key in task.demo if (c := headline.get(key)) and c["value"] is not None]
        rows += [(f"{task.title}: {c['title']}", *(f"{c[k]:.3f}" for k in ("value", "low", "high"))) for c in cells]
    width = max((len(r[0]) for r in rows), default=10)
    lines = [f"  {'test split':<{width}}   value   95 % interval", "  " + "-" * (width + 26)]
    lines += [f"  {words:<{width}}   {value}   {low} - {high}" for words, value, low, high in rows]
    return "\n".join(lines)
