"""Steps of a longer way, skipped once finished with the same options: for commands that call other commands."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from clinclip.errors import ClinClipError, ConfigError
from clinclip.files import compact_json, write_text


class StepError(ClinClipError):
    """A command that a step ran has failed; its own message stands above."""


def step(
    record: Path,
    options: Mapping[str, Any],
    result: Path,
    work: Callable[[bool], object],
    folders: Sequence[Path] = (),
) -> bool:
    """Do ``work`` unless its result is there and was made with the same options.

    Args:
        record: file that keeps the options; written before the work begins.
        options: all that decides the result, JSON-able.
        result: file that is written last, and whole or not at all.
        work: gets True where an interrupted attempt with the same options goes on.
        folders: what the work fills. Emptied when other options had filled them; never when no step of this name has.

    Returns:
        True if it worked, False if it was finished before.

    Raises:
        ConfigError: a folder holds files that no such step has made.
    """
    wanted = json.loads(compact_json(dict(options)))
    before = _read(record)
    if before == wanted and result.is_file():
        return False
    if before is None:
        foreign = [f for f in folders if f.is_dir() and any(f.iterdir())]
        if foreign:
            raise ConfigError(
                f"{foreign[0]} holds files that this command did not make; they are left as they are: choose another "
                "--out"
            )
    if before != wanted:
        result.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    write_text(record, compact_json(wanted))
    work(before == wanted)
    return True


def call(*argv: str, show: bool = False) -> None:
    """Run a command of clinclip in this process.

    Args:
        argv: the command and its options.
        show: print it as a user would type it.

    Raises:
        StepError: it ended with an error of usage; every other error comes through.
    """
    from clinclip.__main__ import COMMANDS, LIGHTNING

    if show:
        print(f"    clinclip {shlex.join(argv)}", flush=True)
    try:
        main = import_module(COMMANDS[argv[0]][0]).main
        status = main(list(argv if argv[0] in LIGHTNING else argv[1:]))
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            # Lightning makes an exit of Ctrl-C, and ignores a second one
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        status = end.code
    if status:
        raise StepError(f"status {status}: clinclip {shlex.join(argv)}")


def placed(folder: Path, name: str, manifest: Path) -> tuple[str, ...]:
    """Options of ``fit``: what it trains on, and that everything it writes lies in ``folder/name``."""
    return (
        f"--data.manifests={json.dumps([str(manifest)])}",
        f"--trainer.default_root_dir={folder}",
        "--trainer.logger=TensorBoardLogger",
        f"--trainer.logger.save_dir={folder}",
        f"--trainer.logger.name={name}",
        "--trainer.logger.version=",
        "--trainer.logger.default_hp_metric=false",
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
