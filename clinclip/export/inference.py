"""Embed the images and reports of a manifest with a trained model: each image once, each distinct text once.

Texts that are the same to the model (equal tokens) are encoded once, sorted by length, so that their embeddings are
equal to the bit: retrieval and CXR-Align can then see that they tie. Work is done in parts; with a work folder the
parts are kept, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from clinclip.data import token_store
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, DataError
from clinclip.files import write_atomically
from clinclip.text.tokens import Tokenizer
from clinclip.types import TextBatch

if TYPE_CHECKING:
    from clinclip.export.model import Model

#: items a part: what an interruption can cost
PART = 2048


def pick_device(name: str = "auto") -> torch.device:
    """The device called ``name``; "auto" is the first GPU, or the CPU. Raises ConfigError where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name}: {str(error).splitlines()[0]}; use auto, cpu or cuda") from error


def _read_part(path: Path, count: int) -> np.ndarray | None:
    """A part that an earlier run finished, or None (absent, cut off, of another shape)."""
    try:
        part = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return part if part.ndim == 2 and len(part) == count else None


def _in_parts(
    count: int, make: Callable[[int, int], np.ndarray], label: str, key: str, work: Path | None, progress: bool
) -> np.ndarray:
    """Concatenate ``make(start, stop)`` over ``range(count)``, resuming from ``work``."""
    from tqdm import tqdm

    parts = []
    with tqdm(total=count, desc=label, unit="", disable=not progress) as bar:
        for start in range(0, count, PART):
            stop = min(start + PART, count)
            path = None if work is None else work / f"{key}-{start:09d}.npy"
            part = None if path is None else _read_part(path, stop - start)
            if part is None:
                part = make(start, stop)
                if path is not None:
                    array = part

                    def write(target: Path, array: np.ndarray = array) -> None:
                        with target.open("wb") as stream:
                            np.save(stream, array)

                    write_atomically(path, write)
            parts.append(part)
            bar.update(stop - start)
    return np.concatenate(parts)


