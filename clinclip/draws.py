"""Counter-based random draws and stable identifiers: a draw is a function of what it is for, and of nothing else.

No state, so the number of workers, the rank, the order of calls and the point of resumption cannot change a draw. Three
forms, by what a draw is about: arrays of numbers for the samples of an epoch (:func:`words`, :func:`uniform`,
:func:`permutation`), choices for a text (:class:`Draws`), and generators for everything else (:func:`stream`,
:func:`array_stream`).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

#: purposes: one number each, so that two draws for one sample never coincide
IMAGE_CHOICE, AUGMENTATION, SECTION_CHOICE, TWIN_CHOICE, ORDER, SUBSET, EDIT_KIND_CHOICE = range(1, 8)


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014), element-wise on uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def words(
    seed: int, epoch: int, purpose: int, samples: np.ndarray | int, items: np.ndarray | None = None
) -> np.ndarray:
    """64 random bits for every sample, or for every item of a sample.

    Args:
        seed: any integer.
        epoch: of the draw.
        purpose: one of the numbers above.
        samples: int64 of any shape.
        items: int64, broadcast against ``samples``: numbers or hashes of what a sample has several of, as many as it
            likes. None draws for the sample itself.

    Returns:
        uint64, the shape of ``samples`` (broadcast with ``items``).
    """
    with np.errstate(over="ignore"):
        state = _mix(np.asarray([np.uint64(seed & (2**64 - 1))]) + _GOLDEN)
        state = _mix(state ^ (np.uint64(epoch) * _GOLDEN + np.uint64(purpose)))
        state = _mix(state ^ np.asarray(samples).astype(np.uint64))
        if items is not None:
            state = _mix((state + _GOLDEN) ^ np.asarray(items).astype(np.uint64))
        return _mix(state + _GOLDEN)


def keyed_words(keys: np.ndarray | Sequence[Sequence[int]], count: int) -> np.ndarray:
    """Random words by keys of any length, such as (seed, epoch, sample).

    Args:
        keys: whole numbers (n, k), one key a row.
        count: words per key.

    Returns:
        uint64 (n, count).
    """
    columns = np.atleast_2d(np.asarray(keys)).astype(np.int64).view(np.uint64)
    state = np.full(len(columns), 0x6A09E667F3BCC909, np.uint64)
    for column in columns.T:
        state = _mix((state ^ column) + _GOLDEN)
    return _mix(state[:, None] + np.arange(2, count + 2, dtype=np.uint64) * _GOLDEN)


def uniform(seed: int, epoch: int, purpose: int, samples: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for every sample: float64, the shape of ``samples``."""
    return (words(seed, epoch, purpose, samples) >> np.uint64(11)) * 2.0**-53


def permutation(seed: int, epoch: int, purpose: int, count: int) -> np.ndarray:
    """A random order of ``range(count)``: int64 (count,)."""
    return np.argsort(words(seed, epoch, purpose, np.arange(count)), kind="stable")


def stable_hash(*parts: str) -> int:
    """A 63-bit hash of strings that is the same on every machine (BLAKE2b)."""
    key = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1


def stable_hashes(dataset: Iterable[str], ids: Iterable[str]) -> np.ndarray:
    """:func:`stable_hash` of (data set, id) row by row: int64 (n,). Repeated pairs are hashed once."""
    known: dict[tuple[str, str], int] = {}
    out = []
    for pair in zip(dataset, ids, strict=True):
        if pair not in known:
            known[pair] = stable_hash(*pair)
        out.append(known[pair])
    return np.asarray(out, dtype=np.int64)


def text_hash(text: str) -> int:
    """Hash of a text with its white space normalised: equal for duplicate reports."""
    return stable_hash("text", " ".join(text.split()))


class Draws:
    """Random choices for one text.

    The text takes part in the key: with one seed for a whole corpus, two reports still draw independently.

    Args:
        seed: Any integer.
        text: The text the choices are about.
    """

    def __init__(self, seed: int, text: str) -> None:
        key = f"{int(seed)}\x1f{text}".encode("utf-8", "surrogatepass")
        self._key = hashlib.blake2b(key, digest_size=16).digest()

    def number(self, *purpose: object) -> int:
        """A uniform 64-bit integer for a purpose."""
        name = "\x1f".join(map(str, purpose)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(name, key=self._key, digest_size=8).digest(), "little")

    def chance(self, probability: float, *purpose: object) -> bool:
        """True with the given probability."""
        return self.number(*purpose) < probability * 2**64

    def pick(self, items: Sequence[T], *purpose: object) -> T:
        """One of the items, uniformly (the modulo bias of 64 bits is below 1e-15)."""
        return items[self.number(*purpose) % len(items)]

    def order(self, items: Iterable[T], *purpose: object) -> list[T]:
        """The items in random order."""
        keyed = [(self.number(*purpose, position), position, item) for position, item in enumerate(items)]
        return [item for _, _, item in sorted(keyed, key=lambda row: row[:2])]


def digest(*keys: int | str) -> bytes:
    """16 bytes that identify a stream."""
    return hashlib.blake2b("\x1f".join(map(str, keys)).encode(), digest_size=16).digest()


def stream(*keys: int | str) -> random.Random:
    """A private stdlib generator for choices of words and cases."""
    return random.Random(int.from_bytes(digest(*keys), "big"))


def array_stream(*keys: int | str) -> np.random.Generator:
    """A private NumPy generator for arrays (noise, textures)."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest(*keys), "big")))


def permuted(index: int, size: int, *keys: int | str) -> int:
    """A bijection of ``range(size)``: unique pseudo-random ids without a table.

    Args:
        index: Position, ``0 <= index < size``.
        size: A power of ten, so that any odd multiplier that is no multiple of five is coprime to it.
        keys: Identify the permutation.
    """
    word = int.from_bytes(digest(*keys), "big")
    multiplier = 10 * (word % (size // 10)) + 7
    offset = (word >> 64) % size
    return (multiplier * index + offset) % size
