"""Groups of gloo processes for tests: one start of Python, then a fork a process.

Starting an interpreter and importing torch costs several seconds of CPU a process; on two cores that is most of a test
with two processes. So :func:`run_ranks` starts a single interpreter, which imports the wanted function and then forks
the processes of one world after the other. Each sees the environment that ``torchrun`` would give it.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run_ranks(function: str, worlds: Sequence[int], *args: str, timeout: float = 600) -> subprocess.CompletedProcess:
    """Call ``module:function(*args)`` in every process of every world in turn.

    Args:
        function: where it is; it takes strings and reads its rank from the environment.
        worlds: numbers of processes.
        args: of the function.
        timeout: seconds for each world, after which its processes are killed.

    Returns:
        The finished launcher; ``returncode`` is 0 if every process ended well.
    """
    command = [sys.executable, "-m", "tests.processes", function, ",".join(map(str, worlds)), str(timeout), *args]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    limit = timeout * len(worlds) + 60
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=limit)


def check_ranks(function: str, worlds: Sequence[int], *args: str, timeout: float = 600) -> None:
    """As :func:`run_ranks`; fails with what the processes printed."""
    done = run_ranks(function, worlds, *args, timeout=timeout)
    assert done.returncode == 0, done.stderr[-4000:]


def _rank(function: str, rank: int, world: int, port: int, args: Sequence[str]) -> None:
    """One process."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID=f"tests-{port}",
        TORCHELASTIC_USE_AGENT_STORE="False",
    )  # fmt: skip
    if sys.platform == "linux":
        # a launcher that is killed (a test's own time limit) takes its processes along: PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    module, _, name = function.partition(":")
    try:
        getattr(importlib.import_module(module), name)(*args)
    except BaseException:
        print(f"[rank {rank} of {world}]", traceback.format_exc(), file=sys.stderr, flush=True)
        raise SystemExit(1) from None


def _world(function: str, world: int, timeout: float, args: Sequence[str]) -> int:
    """Fork the processes and wait; the first that fails stops the others, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_rank, args=(function, r, world, port, args)) for r in range(world)]
    for process in processes:
        process.start()
    end = time.monotonic() + timeout
    while any(p.is_alive() for p in processes) and not any(p.exitcode for p in processes):
        time.sleep(0.02)
        if time.monotonic() > end:
            print(f"the {world} processes did not end within {timeout} s", file=sys.stderr)
            break
    for process in processes:
        # those left behind by a failed peer get a moment to say what they saw
        process.join(10 if any(p.exitcode for p in processes) else 0.1)
        if process.is_alive():
            process.kill()
            process.join()
    if any(p.exitcode for p in processes):
        print(f"exit codes of the {world} processes: {[p.exitcode for p in processes]}", file=sys.stderr)
    return max(abs(p.exitcode or 0) for p in processes)


def main(function: str, worlds: str, timeout: str, *args: str) -> int:
    """The launcher's own process."""
    importlib.import_module(function.partition(":")[0])
    return max(_world(function, int(world), float(timeout), args) for world in worlds.split(","))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
