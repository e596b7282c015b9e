"""Counter-based random choices: a choice is a hash of (seed, text, purpose), never of global state or call order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Random choices for one text.

    The text takes part in the key: with one seed for a whole corpus, two reports still draw independently.

    Args:
        seed: Any integer.
        text: The text the choices are about.
    """

    def __init__(self, seed: int, text: str) -> None:
        key = f"{int(seed)}\x1f{text}".encode("utf-8", "surrogatepass")
        self._key = blake2b(key, digest_size=16).digest()

    def number(self, *purpose: object) -> int:
        """A uniform 64-bit integer for a purpose."""
        name = "\x1f".join(map(str, purpose)).encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(name, key=self._key, digest_size=8).digest(), "little")

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
