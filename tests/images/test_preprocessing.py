"""How a picture becomes a model's input: one rule for files, arrays and caches, and what counts as another rule."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from clinclip.errors import ConfigError, DataError, ImageMissingError
from clinclip.images import CacheOptions, ImageCache, Preprocessing, build_cache


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list:
    folder, draw = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    paths = []
    for i, shape in enumerate([(90, 70), (64, 64), (50, 120), (300, 260)]):
        picture = cv2.GaussianBlur(draw.integers(0, 255, shape, np.uint8), (0, 0), 3)
        paths.append(folder / f"{i}.png")
        cv2.imwrite(str(paths[-1]), picture)
    return paths


def cached(folder, files, **options) -> ImageCache:
    items = [(str(i), path) for i, path in enumerate(files)]
    build_cache(folder, items, CacheOptions(**options), workers=1, progress=False)
    return ImageCache.open(folder)


@pytest.mark.parametrize("view", ["whole", "centre"])
@pytest.mark.parametrize(("fit", "equalize", "mode"), [("pad", False, "fast"), ("crop", True, "strict")])
def test_a_file_is_read_as_preparation_stores_it(tmp_path, files, view, fit, equalize, mode) -> None:
    cache = cached(tmp_path / "c", files, size=64, fit=fit, equalize=equalize, mode=mode)
    made = replace(Preprocessing.of(cache.options), image_size=48, view=view)
    seen = made.from_cache(cache, [3, 0, 1, 2])
    for picture, at in zip(seen, [3, 0, 1, 2], strict=True):
        np.testing.assert_array_equal(made.read(files[at]), cache[at])
        np.testing.assert_array_equal(made.see(made.read(files[at])), picture)
        # pixels in memory are those of a PNG file
        np.testing.assert_array_equal(made.read(cv2.imread(str(files[at]), 0)), cache[at])
    assert seen.shape == (4, 48, 48)


def test_whole_and_centre_by_hand(tmp_path, files) -> None:
    cache = cached(tmp_path / "c", files, size=64)
    made = Preprocessing.of(cache.options)
    np.testing.assert_array_equal(made.from_cache(cache, [2])[0], cache[2])
    centre = replace(made, image_size=48, view="centre").from_cache(cache, [2])[0]
    np.testing.assert_array_equal(centre, cache[2][8:56, 8:56])
    whole = replace(made, image_size=32).from_cache(cache, [2])[0]
    np.testing.assert_array_equal(whole, cv2.resize(cache[2], (32, 32), interpolation=cv2.INTER_AREA))


def test_a_larger_stored_side_shows_the_same_field(tmp_path, files) -> None:
    small, large = (cached(tmp_path / str(s), files, size=s, mode="strict") for s in (64, 128))
    made = replace(Preprocessing.of(small.options), image_size=48, view="centre")
    assert made.differences(large.options) == ()
    a, b = (made.from_cache(c, range(4)).astype(float) for c in (small, large))
    assert np.abs(a - b).mean() < 1.5  # a window of the large square itself would show half of the field
    window = large[1][40:88, 40:88].astype(float)
    assert np.abs(a[1] - window).mean() > 4


def test_what_is_a_difference() -> None:
    options = CacheOptions(size=64)
    made = Preprocessing.of(options)
    for change, words in (
        ({"fit": "crop"}, "fit 'pad' in training, 'crop' here"),
        ({"window": "voi"}, "window 'minmax' in training, 'voi' here"),
        ({"equalize": True}, "not equalised in training, equalised here"),
    ):
        assert words in made.differences(replace(options, **change))[0]
    for change in ({"size": 512}, {"mode": "strict"}, {"tier": "jpeg"}, {"quality": 80}):
        assert made.differences(replace(options, **change)) == ()
    # the publisher's equalisation and clinclip's make pictures alike
    assert Preprocessing.of(options, published_equalised=True).differences(replace(options, equalize=True)) == ()
    assert len(Preprocessing.of(options, published_equalised=True).differences(options)) == 1


def test_arrays_in_memory() -> None:
    made = Preprocessing(image_size=4, stored_size=16)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(made.read(grey), grey)
    np.testing.assert_array_equal(made.read(grey[..., None]), grey)
    np.testing.assert_array_equal(made.read(np.repeat(grey[..., None], 3, axis=2)), grey)
    np.testing.assert_array_equal(made.read(grey / 255.0), grey)
    np.testing.assert_array_equal(made.read(grey.astype(np.uint16) * 16 + 100), grey)  # stretched
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 100
    assert (made.read(red) == 30).all()  # luma of RGB, not of BGR
    with pytest.raises(DataError, match=r"outside \[0, 1\]"):
        made.read(grey.astype(np.float32))
    with pytest.raises(DataError, match="type int64"):
        made.read(grey.astype(np.int64))
    with pytest.raises(DataError, match=r"shape \(2, 16, 16\)"):
        made.read(np.zeros((2, 16, 16), np.uint8))


def test_faults_are_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"data\.augment=crop cuts 100 x 100 .* squares of 64 x 64"):
        Preprocessing(image_size=100, stored_size=64, view="centre")
    with pytest.raises(ConfigError, match="image_size is 'big'"):
        Preprocessing(image_size="big")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs exactly"):
        Preprocessing.from_dict({"image_size": 3})
    with pytest.raises(ImageMissingError, match="nowhere"):
        Preprocessing().read(tmp_path / "nowhere.png")
    assert Preprocessing.from_dict(Preprocessing(fit="crop").as_dict()) == Preprocessing(fit="crop")
