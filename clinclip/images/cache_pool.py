"""The workers of a cache build, and the locks by which several builders divide the blocks."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clinclip.errors import CacheError, ImageDecodeError
from clinclip.images.cache_entry import CacheOptions
from clinclip.images.decoder_process import DecoderDiedError, DecoderProcess, raise_answer

#: what a file system without locks answers
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


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


def lock_block(path: Path) -> FileLock | None:
    """Lock a block for this process; the lock dies with it.

    Where the file system has no locks, two builders may do the same work; blocks are still replaced atomically and are
    the same, byte for byte.

    Args:
        path: the block's file.

    Returns:
        A lock to release, or None when another builder has it.

    Raises:
        CacheError: the folder cannot be written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), blocking=False, mode=0o666)
    try:
        lock.acquire()
    except Timeout:
        return None
    except NotImplementedError:
        pass  # how filelock says that this file system has no locks
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise CacheError(f"cannot write the image cache in {path.parent}: {error.strerror}") from error
    return lock
