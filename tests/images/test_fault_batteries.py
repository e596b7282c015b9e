"""Fault batteries 1, 2 and 7 of the reliability design (images, DICOM, concurrent cache); each prints its score."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from clinclip.errors import CacheError, ImageError
from clinclip.images import CacheOptions, ImageCache, ImageTransform, build_cache, codecs, read_image
from clinclip.images.cache_files import read_index
from clinclip.images.dicom import DEFLATED, EXPLICIT
from clinclip.phantom.dicom import write_phantom_dicom
from tests.images.pictures import grey8, jpeg_bytes, png_bytes, radiograph, write_pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture
def score(capsys):
    """Print passed/cases past pytest's capture, then assert that they are equal."""

    def report(battery: str, outcomes: dict[str, bool]) -> None:
        passed = sum(outcomes.values())
        with capsys.disabled():
            print(f"\n{battery}: {passed}/{len(outcomes)}", end=" ")
        failed = [case for case, good in outcomes.items() if not good]
        assert not failed, "\n".join(failed)

    return report


# --- battery 1: damaged images ------------------------------------------------------------------------------------


def zeroed_chunk(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 40
    return data[:at] + b"\0" * 16 + data[at + 16 :]


def huge_header(data: bytes) -> bytes:
    header = data[12:16] + (30_000).to_bytes(4, "big") * 2 + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def damage(kind: str, path: Path, seed: int) -> Path:
    """Make one image of a fault kind; returns where it lies (or does not lie)."""
    picture = grey8(90 + seed, 80, seed=seed)
    png, jpeg = png_bytes(picture), jpeg_bytes(picture)
    tail = bytes(255 - byte for byte in jpeg[-200:])
    content = {
        "empty": b"",
        "cut in half": (png if seed % 2 else jpeg)[: len(png if seed % 2 else jpeg) // 2],
        "zeroed PNG chunk": zeroed_chunk(png),
        "JPEG tail flipped": jpeg[:-200] + tail,
        "wrong extension": png,
        "RGBA": png_bytes(np.dstack([picture] * 3 + [np.full_like(picture, 255)])),
        "16 bit": png_bytes(radiograph(90, 80, seed=seed)),
        "header of 30,000 x 30,000": huge_header(png),
    }
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(content[kind])
    return path


UNUSABLE = [
    "empty", "cut in half", "zeroed PNG chunk", "JPEG tail flipped", "missing", "folder", "header of 30,000 x 30,000",
]  # fmt: skip
USABLE = ["wrong extension", "RGBA", "16 bit"]


def test_battery_1_damaged_images(tmp_path, score):
    items = write_pictures(tmp_path / "source", 60)
    bad: dict[str, Path] = {}
    for kind in UNUSABLE + USABLE:
        for i in range(3):
            key = f"{kind} {i}"
            path = damage(kind, tmp_path / "source" / f"fault-{len(items):03d}.jpg", i)
            items.append((key, path))
            if kind in UNUSABLE:
                bad[key] = path
    order = np.random.default_rng(0).permutation(len(items))
    items = [items[i] for i in order]
    assert len(items) == 90
    options = CacheOptions(size=48)
    outcomes: dict[str, bool] = {}

    report = build_cache(tmp_path / "skip", items, options, policy="skip", workers=2, progress=False)
    reported = {key for key, _ in report.failed}
    for key, _ in items[:]:
        outcomes[f"skip reports exactly the unusable: {key}"] = (key in bad) == (key in reported)
    cache = ImageCache.open(tmp_path / "skip")
    good = [i for i in range(len(items)) if i not in cache.failed]
    transform = ImageTransform(40, train=True, augment="crop")
    batches = [good[at : at + 16] for at in range(0, len(good), 16)]
    epoch = np.concatenate([transform.from_cache(cache, b, [(0, 0, i) for i in b]) for b in batches])
    outcomes["an epoch over the rest has no blank picture"] = len(epoch) == 69 and (epoch.std(axis=(1, 2)) > 1).all()

    for key, path in bad.items():
        try:
            read_image(path)
            outcomes[f"refused: {key}"] = False
        except ImageError as error:
            outcomes[f"refused: {key}"] = error.path == str(path)
        if not key.endswith("0"):
            continue
        try:
            build_cache(tmp_path / f"strict-{path.name}", [(key, path)], options, workers=1, progress=False)
            outcomes[f"strict stops: {key}"] = False
        except ImageError as error:
            outcomes[f"strict stops naming the file: {key}"] = error.path == str(path) and str(path) in str(error)
    try:
        build_cache(tmp_path / "strict", items, options, workers=2, progress=False)
        outcomes["strict stops mid-build"] = False
    except ImageError as error:
        outcomes["strict stops mid-build"] = error.path in {str(path) for path in bad.values()}
    score("battery 1 (damaged images)", outcomes)


# --- battery 2: DICOM ---------------------------------------------------------------------------------------------

#: Reads every file of a list in a process of its own; prints one JSON line per file, then the peak memory of both
#: processes (this and the decoder's) together. Seconds are CPU time of both: on a busy machine, a clock on the wall
#: tells how busy it is.
READER = """
import json, resource, sys, time
from clinclip.errors import ImageError
from clinclip.images import read_image
from clinclip.images.decoder_process import shared_decoder

def spent():
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = shared_decoder().pid
    running = int(open(f"/proc/{alive}/schedstat").read().split()[0]) / 1e9 if alive else 0.0
    return time.process_time() + ended.ru_utime + ended.ru_stime + running

for line in open(sys.argv[1]):
    path, window = json.loads(line)
    start = spent()
    try:
        pixels = read_image(path, window=window)
        outcome = "read" if pixels.dtype == "uint8" and pixels.ndim == 2 else "wrong array"
    except ImageError as error:
        outcome = "refused" if path in str(error) else "error without the file"
    print(json.dumps([path, outcome, spent() - start]), flush=True)
shared_decoder().close()
here = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # ru_maxrss is inherited through exec
print(json.dumps(["peak", (here + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024, 0]))
"""


def read_in_process(tmp_path: Path, files: list[Path]) -> tuple[int, dict[str, tuple[str, float]], int]:
    """(exit status, file -> (outcome, CPU seconds), peak bytes)."""
    listing = tmp_path / "files.jsonl"
    windows = ["minmax", "voi"]
    listing.write_text("".join(json.dumps([str(path), windows[i % 2]]) + "\n" for i, path in enumerate(files)))
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READER, str(listing)], capture_output=True, text=True, env=env, cwd=ROOT
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    peak = next((row[1] for row in rows if row[0] == "peak"), 2**62)
    return done.returncode, {path: (outcome, seconds) for path, outcome, seconds in rows if path != "peak"}, peak


def mutants(folder: Path, count: int, side: int) -> list[Path]:
    """Seeded byte mutations of an uncompressed and a JPEG 2000 file."""
    folder.mkdir()
    files = []
    for source, syntax in enumerate((EXPLICIT, codecs.JPEG_2000_LOSSLESS)):
        original = folder / f"original{source}.dcm"
        tags = {"PatientID": "10000032"}
        write_phantom_dicom(
            original, radiograph(side, side), transfer_syntax=syntax, window_center=2e3, window_width=1e3, tags=tags
        )
        data = original.read_bytes()
        for seed in range(count // 2):
            rng = np.random.default_rng([source, seed])
            mutant = bytearray(data)
            end = 1700 if rng.random() < 0.7 else len(data)  # most into the header, where the structure is
            for at in rng.integers(128, end, rng.integers(1, 24)):
                mutant[at] = rng.integers(256)
            files.append(folder / f"mutant{source}-{seed:04d}.dcm")
            files[-1].write_bytes(mutant)
    return files


def nested(path: Path, depth: int) -> Path:
    """A file whose private sequence nests ``depth`` deep, written element by element."""
    write_phantom_dicom(path, radiograph(30, 30))
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")  # before Patient's Name
    opening = b"\x09\x00\x01\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(data[:at] + opening * depth + closing * depth + data[at:])
    return path


def broken_files(folder: Path) -> dict[Path, str]:
    """Files with their expected outcome."""
    folder.mkdir()
    expected: dict[Path, str] = {}

    def phantom(name: str, outcome: str, **options) -> Path:
        path = folder / name
        write_phantom_dicom(path, radiograph(60, 50), **options)
        expected[path] = outcome
        return path

    def edited(name: str, outcome: str, **tags) -> None:
        path = phantom(name, outcome)
        dataset = pydicom.dcmread(path)
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path)

    for syntax in (*codecs.NAMES, EXPLICIT, DEFLATED, "1.2.840.10008.1.2"):
        encodable = syntax not in {
            codecs.JPEG_BASELINE, codecs.JPEG_LS_NEAR, codecs.JPEG_2000, codecs.HTJ2K, codecs.HTJ2K_RPCL
        }  # fmt: skip
        if encodable:
            whole = phantom(f"{syntax}.dcm", "read", transfer_syntax=syntax).read_bytes()
            for share in (0.2, 0.5, 0.95):
                cut = folder / f"{syntax}-cut{share}.dcm"
                cut.write_bytes(whole[: int(len(whole) * share)])
                expected[cut] = "refused"
            swapped = folder / f"{syntax}-as-J2K.dcm"
            if syntax in {codecs.JPEG_LOSSLESS_SV1, codecs.JPEG_LS_LOSSLESS}:
                swapped.write_bytes(whole.replace(syntax.encode(), codecs.JPEG_2000_LOSSLESS.encode()))
                expected[swapped] = "refused"
    edited("no-rows.dcm", "refused", Rows=None)
    edited("no-pixels.dcm", "refused", PixelData=None)
    edited("zero-columns.dcm", "refused", Columns=0)
    edited("30000.dcm", "refused", Rows=30_000, Columns=30_000)
    edited("65535.dcm", "refused", Rows=65_535, Columns=65_535)
    edited("8000.dcm", "refused", Rows=8_000, Columns=8_000)
    edited("frames.dcm", "refused", NumberOfFrames=2_000_000)
    edited("window-zero.dcm", "read", WindowCenter=0, WindowWidth=4096)
    edited("slope-zero-is-one.dcm", "read", RescaleSlope="0")
    edited("bits-stored-99.dcm", "read", BitsStored=99)
    expected[nested(folder / "depth-20.dcm", 20)] = "read"
    expected[nested(folder / "depth-300.dcm", 300)] = "refused"
    expected[nested(folder / "depth-30000.dcm", 30_000)] = "refused"
    bomb = phantom("bomb.dcm", "refused", transfer_syntax=DEFLATED)
    data = bomb.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(b"\0" * 2**24) for _ in range(18)) + packer.flush()
    bomb.write_bytes(data[:start] + packed)
    table = phantom("short-voi-lut.dcm", "read")
    dataset = pydicom.dcmread(table)
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 12], [1, 2, 3]
    for keyword in ("LUTDescriptor", "LUTData"):
        lut[keyword].VR = "US"
    dataset.VOILUTSequence = Sequence([lut])
    dataset.save_as(table)
    return expected


