"""Kinds of edits in training: a further one is a class in one file, and any number of them takes turns fairly."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from itertools import pairwise, permutations
from pathlib import Path
from typing import Literal, get_type_hints

import numpy as np
import pytest

from clinclip.data import collate
from clinclip.data.datamodule import CXRDataModule
from clinclip.data.records import Edits, Records, kind_key
from clinclip.data.token_store import TokenStore
from clinclip.draws import Draws
from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS, LabelState
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.table import TableOptions, read
from clinclip.text import EDITS, EditedReport, ReportEdit, label_report
from clinclip.text.editing.edits import merge_spans
from clinclip.text.editing.subject import Subject
from tests.prepare.trees import picture, write_csv


class Hedge(ReportEdit):
    """A stated finding becomes a possible one: what a user would write to add a kind."""

    kind = "hedge"

    def apply(
        self, subject: Subject, finding: str, draws: Draws, style: str | None = None, number: int = 0
    ) -> EditedReport | str:
        start = subject.of(finding, LabelState.PRESENT)[0].start
        text = f"{subject.text[:start]}possible {subject.text[start:]}"
        after = label_report(text)
        if after[finding] is not LabelState.UNCERTAIN:
            return "does not read as uncertain"
        edits = merge_spans(subject.text, [(start, start, "possible ")])
        return EditedReport(text, subject.text, self.kind, finding, edits, None, dict(subject.labels), after)


NOTES = ["There is atelectasis.", "Moderate effusion. Edema.", "The lungs are clear.", "There is pneumonia."]


def test_a_further_kind_is_one_class_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written by preparation, chosen by data.edits, reaches batches, and is named in errors."""
    monkeypatch.setitem(EDITS, Hedge.kind, Hedge())
    rows = [[f"{i}.png", NOTES[i % 4], f"p{i}"] for i in range(16)]
    for name, *_ in rows:
        picture(tmp_path / name, seed=zlib.crc32(name.encode()))
    csv = write_csv(tmp_path / "t.csv", ["file", "note", "patient"], rows)
    source = read(TableOptions(csv=csv, image_column="file", text_column="note", patient_column="patient"))
    manifest = build(source, tmp_path / "m", BuildOptions(image_size=32, workers=1), progress=False)
    assert manifest is not None
    stored = [twin for column in manifest.frame["twins"] for twin in json.loads(column) if twin["kind"] == "hedge"]
    assert len(stored) == sum(note != NOTES[2] for _, note, _ in rows)
    assert manifest.header["reports"]["with_twin"]["hedge"] == 3
    options = {"batch_size": 2, "num_workers": 0, "image_size": 32, "cache_tokens": False, "sampling": "image"}
    data = CXRDataModule([str(tmp_path / "m")], twins=1, edits=["hedge"], **options)  # type: ignore[arg-type]
    data.setup("fit")
    tokenizer = data.tokenizer_
    assert tokenizer is not None
    seen = 0
    for batch in data.train_dataloader():
        assert batch.twins is not None
        for i, k in batch.twins.valid.nonzero().tolist():
            seen += 1
            ids, mask = batch.twins.text.token_ids[i, k], batch.twins.text.mask[i, k]
            row = int(batch.sample[i])
            text = manifest.frame["text"][row]
            (twin,) = [t for t in json.loads(manifest.frame["twins"][row]) if t["kind"] == "hedge"]
            ((start, _, new),) = twin["edits"]
            assert ids[mask].tolist() == tokenizer.encode([text[:start] + new + text[start:]], 256)[0].ids
            finding = int(batch.twins.finding[i, k])
            assert FINDINGS[finding] == twin["finding"]
            assert batch.twins.labels[i, k, finding] == LabelState.UNCERTAIN.code
    assert seen
    with pytest.raises(ConfigError, match=r"data\.edits='hedged': allowed are negate, .*, hedge$"):
        CXRDataModule([str(tmp_path / "m")], twins=1, edits=["hedged"], **options)  # type: ignore[arg-type]
    assert manifest.header["options"]["edits"][-1] == "hedge"
    monkeypatch.delitem(EDITS, "hedge")
    with pytest.raises(ConfigError, match=r"preparation with other options \(changed: edits\)"):
        build(source, tmp_path / "m", BuildOptions(image_size=32, workers=1), progress=False)


def test_the_command_line_lists_every_kind() -> None:
    """What jsonargparse prints in help texts and errors is the type."""
    assert get_type_hints(CXRDataModule.__init__)["edits"] == list[Literal[tuple(EDITS)]] | None  # type: ignore[valid-type]


def records(kinds: list[str], count: int) -> tuple[Records, TokenStore]:
    """``count`` reports with one twin of each kind; text numbers count reports first, then twins."""
    zero = np.zeros(count, dtype=np.int64)
    labels = np.zeros((count, len(FINDINGS)), dtype=np.int8)
    many = count * len(kinds)
    edits = Edits(
        start=np.arange(count + 1) * len(kinds),
        text=count + np.arange(many),
        finding=np.ones(many, dtype=np.int64),
        labels=np.zeros((many, len(FINDINGS)), dtype=np.int8),
        kind=np.tile([kind_key(kind) for kind in kinds], count),
    )
    rows = Records(zero, zero, zero, np.arange(count), zero, zero, labels, labels, np.arange(count), zero, zero, edits)
    store = TokenStore(np.arange(count + many, dtype=np.int32), np.arange(count + many + 1), 0)
    return rows, store


def first_kinds(kinds: list[str], count: int, twins: int = 1) -> list[list[str]]:
    """The kinds of the twins that each report draws, in order."""
    rows, store = records(kinds, count)
    batch = collate.train_twins(rows, np.arange(count), np.arange(count), twins, store, seed=3, epoch=1)
    numbers = batch.text.token_ids[..., 0].numpy() - count
    return [[kinds[n % len(kinds)] for n in row] for row in numbers]


def test_any_number_of_kinds_is_drawn_alike_and_independently() -> None:
    kinds = [f"kind{i}" for i in range(12)]
    first = [row[0] for row in first_kinds(kinds, 3000)]
    counts = Counter(first)
    assert set(counts) == set(kinds)
    assert max(abs(count - 250) for count in counts.values()) < 5 * np.sqrt(250)
    # neighbours draw independently: the same kind at the next report in one of twelve cases
    repeats = sum(a == b for a, b in pairwise(first))
    assert abs(repeats - 250) < 5 * np.sqrt(250)


def test_a_further_kind_leaves_the_order_of_the_others() -> None:
    before = first_kinds(["a", "b", "c"], 200, twins=3)
    after = first_kinds(["z", "c", "a", "b"], 200, twins=4)
    assert [[kind for kind in row if kind != "z"] for row in after] == before
    assert {tuple(row) for row in before} == {tuple(p) for p in permutations("abc")}
