"""``clinclip evaluate TASK``: tables with intervals, for one checkpoint or two of them."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

#: examples shown with --show-patients
EXAMPLES = 12


def parser() -> argparse.ArgumentParser:
    """The command line: what every task has, and what each states of its own."""
    from clinclip.evaluation import tasks as registry
    from clinclip.evaluation.tasks.base import COMMON

    top = argparse.ArgumentParser(
        prog="clinclip evaluate",
        description="Judge a checkpoint. Writes results.json, results.md and report.html, free of patient data unless "
        "--show-patients is given. An interrupted run goes on where it stopped.",
    )
    tasks = top.add_subparsers(dest="task", required=True, metavar="TASK")
    for kind in registry.TASKS:
        about = kind.about.replace("%", "%%")  # argparse takes a percent sign for a placeholder
        task = tasks.add_parser(kind.name, help=about, description=about)
        add = task.add_argument
        add("--checkpoint", required=True, metavar="CKPT", help="a .ckpt of clinclip fit, or an exported folder")
        add("--manifest", required=True, metavar="DIR", help="a folder written by clinclip prepare")
        add("--out", required=True, type=Path, metavar="DIR", help="where the results go")
        add(
            "--compare",
            metavar="CKPT",
            help="a second checkpoint: paired intervals of the difference, first minus second",
        )
        add("--protocol", metavar="NAME|FILE", help=f"how to measure (default: {kind.default})")
        measured = task.add_argument_group("how it is measured, instead of what the protocol says")
        for flag, spec in {**COMMON, **kind.options}.items():
            measured.add_argument(flag, **spec)
        add("--batch-size", type=int, default=64, metavar="N", help="images, and texts, at once (default: 64)")
        add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
        add("--allow-exposure", action="store_true", help="go on though the checkpoint was trained on this test data")
        add(
            "--allow-preprocessing-difference",
            action="store_true",
            help="go on though the manifest was prepared otherwise than the training data (fit, window, equalisation)",
        )
        add(
            "--model-factory",
            metavar="MODULE:FUNCTION",
            help="a function of yours that builds the DualEncoder of a checkpoint with towers of your own",
        )
        add("--show-patients", action="store_true", help="put images and report texts of examples into report.html")
        add("--quiet", action="store_true", help="no progress bars")
    return top


def main(argv: list[str]) -> int:
    """Run the command."""
    options = vars(parser().parse_args(argv))
    from clinclip.evaluation.run import evaluate

    out: Path = options.pop("out")
    result = evaluate(
        options.pop("checkpoint"),
        options.pop("manifest"),
        options.pop("task"),
        progress=not options.pop("quiet"),
        examples=EXAMPLES if options.pop("show_patients") else 0,
        work=out / ".work",
        **options,
    )
    paths = result.save(out)
    shutil.rmtree(out / ".work", ignore_errors=True)
    print(result)
    print("written: " + ", ".join(str(path) for path in reversed(paths)))
    return 0
