"""A DataLoader over the image cache, against webdataset and litdata, one process, one core, CPU time.

All sides deliver every picture of 1,024 once, a random 224-pixel window of a stored 256-pixel grey image, in batches of
64. What differs is said in each row: the peers read JPEG as their documentation shows (decoded to RGB, a float tensor
a sample), then at their best (grey uint8), then raw uint8 without any decoding. Against the first two the change of
format is part of the gain; against the last it is not.

Page cache is warm for all: these are RAM numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from clinclip.images import CacheOptions, ImageCache, ImageTransform, build_cache
from tests.benchmarks.harness import Row
from tests.images.pictures import grey8

IMAGES, BATCH, STORED, CROP = 1024, 64, 256, 224
Loader = Callable[[], Iterable[Any]]


class CacheDataset(Dataset):
    """The cache as a data set that fetches whole batches, as clinclip's own data set does."""

    def __init__(self, folder: Path, floating: bool = False) -> None:
        self.cache = ImageCache.open(folder)
        self.transform = ImageTransform(CROP, train=True, augment="crop")
        self.floating = floating

    def __len__(self) -> int:
        return len(self.cache)

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        keys = np.stack([np.zeros(len(indices), np.int64), np.asarray(indices)], axis=1)
        pixels = torch.from_numpy(self.transform.from_cache(self.cache, indices, keys))
        return (pixels.float() / 255 if self.floating else pixels)[:, None]


def same(batch: torch.Tensor) -> torch.Tensor:
    return batch


def clinclip_loader(folder: Path, floating: bool = False) -> Loader:
    dataset = CacheDataset(folder, floating)
    return lambda: DataLoader(dataset, BATCH, shuffle=True, collate_fn=same)


def datamodule_loader(folder: Path, paths: list[Path]) -> Loader:
    """The product itself: `CXRDataModule`, whose batches carry tokens, labels and identities beside the images."""
    from clinclip.commands.prepare import main as prepare
    from clinclip.data.datamodule import CXRDataModule

    rows = ["image,report,patient,split"]
    rows += [f"{path},No acute findings in study {i}. Mild cardiomegaly.,P{i},train" for i, path in enumerate(paths)]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    arguments = ["--csv", str(folder / "table.csv"), "--image-column", "image", "--text-column", "report"]
    arguments += ["--patient-column", "patient", "--split-column", "split", "--out", str(folder / "manifest")]
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(["table", *arguments, "--image-size", str(STORED), "--mode", "strict", "--quiet"])
    module = CXRDataModule([str(folder / "manifest")], batch_size=BATCH, num_workers=0, image_size=CROP, augment="crop")
    module.setup("fit")
    return module.train_dataloader


def random_window(pixels: np.ndarray) -> np.ndarray:
    top, left = np.random.randint(0, STORED - CROP + 1, 2)  # noqa: NPY002 - the fastest for a peer
    return pixels[top : top + CROP, left : left + CROP]


def write_tar(path: Path, suffix: str, blobs: list[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for i, blob in enumerate(blobs):
            info = tarfile.TarInfo(f"{i:06d}.{suffix}")
            info.size = len(blob)
            tar.addfile(info, io.BytesIO(blob))


def webdataset_loaders(jpeg: Path, raw: Path) -> dict[str, Loader]:
    import webdataset as wds

    usual = transforms.Compose([transforms.RandomCrop(CROP), transforms.ToTensor()])

    def grey(sample: dict[str, bytes]) -> np.ndarray:
        return random_window(simplejpeg.decode_jpeg(sample["jpg"], "GRAY")[:, :, 0])

    def plain(sample: dict[str, bytes]) -> np.ndarray:
        return random_window(np.frombuffer(sample["raw"], np.uint8).reshape(STORED, STORED))

    def stack(samples: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(samples))[:, None]

    def pipeline(url: Path) -> Any:
        return wds.WebDataset(str(url), shardshuffle=False, empty_check=False)

    def loader(dataset: Any) -> Iterable[Any]:
        return wds.WebLoader(dataset, batch_size=None, num_workers=0)

    return {
        "webdataset, JPEG, PIL RGB float": lambda: loader(
            pipeline(jpeg).decode("pil").to_tuple("jpg").map_tuple(usual).batched(BATCH)
        ),
        "webdataset, JPEG, grey uint8": lambda: loader(pipeline(jpeg).map(grey).batched(BATCH, collation_fn=stack)),
        "webdataset, raw uint8": lambda: loader(pipeline(raw).map(plain).batched(BATCH, collation_fn=stack)),
    }


def import_litdata() -> Any:
    """litdata imports boto3 even for local files; the pinned set holds one too old for Python 3.11; none is used."""
    try:
        return importlib.import_module("litdata")
    except ImportError:
        for name in [name for name in sys.modules if name.split(".")[0] in {"boto3", "botocore", "litdata"}]:
            del sys.modules[name]
        for name in ("boto3", "botocore", "botocore.config", "botocore.credentials", "botocore.utils"):
            sys.modules[name] = MagicMock()
        return importlib.import_module("litdata")


def litdata_loaders(folder: Path, jpegs: list[Path], pictures: list[np.ndarray]) -> dict[str, Loader]:
    litdata = import_litdata()
    from litdata.streaming.writer import BinaryWriter

    for name, samples in (("jpeg", (Image.open(path) for path in jpegs)), ("raw", pictures)):
        writer = BinaryWriter(str(folder / name), chunk_bytes="64MB")
        for i, sample in enumerate(samples):
            writer[i] = {"image": sample}
        writer.done()
        writer.merge()

    crop = transforms.RandomCrop(CROP)

    class Usual(litdata.StreamingDataset):
        def __getitem__(self, index: Any) -> torch.Tensor:
            return crop(super().__getitem__(index)["image"]).float() / 255

    class Grey(litdata.StreamingDataset):
        def __getitem__(self, index: Any) -> torch.Tensor:
            return torch.from_numpy(random_window(super().__getitem__(index)["image"][0].numpy()))[None]

    class Raw(litdata.StreamingDataset):
        def __getitem__(self, index: Any) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(random_window(super().__getitem__(index)["image"])))[None]

    def loader(kind: type, name: str) -> Loader:
        dataset = kind(str(folder / name), shuffle=False)
        return lambda: litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=0)

    return {
        "litdata, JPEG, RGB float": loader(Usual, "jpeg"),
        "litdata, JPEG, grey uint8": loader(Grey, "jpeg"),
        "litdata, raw uint8": loader(Raw, "raw"),
    }


