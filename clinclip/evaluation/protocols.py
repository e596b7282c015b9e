"""Protocols: how a number was taken, as a named, versioned, hashed record that is printed next to it.

Built-in protocols are JSON files in ``configs/protocols``; a user's own is a file of the same form. What a protocol
decides beyond the split and the bootstrap is stated by its task, as a dataclass below :class:`Protocol`. Changing an
option on the command line changes the hash and adds "modified" to the name, so that no two numbers with one name differ
in how they were taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from clinclip.errors import ConfigError
from clinclip.files import shipped_configs

P = TypeVar("P", bound="Protocol")
#: fields that decide no number
_WORDS = ("name", "about", "modified")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How numbers are taken. A task's own protocol adds fields to these.

    Attributes:
        name: with its version.
        task: name of the task.
        about: a sentence for readers; not part of the hash.
        split: of the manifest.
        views: view positions that are kept, in upper case; empty keeps all.
        resamples: bootstrap resamples over patients; 0 gives no intervals.
        level: coverage of the intervals.
        seed: of the bootstrap and of the controls.
        modified: fields that were changed after it was read.
    """

    name: str
    task: str
    about: str = ""
    split: str = "test"
    views: tuple[str, ...] = ()
    resamples: int = 1000
    level: float = 0.95
    seed: int = 0
    modified: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        self.one_of("split", ("train", "validate", "test"))
        if self.resamples < 0 or not 0 < self.level < 1:
            raise ConfigError(f"protocol {self.name}: resamples={self.resamples} (>= 0), level={self.level} (0 to 1)")

    def one_of(self, key: str, allowed: Sequence[str]) -> None:
        """Refuse a field's value that is not allowed. Raises ConfigError."""
        if getattr(self, key) not in allowed:
            raise ConfigError(f"protocol {self.name}: {key}={getattr(self, key)!r} is not one of {', '.join(allowed)}")

    @property
    def content(self) -> dict[str, Any]:
        """Everything that decides a number of this task, JSON-able."""
        return json.loads(json.dumps({k: v for k, v in asdict(self).items() if k not in _WORDS}))

    def hash(self, **resolved: str) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the content.

        Args:
            resolved: hashes of what the content only names (the prompts, a benchmark file).
        """
        text = json.dumps([self.content, resolved], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def change(self, **options: Any) -> Self:
        """With other values; None keeps one. A real change is noted in the name."""
        new = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if v is not None}
        changed = tuple(k for k, v in new.items() if getattr(self, k) != v)
        if not changed:
            return self
        names = (*self.modified, *(k for k in changed if k not in self.modified))
        base = self.name.split(" (modified")[0]
        return replace(self, **new, name=f"{base} (modified: {', '.join(names)})", modified=names)


def decided(kind: type[Protocol]) -> tuple[str, ...]:
    """The fields of a kind of protocol that an option may change."""
    return tuple(f.name for f in fields(kind) if f.name not in (*_WORDS, "task"))


def load_protocol(name: str, task: str, kind: type[P]) -> P:
    """A built-in protocol by name, or one from a JSON file.

    Args:
        name: of a file in ``configs/protocols`` without its suffix, or a file.
        task: name of the task that it must be for.
        kind: that task's dataclass.

    Raises:
        ConfigError: neither, it is for another task, or the file has unknown keys or values.
    """
    folder = shipped_configs() / "protocols"
    path = folder / f"{name}.json"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        names = sorted(p.stem for p in folder.glob("*.json"))
        raise ConfigError(f"--protocol {name!r} is neither one of {', '.join(names)} nor a JSON file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON ({error})") from None
    allowed = [f.name for f in fields(kind) if f.name != "modified"]
    if not isinstance(record, dict) or "name" not in record or "task" not in record:
        raise ConfigError(f"{path}: a protocol needs at least name and task; allowed keys: {', '.join(allowed)}")
    if record["task"] != task:
        raise ConfigError(f"--protocol {name} is for {record['task']}, not for {task}")
    unknown = [k for k in record if k not in allowed]
    if unknown:
        raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}; allowed: {', '.join(allowed)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{path}: a value has the wrong type ({error})") from None
