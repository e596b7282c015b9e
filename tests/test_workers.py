"""Worker processes end with the program that started them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinclip.workers import worker_pool

PROGRAM = """
import sys, time
from tests.test_workers import work
from clinclip.workers import worker_pool
if __name__ == "__main__":
    with worker_pool(2) as pool:
        for future in [pool.submit(work, sys.argv[1], i) for i in range(40)]:
            future.result()
"""


def work(folder: str, number: int) -> int:
    """Note which process works, then take a while."""
    Path(folder, f"{number}-{os.getpid()}").touch()
    time.sleep(0.4)
    return number


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.is_file() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_results_come_back() -> None:
    with worker_pool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


@pytest.mark.parametrize("how", ["ctrl-c", "kill"])
def test_no_worker_outlives_the_program(how: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    noted = tmp_path / "noted"
    noted.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(noted)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # a shell that started the tests in the background has told them to ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert until(lambda: len(list(noted.iterdir())) > 2)
        workers = {int(p.name.split("-")[1]) for p in noted.iterdir()}
        assert workers
        assert process.pid not in workers
        if how == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
        else:
            process.kill()
        assert process.wait(60) != 0
        assert until(lambda: not any(alive(pid) for pid in workers)), "orphaned workers"
        assert len(list(noted.iterdir())) < 40, "work not begun must be dropped"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