def epoch(loader: Loader) -> int:
    """Consume one epoch; returns how many pictures came."""
    count = 0
    for batch in loader():
        images = batch[0] if isinstance(batch, list | tuple) else getattr(batch, "image", batch)
        assert images.shape[-2:] == (CROP, CROP)
        count += len(images)
    return count


def seconds(loader: Loader, epochs: int) -> float:
    """CPU seconds an epoch."""
    start = time.process_time()
    for _ in range(epochs):
        epoch(loader)
    return (time.process_time() - start) / epochs


def windows_agree(folder: Path, pictures: list[np.ndarray]) -> None:
    """Every delivered picture is a window of the very pixels that the peers decode."""
    dataset = CacheDataset(folder)
    indices = list(range(0, IMAGES, 37))
    batch = dataset.__getitems__(indices)
    for window, index in zip(batch[:, 0].numpy(), indices, strict=True):
        views = np.lib.stride_tricks.sliding_window_view(pictures[index], (CROP, CROP))
        assert (views[:, :, ::97, ::89] == window[::97, ::89]).all(axis=(2, 3)).any()


def run() -> list[Row]:
    """Measure after asserting that all sides deliver the same pictures."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jpeg").mkdir()
        paths, pictures, blobs = [], [], []
        for i in range(IMAGES):
            blob = simplejpeg.encode_jpeg(np.roll(grey8(STORED, STORED, i % 16), i, 1)[:, :, None], 95, "GRAY", "Gray")
            paths.append(folder / "jpeg" / f"{i:06d}.jpg")
            paths[-1].write_bytes(blob)
            blobs.append(blob)
            pictures.append(simplejpeg.decode_jpeg(blob, "GRAY")[:, :, 0])
        items = [(path.stem, path) for path in paths]
        build_cache(folder / "cache", items, CacheOptions(size=STORED, mode="strict"), workers=2, progress=False)
        assert np.array_equal(ImageCache.open(folder / "cache").gather(range(IMAGES)), np.stack(pictures))
        windows_agree(folder / "cache", pictures)
        write_tar(folder / "jpeg.tar", "jpg", blobs)
        write_tar(folder / "raw.tar", "raw", [picture.tobytes() for picture in pictures])
        peers = webdataset_loaders(folder / "jpeg.tar", folder / "raw.tar")
        peers |= litdata_loaders(folder / "lit", paths, pictures)
        ours, floating = clinclip_loader(folder / "cache"), clinclip_loader(folder / "cache", True)
        module = datamodule_loader(folder, paths)
        return list(compare(ours, floating, module, peers))


def compare(ours: Loader, floating: Loader, module: Loader, peers: dict[str, Loader]) -> Iterator[Row]:
    """All loaders interleaved, best of five epochs each."""
    everyone = {"ours": ours, "float": floating, "module": module, **peers}
    best = dict.fromkeys(everyone, float("inf"))
    for turn in range(6):
        for name, loader in everyone.items():
            if turn == 0:
                assert epoch(loader) == IMAGES
            else:
                best[name] = min(best[name], seconds(loader, 8 if name in {"ours", "float", "module"} else 1))
    for name in peers:
        goal = 2.0 if "raw" in name else 30.0
        note = "change of format" if "JPEG" in name else "same bytes"
        a, b = best["ours"] / IMAGES, best[name] / IMAGES
        yield Row(
            f"loader, uint8 windows from the cache: against {name}", a * 1e6, b * 1e6, b / a, goal, "us", note=note
        )
    for name in peers:
        if "float" in name:
            a, b = best["float"] / IMAGES, best[name] / IMAGES
            yield Row(f"loader, float windows from the cache: against {name}", a * 1e6, b * 1e6, b / a, 15.0, "us")
            a = best["module"] / IMAGES
            what = "CXRDataModule with tokens and labels"
            yield Row(f"loader, {what}: against {name}, images alone", a * 1e6, b * 1e6, b / a, 30.0, "us")
