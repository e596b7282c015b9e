"""Made-up radiographs for the image tests."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def radiograph(height: int = 120, width: int = 100, seed: int = 0, bits: int = 12) -> np.ndarray:
    """uint16 (H, W): two dark lungs in a bright thorax, an asymmetric heart, ribs and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    picture = 0.75 - 0.35 * (np.abs(x - 0.5) > 0.45)
    for centre in (0.3, 0.7):
        picture -= 0.45 * np.exp(-(((x - centre) / 0.14) ** 4) - ((y - 0.45) / 0.3) ** 4)
    picture += 0.3 * np.exp(-(((x - 0.58) / 0.13) ** 2) - ((y - 0.6) / 0.14) ** 2)
    picture += 0.05 * np.sin(40 * y + 6 * np.abs(x - 0.5))
    picture += rng.normal(0, 0.01, picture.shape)
    return np.round(np.clip(picture, 0, 1) * (2**bits - 1)).astype(np.uint16)


def grey8(height: int = 120, width: int = 100, seed: int = 0) -> np.ndarray:
    return (radiograph(height, width, seed) >> 4).astype(np.uint8)


def png_bytes(array: np.ndarray, mode: str | None = None, **options) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, "PNG", **options)
    return out.getvalue()


def jpeg_bytes(array: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", **{"quality": 95, **options})
    return out.getvalue()


def write_pictures(folder: Path, count: int, side: int = 48) -> list[tuple[str, Path]]:
    """``count`` small JPEG and PNG files; returns the items of a cache."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for i in range(count):
        picture = grey8(side + i % 7, side + i % 5, seed=i)
        path = folder / f"image{i:03d}{'.jpg' if i % 2 else '.png'}"
        path.write_bytes(jpeg_bytes(picture) if i % 2 else png_bytes(picture))
        items.append((f"key{i:03d}", path))
    return items


def area(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def detector_radiograph(height: int = 3056, width: int = 2544, bits: int = 12, noise: float = 0.010) -> np.ndarray:
    """uint16 (H, W) at detector resolution: smooth anatomy and fine, slightly correlated noise (real file sizes)."""
    coarse = radiograph(height // 8, width // 8, bits=12).astype(np.float32) / 4095
    picture = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 2), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(1).normal(0, 1, (height, width)).astype(np.float32)
    picture += noise * cv2.GaussianBlur(grain, (0, 0), 0.7) / 0.4
    return np.round(np.clip(0.05 + 0.9 * picture, 0, 1) * (2**bits - 1)).astype(np.uint16)
