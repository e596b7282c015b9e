"""Counter-based random streams: a stream is a pure function of (seed, purpose, counters), never of call order."""

from __future__ import annotations

import hashlib
import random

import numpy as np


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
