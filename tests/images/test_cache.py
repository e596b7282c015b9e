"""The image cache: what it stores, how it is read, and that it resumes, repairs, refuses and merges."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from clinclip.errors import CacheError, ConfigError, ImageDecodeError, ImageError
from clinclip.images import CacheOptions, ImageCache, build_cache, merge_caches, read_image
from clinclip.images import cache_build as building
from tests.images.pictures import grey8, png_bytes, write_pictures

OPTIONS = CacheOptions(size=32, mode="strict")


def build(folder, items, options=OPTIONS, **arguments):
    return build_cache(folder, items, options, workers=1, progress=False, **arguments)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    items = write_pictures(folder / "source", 20)
    report = build(folder / "cache", items)
    return folder / "cache", items, report


def test_images_are_the_reader_s_padded_to_a_square(built):
    folder, items, report = built
    cache = ImageCache.open(folder)
    assert len(cache) == report.count == report.built == 20
    assert cache.keys() == [key for key, _ in items]
    for i, (_, path) in enumerate(items):
        full = read_image(path)
        height, width = full.shape
        scale = 32 / max(height, width)
        rows, columns = round(height * scale), round(width * scale)
        square = np.zeros((32, 32), np.uint8)
        top, left = (32 - rows) // 2, (32 - columns) // 2
        square[top : top + rows, left : left + columns] = cv2.resize(
            full, (columns, rows), interpolation=cv2.INTER_AREA
        )
        assert np.array_equal(cache[i], square)


def test_gather_equals_single_reads(built):
    cache = ImageCache.open(built[0])
    order = [7, 0, 19, 7, 3]
    assert np.array_equal(cache.gather(order), np.stack([cache[i] for i in order]))
    tops, lefts = np.array([0, 3, 8, 1, 2]), np.array([8, 0, 4, 1, 7])
    windows = cache.gather_windows(order, tops, lefts, 24)
    expected = [cache[i][t : t + 24, left : left + 24] for i, t, left in zip(order, tops, lefts, strict=True)]
    assert np.array_equal(windows, np.stack(expected))
    out = np.empty((5, 32, 32), np.uint8)
    assert cache.gather(order, out) is out
    assert cache.gather([]).shape == (0, 32, 32)


def test_positions_out_of_range_are_refused(built):
    cache = ImageCache.open(built[0])
    for wrong in (-1, 20):
        with pytest.raises(CacheError, match=f"position {wrong} is not in"):
            cache[wrong]


def test_cache_survives_pickling_and_is_read_only(built):
    cache = pickle.loads(pickle.dumps(ImageCache.open(built[0])))
    assert cache.gather([1]).any()
    with pytest.raises(ValueError, match="read-only"):
        cache[0][0, 0] = 1


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(90, 70), (70, 90), (20, 30), (64, 200)])
def test_geometry_maps_boxes_onto_what_they_frame(tmp_path, fit, height, width):
    picture = np.zeros((height, width), np.uint8)
    box = np.array([width * 0.4, height * 0.3, width * 0.6, height * 0.7]).round()
    left, top, right, bottom = box.astype(int)
    picture[top:bottom, left:right] = 255
    path = tmp_path / "box.png"
    path.write_bytes(png_bytes(picture))
    build(tmp_path / "cache", [("box", path)], CacheOptions(size=64, fit=fit))
    cache = ImageCache.open(tmp_path / "cache")
    rows, columns = np.nonzero(cache[0] > 127)
    mapped = cache.geometry(0).map_boxes(box)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(np.clip(mapped, 0, 64) - found).max() <= 1.01


def test_jpeg_tier_is_near_the_raw_tier_and_smaller(tmp_path):
    items = write_pictures(tmp_path / "source", 5, side=300)
    build(tmp_path / "raw", items, CacheOptions(size=256))
    build(tmp_path / "jpeg", items, CacheOptions(size=256, tier="jpeg"))
    raw, jpeg = ImageCache.open(tmp_path / "raw"), ImageCache.open(tmp_path / "jpeg")
    assert np.abs(raw.gather(range(5)).astype(int) - jpeg.gather(range(5))).mean() < 2
    zeros, twos = np.zeros(2, int), np.full(2, 2)
    assert np.array_equal(jpeg.gather_windows([1, 4], twos, zeros, 20), jpeg.gather([1, 4])[:, 2:22, :20])

    def size(folder):
        return sum(path.stat().st_size for path in folder.glob("[!.]*.block"))

    assert size(tmp_path / "jpeg") < size(tmp_path / "raw") / 2
    assert jpeg.verify() == []


def test_entries_record_the_source(built):
    import hashlib

    folder, items, report = built
    entry = ImageCache.open(folder).entry(3)
    data = items[3][1].read_bytes()
    assert entry.source_sha256 == hashlib.sha256(data).hexdigest() == report.entries[3].source_sha256
    assert entry.source_bytes == len(data)
    assert (entry.height, entry.width) == read_image(items[3][1]).shape


def test_second_build_reads_nothing_and_changes_nothing(built):
    folder, items, _ = built
    before = contents(folder)
    report = build(folder, items)
    assert (report.built, report.reused) == (0, 20)
    assert contents(folder) == before


def test_skip_lists_failures_and_never_yields_a_blank(tmp_path):
    items = write_pictures(tmp_path / "source", 6)
    items[2][1].write_bytes(b"")
    items[4][1].unlink()
    report = build(tmp_path / "cache", items, policy="skip")
    assert [key for key, _ in report.failed] == ["key002", "key004"]
    assert "empty" in report.failed[0][1]
    cache = ImageCache.open(tmp_path / "cache")
    assert sorted(cache.failed) == [2, 4]
    for read in (lambda: cache[2], lambda: cache.gather([0, 4]), lambda: cache.geometry(2)):
        with pytest.raises(CacheError, match="holds no picture"):
            read()
    assert cache.gather([0, 1, 3, 5]).any(axis=(1, 2)).all()
    # Repaired sources are read by the next build.
    items[2][1].write_bytes(png_bytes(grey8()))
    report = build(tmp_path / "cache", items, policy="skip")
    assert (report.built, [key for key, _ in report.failed]) == (2, ["key004"])
    assert ImageCache.open(tmp_path / "cache")[2].any()


def test_strict_stops_naming_the_file(tmp_path):
    items = write_pictures(tmp_path / "source", 6)
    items[3][1].write_bytes(b"not an image")
    with pytest.raises(ImageDecodeError, match="none of JPEG, PNG, DICOM") as caught:
        build(tmp_path / "cache", items)
    assert caught.value.path == str(items[3][1])
    with pytest.raises(CacheError, match="no finished image cache"):
        ImageCache.open(tmp_path / "cache")


def test_strict_refuses_what_another_builder_skipped(tmp_path):
    items = write_pictures(tmp_path / "source", 3)
    items[1][1].write_bytes(b"not an image")
    build(tmp_path / "cache", items, policy="skip")
    with pytest.raises(ImageError, match="none of JPEG"):
        build(tmp_path / "cache", items, policy="strict")


def test_changed_source_is_read_again_and_a_removed_one_kept(tmp_path):
    items = write_pictures(tmp_path / "source", 4)
    build(tmp_path / "cache", items)
    kept = ImageCache.open(tmp_path / "cache")[1].copy()
    items[1][1].unlink()
    items[2][1].write_bytes(png_bytes(grey8(seed=99)))
    report = build(tmp_path / "cache", items)
    assert report.built == 1
    cache = ImageCache.open(tmp_path / "cache")
    assert np.array_equal(cache[1], kept)
    build(tmp_path / "other", [items[2]])
    assert np.array_equal(cache[2], ImageCache.open(tmp_path / "other")[0])


def test_appended_items_keep_finished_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(CacheOptions, "block_images", 4)
    items = write_pictures(tmp_path / "source", 12)
    build(tmp_path / "cache", items[:8])
    assert build(tmp_path / "cache", items).reused == 8
    assert ImageCache.open(tmp_path / "cache").keys() == [key for key, _ in items]


def test_other_options_are_refused_or_replace(tmp_path):
    items = write_pictures(tmp_path / "source", 3)
    build(tmp_path / "cache", items)
    other = CacheOptions(size=32, mode="strict", equalize=True)
    with pytest.raises(CacheError, match=r"other options: equalize \(True against False\)"):
        build(tmp_path / "cache", items, other)
    report = build(tmp_path / "cache", items, other, replace=True)
    assert report.built == 3
    assert ImageCache.open(tmp_path / "cache").options == other
    assert len(list((tmp_path / "cache").glob("[!.]*.block"))) == 1


def test_recipe_version_is_part_of_the_identity(tmp_path, monkeypatch):
    items = write_pictures(tmp_path / "source", 2)
    build(tmp_path / "cache", items)
    monkeypatch.setattr("clinclip.images.cache_entry.RECIPE", 99)
    with pytest.raises(CacheError, match="another version of the image recipe"):
        ImageCache.open(tmp_path / "cache")


def test_no_space_is_said_before_work_begins(tmp_path, monkeypatch):
    items = write_pictures(tmp_path / "source", 2)
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(CacheError, match=r"needs about 0\.0 GB for 2 images .* jpeg tier"):
        build(tmp_path / "cache", items)


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot create the image cache folder"):
        build(tmp_path / "file" / "cache", [])


def test_bad_arguments(tmp_path):
    with pytest.raises(ConfigError, match="'a' occurs twice"):
        build(tmp_path, [("a", tmp_path / "x"), ("b", tmp_path / "y"), ("a", tmp_path / "z")])
    with pytest.raises(ConfigError, match="policy is 'ignore'"):
        build(tmp_path, [], policy="ignore")
    for options in ({"size": 8}, {"fit": "zoom"}, {"tier": "png"}, {"quality": 10}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            CacheOptions(**options)


def test_damaged_contents_are_named(tmp_path):
    items = write_pictures(tmp_path / "source", 2)
    build(tmp_path / "cache", items)
    listing = tmp_path / "cache" / "cache.json"
    whole = json.loads(listing.read_text())
    listing.write_text(json.dumps({**whole, "format": 99}))
    with pytest.raises(CacheError, match="has format 99"):
        ImageCache.open(tmp_path / "cache")
    listing.write_text("{")
    with pytest.raises(CacheError, match="is damaged"):
        ImageCache.open(tmp_path / "cache")


def test_merge_equals_one_build(tmp_path):
    items = write_pictures(tmp_path / "source", 9)
    items[4][1].write_bytes(b"x")
    build(tmp_path / "whole", items, policy="skip")
    for i, part in enumerate((items[:4], items[4:6], items[6:])):
        build(tmp_path / f"part{i}", part, policy="skip")
    entries = merge_caches([tmp_path / f"part{i}" for i in range(3)], tmp_path / "merged")
    whole, merged = ImageCache.open(tmp_path / "whole"), ImageCache.open(tmp_path / "merged")
    assert [entry.key for entry in entries] == merged.keys() == whole.keys()
    assert merged.failed == whole.failed
    good = [i for i in range(9) if i != 4]
    assert np.array_equal(merged.gather(good), whole.gather(good))
    assert merged.verify() == []
    before = contents(tmp_path / "merged")
    merge_caches([tmp_path / f"part{i}" for i in range(3)], tmp_path / "merged")
    assert contents(tmp_path / "merged") == before


def test_merge_refuses_other_options_and_shared_images(tmp_path):
    items = write_pictures(tmp_path / "source", 4)
    build(tmp_path / "a", items[:2])
    build(tmp_path / "b", items[2:], CacheOptions(size=32, mode="fast"))
    build(tmp_path / "c", items[1:])
    with pytest.raises(CacheError, match=r"differs from .* in mode \(fast against strict\)"):
        merge_caches([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    with pytest.raises(CacheError, match="'key001' is both in"):
        merge_caches([tmp_path / "a", tmp_path / "c"], tmp_path / "merged")
    with pytest.raises(CacheError, match="no finished image cache"):
        merge_caches([tmp_path / "a", tmp_path / "nowhere"], tmp_path / "merged")


def test_full_disk_leaves_nothing_partial_and_the_build_goes_on_later(tmp_path, monkeypatch):
    items = write_pictures(tmp_path / "source", 12)
    monkeypatch.setattr(CacheOptions, "block_images", 4)
    calls = []

    def fsync(file):
        calls.append(file)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("clinclip.files.os.fsync", fsync)
    with pytest.raises(
        CacheError,
        match=rf"cannot write {tmp_path / 'cache'}/.*: No space left .*Free space or choose another output folder",
    ):
        build(tmp_path / "cache", items)
    left = sorted(path.name for path in (tmp_path / "cache").iterdir() if not path.name.endswith(".lock"))
    assert len(left) == 1
    assert left[0].endswith(".block")
    monkeypatch.undo()
    monkeypatch.setattr(CacheOptions, "block_images", 4)
    assert build(tmp_path / "cache", items).reused == 4


def test_interrupted_build_resumes(tmp_path):
    items = write_pictures(tmp_path / "source", 160, side=200)
    listing = tmp_path / "items.json"
    listing.write_text(json.dumps([(key, str(path)) for key, path in items]))
    code = (
        "import json, sys; from pathlib import Path; from clinclip.images import CacheOptions, build_cache;"
        "CacheOptions.block_images = 10;"
        "items = [(key, Path(path)) for key, path in json.loads(Path(sys.argv[1]).read_text())];"
        "build_cache(sys.argv[2], items, CacheOptions(size=32, mode='strict'), workers=1, progress=False)"
    )
    folder = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(listing), str(folder)],
        stderr=subprocess.PIPE,
        # a test run in the background of a shell hands "ignore SIGINT" down to its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while len(list(folder.glob("[!.]*.block"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1].decode()
    finished = len(list(folder.glob("[!.]*.block")))
    assert 3 <= finished < 16
    assert [path.name for path in folder.glob(".*") if path.suffix != ".lock"] == []
    assert subprocess.run([sys.executable, "-c", code, str(listing), str(folder)]).returncode == 0
    assert len(ImageCache.open(folder)) == 160
    assert ImageCache.open(folder).verify() == []
