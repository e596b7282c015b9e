"""The outcome of an evaluation: protocol, data, checkpoint and exposure travel with every number.

Nothing here holds a path or a patient's id; examples, which hold report texts and images, are made only when asked for
and go only into report.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinclip.evaluation.exposure import Exposure
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.tables import Measured, Style, Table
from clinclip.metrics.intervals import Interval

if TYPE_CHECKING:
    from clinclip.evaluation.tasks.base import Task


@dataclass(frozen=True)
class Headline:
    """A number to quote: the mean of one column over some rows of a table (mostly one row).

    Attributes:
        name: short name in JSON.
        title: what it says.
        table: key of the table.
        rows: labels of its rows.
        column: of it.
        about: a sentence that must stand with it, or "".
    """

    name: str
    title: str
    table: str
    rows: tuple[str, ...]
    column: str
    about: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure of the report: a heading, a sentence, and the SVG ("" leaves it out)."""

    title: str
    about: str
    svg: str


@dataclass(frozen=True)
class Example:
    """An item for readers who may see patients: a PNG and lines of (label, text, score, is it the true one)."""

    png: bytes
    title: str
    lines: tuple[tuple[str, str, float, bool], ...]


@dataclass(frozen=True)
class Outcome:
    """What a task measured for one model: tables, aggregates to draw, the numbers to quote, examples."""

    measured: Measured
    figures: dict[str, Any]
    headlines: tuple[Headline, ...]
    examples: tuple[Example, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ModelOutcome:
    """One checkpoint's results.

    Attributes:
        name: file or folder name of the checkpoint.
        sha256: of its weights.
        logit_scale: factor of the cosines.
        train: identity of its training data (manifest hashes, clinclip version).
        exposure: overlap with the test data.
        outcome: what was measured.
        unlike: how the test data were prepared otherwise than its training data, one clause each; also in the notes.
    """

    name: str
    sha256: str
    logit_scale: float
    train: dict[str, Any]
    exposure: Exposure
    outcome: Outcome
    unlike: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """What was measured."""
        return self.outcome.measured.tables

    @property
    def headline(self) -> dict[str, Interval]:
        """Short name -> the number to quote with its interval."""
        return {h.name: self.cell(h) for h in self.outcome.headlines}

    def cell(self, headline: Headline) -> Interval:
        """The one cell that a headline quotes."""
        return self.outcome.measured.table(headline.table).cell(headline.rows[0], headline.column)

    def style(self, headline: Headline) -> Style:
        """How that cell is printed."""
        return self.outcome.measured.table(headline.table).style(headline.column)


@dataclass(frozen=True)
class Result:
    """Everything that one evaluation found; what :func:`clinclip.evaluate` returns.

    Attributes:
        task: the class of the task.
        protocol: how it was measured.
        protocol_hash: hash of the protocol with everything it names.
        data: facts of the test items: data set, manifest hash, split, counts, label source, rule-set version.
        models: one checkpoint, or two that are compared.
        differences: first minus second with paired intervals, empty for one checkpoint.
        notes: what a reader must know.
    """

    task: type[Task]
    protocol: Protocol
    protocol_hash: str
    data: dict[str, Any]
    models: tuple[ModelOutcome, ...]
    differences: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> dict[str, Interval]:
        """Short name -> the numbers to quote, of the first model."""
        return self.models[0].headline

    @property
    def tables(self) -> dict[str, Table]:
        """Key -> table of the first model; :meth:`Table.frame` makes a DataFrame of one."""
        return {table.key: table for table in self.models[0].tables}

    @property
    def interval_note(self) -> str:
        """How the intervals were made."""
        p = self.protocol
        if not p.resamples:
            return "No intervals (0 resamples)."
        return (
            f"In brackets: {100 * p.level:g} % intervals, percentile bootstrap over patients, "
            f"{p.resamples:,} resamples, seed {p.seed}; a resample in which a number does not exist is left out of its "
            "interval."
        )

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``report.html``, ``results.md`` and ``results.json`` (last: its presence means complete).

        Returns:
            Their paths.
        """
        from clinclip.evaluation.report import write

        return write(self, Path(folder))

    def __str__(self) -> str:
        from clinclip.evaluation.report import as_text

        return as_text(self)
