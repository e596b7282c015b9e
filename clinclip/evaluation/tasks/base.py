"""What an evaluation task is.

A task is one file in this folder with a subclass of :class:`Task`, one protocol file in ``configs/protocols``, and one
line in ``TASKS`` (``__init__.py`` here). The command line, its help, the reports, the demo and the ablation read
the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from clinclip.errors import DataError
from clinclip.evaluation.items import Items, select
from clinclip.evaluation.protocols import Protocol, load_protocol
from clinclip.evaluation.result import Drawing, Example, Headline, Outcome
from clinclip.evaluation.tables import Measured, Table, TableSpec, measure
from clinclip.metrics.intervals import PatientResamples

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest
    from clinclip.export.model import Model

Scores = TypeVar("Scores")
#: argparse options that every task has; each changes the protocol's field of its ``dest``
COMMON: dict[str, dict[str, Any]] = {
    "--split": {"choices": ("train", "validate", "test"), "help": "instead of the protocol's"},
    "--views": {
        "type": lambda text: tuple(v.strip().upper() for v in text.split(",")),
        "metavar": "PA,AP",
        "help": "keep only these view positions",
    },
    "--resamples": {"type": int, "metavar": "N", "help": "bootstrap resamples over patients; 0: no intervals"},
    "--seed": {"type": int, "metavar": "N", "help": "of the bootstrap"},
}


@dataclass(frozen=True)
class Embedder:
    """A model, and how it embeds (:mod:`clinclip.export.inference`)."""

    model: Model
    batch_size: int = 64
    device: str = "auto"
    progress: bool = False
    work: Path | None = None

    @property
    def logit_scale(self) -> float:
        """Factor of the cosines."""
        return self.model.logit_scale

    def images(self, items: Items, features: bool = False) -> np.ndarray:
        """Embeddings (N, D), or features before the projection (N, F); refused when not finite."""
        from clinclip.export.inference import embed_images

        how = (self.batch_size, self.device, self.progress, self.work)
        return _finite(embed_images(self.model, items.manifest, items.rows, *how, features=features), "image")

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (n, D), refused when not finite."""
        from clinclip.export.inference import embed_texts

        return _finite(embed_texts(self.model, texts, self.batch_size, self.device, self.progress, self.work), "text")


def _finite(vectors: np.ndarray, what: str) -> np.ndarray:
    bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    if bad:
        raise DataError(f"{bad} of {len(vectors)} {what} embeddings are not finite: the checkpoint has diverged")
    return vectors


class Task(ABC, Generic[Scores]):
    """Items that are chosen once, by the constructor, and measured for every model.

    Class attributes state what the task is; a subclass's constructor takes the manifest, the protocol, and those of its
    own options that are no field of the protocol.

    Attributes:
        name: on the command line.
        title: heading of its reports.
        about: its line of help.
        default: name of its newest built-in protocol.
        protocol_class: what its protocol decides, a dataclass.
        options: argparse options of its own; the ``dest`` is a field of the protocol or an argument of the constructor.
        ablation: keys of the tables that the ablation compares rows by; none: it leaves the task out.
        demo: names of the headlines that the demo shows; none: it leaves the task out.
        protocol: how.
        items: the images.
        facts: what is said about the data.
        notes: what a reader must know.
        resolved: hashes of what the protocol only names.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    default: ClassVar[str]
    protocol_class: ClassVar[type[Protocol]] = Protocol
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    ablation: ClassVar[tuple[str, ...]] = ()
    demo: ClassVar[tuple[str, ...]] = ()

    protocol: Any
    items: Items
    facts: dict[str, Any]

    def __init__(self, manifest: Manifest, protocol: Any) -> None:
        self.manifest, self.protocol = manifest, protocol
        self.notes: list[str] = []
        self.resolved: dict[str, str] = {}
        self.items = select(manifest, protocol.split, protocol.views)

    @classmethod
    def load_protocol(cls, name: str | None = None) -> Any:
        """A protocol of this task by name or file; None is the default. Raises ConfigError."""
        return load_protocol(name or cls.default, cls.name, cls.protocol_class)

    @abstractmethod
    def score(self, embed: Embedder) -> Scores:
        """What a model makes of the items: everything that depends on it."""

    @abstractmethod
    def tables(self, scores: Scores) -> list[TableSpec]:
        """The tables to be measured."""

    @abstractmethod
    def headlines(self, measured: Measured) -> list[Headline]:
        """The numbers to quote, one cell each."""

    def compared(self, measured: Measured) -> list[Headline]:
        """The numbers by which the ablation compares its rows; all headlines, unless overridden."""
        return self.headlines(measured)

    def figures(self, scores: Scores) -> dict[str, Any]:
        """JSON-able aggregates to draw."""
        return {}

    @classmethod
    def draw(
        cls, tables: Mapping[str, Sequence[Table]], figures: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[Drawing]:
        """The figures of the report.

        Args:
            tables: key -> that table of every model.
            figures: :meth:`figures` of every model.
            names: of the models.
        """
        return []

    def example(self, scores: Scores, at: int) -> Example | None:
        """Weight ``at`` of :attr:`patients` for readers who may see patients; None where there is nothing to show."""
        return None

    @property
    def patients(self) -> np.ndarray:
        """int64: the patient behind each weight that the tables' statistics take; by default one an image."""
        return self.items.patient

    @property
    def examples_from(self) -> int:
        """How many items an example can be taken of."""
        return len(self.items.rows)

    def run(self, embed: Embedder, examples: int = 0, tables: Sequence[str] | None = None) -> Outcome:
        """Embed and measure.

        Args:
            embed: the model.
            examples: items prepared for readers who may see patients.
            tables: keys of those that are measured (intervals are what costs); None: all.
        """
        p = self.protocol
        scores = self.score(embed)
        specs = [spec for spec in self.tables(scores) if tables is None or spec.key in tables]
        patients = self.patients
        resamples = PatientResamples(patients, p.resamples, p.seed) if p.resamples else None
        measured = measure(specs, len(patients), resamples, p.level)
        order = np.random.Generator(np.random.Philox(key=p.seed)).permutation(self.examples_from)
        shown = [self.example(scores, i) for i in sorted(order[:examples].tolist())]
        return Outcome(
            measured, self.figures(scores), tuple(self.headlines(measured)), tuple(e for e in shown if e is not None)
        )

    def picture(self, at: int, side: int = 320) -> bytes:
        """A small PNG of the image of item ``at``."""
        import cv2

        entry = int(self.items.frame["cache_index"].iloc[at])
        image = cv2.resize(self.items.manifest.cache[entry], (side, side), interpolation=cv2.INTER_AREA)
        return cv2.imencode(".png", image)[1].tobytes()


def row(measured: Measured, table: str, start: str) -> str:
    """The label of a table's first row that begins like this."""
    return next(r.label for r in measured.table(table).rows if r.label.startswith(start))
