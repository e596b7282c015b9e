"""Building an image cache: by helper processes, resumable, safe with several builders of one folder."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from clinclip.errors import CacheError, ConfigError, ImageDecodeError, ImageError
from clinclip.images.cache_entry import CacheOptions, source_facts
from clinclip.images.cache_files import (
    CONTENTS,
    Block,
    Entry,
    block_name,
    damaged,
    difference,
    index_of,
    read_blobs,
    read_contents,
    read_index,
    sweep,
    write_block,
    write_contents,
)
from clinclip.images.cache_pool import HelperPool, lock_block
from clinclip.workers import available_cores

Policy = Literal["strict", "skip"]


@dataclass(frozen=True)
class CacheReport:
    """What a build did.

    Attributes:
        directory: The cache.
        count: Positions, one per item.
        built: Images read now.
        reused: Images that were there already.
        failed: (key, reason) of every image that could not be read, in order.
        entries: Per position: original size, SHA-256 of the source and more.
    """

    directory: Path
    count: int
    built: int
    reused: int
    failed: list[tuple[str, str]]
    entries: list[Entry] = field(repr=False)


@dataclass
class _Job:
    """A block that this process is building."""

    path: Path
    items: Sequence[tuple[str, Path]]
    lock: FileLock
    block: Block
    todo: list[int]
    futures: list[Future[tuple[dict[str, Any], bytes]]] = field(default_factory=list)


def build_cache(
    directory: str | PathLike[str],
    items: Sequence[tuple[str, Path]],
    options: CacheOptions | None = None,
    policy: Policy = "strict",
    workers: int | None = None,
    progress: bool = True,
    verify: bool = False,
    replace: bool = False,
) -> CacheReport:
    """Build a cache, or continue, repair or extend one.

    Finished blocks are kept: a killed build loses at most the blocks in progress. Images that failed before are tried
    again, images whose source file has changed since are read again. Several processes, on several machines sharing the
    folder, may run the same call at once and divide the blocks among them.

    Args:
        directory: Where the cache lies or shall lie.
        items: (key, file) in the order of the cache's positions; keys are unique.
        options: How images are made; None for the defaults.
        policy: "strict" raises on the first image that cannot be read. "skip" lists them in the report; their positions
            stay empty and raise when read.
        workers: Helper processes; None for one per available core.
        progress: Show a progress bar.
        verify: Hold every image that is there against its checksum and rebuild damaged ones.
        replace: Replace a finished cache of other options instead of refusing.

    Returns:
        What was done, and what failed.

    Raises:
        ImageError: Policy "strict" met an image that cannot be read.
        CacheError: Other options than the finished cache's, no space, or the folder cannot be written.
        ConfigError: Duplicate keys, or an unknown policy.
    """
    folder, options = Path(directory), options or CacheOptions()
    if policy not in ("strict", "skip"):
        raise ConfigError(f"policy is {policy!r}; allowed: strict, skip")
    keys = [key for key, _ in items]
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in set(keys[:i]))
        raise ConfigError(f"image key {twice!r} occurs twice among the items; every image needs a key of its own")
    check_options(folder, options, replace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"cannot create the image cache folder {folder}: {error.strerror}") from error
    step = options.block_images
    parts = [items[at : at + step] for at in range(0, len(items), step)]
    paths = [folder / block_name(n, options.hash(), [key for key, _ in part]) for n, part in enumerate(parts)]
    _check_space(folder, options, sum(len(part) for part, path in zip(parts, paths, strict=True) if not path.exists()))
    with (
        HelperPool(workers or available_cores(), options) as pool,
        _progress_bar(len(items), progress) as advance,
    ):
        built = _Builder(options, policy, pool, advance, verify).run(list(zip(paths, parts, strict=True)))
    blocks = [(path, index_of(path)) for path in paths]
    entries = [entry for _, block in blocks for entry in block.entries]
    failed = [(entry.key, entry.reason) for entry in entries if entry.reason is not None]
    if failed and policy == "strict":  # found by another builder of the same folder
        raise ImageDecodeError(dict(items)[failed[0][0]], failed[0][1])
    write_contents(folder, asdict(options), options.hash(), blocks)
    sweep(folder, {path.name for path in paths})
    return CacheReport(folder, len(items), built, len(items) - built, failed, entries)


class _Builder:
    """One process's share of a build."""

    def __init__(
        self,
        options: CacheOptions,
        policy: Policy,
        pool: HelperPool,
        advance: Callable[[int], None],
        verify: bool,
    ) -> None:
        self.options, self.policy, self.pool, self.advance, self.verify = options, policy, pool, advance, verify
        self.started_ns = time.time_ns()
        self.built = 0
        self.running: deque[_Job] = deque()

    def run(self, blocks: list[tuple[Path, Sequence[tuple[str, Path]]]]) -> int:
        """Bring every block to completion, whoever builds it. Returns how many images this process read."""
        waiting = deque(blocks)
        try:
            while waiting or self.running:
                left = len(waiting)
                for _ in range(left):
                    if self._busy():
                        break
                    path, items = waiting.popleft()
                    lock = lock_block(path)
                    if lock is None:
                        waiting.append((path, items))
                    else:
                        self._start(path, items, lock)
                if self.running:
                    self._finish(self.running.popleft())
                elif waiting and len(waiting) == left:  # every block that is left is another builder's
                    time.sleep(0.1)
        finally:
            for job in self.running:
                for future in job.futures:
                    future.cancel()
                job.lock.release()
        return self.built

    def _busy(self) -> bool:
        pending = sum(not future.done() for job in self.running for future in job.futures)
        return len(self.running) >= 8 or pending >= 4 * self.pool.size

    def _start(self, path: Path, items: Sequence[tuple[str, Path]], lock: FileLock) -> None:
        # of a builder that was killed; we hold the lock
        for leftover in path.parent.glob(f".{path.name}.*{path.suffix}"):
            leftover.unlink(missing_ok=True)
        block = read_index(path)
        if block is None or [entry.key for entry in block.entries] != [key for key, _ in items]:
            block = Block(self.options.hash(), [Entry(key) for key, _ in items])
            todo = list(range(len(items)))
        else:
            todo = self._outdated(path, block, items)
        self.advance(len(items) - len(todo))
        if not todo:
            lock.release()
            return
        job = _Job(path, items, lock, block, todo)
        if len(todo) < len(items):
            block.blobs = list(read_blobs(path, block))
        else:
            block.blobs = [b""] * len(items)
        job.futures = [self.pool.submit(items[row][1]) for row in todo]
        self.running.append(job)

    def _outdated(self, path: Path, block: Block, items: Sequence[tuple[str, Path]]) -> list[int]:
        """Rows to read again: failed before this run began, changed at the source, or (on demand) damaged."""
        fresh = path.stat().st_mtime_ns >= self.started_ns
        rows: set[int] = set(damaged(path, block)) if self.verify and not fresh else set()
        for row, (entry, (_, source)) in enumerate(zip(block.entries, items, strict=True)):
            if entry.reason is not None:
                if not fresh:
                    rows.add(row)
                continue
            try:
                facts = source_facts(source)
            except ImageError:
                continue  # the source was removed after it had been cached: what is cached stays good
            if (facts["source_bytes"], facts["source_mtime_ns"]) != (entry.source_bytes, entry.source_mtime_ns):
                rows.add(row)
        return sorted(rows)

    def _finish(self, job: _Job) -> None:
        blank = bytes(self.options.size**2 if self.options.tier == "raw" else 0)
        try:
            for row, future in zip(job.todo, job.futures, strict=True):
                key = job.items[row][0]
                try:
                    facts, job.block.blobs[row] = future.result()
                    job.block.entries[row] = Entry(key, **facts)
                except ImageError as error:
                    if self.policy == "strict":
                        raise
                    job.block.entries[row] = Entry(key, reason=error.reason)
                    job.block.blobs[row] = blank
                self.built += 1
                self.advance(1)
            write_block(job.path, job.block)
        except BaseException:
            for future in job.futures:
                future.cancel()
            raise
        finally:
            job.lock.release()


@contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar that yields a function to advance it."""
    from tqdm import tqdm

    often = 0.2 if sys.stderr.isatty() else 30.0  # seconds; a batch job's log is no terminal
    with tqdm(total=total, desc="images", unit="img", disable=not shown, smoothing=0.05, mininterval=often) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance


def check_options(folder: Path, options: CacheOptions, replace: bool) -> None:
    """Refuse to build over a finished cache of other options, unless asked to replace it.

    Raises:
        CacheError: Options differ; the message names them.
    """
    if replace or not (folder / CONTENTS).exists():
        return
    contents = read_contents(folder)
    if contents["options_hash"] != options.hash():
        raise CacheError(
            f"{folder} holds a finished image cache of other options: "
            f"{difference(asdict(options), contents['options'])}, wanted against there. Choose another "
            "output folder, or ask to replace it"
        )


def _check_space(folder: Path, options: CacheOptions, images: int) -> None:
    needed = images * options.size**2 // (1 if options.tier == "raw" else 4)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CacheError(
            f"the image cache in {folder} needs about {needed / 1e9:.1f} GB for {images:,} images of {options.size} x "
            f"{options.size}, {free / 1e9:.1f} GB are free. Choose a smaller size, the jpeg tier (a quarter), or "
            "another output folder"
        )