def _ahead(make: Callable[[int], np.ndarray], starts: Sequence[int]) -> Iterator[np.ndarray]:
    """``make(start)`` for each start, two of them prepared while the model works."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [pool.submit(make, s) for s in starts[:2]]
        for following in [*starts[2:], None, None][: len(starts)]:
            ready = waiting.pop(0).result()
            if following is not None:
                waiting.append(pool.submit(make, following))
            yield ready


def embed_images(
    loaded: Model,
    manifest: Manifest,
    rows: np.ndarray,
    batch_size: int = 64,
    device: str = "auto",
    progress: bool = True,
    work: Path | None = None,
    features: bool = False,
) -> np.ndarray:
    """Unit-length embeddings of images, seen as in the validation of the training.

    Args:
        loaded: the model; it is moved to the device.
        manifest: where the images are.
        rows: (n,) positions in ``manifest.frame``.
        batch_size: images at once.
        device: "auto", "cpu", "cuda", "cuda:1" ...
        progress: show a progress bar.
        work: folder for finished parts, or None.
        features: return the image tower's features before the projection instead of unit-length embeddings.

    Returns:
        float32 (n, D), or (n, F) with ``features``.
    """
    entries = manifest.frame["cache_index"].to_numpy(np.int64)[rows]
    if not len(rows):
        raise DataError(f"{manifest.path}: no image to embed")
    preprocessing = loaded.preprocessing

    def pixels(start: int, stop: int) -> np.ndarray:
        return preprocessing.from_cache(manifest.cache, entries[start:stop])[:, None]

    identity = hashlib.sha256(f"{manifest.hash}/{loaded.sha256}/{preprocessing}/{features}".encode())
    identity.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
    key = f"images-{identity.hexdigest()[:24]}"
    return encode_images(loaded, pixels, len(rows), batch_size, device, progress, work, features, key)


def encode_images(
    loaded: Model,
    pixels: Callable[[int, int], np.ndarray],
    count: int,
    batch_size: int = 64,
    device: str = "auto",
    progress: bool = True,
    work: Path | None = None,
    features: bool = False,
    key: str = "images",
) -> np.ndarray:
    """Encode images from anywhere, two batches of pixels being prepared while the model works.

    Args:
        loaded: the model; it is moved to the device.
        pixels: the images ``start`` to ``stop`` as uint8 (n, 1, S, S).
        count: number of images.
        batch_size: images at once.
        device: as :func:`embed_images`.
        progress: show a progress bar.
        work: folder for finished parts, or None.
        features: return the image tower's features before the projection instead of unit-length embeddings.
        key: names the images and the model in the work folder.

    Returns:
        float32 (n, D), or (n, F) with ``features``.
    """
    where = pick_device(device)
    model = loaded.towers.to(where).eval()
    encode = model.image_encoder if features else model.encode_image
    if PART % batch_size:
        # parts end where batches end
        batch_size = max(b for b in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048) if b <= max(batch_size, 1))

    @torch.inference_mode()
    def make(start: int, stop: int) -> np.ndarray:
        def batch(first: int) -> np.ndarray:
            return pixels(first, min(first + batch_size, stop))

        batches = _ahead(batch, range(start, stop, batch_size))
        return np.concatenate([encode(torch.from_numpy(b).to(where)).float().cpu().numpy() for b in batches])

    return _in_parts(count, make, "images", key, work, progress)


def encode_texts(
    encode: Callable[[TextBatch], Tensor],
    tokenizer: Tokenizer,
    max_tokens: int,
    texts: Sequence[str],
    key: str,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: bool = True,
    work: Path | None = None,
) -> np.ndarray:
    """Encode texts with any text tower; texts of equal tokens get vectors that are equal to the bit.

    Args:
        encode: tokens (B, T) on the device -> (B, F).
        tokenizer: of the tower.
        max_tokens: texts are cut there.
        texts: n texts; an empty one is encoded as the special tokens alone.
        key: names the tower in the work folder.
        batch_size: texts at once.
        device: where ``encode`` computes.
        progress: show a progress bar.
        work: folder for finished parts, or None.

    Returns:
        float32 (n, F).
    """
    if not texts:
        raise DataError("no text to embed")
    number: dict[str, int] = {}
    index = np.array([number.setdefault(text, len(number)) for text in texts])
    store = token_store.build(list(number), tokenizer, max_tokens)
    # texts that differ beyond the truncation, or in case, are one to the model
    seen: dict[bytes, int] = {}
    parts = np.split(store.ids, store.start[1:-1])
    same = np.array([seen.setdefault(ids.tobytes(), i) for i, ids in enumerate(parts)])
    distinct = np.flatnonzero(same == np.arange(len(store)))
    order = distinct[np.argsort(store.lengths(distinct), kind="stable")]

    @torch.inference_mode()
    def make(start: int, stop: int) -> np.ndarray:
        firsts = range(start, stop, batch_size)
        batches = (store.batch(order[first : min(first + batch_size, stop)]) for first in firsts)
        return torch.cat([encode(batch.to(device)) for batch in batches]).float().cpu().numpy()

    digest = hashlib.sha256(f"{key}/{max_tokens}/{tokenizer.hash}".encode())
    for row in order:
        digest.update(int(store.lengths(row)).to_bytes(8, "little") + parts[row].tobytes())
    encoded = _in_parts(len(order), make, "texts", f"texts-{digest.hexdigest()[:24]}", work, progress)
    place = np.empty(len(store), dtype=np.int64)
    place[order] = np.arange(len(order))
    return encoded[place[same[index]]]


def embed_texts(
    loaded: Model,
    texts: Sequence[str],
    batch_size: int = 64,
    device: str = "auto",
    progress: bool = True,
    work: Path | None = None,
    features: bool = False,
) -> np.ndarray:
    """Embeddings of texts; texts of equal tokens get embeddings that are equal to the bit.

    Args:
        loaded: the model; it is moved to the device.
        texts: n texts; an empty one is encoded as the special tokens alone.
        batch_size: texts at once.
        device: as :func:`embed_images`.
        progress: show a progress bar.
        work: folder for finished parts, or None.
        features: return the pooled features before the projection instead of unit-length embeddings.

    Returns:
        float32 (n, D), or (n, F) with ``features``.
    """
    where = pick_device(device)
    model = loaded.towers.to(where).eval()

    def pooled(batch: TextBatch) -> Tensor:
        return model.text_features(batch).pooled

    encode = pooled if features else model.encode_text
    key = f"{loaded.sha256}/{'features' if features else 'joint'}"
    return encode_texts(
        encode, loaded.tokenizer, loaded.preprocessing.max_tokens, texts, key, batch_size, where, progress, work
    )
