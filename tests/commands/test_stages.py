"""Stages: skipped when done, gone on with when interrupted, run again when something before them changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clinclip.commands import stages
from clinclip.commands.stages import Stage, StageError, is_done, run_stage
from clinclip.errors import ConfigError
from clinclip.files import config_file


class FakeCommand:
    """Stands for ``python -m clinclip``: keeps what it was called with, ends with a given status."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.status = 0

    def __call__(self, command: list[str], **_: object) -> subprocess.Popen[bytes]:
        self.calls.append(command[3:])
        return _POPEN([sys.executable, "-c", f"raise SystemExit({self.status})"])


_POPEN = subprocess.Popen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCommand:
    command = FakeCommand()
    monkeypatch.setattr(stages.subprocess, "Popen", command)
    return command


def test_a_finished_stage_is_skipped_until_its_command_or_what_it_depends_on_changes(fake, tmp_path) -> None:
    first = Stage("1", "make", ("make", "--n", "1"))
    second = Stage("2", "use", ("use",), depends=first.identity)
    assert run_stage(first, tmp_path)
    assert run_stage(second, tmp_path)
    assert not run_stage(first, tmp_path)
    assert not run_stage(second, tmp_path)
    other = Stage("1", "make", ("make", "--n", "2"))
    assert run_stage(other, tmp_path)
    assert not is_done(Stage("2", "use", ("use",), depends=other.identity), tmp_path)
    assert fake.calls == [["make", "--n", "1"], ["use"], ["make", "--n", "2"]]


def test_an_interrupted_stage_goes_on_from_its_checkpoint_and_a_changed_one_starts_anew(fake, tmp_path) -> None:
    folder = tmp_path / "run"
    stage = Stage("fit", "train", ("fit", "--seed=1"), resume_from=folder / "last.ckpt", folder=folder)
    fake.status = 130
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, tmp_path / "markers")
    folder.mkdir()
    (folder / "last.ckpt").write_text("weights")
    fake.status = 0
    assert run_stage(stage, tmp_path / "markers")
    assert fake.calls[-1] == ["fit", "--seed=1", f"--ckpt_path={folder / 'last.ckpt'}"]
    changed = Stage("fit", "train", ("fit", "--seed=2"), resume_from=folder / "last.ckpt", folder=folder)
    assert run_stage(changed, tmp_path / "markers")
    assert fake.calls[-1] == ["fit", "--seed=2"]
    assert not folder.exists(), "the other command's checkpoint must not be gone on with"


def test_files_of_the_user_are_never_deleted(fake, tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="choose another --out"):
        run_stage(Stage("fit", "train", ("fit",), folder=folder), tmp_path / "markers")
    assert (folder / "thesis.txt").read_text() == "precious"
    assert not fake.calls


def test_a_failed_stage_names_its_command_and_log_and_runs_again(fake, tmp_path) -> None:
    stage = Stage("fit", "train", ("fit", "--config", "a b.yaml"))
    fake.status = 3
    with pytest.raises(StageError, match=r"status 3: clinclip fit --config 'a b\.yaml'; its output is in .*fit\.log"):
        run_stage(stage, tmp_path, log=tmp_path / "fit.log")
    fake.status = 0
    assert run_stage(stage, tmp_path)


def test_a_damaged_marker_counts_as_not_done(fake, tmp_path) -> None:
    stage = Stage("1", "make", ("make",))
    run_stage(stage, tmp_path)
    (tmp_path / "1.json").write_text('{"identity": ')
    assert run_stage(stage, tmp_path)


def test_an_interrupt_of_this_process_alone_reaches_the_command_and_waits_for_it(tmp_path, monkeypatch) -> None:
    # the command needs a moment to stop by itself; killed at once it would leave no note
    note = tmp_path / "note"
    ready = tmp_path / "ready"
    program = (
        "import pathlib, time\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "try:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.6)\n"
        f"    pathlib.Path({str(note)!r}).touch()\n    raise SystemExit(130)"
    )
    monkeypatch.setattr(stages, "_PATIENCE", (0.2, 60.0))
    # a test run in the background of a shell ignores SIGINT, and hands that down to its children
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)

    def interrupt() -> None:
        while not ready.exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            stages._wait(process)
    finally:
        signal.signal(signal.SIGINT, before)
    assert note.exists()
    assert process.returncode == 130


def test_configurations_are_found_and_a_missing_one_is_named() -> None:
    path = config_file("rows/full.yaml")
    assert path.is_file()
    assert path.is_relative_to(Path(stages.__file__).parents[2])
    with pytest.raises(ConfigError, match=r"rows/none\.yaml"):
        config_file("rows/none.yaml")
