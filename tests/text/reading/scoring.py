"""Score a reader on the table of sentences: accuracy, and precision, recall and F1 of "absent"."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from clinclip.text import assert_phrase, label_report

TABLE = Path(__file__).with_name("sentences.tsv")


@dataclass(frozen=True)
class Row:
    """One line of sentences.tsv."""

    part: str
    kind: str
    sentence: str
    target: str
    state: str
    reason: str


def rows(part: str | None = None, kind: str | None = None) -> list[Row]:
    """Lines of the table, of one part and kind if wanted."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    table = [Row(**r) for r in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [r for r in table if (part is None or r.part == part) and (kind is None or r.kind == kind)]


def read(row: Row) -> str:
    """The state that clinclip reads."""
    if row.kind == "finding":
        return str(label_report(row.sentence)[row.target])
    return str(assert_phrase(row.sentence, row.target).state)


@dataclass(frozen=True)
class Score:
    """Accuracy over all states; precision, recall and F1 of "absent"."""

    n: int
    accuracy: float
    precision: float
    recall: float
    f1: float

    def __str__(self) -> str:
        return (
            f"n={self.n} accuracy={self.accuracy:.4f} absent: precision={self.precision:.4f} "
            f"recall={self.recall:.4f} F1={self.f1:.4f}"
        )


def score(table: Iterable[Row], reader: Callable[[Row], str] = read) -> tuple[Score, list[tuple[Row, str]]]:
    """The score of a reader, and what it read wrongly."""
    table = list(table)
    wrong: list[tuple[Row, str]] = []
    hit = false = missed = 0
    for row in table:
        got = reader(row)
        if got != row.state:
            wrong.append((row, got))
        hit += got == row.state == "absent"
        false += got == "absent" != row.state
        missed += got != "absent" == row.state
    precision = hit / (hit + false) if hit + false else 0.0
    recall = hit / (hit + missed) if hit + missed else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
    return Score(len(table), 1 - len(wrong) / max(1, len(table)), precision, recall, f1), wrong