def battery_2(tmp_path: Path, count: int, side: int) -> dict[str, bool]:
    outcomes: dict[str, bool] = {}
    expected = broken_files(tmp_path / "broken")
    # `voi` only: read_in_process alternates windows, so every file is listed twice.
    status, results, peak = read_in_process(tmp_path, [path for path in expected for _ in range(2)])
    outcomes["no signal, no escape (broken files)"] = status == 0
    for path, outcome in expected.items():
        got, seconds = results.get(str(path), ("nothing", 99.0))
        outcomes[f"{path.name}: {outcome}"] = got == outcome and seconds < 5
    outcomes["under 1 GiB (broken files)"] = peak < 2**30

    files = mutants(tmp_path / "mutants", count, side)
    status, results, peak = read_in_process(tmp_path, files)
    outcomes["no signal, no escape (mutations)"] = status == 0
    for path in files:
        got, seconds = results.get(str(path), ("nothing", 99.0))
        outcomes[path.name] = got in {"read", "refused"} and seconds < 5
    outcomes["under 1 GiB (mutations)"] = peak < 2**30

    first, second, flat = tmp_path / "first.dcm", tmp_path / "second.dcm", tmp_path / "flat.dcm"
    write_phantom_dicom(first, radiograph(), photometric="MONOCHROME1")
    write_phantom_dicom(second, radiograph(), photometric="MONOCHROME2")
    write_phantom_dicom(flat, np.full((40, 40), 99, np.uint16))
    outcomes["MONOCHROME1 twin is the inverse"] = np.array_equal(read_image(first), 255 - read_image(second))
    outcomes["constant image"] = bool((read_image(flat) == 0).all())
    return outcomes


