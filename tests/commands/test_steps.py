"""Steps: skipped when done, gone on with when interrupted, done again when something before them changed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from clinclip.cli import main as fit_main
from clinclip.commands.steps import StepError, call, step
from clinclip.errors import ConfigError


class Work:
    """Keeps how it was called; writes its result unless told to stop before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.result = folder, folder / "result"
        self.calls: list[bool] = []
        self.stops = False

    def __call__(self, again: bool) -> None:
        self.calls.append(again)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "part").touch()
        if self.stops:
            raise KeyboardInterrupt
        self.result.write_text("whole")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "folder")


def run(work: Work, **options: object) -> bool:
    return step(work.folder.with_name("step.json"), options, work.result, work, (work.folder,))


def test_a_finished_step_is_skipped_until_its_options_change_or_its_result_is_gone(work: Work) -> None:
    assert run(work, n=1, names=("a",))
    assert not run(work, n=1, names=("a",))
    assert run(work, n=2, names=("a",))
    work.result.unlink()
    assert run(work, n=2, names=("a",))
    assert work.calls == [False, False, True]


def test_an_interrupted_step_goes_on_and_one_with_other_options_starts_anew(work: Work) -> None:
    work.stops = True
    with pytest.raises(KeyboardInterrupt):
        run(work, n=1)
    (work.folder / "checkpoint").touch()
    work.stops = False
    assert run(work, n=1)
    assert (work.folder / "checkpoint").exists()
    assert run(work, n=2)
    assert work.calls == [False, True, False]
    assert not (work.folder / "checkpoint").exists(), "what other options made must not be gone on with"


def test_files_of_the_user_are_never_deleted(work: Work) -> None:
    work.folder.mkdir()
    (work.folder / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="choose another --out"):
        run(work, n=1)
    assert (work.folder / "thesis.txt").read_text() == "precious"
    assert not work.calls


def test_a_damaged_record_never_empties_a_folder(work: Work) -> None:
    run(work, n=1)
    work.folder.with_name("step.json").write_text('{"n": ')
    with pytest.raises(ConfigError, match="choose another --out"):
        run(work, n=1)
    assert work.result.exists()


def test_a_failed_command_is_named_and_its_interrupt_stays_one(monkeypatch, capsys) -> None:
    with pytest.raises(StepError, match=r"status 2: clinclip prepare 'no such'"):
        call("prepare", "no such", show=True)
    assert "    clinclip prepare 'no such'\n" in capsys.readouterr().out

    def interrupted(argv: list[str]) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.exit(1)  # as Lightning does

    monkeypatch.setattr(sys.modules[fit_main.__module__], "main", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            call("fit")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "a second Ctrl-C must be heard"
    finally:
        signal.signal(signal.SIGINT, before)
