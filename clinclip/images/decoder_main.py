"""The helper process's main loop: limits, then one request after the other from standard input."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from clinclip import errors
from clinclip.images.decoder_process import mark_inside, receive, send, start_cpu_limit, stop_cpu_limit

#: Address space that a request may add to what the loaded libraries take.
MEMORY_ABOVE_START = 900 * 2**20


def frame(header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], memoryview]:
    """Decode one compressed DICOM frame: (path, syntax, shape, dtype) -> array."""
    from clinclip.images.codecs import decode_frame

    shape, dtype = tuple(header["shape"]), np.dtype(header["dtype"])
    pixels = decode_frame(payload, header["path"], header["syntax"], shape, dtype)
    return as_message(pixels)


def plugin(header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], memoryview]:
    """Decode a DICOM file with whatever plugins pydicom finds: (path) -> array."""
    from clinclip.images.dicom import pydicom_pixels

    return as_message(pydicom_pixels(header["path"]))


def as_message(pixels: np.ndarray) -> tuple[dict[str, Any], memoryview]:
    """An array as header and bytes."""
    pixels = np.ascontiguousarray(pixels)
    return {"shape": pixels.shape, "dtype": pixels.dtype.str}, pixels.data.cast("B")


def cache_entry(header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    """Read one image the way a cache stores it: (path, options) -> entry."""
    from clinclip.images.cache_entry import make_entry

    return make_entry(header["path"], header["options"])


OPERATIONS: dict[str, Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes | memoryview]]] = {
    "frame": frame,
    "plugin": plugin,
    "cache_entry": cache_entry,
}


def limit_memory() -> None:
    """Bound the address space to what is in use now plus `MEMORY_ABOVE_START`."""
    import cv2  # noqa: F401 - part of the footprint that the bound is measured from

    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = used + MEMORY_ABOVE_START
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def main() -> None:
    """Serve until standard input ends, which it does when the parent ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not mix with the answers
    mark_inside()
    import cv2

    cv2.setNumThreads(1)
    limit_memory()
    while (message := receive(requests)) is not None:
        header, payload = message
        start_cpu_limit(header.get("pixels", math.prod(header.get("shape", (0,)))), header.get("cpu_seconds"))
        try:
            answer, body = OPERATIONS[header["op"]](header, payload)
        except errors.ImageError as error:
            answer, body = {"error": type(error).__name__, "reason": error.reason}, b""
        except (MemoryError, cv2.error) as error:
            reason = "it needs more memory than the limit" if isinstance(error, MemoryError) else error.err
            answer, body = {"error": "ImageDecodeError", "reason": reason}, b""
        stop_cpu_limit()
        send(answers, answer, body)
