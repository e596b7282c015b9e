"""Annotate many texts with RadGraph, in the user's environment, or with the rules: batched by length, resumable."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from clinclip.errors import ClinClipError, ConfigError
from clinclip.graph.builder import build_graph
from clinclip.graph.radgraph import to_record

MODELS: tuple[str, ...] = ("radgraph", "radgraph-xl", "modern-radgraph-xl")
_WORKER = Path(__file__).with_name("radgraph_worker.py")
_HELP = (
    "RadGraph needs an environment of its own (transformers 4): for example `uv venv rg && uv pip install --python "
    "rg/bin/python radgraph 'transformers<5' torch`, once with network access so that it can fetch its weights; then "
    "pass --python rg/bin/python. Without it, --backend rules needs nothing"
)


class AnnotatorError(ClinClipError):
    """The RadGraph environment, its package or its weights are missing, or it failed on a report."""


def text_key(text: str) -> str:
    """A name for a text that does not show it."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class RadGraphWorker:
    """The radgraph package in another Python, as a subprocess. Use as a context manager.

    Args:
        python: Interpreter of the environment that has radgraph.
        model: One of MODELS.

    Raises:
        AnnotatorError: interpreter, package or weights are missing; says what to install.
    """

    def __init__(self, python: str, model: str = "radgraph-xl") -> None:
        if model not in MODELS:
            raise ConfigError(f"--model {model!r} is not one of {', '.join(MODELS)}")
        command = [python, "-u", str(_WORKER), json.dumps({"model": model})]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            raise AnnotatorError(f"--python {python}: cannot be started ({error.strerror}). {_HELP}") from None
        self.batched: bool | None = None
        stage = "start"
        while "ready" not in (greeting := self._read()):
            if not greeting:
                what = {"package": "cannot import radgraph", "model": "has radgraph, but its model cannot be loaded"}
                self.close()
                raise AnnotatorError(f"--python {python} {what.get(stage, 'failed')}: the error is above. {_HELP}")
            stage = greeting["stage"]
        self.version = f"radgraph {greeting['ready']} {model}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def annotate(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Records of a batch of texts, in their order; a text that RadGraph skips gets an empty one."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"reports": list(texts)}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AnnotatorError(f"the RadGraph process ended (exit status {self._process.poll()})") from None
        answer = self._read()
        if "records" not in answer:
            raise AnnotatorError(
                f"RadGraph failed on a batch of {len(texts)} reports of up to {max(map(len, texts))} characters: the "
                "error is above. If memory ran out, lower --batch-size; finished reports are kept"
            )
        self.batched = answer["batched"]
        return [
            r or {"text": " ".join(t.split()), "entities": {}} for r, t in zip(answer["records"], texts, strict=True)
        ]

    def _read(self) -> dict[str, Any]:
        """The next answer; empty when the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {}


def length_sorted_batches(texts: Mapping[str, str], size: int) -> list[list[str]]:
    """Keys in batches of texts of similar length, the longest first: what does not fit in memory fails at once."""
    keys = sorted(texts, key=lambda k: (-len(texts[k]), k))
    return [keys[i : i + size] for i in range(0, len(keys), size)]


def annotate_texts(
    texts: Mapping[str, str], worker: RadGraphWorker | None, partial: Path, batch_size: int = 16, progress: bool = True
) -> dict[str, dict[str, Any]]:
    """RadGraph records of texts, by key. Finished batches are appended to ``partial``; a later call goes on from there.

    Args:
        texts: key (:func:`text_key`) -> text.
        worker: RadGraph, or None for the rules.
        partial: JSON lines of what is done; the caller deletes it when the result is safe.
        batch_size: Texts a request.
        progress: Show a bar.
    """
    from tqdm import tqdm

    done = {key: record for key, record in _read_partial(partial) if key in texts}
    todo = {key: text for key, text in texts.items() if key not in done}
    bar = tqdm(total=len(texts), initial=len(done), unit="report", disable=not progress, file=sys.stderr)
    with bar, partial.open("a", encoding="utf-8") as log:
        for batch in length_sorted_batches(todo, batch_size):
            chosen = [todo[key] for key in batch]
            records = worker.annotate(chosen) if worker else [to_record(t, build_graph(t)) for t in chosen]
            for key, record in zip(batch, records, strict=True):
                log.write(json.dumps([key, record]) + "\n")
                done[key] = record
            log.flush()
            bar.update(len(batch))
    return done


def _read_partial(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            key, record = json.loads(line)
        except ValueError:
            continue  # the last line of an interrupted run
        yield key, record
