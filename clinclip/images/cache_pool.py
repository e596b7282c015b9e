"""The workers of a cache build, and the locks by which several builders divide the shards."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clinclip.errors import CacheError, ImageDecodeError
from clinclip.images.cache_entry import CacheOptions
from clinclip.images.decoder_process import DecoderDiedError, DecoderProcess, raise_answer


def available_cores() -> int:
    """Cores that this process may use: a SLURM job's share, not the whole machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class HelperPool:
    """Threads, each with a helper process of its own that a damaged file may kill without harm."""

    def __init__(self, workers: int, options: CacheOptions) -> None:
        self.size = max(1, workers)
        self._options = asdict(options)
        self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="image-cache")
        self._local = threading.local()
        self._helpers: list[DecoderProcess] = []

    def submit(self, source: Path) -> Future[tuple[dict[str, Any], bytes]]:
        return self._threads.submit(self._read, source)

    def _read(self, source: Path) -> tuple[dict[str, Any], bytes]:
        helper: DecoderProcess | None = getattr(self._local, "helper", None)
        if helper is None:
            helper = self._local.helper = DecoderProcess()
            self._helpers.append(helper)
        request = {"op": "cache_entry", "path": str(source), "options": self._options}
        try:
            answer, body = helper.call(request)
        except DecoderDiedError as error:
            raise ImageDecodeError(source, str(error)) from error
        raise_answer(source, answer)
        return answer, body

    def __enter__(self) -> HelperPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for helper in self._helpers:
            helper.close()


class ShardLock:
    """An advisory lock that dies with its process.

    Where the file system has none, two builders may do the same work; shards are still replaced atomically and are the
    same, byte for byte.
    """

    def __init__(self, file: int | None) -> None:
        self._file = file

    @classmethod
    def acquire(cls, path: Path) -> ShardLock | None:
        """Lock a shard, or None when another process has it."""
        import fcntl

        try:
            file = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise CacheError(f"cannot write the image cache in {path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            return cls(None)
        return cls(file)

    def release(self) -> None:
        """Give it back."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
