"""``python -m tests.text.compare``: clinclip, NegEx and negspacy on the table of sentences, as Markdown."""

from __future__ import annotations

from tests.text.baselines import baseline, negex, negspacy
from tests.text.scoring import read, rows, score


def compare() -> dict[tuple[str, str, str], float]:
    """F1 of "absent" and accuracy of each reader on each part; printed and returned (F1 only)."""
    result: dict[tuple[str, str, str], float] = {}
    print(
        '| part | kind | rows | reader | accuracy | precision of "absent" | recall | F1 |\n|---|---|---|---|---|---|---|---|'
    )
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
                print(
                    f"| {part} | {kind} | {s.n} | {name} | {s.accuracy:.3f} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} |"
                )
    return result


if __name__ == "__main__":
    compare()
