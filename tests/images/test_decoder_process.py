"""The helper process: whatever happens to it becomes an image error, and the next image is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from clinclip.errors import DecoderMissingError, ImageDecodeError
from clinclip.images import codecs, read_image
from clinclip.images.decoder_process import DecoderDiedError, DecoderProcess, raise_answer, shared_decoder
from clinclip.images.limits import MAX_PIXELS, cpu_seconds
from clinclip.phantom.dicom import encode_frame, write_phantom_dicom
from tests.images.pictures import radiograph


@pytest.fixture(scope="module")
def slow_frame():
    """A request that takes a good part of a second."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4096, (1500, 1500)).astype(np.uint16)
    frame = encode_frame(pixels, codecs.JPEG_2000_LOSSLESS, 12)
    header = {
        "op": "frame",
        "path": "x.dcm",
        "syntax": codecs.JPEG_2000_LOSSLESS,
        "shape": pixels.shape,
        "dtype": "<u2",
    }
    return header, frame, pixels


@pytest.fixture
def helper():
    process = DecoderProcess()
    yield process
    process.close()


def decoded(helper, request) -> np.ndarray:
    answer, body = helper.call(request[0], request[1])
    return np.frombuffer(body, answer["dtype"]).reshape(answer["shape"])


def test_answers_and_restarts_after_the_cpu_limit(helper, slow_frame):
    assert np.array_equal(decoded(helper, slow_frame), slow_frame[2])
    with pytest.raises(DecoderDiedError, match="limit of CPU time"):
        helper.call({**slow_frame[0], "cpu_seconds": 0.02}, slow_frame[1])
    assert np.array_equal(decoded(helper, slow_frame), slow_frame[2])


@pytest.mark.parametrize("op", ["frame", "cache_entry"])
@pytest.mark.parametrize("a_megapixel", [0.0, 20.0])
def test_the_cpu_limit_grows_with_the_pixels(tmp_path, slow_frame, op, a_megapixel):
    """On a machine that is too slow for the limit of small images, large ones get their own."""
    from clinclip.images.decoder_process import receive, send

    path = tmp_path / "a.dcm"
    write_phantom_dicom(path, slow_frame[2], transfer_syntax=codecs.JPEG_2000_LOSSLESS)
    code = (
        "import clinclip.images.limits as m; m.MAX_DECODE_CPU_SECONDS = 0.1;"
        f"m.CPU_SECONDS_PER_MEGAPIXEL = {a_megapixel}; import clinclip.images.codecs, clinclip.images.dicom_grey;"
        "import pydicom.config, imagecodecs; imagecodecs.jpeg2k_decode;"
        "import clinclip.images.decoder_main as d; d.main()"
    )
    header = slow_frame[0] if op == "frame" else {"op": op, "path": str(path), "options": {"size": 32}}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        send(process.stdin, header, slow_frame[1] if op == "frame" else b"")
        answer = receive(process.stdout)
    finally:
        process.communicate()
    assert (answer is not None and "error" not in answer[0]) == (a_megapixel > 0)
    assert process.returncode == (0 if a_megapixel else -signal.SIGPROF)


def test_a_large_radiograph_may_take_ten_times_what_it_takes():
    assert cpu_seconds(15_000_000) >= 30  # three on an ordinary core
    assert cpu_seconds(0) == 4
    assert cpu_seconds(2**40) == cpu_seconds(MAX_PIXELS)  # a header's claim is no reason to wait for ever


def test_a_crash_names_the_signal(helper, slow_frame):
    decoded(helper, slow_frame)
    threading.Timer(0.05, os.kill, (helper.pid, signal.SIGSEGV)).start()

    def call_often() -> None:
        for _ in range(50):
            helper.call(slow_frame[0], slow_frame[1])

    with pytest.raises(DecoderDiedError, match="crashed with SIGSEGV"):
        call_often()
    assert np.array_equal(decoded(helper, slow_frame), slow_frame[2])


def test_a_death_between_calls_goes_unnoticed(helper, slow_frame):
    assert helper.pid is None
    decoded(helper, slow_frame)
    first = helper.pid
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # until it is dead; it is the helper's to bury
    assert np.array_equal(decoded(helper, slow_frame), slow_frame[2])
    assert helper.pid not in (None, first)
    helper.close()
    assert helper.pid is None


def test_too_much_memory_is_an_error_not_a_death(helper):
    """A JPEG whose decoded form fits the pixel limit, in a helper that may add only little."""
    code = "import clinclip.images.decoder_main as m; m.MEMORY_ABOVE_START = 40 * 2**20; m.main()"
    from clinclip.images.decoder_process import receive, send

    pixels = np.zeros((7000, 7000), np.uint8)
    frame = encode_frame(pixels, codecs.RLE, 8)
    header = {"op": "frame", "path": "x", "syntax": codecs.RLE, "shape": pixels.shape, "dtype": "|u1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        send(process.stdin, header, frame)
        answer, _ = receive(process.stdout)
        assert answer == {"error": "ImageDecodeError", "reason": "it needs more memory than the limit"}
    finally:
        process.communicate()
    assert process.returncode == 0


def test_errors_keep_their_class_across_the_pipe(helper):
    header = {"op": "frame", "path": "x", "syntax": codecs.JPEG_LOSSLESS, "shape": [4, 4], "dtype": "<u2"}
    answer, _ = helper.call(header, b"\xff\xd8 not a frame")
    with pytest.raises(ImageDecodeError, match=r"here\.dcm.*no frame header"):
        raise_answer("here.dcm", answer)
    with pytest.raises(DecoderMissingError):
        raise_answer("here.dcm", {"error": "DecoderMissingError", "reason": "none"})
    raise_answer("here.dcm", {"shape": [1]})


def test_threads_share_one_helper_and_a_fork_gets_its_own(tmp_path):
    path = tmp_path / "a.dcm"
    write_phantom_dicom(path, radiograph(), transfer_syntax=codecs.JPEG_2000_LOSSLESS)
    expected = read_image(path)
    mine = shared_decoder().pid
    results = []
    threads = [threading.Thread(target=lambda: results.append(read_image(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, expected) for result in results)
    assert shared_decoder().pid == mine
    child = os.fork()
    if child == 0:
        good = np.array_equal(read_image(path), expected) and shared_decoder().pid != mine
        shared_decoder().close()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(read_image(path), expected)


def test_helper_ends_with_its_parent(tmp_path):
    path = tmp_path / "a.dcm"
    write_phantom_dicom(path, radiograph(), transfer_syntax=codecs.JPEG_2000_LOSSLESS)
    code = (
        "import sys, time; from clinclip.images import read_image; read_image(sys.argv[1]);"
        "from clinclip.images.decoder_process import shared_decoder;"
        "print(shared_decoder().pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    helper = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(helper, 0)
            with open(f"/proc/{helper}/stat") as file:
                if file.read().split()[2] == "Z":
                    return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    raise AssertionError("the helper outlived its parent")


def test_reading_a_png_loads_no_heavy_library():
    code = (
        "import sys, clinclip.images;"
        "assert not {'cv2', 'numpy', 'pydicom', 'torch'} & set(sys.modules);"
        "import tempfile, pathlib, cv2, numpy;"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'a.png'; cv2.imwrite(str(path), numpy.eye(9, dtype='u1'));"
        "assert clinclip.images.read_image(path).sum() == 9;"
        "print(sorted({'pydicom', 'torch', 'albumentations', 'imagecodecs', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
