"""Battery 1: damaged images in a preparation. And preparations that are killed, interrupted or short of disk."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from clinclip.__main__ import main
from clinclip.data.datamodule import CXRDataModule
from clinclip.data.manifest import Manifest
from clinclip.errors import CacheError, ImageError
from clinclip.files import write_atomically
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.table import TableOptions, read
from tests.prepare.trees import picture, write_csv

#: see test_real_table
REAL = Path(os.environ.get("CLINCLIP_REAL_NOTES", "no-such-folder")) / "images"


def options(csv: Path) -> TableOptions:
    return TableOptions(csv=csv, image_column="file", text_column="note", patient_column="patient")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def zeroed_chunk(path: Path) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    data = bytearray(cv2.imencode(".png", image)[1].tobytes())
    start = data.index(b"IDAT") + 4
    length = struct.unpack(">I", bytes(data[start - 8 : start - 4]))[0]
    data[start + length // 3 : start + 2 * length // 3] = b"\0" * (2 * length // 3 - length // 3)
    path.write_bytes(bytes(data))


def truncated_tail(path: Path) -> None:
    """A JPEG whose last fifth is noise, its end marker gone."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    data = bytearray(cv2.imencode(".jpg", image)[1].tobytes())
    del data[-len(data) // 5 :]
    path.write_bytes(bytes(data))


def missing(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def huge_header(path: Path) -> None:
    """A PNG that announces 30,000 x 30,000 pixels and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def wrong_name(path: Path) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    path.write_bytes(cv2.imencode(".png" if path.suffix == ".jpg" else ".jpg", image)[1].tobytes())


def rgba(path: Path) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    path.write_bytes(cv2.imencode(".png", np.dstack([image] * 3 + [np.full_like(image, 255)]))[1].tobytes())


def sixteen_bits(path: Path) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    path.write_bytes(cv2.imencode(".png", image.astype(np.uint16) * 16)[1].tobytes())


UNUSABLE = [empty, cut, zeroed_chunk, truncated_tail, missing, directory, huge_header]
USABLE = [wrong_name, rgba, sixteen_bits]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """94 radiographs where they are available, else as many drawn ones."""
    folder = tmp_path_factory.mktemp("pictures")
    real = sorted(REAL.iterdir()) if REAL.is_dir() else []
    for i in range(94):
        target = folder / f"{i:02d}.png"
        image = cv2.imread(str(real[i]), cv2.IMREAD_GRAYSCALE) if i < len(real) else None
        if image is None:
            picture(target, seed=i, size=(90, 80))
        else:
            scale = 160 / max(image.shape)
            assert cv2.imwrite(str(target), cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return folder


def copy(pictures: Path, folder: Path) -> tuple[Path, list[str]]:
    folder.mkdir()
    names = sorted(p.name for p in pictures.iterdir())
    for name in names:
        (folder / name).write_bytes((pictures / name).read_bytes())
    rows = [[name, "There is a pleural effusion." if i % 2 else "Clear.", f"p{i}"] for i, name in enumerate(names)]
    return write_csv(folder / "t.csv", ["file", "note", "patient"], rows), names


def test_battery_of_damaged_images(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv, names = copy(pictures, tmp_path / "in")
    bad, odd, at = set(), set(), 0
    for fault in [*UNUSABLE, *USABLE]:
        for _ in range(3):
            name = names[(at * 4 + 1) % len(names)]
            at += 1
            fault(tmp_path / "in" / name)
            (bad if fault in UNUSABLE else odd).add(name)
    assert len(bad) == 21
    assert len(odd) == 9
    skip = BuildOptions(image_size=64, policy="skip", workers=2)
    manifest = build(read(options(csv)), tmp_path / "skip", skip, progress=False)
    assert manifest is not None
    drops = pd.read_csv(tmp_path / "skip" / "drops.csv", dtype=str)
    reported = {f"{i}.png" for i in drops.loc[drops["reason"] == "image unreadable", "image_id"]}
    assert reported == bad, (sorted(reported - bad), sorted(bad - reported))
    kept = {f"{i}.png" for i in manifest.frame["image_id"]}
    assert kept == set(names) - bad
    assert odd <= kept
    # every drop says why
    assert drops.loc[drops["reason"] == "image unreadable", "detail"].str.len().min() > 10
    # no blank takes the place of a picture
    pixels = manifest.cache.gather(manifest.frame["cache_index"].to_numpy())
    assert (pixels.reshape(len(pixels), -1).std(axis=1) > 5).all()
    data = CXRDataModule([str(tmp_path / "skip")], batch_size=8, num_workers=0, image_size=64, augment="none")
    data.setup("fit")
    seen = [b.image for b in data.train_dataloader()]
    assert min(float(image.float().std()) for batch in seen for image in batch) > 5
    passed = len(reported) + len(odd)
    # strict: stops at the first, naming it
    strict = BuildOptions(image_size=64, workers=2)
    with pytest.raises(ImageError) as caught:
        build(read(options(csv)), tmp_path / "strict", strict, progress=False)
    assert Path(caught.value.path).name in bad
    assert not (tmp_path / "strict" / "header.json").exists()
    with capsys.disabled():
        print(f"\nbattery 1, damaged images: {passed} / {len(bad) + len(odd)} (skip), 1 / 1 (strict)")


@pytest.mark.parametrize("fault", UNUSABLE, ids=lambda f: f.__name__)
def test_strict_names_each_kind(pictures: Path, tmp_path: Path, fault: Callable[[Path], None]) -> None:
    csv, names = copy(pictures, tmp_path / "in")
    rows = [[name, "Clear.", f"p{i}"] for i, name in enumerate(names[:6])]
    csv = write_csv(csv, ["file", "note", "patient"], rows)
    fault(tmp_path / "in" / names[3])
    with pytest.raises(ImageError) as caught:
        build(read(options(csv)), tmp_path / "m", BuildOptions(image_size=32, workers=1), progress=False)
    assert Path(caught.value.path).name == names[3]
    assert names[3] in str(caught.value)


def command(csv: Path, out: Path) -> list[str]:
    columns = ["--image-column", "file", "--text-column", "note", "--patient-column", "patient"]
    rest = ["--out", str(out), "--image-size", "128", "--workers", "1", "--quiet"]
    return [sys.executable, "-m", "clinclip", "prepare", "table", "--csv", str(csv), *columns, *rest]


def test_killed_at_any_time_it_goes_on_to_the_same_manifest(pictures: Path, tmp_path: Path) -> None:
    csv, _ = copy(pictures, tmp_path / "in")
    expected = build(read(options(csv)), tmp_path / "whole", BuildOptions(image_size=128, workers=1), progress=False)
    assert expected is not None
    out = tmp_path / "m"
    kills = 0
    for wait in (0.0, 0.15, 0.4):
        process = subprocess.Popen(command(csv, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (out / "prepare.json").exists():
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        # a folder with a header is complete, without one it is not
        if (out / "header.json").exists():
            assert Manifest.load(out).hash == expected.hash
    assert kills >= 1
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command(csv, out), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert Manifest.load(out).hash == expected.hash
    assert not [p.name for p in out.iterdir() if p.name.startswith(".") and p.name != ".work"]


def test_interrupted_by_the_user(pictures: Path, tmp_path: Path) -> None:
    csv, _ = copy(pictures, tmp_path / "in")
    process = subprocess.Popen(
        command(csv, tmp_path / "m"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell hands "ignore SIGINT" down to its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not (tmp_path / "m" / "prepare.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert process.returncode == 130
    assert "run the same command again to go on" in messages
    assert "Traceback" not in messages


def test_output_folder_that_cannot_be_written(pictures: Path, tmp_path: Path) -> None:
    csv, _ = copy(pictures, tmp_path / "in")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((CacheError, OSError)) as caught:
        build(read(options(csv)), tmp_path / "file" / "m", BuildOptions(image_size=32, workers=1), progress=False)
    assert "file" in str(caught.value)


def test_output_that_cannot_be_written_is_named(
    manifest_dir: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on the error stream, no traceback."""
    csv, _ = copy(pictures, tmp_path / "in")
    (tmp_path / "file").write_text("not a folder")
    columns = ["--image-column", "file", "--text-column", "note", "--patient-column", "patient"]
    assert main(["prepare", "table", "--csv", str(csv), *columns, "--out", str(tmp_path / "file"), "--quiet"]) == 1
    assert f"cannot write {tmp_path / 'file' / 'prepare.json'}: " in capsys.readouterr().err
    page = tmp_path / "file" / "page.html"
    assert main(["inspect", "--manifest", str(manifest_dir), "--out", str(page)]) == 1
    assert f"cannot write {page}: " in capsys.readouterr().err


@pytest.mark.parametrize("tier", ["raw", "jpeg"])
def test_verify_reads_flipped_pixels_again(pictures: Path, tmp_path: Path, tier: str) -> None:
    """Bytes that rot in place have the right length: only their checksum tells."""
    csv, names = copy(pictures, tmp_path / "in")
    out = tmp_path / "m"
    columns = ["--image-column", "file", "--text-column", "note", "--patient-column", "patient"]
    command = ["prepare", "table", "--csv", str(csv), *columns, "--out", str(out), "--image-size", "32", "--quiet"]
    command += ["--tier", tier, "--workers", "2"]
    assert main(command) == 0
    first = Manifest.load(out)
    sound = first.cache.gather(range(len(names)))
    block = next((out / "images").glob("*.block"))
    data = bytearray(block.read_bytes())
    for at in range(200, 800, 60):
        data[at] ^= 0xFF
    block.write_bytes(data)
    assert Manifest.load(out).cache.verify()
    # the same command trusts what is there; asked to verify, it reads the damaged ones again
    assert main(command) == 0
    assert Manifest.load(out).cache.verify()
    assert main([*command, "--verify"]) == 0
    again = Manifest.load(out)
    assert not again.cache.verify()
    assert np.array_equal(again.cache.gather(range(len(names))), sound)
    assert again.hash == first.hash


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, fail)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
