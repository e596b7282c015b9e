"""Reading every report once, in parallel: labels, edited twins, graphs. Resumable by chunks.

A report is annotated by :func:`clinclip.prepare.study.annotate_report`, a pure function of the text and the seed:
equal reports get equal annotations, whatever the order, the shard or the number of workers.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from clinclip.errors import ConfigError
from clinclip.files import write_bytes
from clinclip.workers import worker_pool

if TYPE_CHECKING:
    from clinclip.prepare.study import ReportAnnotation

#: reports a task; small enough that an interruption costs seconds
CHUNK = 256


@dataclass(frozen=True)
class AnnotateOptions:
    """Part of the manifest's hash.

    Attributes:
        negations: negated twins a report with the training templates, at most.
        eval_negations: negated twins with the evaluation templates, at most.
        swaps: twins of each kind but negate and omit, at most; of an omission there is one.
        seed: of the choice of finding and template.
    """

    negations: int = 4
    eval_negations: int = 1
    swaps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigError for negative numbers."""
        for name in ("negations", "eval_negations", "swaps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"--{name} {getattr(self, name)}: must be 0 or more")

    def twins(self, kind: str, style: str | None) -> int:
        """How many twins of a kind and style a report gets at most."""
        if kind == "negate":
            return self.eval_negations if style == "eval" else self.negations
        return 1 if kind == "omit" else self.swaps


def _annotate_chunk(texts: Sequence[str], options: AnnotateOptions) -> list[ReportAnnotation]:
    from clinclip.prepare.study import annotate_report

    return [annotate_report(text, options) for text in texts]


def _chunk_path(folder: Path, texts: Sequence[str], options: AnnotateOptions) -> Path:
    """The file of a chunk, named by everything that its content depends on."""
    from clinclip.text import EDITS, RULESET_VERSION

    digest = hashlib.sha256(json.dumps([RULESET_VERSION, list(EDITS), vars(options)], sort_keys=True).encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return folder / f"{digest.hexdigest()[:24]}.json.gz"


def _load(path: Path, texts: Sequence[str]) -> list[ReportAnnotation] | None:
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError):
        return None
    return content if len(content) == len(texts) else None


def annotate(
    texts: Iterable[str],
    options: AnnotateOptions,
    work: Path | None = None,
    workers: int = 0,
    progress: bool = True,
) -> dict[str, ReportAnnotation]:
    """Annotate the distinct texts.

    Args:
        texts: report texts; repetitions are annotated once.
        options: see :class:`AnnotateOptions`.
        work: folder for finished chunks, so that an interrupted run goes on; None keeps nothing.
        workers: processes; 0 works in this one.
        progress: show a progress bar.

    Returns:
        text -> what :func:`clinclip.prepare.study.annotate_report` returned.
    """
    distinct = sorted({text for text in texts if text})
    chunks = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    results: dict[str, ReportAnnotation] = {}
    todo: list[tuple[Sequence[str], Path | None]] = []
    bar = tqdm(total=len(distinct), desc="reading language", unit="report", disable=not progress, leave=False)

    def take(chunk: Sequence[str], annotations: list[ReportAnnotation]) -> None:
        results.update(zip(chunk, annotations, strict=True))
        bar.update(len(chunk))

    for chunk in chunks:
        path = None if work is None else _chunk_path(work, chunk, options)
        done = None if path is None else _load(path, chunk)
        if done is None:
            todo.append((chunk, path))
        else:
            take(chunk, done)

    def finish(chunk: Sequence[str], path: Path | None, annotations: list[ReportAnnotation]) -> None:
        if path is not None:
            data = gzip.compress(json.dumps(annotations).encode(), compresslevel=1)
            write_bytes(path, data)
        take(chunk, annotations)

    try:
        # a pool costs a second to start: not worth it for a handful of chunks
        if workers <= 1 or len(todo) <= 2:
            for chunk, path in todo:
                finish(chunk, path, _annotate_chunk(chunk, options))
        else:
            # spawn: forking a process that runs pyarrow's threads can deadlock
            with worker_pool(min(workers, len(todo))) as pool:
                tasks = {pool.submit(_annotate_chunk, chunk, options): (chunk, path) for chunk, path in todo}
                for task in as_completed(tasks):
                    chunk, path = tasks[task]
                    finish(chunk, path, task.result())
    finally:
        bar.close()
    return results
