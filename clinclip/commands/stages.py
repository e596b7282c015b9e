"""Resumable stages for commands that run other commands: each prints its command line and is skipped once finished."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinclip.errors import ClinClipError, ConfigError

#: seconds that an interrupted command gets to stop by itself, and again after a signal of its own
_PATIENCE = (5.0, 20.0)


class StageError(ClinClipError):
    """A command that a stage ran has failed; its own message stands above."""


@dataclass(frozen=True)
class Stage:
    """One command of a longer way.

    Attributes:
        name: file name of its marker.
        title: what it does, for people.
        command: arguments of ``clinclip``.
        depends: further text whose change makes the stage run again, e.g. the identity of an earlier stage.
        resume_from: checkpoint from which an interrupted attempt at this very command goes on.
        folder: what the command fills; emptied when it holds what a stage of this name has made by another command.
    """

    name: str
    title: str
    command: tuple[str, ...]
    depends: str = ""
    resume_from: Path | None = None
    folder: Path | None = None

    @property
    def identity(self) -> str:
        """Changes with the command and with what it depends on."""
        return hashlib.sha256("\0".join([*self.command, self.depends]).encode()).hexdigest()[:16]

    @property
    def record(self) -> dict[str, Any]:
        """What its marker holds, apart from whether it is done."""
        return {"identity": self.identity, "command": list(self.command)}


def run_stage(
    stage: Stage, markers: Path, threads: int | None = None, log: Path | None = None, show: bool = False
) -> bool:
    """Run a stage unless its marker says that this very command has finished.

    Args:
        stage: what to run.
        markers: folder of the markers.
        threads: OMP_NUM_THREADS of the command; None leaves it.
        log: file for the command's output instead of the terminal.
        show: print the command before it runs.

    Returns:
        True if it ran, False if it was finished before.

    Raises:
        ConfigError: the stage's folder holds files that no stage has made.
        StageError: the command failed.
        KeyboardInterrupt: it was interrupted.
    """
    if is_done(stage, markers):
        return False
    resume: tuple[str, ...] = ()
    if not _marker(stage, markers).exists() and stage.folder is not None and _holds_something(stage.folder):
        raise ConfigError(
            f"{stage.folder} holds files that an earlier {stage.name!r} of this command did not make; they are left as "
            "they are: choose another --out"
        )
    if _read(_marker(stage, markers)) != {**stage.record, "done": False}:
        if stage.folder is not None:
            shutil.rmtree(stage.folder, ignore_errors=True)
    elif stage.resume_from is not None and stage.resume_from.is_file():
        resume = (f"--ckpt_path={stage.resume_from}",)
    _write(_marker(stage, markers), {**stage.record, "done": False})
    if show:
        print(f"    {shown([*stage.command, *resume])}", flush=True)
    environment = {**os.environ, **({} if threads is None else {"OMP_NUM_THREADS": str(threads)})}
    command = [sys.executable, "-m", "clinclip", *stage.command, *resume]
    if log is None:
        code = _wait(subprocess.Popen(command, env=environment))
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            code = _wait(subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT))
    if code in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if code:
        where = f"; its output is in {log}" if log is not None else ""
        raise StageError(f"stage {stage.name!r} failed with status {code}: {shown(stage.command)}{where}")
    _write(_marker(stage, markers), {**stage.record, "done": True})
    return True


def is_done(stage: Stage, markers: Path) -> bool:
    """Whether this very command has finished."""
    return _read(_marker(stage, markers)) == {**stage.record, "done": True}


def shown(command: Sequence[str]) -> str:
    """The command as a user would type it."""
    return "clinclip " + shlex.join(command)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Exit status of a command. Interrupted, it gets the time to stop by itself, so that what it keeps is whole."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Ctrl-C in a terminal reaches the command too; a signal to this process alone does not
        for patience in _PATIENCE:
            try:
                process.wait(timeout=patience)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            except KeyboardInterrupt:
                break
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _marker(stage: Stage, markers: Path) -> Path:
    return markers / f"{stage.name}.json"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def _write(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(record), encoding="utf-8")
    os.replace(temporary, path)
