"""Reading a full-size JPEG to 512 pixels, against Pillow as peers call it and against OpenCV in grey.

One 2544 x 3056 grey JPEG of quality 95 and about 1.7 MB (synthetic noise; MIMIC-CXR-JPG averages about 1.5 MB), one
thread, CPU time. The floor is the entropy decoder, which nothing here can skip: the last row shows how near it is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from clinclip.images import read_image
from tests.benchmarks.harness import Row, interleaved
from tests.images.pictures import detector_radiograph

SIZE = 512


def run() -> list[Row]:
    """Measure after asserting that both sides give the same picture."""
    cv2.setNumThreads(1)
    pixels = (detector_radiograph() >> 4).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "radiograph.jpg"
        path.write_bytes(jpeg := simplejpeg.encode_jpeg(pixels[:, :, None], 95, "GRAY", "Gray"))

        def pillow_rgb() -> np.ndarray:
            """What MedCLIP, CXR-CLIP and torchvision pipelines do: RGB, then a bicubic Resize."""
            with Image.open(path) as image:
                width, height = image.size
                shape = (SIZE, round(height * SIZE / width))
                return np.asarray(image.convert("RGB").resize(shape, Image.Resampling.BICUBIC))

        def opencv_grey() -> np.ndarray:
            full = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            shape = (SIZE, round(full.shape[0] * SIZE / full.shape[1]))
            return cv2.resize(full, shape, interpolation=cv2.INTER_AREA)

        def fast() -> np.ndarray:
            return read_image(path, mode="fast", min_size=SIZE)

        def strict() -> np.ndarray:
            return read_image(path, mode="strict", min_size=SIZE)

        def entropy_decoder() -> np.ndarray:
            return simplejpeg.decode_jpeg(jpeg, "GRAY", min_height=1, min_width=1)

        assert np.array_equal(strict(), opencv_grey())
        assert np.abs(fast().astype(int) - strict()).mean() <= 1
        assert np.abs(fast().astype(int) - pillow_rgb()[:, :, 0]).mean() <= 2
        assert len(jpeg) > 1_400_000
        note = f"{len(jpeg) / 1e6:.2f} MB, mean difference {np.abs(fast().astype(int) - strict()).mean():.2f} levels"
        rows = []
        for name, theirs, ours, goal in (
            ("JPEG to 512: fast against Pillow RGB + bicubic", pillow_rgb, fast, 4.0),
            ("JPEG to 512: fast against OpenCV grey + area", opencv_grey, fast, 1.8),
            ("JPEG to 512: strict against Pillow RGB + bicubic", pillow_rgb, strict, 1.8),
        ):
            a, b = interleaved(ours, theirs, repeats=11)
            rows.append(Row(name, a, b, b / a, goal, note=note))
        a, b = interleaved(fast, entropy_decoder, repeats=11)
        rows.append(Row("JPEG to 512: fast over the entropy decoder alone", a, b, a / b, 1.3, better="smaller"))
        return rows
