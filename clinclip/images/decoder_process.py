"""A helper process for work that may crash, hang or exhaust memory on a damaged or hostile file.

C decoders meet whatever bytes a file holds. In a process of their own, a segmentation fault, an endless loop or an
allocation of gigabytes becomes an `ImageDecodeError` that names the file, and the training run goes on. The messages
are JSON and raw bytes, never pickles: a subverted decoder cannot run code in its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clinclip import errors
from clinclip.images.limits import cpu_seconds

_HEAD = struct.Struct("<IQ")
#: Seconds without an answer after which the process is given up. What computes meets its CPU limit long before, unless
#: many processes share a core; what waits (for a file on a dead mount) meets this one.
WALL_SECONDS = 900.0


class DecoderDiedError(errors.ClinClipError):
    """The helper process ended without an answer; the message says how, in one clause."""


def send(stream: IO[bytes], header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message: lengths, a JSON header, raw bytes."""
    text = json.dumps(header).encode()
    stream.write(_HEAD.pack(len(text), len(payload)))
    stream.write(text)
    if len(payload):
        stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one message, or None at the end of the stream."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    text, size = _HEAD.unpack(head)
    header, payload = stream.read(text), stream.read(size)
    if len(header) < text or len(payload) < size:
        return None
    return json.loads(header), payload


class DecoderProcess:
    """One helper process, started on the first call and restarted after it died. Calls are serialised by a lock."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process that runs or has just died; None before the first call and after `close`."""
        return None if self._process is None else self._process.pid

    def call(self, header: dict[str, Any], payload: bytes | memoryview = b"") -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for its answer.

        Args:
            header: JSON-serialisable; ``op`` names an operation of `clinclip.images.decoder_main`.
            payload: Raw bytes.

        Returns:
            The answer's header and payload.

        Raises:
            DecoderDiedError: The process crashed, exceeded its CPU or memory limit, or did not answer.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            try:
                send(process.stdin, header, payload)
                self._wait(process)
                answer = receive(process.stdout)
            except (BrokenPipeError, ConnectionResetError):
                answer = None
            except TimeoutError as error:
                self._stop()
                raise DecoderDiedError(f"its decoder did not answer within {WALL_SECONDS:.0f} seconds") from error
            except BaseException:
                self._stop()  # an interrupt between request and answer must not leave the answer for the next caller
                raise
            if answer is None:
                raise DecoderDiedError(self._cause())
            return answer

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from clinclip.images.decoder_main import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=env,
            )
        return self._process

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until an answer begins to arrive."""
        assert process.stdout is not None
        deadline = time.monotonic() + WALL_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(max(0.0, deadline - time.monotonic())):
                if time.monotonic() >= deadline:
                    raise TimeoutError

    def _cause(self) -> str:
        process = self._process
        assert process is not None
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            code = 0
        tail = ""
        if self._errors is not None and code > 0:
            self._errors.seek(0)
            tail = self._errors.read()[-300:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._stop()
        if code == -signal.SIGPROF:
            return "its decoder exceeded the limit of CPU time (damaged or hostile data)"
        if code < 0:
            return f"its decoder crashed with {signal.Signals(-code).name} (damaged or hostile data)"
        return f"its decoder process ended with status {code}{': ' + tail if tail else ''}"

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        continue  # unsent bytes of a request that nobody will read
        errors, self._errors = self._errors, None
        if errors is not None:
            errors.close()


_shared: tuple[int, DecoderProcess] | None = None
_inside = False


def shared_decoder() -> DecoderProcess:
    """The helper of this process; a forked child gets its own."""
    global _shared
    if _shared is None or _shared[0] != os.getpid():
        _shared = (os.getpid(), DecoderProcess())
        atexit.register(_shared[1].close)
    return _shared[1]


def mark_inside() -> None:
    """Called by the helper itself, which decodes directly."""
    global _inside
    _inside = True


_granted = 0.0


def start_cpu_limit(pixels: int, seconds: float | None = None) -> None:
    """Called by the helper at each request: its CPU time is limited by the pixels that the request names.

    Args:
        pixels: As far as they are known; `allow_pixels` raises the limit once a header has told.
        seconds: A limit that nothing raises, instead.
    """
    global _granted
    _granted = cpu_seconds(pixels) if seconds is None else float("inf")
    signal.setitimer(signal.ITIMER_PROF, _granted if seconds is None else seconds)


def stop_cpu_limit() -> None:
    """Called by the helper after each request."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def allow_pixels(pixels: int) -> None:
    """Raise the CPU limit of the present request to that of an image of so many pixels. No effect outside a helper.

    A limit that does not grow with the image drops sound large images on a slow machine.
    """
    global _granted
    wanted = cpu_seconds(pixels)
    if _inside and wanted > _granted:
        left = signal.getitimer(signal.ITIMER_PROF)[0]
        signal.setitimer(signal.ITIMER_PROF, left + wanted - _granted)
        _granted = wanted


def call_decoder(
    path: str | os.PathLike[str], header: dict[str, Any], payload: bytes, directly: Callable[[], NDArray]
) -> NDArray:
    """Run a decoding operation in the helper of this process, or directly when this is a helper.

    Args:
        path: The image file, for messages.
        header: The request without its path.
        payload: Its bytes.
        directly: The same operation as a call.

    Returns:
        The decoded array.

    Raises:
        ImageError: What the operation raised, or an `ImageDecodeError` when the helper died on the data.
    """
    if _inside:
        return directly()
    try:
        answer, body = shared_decoder().call({**header, "path": str(path)}, payload)
    except DecoderDiedError as error:
        raise errors.ImageDecodeError(path, str(error)) from error
    raise_answer(path, answer)
    return np.frombuffer(body, np.dtype(answer["dtype"])).reshape(answer["shape"])


def raise_answer(path: str | os.PathLike[str], answer: dict[str, Any]) -> None:
    """Raise the image error that an answer carries, if it does."""
    if "error" in answer:
        kinds = (
            errors.ImageDecodeError,
            errors.ImageTooLargeError,
            errors.ImageMissingError,
            errors.DecoderMissingError,
        )
        kind = next((k for k in kinds if k.__name__ == answer["error"]), errors.ImageDecodeError)
        raise kind(path, answer["reason"])
