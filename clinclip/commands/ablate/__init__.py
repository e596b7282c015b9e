"""``clinclip ablate``: the rows by seeds, and the table. Interrupted and started again, it goes on."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from clinclip.commands.ablate.runs import ROWS, cores

    top = argparse.ArgumentParser(
        prog="clinclip ablate",
        description="Train the ablation rows with several seeds, judge every checkpoint, and print the table.",
        epilog="Rows: " + "; ".join(f"{name} ({about})" for name, about in ROWS.items()),
    )
    commands = top.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="print the table of what is finished, without running anything")
    go = commands.add_parser("run", help="train, judge and print the table; finished runs are kept")
    for command in (go, table):
        add = command.add_argument
        add("--out", type=Path, required=True, help="folder for everything")
        add("--rows", default=",".join(ROWS), help="comma-separated rows; the first is compared with (all)")
        add("--seeds", default=None, help="comma-separated seeds of the training (0,1,2)")
    add = go.add_argument
    add("--site", choices=("phantom", "mimic", "chexpert", "table"), default="phantom", help="configs/site (phantom)")
    add("--manifest", type=Path, help="a prepared manifest instead of phantom studies")
    add("--studies", type=int, help="phantom studies to make (4000)")
    add("--data-seed", type=int, default=0, help="seed of the phantom studies (0)")
    add("--knob", action="append", default=[], metavar="NAME=VALUE", help="a phantom knob (repeatable)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="further fit option (repeatable)")
    add("--resamples", type=int, help="bootstrap resamples (1000)")
    add("--split", choices=("train", "validate", "test"), default="test", help="what is judged (test)")
    add("--jobs", type=int, default=cores(), help=f"runs at once, one thread each ({cores()})")
    add("--quick", action="store_true", help="one seed, 700 studies, 2 epochs, 200 resamples: to see that it works")
    return top


def main(argv: list[str]) -> int:
    """Run the command."""
    given = parser().parse_args(argv)
    from clinclip.commands.ablate.runs import ROWS, Plan, run
    from clinclip.commands.ablate.table import report
    from clinclip.errors import ConfigError

    rows = tuple(r.strip() for r in given.rows.split(",") if r.strip())
    if not rows or len(set(rows)) < len(rows) or not set(rows) <= set(ROWS):
        raise ConfigError(f"--rows {given.rows}: allowed, each once: {', '.join(ROWS)}")
    quick = given.command == "run" and given.quick
    text = given.seeds or ("0" if quick else "0,1,2")
    try:
        seeds = tuple(int(s) for s in text.split(","))
    except ValueError:
        raise ConfigError(f"--seeds {text}: whole numbers, separated by commas") from None
    if given.command == "table":
        print(report(given.out, rows, seeds))
        return 0
    if given.jobs < 1:
        raise ConfigError(f"--jobs {given.jobs}: must be at least 1")
    if given.manifest is not None and (given.knob or given.studies):
        raise ConfigError("--knob and --studies make phantom studies; leave them out with --manifest")
    if given.site != "phantom" and given.manifest is None:
        raise ConfigError(f"--site {given.site} needs --manifest DIR, a folder written by clinclip prepare")
    plan = Plan(
        out=given.out,
        rows=rows,
        seeds=seeds,
        site=given.site,
        manifest=given.manifest,
        studies=given.studies or (700 if quick else 4000),
        data_seed=given.data_seed,
        knobs=tuple(given.knob),
        options=(*(("trainer.max_epochs=2",) if quick else ()), *given.set),
        resamples=given.resamples or (200 if quick else 1000),
        split=given.split,
    )
    run(plan, given.jobs)
    print("\n" + report(plan.out, rows, seeds) + f"\n\neverything is in {plan.out}")
    return 0
