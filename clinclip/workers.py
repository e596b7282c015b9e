"""Worker processes that end with the program: Ctrl-C is the parent's to handle, and no worker outlives a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait


def available_cores() -> int:
    """Cores that this process may use: a SLURM job's share, not the whole machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_pool(workers: int, method: str = "spawn") -> Iterator[ProcessPoolExecutor]:
    """A process pool; on leaving, also by an exception, work not begun is dropped and the workers end.

    Args:
        workers: processes.
        method: start method; "spawn" unless the caller knows that no other thread runs in this process.
    """
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method), initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    # a worker interrupted while it waits for work can leave the others waiting for ever
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
