"""``clinclip evaluate zero-shot|retrieval|align|probe``: tables with intervals, for one checkpoint or two of them."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinclip.commands.evaluate_tasks import Task
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.protocols import Protocol
    from clinclip.evaluation.report import Evaluation

#: examples shown with --show-patients
EXAMPLES = 12
ABOUT = {
    "zero-shot": "Classify findings by positive and negative prompts: AUROC, AUPRC, F1, MCC, calibration, subgroups.",
    "retrieval": "Retrieve reports for images and images for reports: recall at k, ranks, clinical agreement.",
    "align": "CXR-Align: does an image prefer its report to the negated and to the incomplete one?",
    "probe": "Linear probe: logistic regression on frozen image features, with 1, 10 and 100 % of training patients.",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="clinclip evaluate",
        description="Judge a checkpoint. Writes results.json, results.md and report.html, free of patient data unless "
        "--show-patients is given. An interrupted run goes on where it stopped.",
    )
    tasks = top.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, about in ABOUT.items():
        task = tasks.add_parser(name, help=about, description=about)
        add = task.add_argument
        add("--checkpoint", required=True, metavar="CKPT", help="a .ckpt of clinclip fit, or an exported folder")
        add("--manifest", required=True, metavar="DIR", help="a folder written by clinclip prepare")
        add("--out", required=True, type=Path, metavar="DIR", help="where the results go")
        add(
            "--compare",
            metavar="CKPT",
            help="a second checkpoint: paired intervals of the difference, first minus second",
        )
        add(
            "--protocol", metavar="NAME|FILE", help="how to measure (default: the newest built-in protocol of the task)"
        )
        add("--split", choices=("train", "validate", "test"), help="instead of the protocol's")
        add("--views", metavar="PA,AP", help="keep only these view positions")
        if name in ("zero-shot", "probe"):
            add("--labels", choices=("auto", "table", "read"), help="truth from the label table, or read from reports")
            add("--label-policy", metavar="NAME", help="explicit, mentioned, u_zeros or u_ones")
        if name == "zero-shot":
            add("--prompts", metavar="NAME|FILE", help="report-v1, plain-v1, or a JSON file of your own")
        if name == "align":
            add("--benchmark", type=Path, metavar="FILE", help="cxr-align.json, or a file of clinclip align build")
        add("--resamples", type=int, metavar="N", help="bootstrap resamples over patients; 0: no intervals")
        add("--seed", type=int, metavar="N", help="of the bootstrap")
        add("--batch-size", type=int, default=64, metavar="N", help="images, and texts, at once (default: 64)")
        add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
        add("--allow-exposure", action="store_true", help="go on though the checkpoint was trained on this test data")
        add("--show-patients", action="store_true", help="put images and report texts of examples into report.html")
        add("--quiet", action="store_true", help="no progress bars")
    return top


def main(argv: list[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    from clinclip.errors import ConfigError

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size {arguments.batch_size}: must be at least 1")
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.protocols import DEFAULTS, load_protocol
    from clinclip.evaluation.report import as_text, write

    protocol = load_protocol(arguments.protocol or DEFAULTS[arguments.task])
    if protocol.task != arguments.task:
        raise ConfigError(f"--protocol {protocol.name} is for {protocol.task}, not for {arguments.task}")
    protocol = protocol.change(
        split=arguments.split,
        views=[v.strip().upper() for v in arguments.views.split(",")] if arguments.views else None,
        label_source=getattr(arguments, "labels", None),
        label_policy=getattr(arguments, "label_policy", None),
        prompts=getattr(arguments, "prompts", None),
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    manifest = Manifest.load(arguments.manifest)
    evaluation = evaluate(arguments, protocol, manifest)
    paths = write(evaluation, arguments.out)
    shutil.rmtree(arguments.out / ".work", ignore_errors=True)
    print(as_text(evaluation))
    print("written: " + ", ".join(str(path) for path in reversed(paths)))
    return 0


def make_task(protocol: Protocol, manifest: Manifest, benchmark: Path | None = None) -> Task:
    """Choose the items of the protocol's task."""
    from clinclip.commands.evaluate_tasks import Align, Retrieval, ZeroShot

    if protocol.task == "zero-shot":
        return ZeroShot(manifest, protocol)
    if protocol.task == "retrieval":
        return Retrieval(manifest, protocol)
    if protocol.task == "align":
        return Align(manifest, protocol, benchmark)
    from clinclip.commands.evaluate_probe import Probe

    return Probe(manifest, protocol)


def evaluate(arguments: argparse.Namespace, protocol: Protocol, manifest: Manifest) -> Evaluation:
    """Choose items, check exposure, and measure every checkpoint."""
    from clinclip.commands.evaluate_tasks import Engine
    from clinclip.evaluation.exposure import check_exposure
    from clinclip.evaluation.report import Evaluation, ModelOutcome
    from clinclip.evaluation.tables import differences
    from clinclip.export.checkpoint import load_model

    task = make_task(protocol, manifest, getattr(arguments, "benchmark", None))
    checkpoints = [c for c in (arguments.checkpoint, arguments.compare) if c]
    loaded = [load_model(path) for path in checkpoints]
    exposures = []
    for path, model in zip(checkpoints, loaded, strict=True):
        exposure = check_exposure(
            model.train,
            task.items.patient,
            sorted(task.items.frame["dataset"].unique()),
            manifest.hash,
            protocol.split,
        )
        if exposure.status != "clean":
            print(f"{path}: exposure {exposure.status}. {' '.join(exposure.reasons)}", file=sys.stderr)
        exposure.enforce(arguments.allow_exposure)
        exposures.append(exposure)
    engine = Engine(arguments.batch_size, arguments.device, not arguments.quiet, arguments.out / ".work")
    models, measured, examples = [], [], ()
    for path, model, exposure in zip(checkpoints, loaded, exposures, strict=True):
        outcome = task.run(model, engine, EXAMPLES if arguments.show_patients and not models else 0)
        examples = examples or outcome.examples
        measured.append(outcome.measured)
        models.append(
            ModelOutcome(
                name=_name(path, checkpoints),
                sha256=model.sha256,
                logit_scale=float(model.model.logit_scale),
                train={k: v for k, v in model.train.items() if k != "patients"},
                exposure=exposure,
                tables=outcome.measured.tables,
                figures=outcome.figures,
                headline=outcome.headline,
            )
        )
    return Evaluation(
        task=protocol.task,
        protocol=protocol,
        protocol_hash=protocol.hash(**task.resolved),
        data=task.facts,
        models=tuple(models),
        differences=differences(measured[0], measured[1], protocol.level) if len(measured) > 1 else (),
        notes=tuple(task.notes),
        examples=examples,
    )


def _name(path: str, all_paths: list[str]) -> str:
    """File name of a checkpoint; as much of its folders as tells it from the other one."""
    parts = Path(path).resolve().parts
    for n in range(1, len(parts)):
        tail = "/".join(parts[-n:])
        if sum("/".join(Path(p).resolve().parts[-n:]) == tail for p in all_paths) <= 1:
            return tail
    return Path(path).name
