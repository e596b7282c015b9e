"""``python -m tests.text.reading.compare``: clinclip, NegEx and negspacy on the table of sentences, as Markdown."""

from __future__ import annotations

from tests.text.reading.baselines import baseline, negex, negspacy
from tests.text.reading.scoring import read, rows, score


def compare() -> dict[tuple[str, str, str], float]:
    """F1 of "absent" and accuracy of each reader on each part; printed and returned (F1 only)."""
    result: dict[tuple[str, str, str], float] = {}
    print('| part | kind | rows | reader | accuracy | precision of "absent" | recall | F1 |')
    print("|---|---|---|---|---|---|---|---|")
    for part in ("dev", "test"):
        for kind in ("finding", "phrase"):
            table = rows(part, kind)
            for name, reader in (
                ("clinclip", read),
                ("NegEx (own rendition)", lambda row: baseline(row, negex)),
                ("negspacy", lambda row: baseline(row, negspacy)),
            ):
                s, _ = score(table, reader)
                result[part, kind, name] = s.f1
                figures = " | ".join(f"{x:.3f}" for x in (s.accuracy, s.precision, s.recall, s.f1))
                print(f"| {part} | {kind} | {s.n} | {name} | {figures} |")
    return result


if __name__ == "__main__":
    compare()
