"""The options of the data module, checked once: what is wrong is named by its key on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clinclip.data.collate import SECTIONS
from clinclip.data.sampler import SAMPLING
from clinclip.data.splits import SPLITS
from clinclip.data.views import parse_views
from clinclip.errors import ConfigError
from clinclip.findings import LABEL_SOURCES
from clinclip.images.transforms import Augment
from clinclip.text.editing import EDITS
from clinclip.workers import available_cores


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The arguments of :class:`clinclip.data.datamodule.CXRDataModule`, where each is described.

    Raises:
        ConfigError: a value that is not allowed, or two that contradict each other; names the keys (``data.views``).
    """

    manifests: tuple[str, ...]
    weights: tuple[float, ...] | None
    batch_size: int
    eval_batch_size: int | None
    num_workers: int | None
    image_size: int
    augment: Augment
    augmentation: dict[str, Any]
    tokenizer: str
    vocab_size: int
    max_tokens: int
    twins: int
    edits: tuple[str, ...] | None
    graphs: bool
    max_nodes: int
    labels: str
    sections: str
    sampling: str
    views: str
    seed: int
    predict_split: str
    frozen_text: str | None
    cache_tokens: bool

    def __post_init__(self) -> None:
        if not self.manifests:
            raise ConfigError("data.manifests=[]: give a list of at least one manifest folder")
        weights, count = self.weights, len(self.manifests)
        if weights is not None and (len(weights) != count or min(weights) < 0 or not sum(weights)):
            raise ConfigError(
                f"data.weights={list(weights)}: one number >= 0 for each of the {count} manifests, not all 0"
            )
        self._check_choice("labels", self.labels, LABEL_SOURCES)
        self._check_choice("sections", self.sections, SECTIONS)
        self._check_choice("sampling", self.sampling, SAMPLING)
        self._check_choice("predict_split", self.predict_split, SPLITS)
        for name in ("batch_size", "image_size", "max_nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name}={getattr(self, name)}: must be at least 1")
        parse_views(self.views)
        self._check_twins()

    def _check_twins(self) -> None:
        if self.twins < 0:
            raise ConfigError(f"data.twins={self.twins}: must be 0 or more")
        for kind in self.edits or ():
            self._check_choice("edits", kind, tuple(EDITS))
        if self.edits is not None and not self.edits:
            raise ConfigError(f"data.edits=[]: give at least one of {', '.join(EDITS)}, or data.twins=0")
        if self.edits and not self.twins:
            raise ConfigError(
                f"data.edits={list(self.edits)} with data.twins=0: set data.twins to the number of twins a report (1 "
                "or more), or leave data.edits out"
            )
        if self.sections != "text" and (self.twins or self.graphs):
            raise ConfigError(
                f"data.sections={self.sections!r} together with data.twins={self.twins}, data.graphs={self.graphs}: "
                "edited reports and graphs belong to the manifest's whole text. Set data.sections=text, or prepare "
                "with --text findings (or impression)"
            )

    @staticmethod
    def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            raise ConfigError(f"data.{name}={value!r}: allowed are {', '.join(allowed)}")

    @property
    def passes(self) -> list[float]:
        """Passes over each manifest's training studies an epoch."""
        return [1.0] * len(self.manifests) if self.weights is None else [float(w) for w in self.weights]

    @property
    def workers(self) -> int:
        """Worker processes of each loader."""
        return max(0, min(8, available_cores() - 1)) if self.num_workers is None else self.num_workers

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of twins in the order of the table, each once: one spelling for one choice; none without twins."""
        return tuple(kind for kind in EDITS if kind in (self.edits or ("negate",))) if self.twins else ()

    @property
    def kept_views(self) -> frozenset[str] | None:
        """The views that are looked at; None is all."""
        return parse_views(self.views)
