"""Prompts of zero-shot classification: versioned data with a hash, because they decide the number as much as a model.

``plain-v1`` is the pair "<finding>" / "no <finding>" of CheXzero (Tiu et al., Nature Biomedical Engineering 2022);
``report-v1`` is an ensemble of four phrases a side in the language of reports. A user's own set is a JSON file of the
same form as ``clinclip/text/prompt_sets/report-v1.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS, check_finding

FILES = Path(__file__).parent / "prompt_sets"


@dataclass(frozen=True)
class PromptSet:
    """Positive and negative prompts of some findings.

    Attributes:
        name: name with version, printed next to every number.
        positive: finding -> prompts that say it is there.
        negative: finding -> prompts that say it is not there (same findings).
    """

    name: str
    positive: dict[str, tuple[str, ...]]
    negative: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for finding in (*self.positive, *self.negative):
            check_finding(finding, key=f"prompt set {self.name}")
        if set(self.positive) != set(self.negative) or not self.positive:
            raise ConfigError(f"prompt set {self.name}: every finding needs positive and negative prompts")
        for finding in self.positive:
            for side, prompts in (("positive", self.positive[finding]), ("negative", self.negative[finding])):
                if not prompts or not all(p.strip() for p in prompts):
                    raise ConfigError(f"prompt set {self.name}: {finding} has an empty {side} prompt or none")

    @property
    def findings(self) -> tuple[str, ...]:
        """Its findings, in the order of :data:`clinclip.findings.FINDINGS`."""
        return tuple(f for f in FINDINGS if f in self.positive)

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the prompts (not of the name)."""
        content = {f: [list(self.positive[f]), list(self.negative[f])] for f in self.findings}
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]

    def select(self, findings: tuple[str, ...]) -> PromptSet:
        """The prompts of these findings only."""
        missing = [f for f in findings if f not in self.positive]
        if missing:
            raise ConfigError(f"prompt set {self.name} has no prompts for {', '.join(missing)}")
        return PromptSet(self.name, {f: self.positive[f] for f in findings}, {f: self.negative[f] for f in findings})

    def flat(self) -> tuple[list[str], list[int]]:
        """All prompts, and for each its group: ``2 * i`` positive and ``2 * i + 1`` negative of ``findings[i]``."""
        texts: list[str] = []
        groups: list[int] = []
        for i, finding in enumerate(self.findings):
            for side, prompts in enumerate((self.positive[finding], self.negative[finding])):
                texts += prompts
                groups += [2 * i + side] * len(prompts)
        return texts, groups


def plain() -> PromptSet:
    """The pair "<finding>" / "no <finding>" in lower case; "no finding" is the negative's own wording."""
    positive = {f: (f.lower(),) for f in FINDINGS}
    negative = {f: (f"no {f.lower()}",) for f in FINDINGS}
    negative["No Finding"] = ("finding",)
    return PromptSet("plain-v1", positive, negative)


def load_prompts(name: str) -> PromptSet:
    """A built-in prompt set by name (``plain-v1``, ``report-v1``), or one from a JSON file.

    Raises:
        ConfigError: no such set or file, or the file has another form.
    """
    if name == "plain-v1":
        return plain()
    path = FILES / f"{name}.json"
    if not path.exists():
        path = Path(name)
    if not path.is_file():
        names = ["plain-v1", *sorted(p.stem for p in FILES.glob("*.json"))]
        raise ConfigError(f"prompts={name!r} is neither one of {', '.join(names)} nor a JSON file")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        findings = data["findings"]
        return PromptSet(
            str(data["name"]),
            {f: tuple(findings[f]["positive"]) for f in findings},
            {f: tuple(findings[f]["negative"]) for f in findings},
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ConfigError(
            f'{path}: not a prompt file ({error!r}); it needs {{"name": ..., "findings": {{"Edema": '
            '{"positive": [...], "negative": [...]}}}'
        ) from None


def template(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prompts for a finding without prompts of its own: "tuberculosis" / "no tuberculosis" (words in capitals stay)."""
    words = " ".join(word if sum(c.isupper() for c in word) > 1 else word.lower() for word in name.split())
    return (words,), (f"no {words}",)


def prompts_of(
    names: Sequence[str], source: PromptSet | Mapping[str, tuple[Any, Any]]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Positive and negative prompts of each name.

    Args:
        names: findings, known to the prompt set (in upper or lower case) or not.
        source: a prompt set; names that it does not know get :func:`template`. Or a mapping of all names to (positive,
            negative), each a text or a list of texts.

    Raises:
        ConfigError: an empty name, or a mapping without a name or with prompts of another form.
    """
    if any(not isinstance(name, str) or not name.strip() for name in names):
        raise ConfigError(f"names of findings must be words, not {list(names)!r}")
    if isinstance(source, PromptSet):
        known = {finding.lower(): finding for finding in source.positive}
        found = {name: known.get(name.lower()) for name in names}
        return {n: (source.positive[f], source.negative[f]) if f else template(n) for n, f in found.items()}
    chosen = {}
    for name in names:
        pair = source.get(name)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ConfigError(
                f"prompts of {name!r} are {pair!r}; give (positive, negative), each a text or a list of them"
            )
        sides = tuple((side,) if isinstance(side, str) else tuple(side) for side in pair)
        if not all(side and all(isinstance(text, str) and text.strip() for text in side) for side in sides):
            raise ConfigError(
                f"prompts of {name!r} are {pair!r}: every side needs at least one text, and none is empty"
            )
        chosen[name] = sides
    return chosen
