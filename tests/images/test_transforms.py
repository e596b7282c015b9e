"""Augmentation: a pure function of its key, on any worker; no flips; evaluation is deterministic."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clinclip.draws import keyed_words
from clinclip.errors import ConfigError
from clinclip.images import CacheOptions, ImageCache, ImageTransform, build_cache
from tests.images.pictures import grey8, write_pictures

KEYS = [(7, epoch, sample) for epoch in range(3) for sample in range(4)]


def test_same_key_same_picture_whatever_came_before():
    image = grey8(80, 80)
    first = ImageTransform(64, train=True)
    pictures = {key: first(image, key) for key in KEYS}
    second = ImageTransform(64, train=True)
    for key in reversed(KEYS):
        assert np.array_equal(second(image, key), pictures[key])
        assert pictures[key].shape == (64, 64)
        assert pictures[key].dtype == np.uint8
    distinct = {picture.tobytes() for picture in pictures.values()}
    assert len(distinct) == len(KEYS)


def test_same_key_same_picture_in_another_process():
    code = (
        "import hashlib; from clinclip.images import ImageTransform; from tests.images.pictures import grey8;"
        "t = ImageTransform(64, train=True);"
        "print(hashlib.sha256(b''.join(t(grey8(80, 80), (7, 1, s)).tobytes() for s in range(4))).hexdigest())"
    )
    import hashlib

    transform = ImageTransform(64, train=True)
    transform(grey8(80, 80), (99,))
    here = hashlib.sha256(b"".join(transform(grey8(80, 80), (7, 1, s)).tobytes() for s in range(4))).hexdigest()
    np.random.seed(5)  # noqa: NPY002 - global state must not matter
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


class _Pictures:
    """A map-style data set, as a DataLoader wants it."""

    def __init__(self, transform: ImageTransform) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> np.ndarray:
        return self.transform(grey8(80, 80), (7, 0, index))


def test_two_workers_differ_from_each_other_and_agree_with_none():
    import torch

    def load(workers: int) -> np.ndarray:
        loader = torch.utils.data.DataLoader(_Pictures(ImageTransform(64, train=True)), 2, num_workers=workers)
        return np.concatenate([batch.numpy() for batch in loader])

    alone, shared = load(0), load(2)
    assert np.array_equal(alone, shared)
    assert len({picture.tobytes() for picture in shared}) == 8


def test_transforms_of_one_sample_draw_independently():
    """Zoom and contrast are the first draws of their transforms: from one seed for both, they would move together."""
    image = np.full((100, 100), 128, np.uint8)
    options = {"rotation": 0.0, "scale": (0.5, 4.0), "ratio": (1.0, 1.0), "clahe": 0.0, "brightness": 0.0}
    transform = ImageTransform(64, train=True, contrast=0.4, **options)
    pictures = [transform(image, (key,)) for key in range(300)]
    border = [(picture == 0).mean() for picture in pictures]
    level = [int(picture.max()) for picture in pictures]
    assert np.std(border) > 0.1
    assert np.std(level) > 10
    assert abs(np.corrcoef(border, level)[0, 1]) < 0.2


def test_neighbouring_keys_draw_independently():
    image = np.full((40, 40), 128, np.uint8)
    options = {"rotation": 0.0, "scale": (1.0, 1.0), "clahe": 0.0, "contrast": 0.0}
    transform = ImageTransform(32, train=True, brightness=0.3, **options)
    levels = np.array([[int(transform(image, (7, e, i)).max()) for i in range(200)] for e in range(2)])
    assert len(np.unique(levels)) > 100
    assert abs(levels.mean() - 128) < 6
    assert abs(np.corrcoef(levels)[0, 1]) < 0.25
    assert abs(np.corrcoef(levels[0, 1:], levels[0, :-1])[0, 1]) < 0.25


def test_never_flipped():
    """A marker on the patient's right stays on that side under every key."""
    image = np.zeros((96, 96), np.uint8)
    image[30:66, 12:36] = 255
    transform = ImageTransform(64, train=True)
    for key in range(60):
        columns = np.arange(64)[None] * (transform(image, (key,)).astype(float) > 100)
        assert columns.sum() / max(1, np.count_nonzero(columns)) < 32


def test_crop_scale_reaches_both_ends():
    image = np.full((400, 400), 200, np.uint8)
    only_crop = ImageTransform(200, train=True, rotation=0, clahe=0, brightness=0, contrast=0, ratio=(1.0, 1.0))
    borders = [(only_crop(image, (key,)) == 0).mean() for key in range(200)]
    assert max(borders) > 0.05  # zoomed out: the image has a black border
    assert min(borders) == 0.0


def test_evaluation_is_a_plain_resize():
    image = grey8(96, 96)
    transform = ImageTransform(48)
    assert np.array_equal(transform(image, (1,)), transform(image, (2,)))
    expected = image.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(transform(image).astype(float) - expected).max() <= 0.51
    assert np.array_equal(ImageTransform(96)(image), image)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("augment", ["full", "crop", "none"])
@pytest.mark.parametrize("tier", ["raw", "jpeg"])
def test_batches_from_the_cache_equal_single_images(tmp_path, train, augment, tier):
    items = write_pictures(tmp_path / "source", 6)
    build_cache(tmp_path / "cache", items, CacheOptions(size=40, tier=tier), workers=1, progress=False)
    cache = ImageCache.open(tmp_path / "cache")
    for size in (32, 40):
        transform = ImageTransform(size, train=train, augment=augment)
        indices, keys = [5, 0, 3], [(1, 0, 5), (1, 0, 0), (1, 0, 3)]
        batch = transform.from_cache(cache, indices, keys)
        assert np.array_equal(batch, np.stack([transform(cache[i], k) for i, k in zip(indices, keys, strict=True)]))


def test_random_windows_are_uniform():
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)
    transform = ImageTransform(2, train=True, augment="crop")
    corners = [transform(image, (3, key))[0, 0] for key in range(4000)]
    counts = np.bincount(corners, minlength=9)
    assert counts[[2, 5, 6, 7, 8]].sum() == 0
    assert np.abs(counts[[0, 1, 3, 4]] / 4000 - 0.25).max() < 0.03


def test_keyed_words_look_random_and_depend_on_every_number():
    keys = np.stack(np.meshgrid([0, 1], range(50), range(50), indexing="ij"), -1).reshape(-1, 3)
    words = keyed_words(keys, 3)
    assert len(np.unique(words)) == words.size
    bits = (words[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=(0, 1)) - 0.5).max() < 0.03
    assert np.array_equal(keyed_words(keys[5:6], 3), words[5:6])
    assert np.array_equal(keyed_words([(-3, 2**40)], 1), keyed_words(np.array([[-3, 2**40]]), 1))


def test_bad_arguments():
    for arguments in ({"size": 0}, {"augment": "flip"}, {"scale": (1.1, 0.8)}, {"ratio": (0, 1)}, {"clahe": 2.0}):
        with pytest.raises(ConfigError, match=next(iter(arguments))):
            ImageTransform(**{"size": 32, **arguments})
    with pytest.raises(ConfigError, match="prepare a larger image cache"):
        ImageTransform(64, augment="crop")(grey8(40, 40), (1,))
