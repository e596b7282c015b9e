"""``clinclip demo``: the whole way on phantom studies, by the commands that a user would type.

generate -> prepare -> train the full method -> evaluate. Interrupted and started again, finished stages are skipped and
training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from clinclip.commands.stages import Stage, is_done, run_stage
from clinclip.files import config_file

#: results.json headline -> words of the table
HEADLINES = {
    "zero-shot": {"auroc_macro": "zero-shot AUROC, mean of the findings"},
    "retrieval": {"i2t_r10": "report found for an image, R@10", "t2i_r10": "image found for a report, R@10"},
    "align": {
        "report_vs_negation": "report preferred to its negation",
        "report_vs_omitted": "report preferred to the incomplete one",
    },
}
#: side of the generated and of the cached images, in pixels; the configuration trains on 96
DRAWN, CACHED = 192, 112


def stages(out: Path, studies: int, epochs: int, seed: int) -> list[Stage]:
    """The stages of the demo in order; each depends on the one before."""
    files, manifest, run = out / "download", out / "manifest", out / "run"
    phantom = Stage(
        "1-phantom",
        "generate phantom studies in MIMIC-CXR's layout",
        (
            *("phantom", "mimic-cxr", "--out", str(files)),
            *("--studies", str(studies), "--seed", str(seed), "--image-size", str(DRAWN)),
        ),
        folder=files,
    )
    prepare = Stage(
        "2-prepare",
        "read reports and images into a manifest",
        ("prepare", "mimic-cxr", "--images", str(files), "--out", str(manifest), "--image-size", str(CACHED)),
        depends=phantom.identity,
        folder=manifest,
    )
    last = run / "checkpoints" / "last.ckpt"
    fit = Stage(
        "3-fit",
        "train with soft labels, twins and graphs",
        (
            "fit",
            *("--config", str(config_file("site/phantom.yaml"))),
            *("--config", str(config_file("rows/full.yaml"))),
            *("--config", str(out / "run.yaml")),
            f"--seed_everything={seed}",
            f"--trainer.max_epochs={epochs}",
        ),
        depends=prepare.identity,
        resume_from=last,
        folder=run,
    )
    checkpoint = run / "checkpoints" / "best.ckpt"
    judged = [
        Stage(
            f"{4 + i}-{task}",
            f"evaluate: {task}",
            (
                *("evaluate", task, "--checkpoint", str(checkpoint)),
                *("--manifest", str(manifest), "--out", str(out / "evaluation" / task)),
            ),
            depends=fit.identity,
        )
        for i, task in enumerate(HEADLINES)
    ]
    return [phantom, prepare, fit, *judged]


def write_run_file(out: Path) -> None:
    """The last configuration file of the training: where its data are, and where it writes."""
    text = f"""\
# Written by clinclip demo: the paths of this run, over configs/site/phantom.yaml and configs/rows/full.yaml.
data:
  manifests: [{json.dumps(str(out / "manifest"))}]
trainer:
  default_root_dir: {json.dumps(str(out / "run"))}
  logger:
    class_path: TensorBoardLogger
    init_args:
      save_dir: {json.dumps(str(out))}
      name: run
      version: ""
      default_hp_metric: false
"""
    path = out / "run.yaml"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def table(out: Path) -> str:
    """The headline numbers with their intervals."""
    rows = []
    for task, wanted in HEADLINES.items():
        headline = json.loads((out / "evaluation" / task / "results.json").read_text(encoding="utf-8"))["headline"]
        for key, words in wanted.items():
            cell = headline.get(key)
            if cell is not None and cell["value"] is not None:
                rows.append((words, *(f"{cell[k]:.3f}" for k in ("value", "low", "high"))))
    width = max((len(r[0]) for r in rows), default=10)
    lines = [f"  {'test split':<{width}}   value   95 % interval", "  " + "-" * (width + 26)]
    lines += [f"  {words:<{width}}   {value}   {low} - {high}" for words, value, low, high in rows]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="clinclip demo",
        description="The whole way on phantom studies. Run again, it resumes.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything (default: demo)")
    parser.add_argument("--studies", type=int, default=1600, help="phantom studies (default: 1600)")
    parser.add_argument("--epochs", type=int, default=12, help="training epochs (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="of studies and training (default: 0)")
    args = parser.parse_args(argv)
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    write_run_file(out)
    started = time.monotonic()
    plan = stages(out, args.studies, args.epochs, args.seed)
    for number, stage in enumerate(plan, start=1):
        finished = is_done(stage, out / "stages")
        print(f"\n[{number}/{len(plan)}] {stage.title}{' (done before)' if finished else ''}", flush=True)
        run_stage(stage, out / "stages", show=True)
    minutes = (time.monotonic() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes. These are phantom studies: the numbers show the way, not the worth.\n")
    print(table(out))
    print(
        f"""
  reports       {", ".join(str(out / "evaluation" / task / "report.html") for task in HEADLINES)}
  TensorBoard   tensorboard --logdir {out / "run"}
  checkpoint    {out / "run" / "checkpoints" / "best.ckpt"}
  its config    {out / "run" / "config.yaml"}
"""
    )
    return 0
