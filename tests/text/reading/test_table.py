"""The readable table: floors for both parts, and its own good order."""

import pytest

from tests.text.reading.scoring import Row, read, rows, score

STATES = {"present", "absent", "uncertain", "not_mentioned"}


def test_the_table_is_well_formed() -> None:
    table = rows()
    assert len(table) >= 500
    assert len({(r.sentence, r.target) for r in table}) == len(table), "a pair stands twice"
    for row in table:
        assert row.part in {"dev", "test"}
        assert row.kind in {"finding", "phrase"}
        assert row.state in STATES
        assert row.reason, f"no reason: {row}"
    assert not {r.sentence for r in rows("dev")} & {r.sentence for r in rows("test")}


@pytest.mark.parametrize(
    ("part", "kind", "accuracy", "f1"),
    [
        ("dev", "finding", 0.98, 0.98), ("dev", "phrase", 0.98, 0.98),
        ("test", "finding", 0.97, 0.98), ("test", "phrase", 0.97, 0.98),
    ],
)  # fmt: skip
def test_floors(part: str, kind: str, accuracy: float, f1: float) -> None:
    result, wrong = score(rows(part, kind))
    report = "\n".join(f"{r.sentence} | {r.target}: {r.state}, read {got}" for r, got in wrong)
    assert result.accuracy >= accuracy, report
    assert result.f1 >= f1, report


def test_the_score_counts_what_it_says() -> None:
    table = [Row("dev", "phrase", "s", "t", state, "r") for state in ("absent", "absent", "present", "uncertain")]
    answers = iter(["absent", "present", "absent", "uncertain"])
    result, wrong = score(table, lambda _: next(answers))
    assert (result.n, result.accuracy, result.precision, result.recall) == (4, 0.5, 0.5, 0.5)
    assert [got for _, got in wrong] == ["present", "absent"]


def test_reading_is_deterministic() -> None:
    table = rows("dev")[::7]
    assert [read(r) for r in table] == [read(r) for r in table]
