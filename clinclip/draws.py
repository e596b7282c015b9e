"""Counter-based random numbers and stable identifiers: functions of (seed, epoch, sample, purpose), and nothing else.

No state, so the number of workers, the rank and the point of resumption cannot change a draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

#: purposes: one number each, so that two draws for one sample never coincide
IMAGE_CHOICE, AUGMENTATION, SECTION_CHOICE, NEGATION_CHOICE, ORDER, SUBSET, EDIT_KIND_CHOICE = range(1, 8)


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014), element-wise on uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def words(seed: int, epoch: int, purpose: int, samples: np.ndarray) -> np.ndarray:
    """64 random bits for every sample: uint64, the shape of ``samples``."""
    with np.errstate(over="ignore"):
        state = _mix(np.asarray([np.uint64(seed & (2**64 - 1))]) + _GOLDEN)
        state = _mix(state ^ (np.uint64(epoch) * _GOLDEN + np.uint64(purpose)))
        return _mix(_mix(state ^ np.asarray(samples).astype(np.uint64)) + _GOLDEN)


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
