"""Reading full-size DICOM files to 512 pixels, against the published MIMIC-CXR-JPG recipe run by pydicom.

One 2544 x 3056 12-bit file (15.5 MB uncompressed), one thread. CPU time includes that of our helper process. The recipe
is measured with the reduction to 512 pixels that both sides end with, with and without its equalisation.

pydicom's default decoder of lossless JPEG is pylibjpeg-libjpeg, which is GPL-3.0 and therefore no dependency: install
it by hand to get that row (``pip install pylibjpeg-libjpeg``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pydicom

from clinclip.images import codecs, read_image
from clinclip.images.decoder_process import shared_decoder
from clinclip.phantom.dicom import write_phantom_dicom
from tests.benchmarks.harness import Row
from tests.images.pictures import detector_radiograph

SIZE = 512


def cpu_seconds() -> float:
    """CPU time of this process and of its decoding helper."""
    total = time.process_time()
    process = shared_decoder()._process
    if process is not None:
        fields = Path(f"/proc/{process.pid}/schedstat").read_text().split()
        total += int(fields[0]) / 1e9
    return total


def interleaved(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The harness's measure, with the helper's CPU time."""
    best = [float("inf"), float("inf")]
    for turn in range(repeats + 1):
        for side, call in enumerate((ours, theirs)):
            start = cpu_seconds()
            call()
            if turn:
                best[side] = min(best[side], cpu_seconds() - start)
    return best[0], best[1]


def published_recipe(path: Path, equalized: bool = False) -> np.ndarray:
    """pixel_array, subtract the lowest, divide by the highest, truncate, invert MONOCHROME1, equalise."""
    dataset = pydicom.dcmread(path)
    image = dataset.pixel_array
    image = image - np.min(image)
    image = image / np.max(image)
    image = (image * 255).astype(np.uint8)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        image = 255 - image
    return cv2.equalizeHist(image) if equalized else image  # type: ignore[return-value]


def reduced(image: np.ndarray) -> np.ndarray:
    shape = (SIZE, round(image.shape[0] * SIZE / image.shape[1]))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def voi_by_pydicom(path: Path) -> np.ndarray:
    """The usual notebook: apply_modality_lut, apply_voi_lut, scale to 8 bits."""
    dataset = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    shown = pydicom.pixels.apply_voi_lut(values, dataset) / 4095 * 255
    return np.rint(255 - shown).astype(np.uint8)


def run() -> list[Row]:
    """Measure after asserting bit equality (strict) or a mean difference of at most one level (fast)."""
    cv2.setNumThreads(1)
    pixels = detector_radiograph()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.dcm"
        window = {"window_center": 2000.0, "window_width": 3000.0}
        write_phantom_dicom(plain, pixels, photometric="MONOCHROME1", **window)
        assert np.array_equal(read_image(plain), published_recipe(plain))
        assert np.array_equal(read_image(plain, equalize=True), published_recipe(plain, True))
        assert np.array_equal(read_image(plain, min_size=SIZE), reduced(published_recipe(plain)))
        fast = read_image(plain, mode="fast", min_size=SIZE).astype(int)
        difference = np.abs(fast - reduced(published_recipe(plain))).mean()
        assert difference <= 1
        assert np.abs(read_image(plain, window="voi").astype(int) - voi_by_pydicom(plain)).max() <= 1
        comparisons: list[tuple[str, Callable, Callable, float]] = [
            ("strict against the recipe", lambda: read_image(plain, min_size=SIZE),
             lambda: reduced(published_recipe(plain)), 1.5),
            ("strict, equalised, against the recipe", lambda: read_image(plain, min_size=SIZE, equalize=True),
             lambda: reduced(published_recipe(plain, True)), 1.5),
            ("fast against the recipe", lambda: read_image(plain, mode="fast", min_size=SIZE),
             lambda: reduced(published_recipe(plain)), 2.5),
            ("fast, window, against pydicom's VOI", lambda: read_image(plain, "fast", "voi", SIZE),
             lambda: reduced(voi_by_pydicom(plain)), 2.5),
        ]  # fmt: skip
        for name, ours, theirs, goal in comparisons:
            a, b = interleaved(ours, theirs, 9)
            note = f"mean difference {difference:.2f} levels" if name.startswith("fast against") else "bit-equal"
            rows.append(Row(f"DICOM to 512: {name}", a, b, b / a, goal, note="" if "VOI" in name else note))

        lossless = Path(folder) / "lossless.dcm"
        write_phantom_dicom(lossless, pixels, photometric="MONOCHROME1", transfer_syntax=codecs.JPEG_LOSSLESS_SV1)
        assert np.array_equal(read_image(lossless), read_image(plain))
        if find_spec("libjpeg") is not None:
            assert np.array_equal(pydicom.dcmread(lossless).pixel_array, pixels)
            a, b = interleaved(lambda: read_image(lossless), lambda: published_recipe(lossless), 3)
            rows.append(Row("DICOM, lossless JPEG: against the recipe, pydicom's default decoder", a, b, b / a, 2.5))
        jpeg2000 = Path(folder) / "jpeg2000.dcm"
        write_phantom_dicom(jpeg2000, pixels, photometric="MONOCHROME1", transfer_syntax=codecs.JPEG_2000_LOSSLESS)
        assert np.array_equal(read_image(jpeg2000), read_image(plain))
        a, b = interleaved(lambda: read_image(jpeg2000), lambda: published_recipe(jpeg2000), 1)
        rows.append(Row("DICOM, JPEG 2000: against the recipe, pydicom's default decoder", a, b, b / a, 0.9))
    shared_decoder().close()
    return rows
