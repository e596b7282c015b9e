"""``clinclip ablate``: the nine rows by seeds, and the table. Interrupted and started again, it goes on."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

#: the small form: minutes instead of an hour, to see that everything works
QUICK = {"studies": 700, "seeds": "0", "options": ("trainer.max_epochs=2",), "resamples": 200}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from clinclip.commands.ablate_runs import ROWS, default_jobs

    jobs, threads = default_jobs()
    top = argparse.ArgumentParser(
        prog="clinclip ablate",
        description="Train the ablation rows with several seeds, judge every checkpoint, and print the table. "
        "Finished runs are kept: started again, it goes on.",
        epilog="Rows: " + "; ".join(f"{name} ({about})" for name, about in ROWS.items()),
    )
    commands = top.add_subparsers(dest="command", required=True)
    go = commands.add_parser("run", help="train, judge and print the table", description=top.description)
    go.add_argument("--out", type=Path, required=True, help="folder for everything")
    go.add_argument("--rows", default=",".join(ROWS), help="comma-separated rows; the first is compared with (all)")
    go.add_argument("--seeds", help="comma-separated seeds of the training (0,1,2)")
    go.add_argument("--family", choices=("phantom", "mimic"), default="phantom", help="configurations (phantom)")
    go.add_argument("--manifest", type=Path, help="a prepared manifest instead of phantom studies")
    go.add_argument("--studies", type=int, help="phantom studies to make (4000)")
    go.add_argument("--data-seed", type=int, default=0, help="seed of the phantom studies (0)")
    go.add_argument("--knob", action="append", default=[], metavar="NAME=VALUE", help="a phantom knob (repeatable)")
    go.add_argument("--sweep", metavar="NAME=V1,V2,...", help="repeat all with each value of a phantom knob")
    go.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="further fit option (repeatable)")
    go.add_argument("--resamples", type=int, help="bootstrap resamples (1000)")
    go.add_argument("--split", choices=("train", "validate", "test"), default="test", help="what is judged (test)")
    go.add_argument("--jobs", type=int, default=jobs, help=f"runs at once ({jobs})")
    go.add_argument("--threads", type=int, default=threads, help=f"threads of each ({threads})")
    go.add_argument("--quick", action="store_true", help="one seed, 700 studies, 2 epochs: minutes, not an hour")
    one = commands.add_parser("judge", help="judge one checkpoint by all tasks and keep every bootstrap value")
    one.add_argument("--checkpoint", type=Path, required=True)
    one.add_argument("--manifest", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--split", choices=("train", "validate", "test"), default="test")
    one.add_argument("--resamples", type=int, default=1000)
    return top


def main(argv: list[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    if arguments.command == "judge":
        from clinclip.commands import ablate_judge

        return ablate_judge.main(arguments)
    return run(arguments)


def run(arguments: argparse.Namespace) -> int:
    """``clinclip ablate run``."""
    from clinclip.commands import ablate_runs as runs
    from clinclip.commands.ablate_sweep import parse_sweep, sweep
    from clinclip.errors import ConfigError

    rows = tuple(r.strip() for r in arguments.rows.split(",") if r.strip())
    unknown = [r for r in rows if r not in runs.ROWS]
    if unknown or not rows or len(set(rows)) < len(rows):
        raise ConfigError(f"--rows {arguments.rows}: allowed, each once: {', '.join(runs.ROWS)}")
    quick = QUICK if arguments.quick else {}
    text = arguments.seeds or str(quick.get("seeds", "0,1,2"))
    try:
        seeds = tuple(int(s) for s in text.split(","))
    except ValueError:
        raise ConfigError(f"--seeds {text}: whole numbers, separated by commas") from None
    if arguments.jobs < 1 or arguments.threads < 1:
        raise ConfigError(f"--jobs {arguments.jobs} --threads {arguments.threads}: both must be at least 1")
    if arguments.manifest is not None and (arguments.knob or arguments.sweep or arguments.studies):
        raise ConfigError("--knob, --sweep and --studies make phantom studies; leave them out with --manifest")
    if arguments.family == "mimic" and arguments.manifest is None:
        raise ConfigError("--family mimic needs --manifest DIR, a folder written by clinclip prepare mimic-cxr")
    cores = runs.default_jobs()[0]
    options = list(quick.get("options", ()))
    if arguments.jobs * (arguments.threads + 1) > cores and arguments.family == "phantom":
        # runs beside each other fill the cores: loading in processes of their own would only take turns
        options.append("data.num_workers=0")
    plan = runs.Plan(
        out=arguments.out,
        rows=rows,
        seeds=seeds,
        family=arguments.family,
        manifest=arguments.manifest,
        studies=arguments.studies or int(quick.get("studies", 4000)),
        data_seed=arguments.data_seed,
        knobs=tuple(arguments.knob),
        options=(*options, *arguments.set),
        resamples=arguments.resamples or int(quick.get("resamples", 1000)),
        split=arguments.split,
    )
    started = time.monotonic()
    if arguments.sweep:
        print(sweep(plan, *parse_sweep(arguments.sweep), arguments.jobs, arguments.threads))
    else:
        runs.run(plan, arguments.jobs, arguments.threads)
        print("\n" + report(plan))
    print(f"\n{(time.monotonic() - started) / 60:.0f} minutes; everything is in {arguments.out}")
    return 0


def report(plan: object) -> str:
    """Write ``ablation.json``, ``ablation.md`` and the figures into the plan's folder; returns the Markdown."""
    from clinclip.commands import ablate_figures, ablate_judge, ablate_table
    from clinclip.commands.ablate_runs import ROWS, Plan, costs, prevalence

    assert isinstance(plan, Plan)
    results = {row: [ablate_judge.read(plan.results(row, seed)) for seed in plan.seeds] for row in plan.rows}
    columns, table = ablate_table.build(results, prevalence(plan.data))
    first = plan.rows[0]
    text = ablate_table.markdown(columns, table, {row: len(plan.seeds) for row in plan.rows})
    text += "\n\n" + ablate_table.legend(columns, results[first][0], first)
    record = ablate_table.as_json(columns, table, results)
    record |= {"minutes": costs(plan, plan.rows), "about": {row: ROWS[row] for row in plan.rows}}
    (plan.out / "ablation.md").write_text(text + "\n", encoding="utf-8")
    ablate_figures.draw(plan, columns, table)
    (plan.out / "ablation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return text