def test_battery_2_dicom_short(tmp_path, score):
    score("battery 2 (DICOM, 60 of 1,000 mutations)", battery_2(tmp_path, 60, 64))


@pytest.mark.slow
def test_battery_2_dicom(tmp_path, score):
    score("battery 2 (DICOM)", battery_2(tmp_path, 1000, 256))


# pydicom ships 100 real files with the quirks of many makers.
REAL = sorted(path for path in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_battery_2_real_files(tmp_path, score):
    status, results, peak = read_in_process(tmp_path, REAL)
    outcomes = {"no signal, no escape": status == 0, "under 1 GiB": peak < 2**30}
    for path in REAL:
        got, seconds = results.get(str(path), ("nothing", 99.0))
        expected = {"read", "refused"}
        try:
            dataset = pydicom.dcmread(path)
            if dataset.pixel_array.ndim == 2 + (int(dataset.SamplesPerPixel) == 3):
                expected = {"read"} if int(dataset.BitsAllocated) <= 16 else {"read", "refused"}
            else:
                expected = {"refused"}
        except (AttributeError, pydicom.errors.InvalidDicomError):
            expected = {"refused"}  # no image in it, or no DICOM file
        except (RuntimeError, ValueError):
            pass  # pydicom's plugins cannot decode it, ours may
        outcomes[f"{path.name}: {got}, expected {expected}"] = got in expected and seconds < 5
    score("battery 2 (real DICOM files)", outcomes)


# --- battery 7: concurrent cache ----------------------------------------------------------------------------------

BUILDER = """
import json, sys
from pathlib import Path
from clinclip.images import CacheOptions, build_cache
folder, items, block = sys.argv[1:4]
CacheOptions.block_images = int(block)
listed = [(key, Path(path)) for key, path in json.loads(Path(items).read_text())]
print("started", flush=True)
build_cache(folder, listed, CacheOptions(size=64), workers=1, progress=False)
"""


def digest(folder: Path) -> str:
    cache = ImageCache.open(folder)
    return hashlib.sha256(cache.gather(range(len(cache))).tobytes()).hexdigest()


def battery_7(tmp_path: Path, processes: int, changes: list[dict]) -> dict[str, bool]:
    items = write_pictures(tmp_path / "source", 120, side=90)
    (tmp_path / "items.json").write_text(json.dumps([(key, str(path)) for key, path in items]))
    options, shared, alone = CacheOptions(size=64), tmp_path / "shared", tmp_path / "alone"
    outcomes: dict[str, bool] = {}

    command = [sys.executable, "-c", BUILDER, str(shared), str(tmp_path / "items.json"), "8"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    builders = [subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        victim = wait_for_lock_holder(shared, builders)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        (shared / ".00003-0123456789abcdef.block.999.block").write_bytes(b"left by a killed builder of other items")
        for number, builder in enumerate(builders):
            status = builder.wait(120)
            outcomes[f"builder {number} ends"] = status == (-signal.SIGKILL if builder is victim else 0)
    finally:
        for builder in builders:
            builder.kill()
            builder.communicate()
    build_cache(alone, items, options, workers=2, progress=False)
    truth = digest(alone)
    outcomes["many builders and one make the same cache"] = digest(shared) == truth
    same = all((alone / path.name).read_bytes() == path.read_bytes() for path in shared.glob("[!.]*.block"))
    outcomes["every block is the same, byte for byte"] = same and len(list(shared.glob("[!.]*.block"))) == 15
    readers = [
        subprocess.Popen([sys.executable, "-c", READ_DIGEST, str(shared)], cwd=ROOT, env=env, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    for number, reader in enumerate(readers):
        outcomes[f"reader {number} sees the same"] = reader.communicate()[0].decode().strip() == truth

    # Ten damaged entries: bits flipped in five images, five blocks cut off.
    blocks = sorted(shared.glob("[!.]*.block"))
    flipped = []
    for number in range(5):
        with blocks[number].open("r+b") as file:
            file.seek((number % 8) * 64 * 64 + 1000)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0x10]))
        flipped.append(number * 8 + number % 8)
    outcomes["flipped bits are found"] = ImageCache.open(shared).verify() == flipped
    for block in blocks[5:10]:
        os.truncate(block, block.stat().st_size // 2)
    try:
        ImageCache.open(shared)
        outcomes["cut-off blocks are refused at opening"] = False
    except CacheError as error:
        outcomes["cut-off blocks are refused at opening"] = blocks[5].name in str(error)
    report = build_cache(shared, items, options, workers=2, progress=False, verify=True)
    outcomes["only damaged images are read again"] = report.built == 5 + 5 * 8
    outcomes["the repaired cache equals the first"] = digest(shared) == truth and ImageCache.open(shared).verify() == []

    # One changed option: refused, then rebuilt; nothing of the old cache is hit.
    for number, changed in enumerate(changes):
        other = CacheOptions(**{"size": 64, **changed})
        name = next(iter(changed))
        try:
            build_cache(shared, items, other, workers=2, progress=False)
            outcomes[f"changed {name} is refused"] = False
        except CacheError as error:
            outcomes[f"changed {name} is refused"] = f"other options: {name}" in str(error) or number > 0
        report = build_cache(shared, items, other, workers=2, progress=False, replace=True)
        build_cache(tmp_path / f"other{number}", items, other, workers=2, progress=False)
        outcomes[f"changed {name} hits nothing stale"] = (
            report.reused == 0 and digest(shared) == digest(tmp_path / f"other{number}") != truth
        )
        left = [path for path in shared.glob("[!.]*.block") if read_index(path).options_hash != other.hash()]  # type: ignore[union-attr]
        outcomes[f"changed {name} leaves no old block"] = left == []
    return outcomes


def test_battery_7_concurrent_cache_short(tmp_path, score, monkeypatch):
    monkeypatch.setattr(CacheOptions, "block_images", 8)
    score("battery 7 (concurrent cache, 3 of 8 processes)", battery_7(tmp_path, 3, [{"equalize": True}]))


@pytest.mark.slow
def test_battery_7_concurrent_cache(tmp_path, score, monkeypatch):
    monkeypatch.setattr(CacheOptions, "block_images", 8)
    changes = [{"equalize": True}, {"fit": "crop"}, {"fit": "stretch"}, {"size": 65}]
    score("battery 7 (concurrent cache)", battery_7(tmp_path, 8, changes))


READ_DIGEST = """
import sys
from pathlib import Path
from tests.images.test_fault_batteries import digest
print(digest(Path(sys.argv[1])))
"""


def wait_for_lock_holder(folder: Path, builders: list[subprocess.Popen]) -> subprocess.Popen:
    """A builder that is in the middle of a block: it holds a lock, and its block is not there yet."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for lock in folder.glob(".*.block.lock"):
            inode = str(lock.stat().st_ino)
            for line in Path("/proc/locks").read_text().splitlines():
                fields = line.split()
                if "FLOCK" in fields and fields[5].split(":")[-1] == inode and not (folder / lock.name[1:-5]).exists():
                    for builder in builders:
                        if str(builder.pid) == fields[4]:
                            return builder
        time.sleep(0.005)
    raise AssertionError("no builder ever held a lock")
