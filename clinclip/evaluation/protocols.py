"""Protocols: how a number was taken, as a named, versioned, hashed record that is printed next to it.

Built-in protocols are JSON files in ``clinclip/evaluation/files``; a user's own is a file of the same form. Changing an
option on the command line changes the hash and adds "modified" to the name, so that no two numbers with one name differ
in how they were taken.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from clinclip.errors import ConfigError
from clinclip.findings import EVALUATION_POLICIES, FINDINGS, check_finding

#: built-in protocols, one JSON file each
FILES = Path(__file__).parent / "files"
TASKS = ("zero-shot", "retrieval", "align", "probe")
#: task -> its default protocol
DEFAULTS = {
    "zero-shot": "zero-shot-chexpert14-v1",
    "retrieval": "retrieval-v1",
    "align": "align-v1",
    "probe": "probe-v1",
}
#: settings that decide numbers in every task, and in each
_COMMON = ("task", "split", "views", "resamples", "level", "seed")
_DECIDES = {
    "zero-shot": ("findings", "label_source", "label_policy", "prompts"),
    "retrieval": ("gallery_texts", "ks"),
    "align": (),
    "probe": ("findings", "label_source", "label_policy", "fractions", "subsets"),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "task": TASKS,
    "split": ("train", "validate", "test"),
    "label_source": ("auto", "table", "read"),
    "label_policy": tuple(EVALUATION_POLICIES),
    "gallery_texts": ("study", "image"),
}


@dataclass(frozen=True)
class Protocol:
    """How numbers are taken.

    Attributes:
        name: with its version.
        task: one of :data:`TASKS`.
        about: a sentence for readers; not part of the hash.
        split: of the manifest.
        views: view positions that are kept, in upper case; empty keeps all.
        findings: those that are classified (zero-shot, probe).
        label_source: "table", "read" (by clinclip from the reports), or "auto": the table where the manifest has one.
        label_policy: a key of :data:`clinclip.findings.EVALUATION_POLICIES`.
        prompts: name or file of the prompt set (zero-shot).
        gallery_texts: "study" (one report a study) or "image" (one an image) (retrieval).
        ks: recall cut-offs (retrieval).
        fractions: shares of the training patients that a probe is fitted on (probe).
        subsets: nested draws of each share below 1; their mean and spread are shown (probe).
        resamples: bootstrap resamples over patients; 0 gives no intervals.
        level: coverage of the intervals.
        seed: of the bootstrap and of the controls.
    """

    name: str
    task: str
    about: str = ""
    split: str = "test"
    views: tuple[str, ...] = ()
    findings: tuple[str, ...] = FINDINGS
    label_source: str = "auto"
    label_policy: str = "mentioned"
    prompts: str = "report-v1"
    gallery_texts: str = "study"
    ks: tuple[int, ...] = (1, 5, 10)
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    subsets: int = 5
    resamples: int = 1000
    level: float = 0.95
    seed: int = 0
    modified: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"protocol {self.name}: {key}={getattr(self, key)!r} is not one of {', '.join(allowed)}"
                )
        for finding in self.findings:
            check_finding(finding, key=f"protocol {self.name}: findings")
        if not self.findings or not self.ks or min(self.ks) < 1:
            raise ConfigError(f"protocol {self.name}: findings and ks must not be empty, ks at least 1")
        if not self.fractions or not all(0 < f <= 1 for f in self.fractions) or self.subsets < 1:
            raise ConfigError(f"protocol {self.name}: fractions must lie in (0, 1], subsets be at least 1")
        if self.resamples < 0 or not 0 < self.level < 1:
            raise ConfigError(f"protocol {self.name}: resamples={self.resamples} (>= 0), level={self.level} (0 to 1)")

    @property
    def content(self) -> dict[str, Any]:
        """Everything that decides a number of this task, JSON-able."""
        record = asdict(self)
        return json.loads(json.dumps({k: record[k] for k in (*_COMMON, *_DECIDES[self.task])}))

    def hash(self, **resolved: str) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the content.

        Args:
            resolved: hashes of what the content only names (the prompts, a benchmark file).
        """
        text = json.dumps([self.content, resolved], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def change(self, **options: Any) -> Protocol:
        """With other values; None keeps one. A real change is noted in the name."""
        new = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if v is not None}
        changed = tuple(k for k, v in new.items() if getattr(self, k) != v)
        if not changed:
            return self
        names = (*self.modified, *(k for k in changed if k not in self.modified))
        base = self.name.split(" (modified")[0]
        return replace(self, **new, name=f"{base} (modified: {', '.join(names)})", modified=names)


def load_protocol(name: str) -> Protocol:
    """A built-in protocol by name, or one from a JSON file.

    Raises:
        ConfigError: neither, or the file has unknown keys or values.
    """
    path = FILES / f"protocol-{name}.json"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        names = sorted(p.stem.removeprefix("protocol-") for p in FILES.glob("protocol-*.json"))
        raise ConfigError(f"--protocol {name!r} is neither one of {', '.join(names)} nor a JSON file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON ({error})") from None
    allowed = [f.name for f in fields(Protocol) if f.name != "modified"]
    if not isinstance(record, dict) or "name" not in record or "task" not in record:
        raise ConfigError(f"{path}: a protocol needs at least name and task; allowed keys: {', '.join(allowed)}")
    unknown = [k for k in record if k not in allowed]
    if unknown:
        raise ConfigError(f"{path}: unknown keys {', '.join(unknown)}; allowed: {', '.join(allowed)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    try:
        return Protocol(**values)
    except TypeError as error:
        raise ConfigError(f"{path}: a value has the wrong type ({error})") from None
