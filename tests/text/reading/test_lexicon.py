"""The lexicon: its tables, its patterns, and the phrases found in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.findings import FINDINGS, LabelState
from clinclip.text.reading.lexicon.build import lexicon, read_table
from clinclip.text.reading.lexicon.patterns import expand, plurals
from clinclip.text.reading.mentions import find_hits


def test_the_tables_are_well_formed() -> None:
    names = set()
    for row in read_table("concepts.tsv"):
        assert row[1] in {"-", *FINDINGS}, row[0]
        assert expand(row[2])
        options = {o for o in (row[3] if len(row) > 3 else "").split(",") if o and not o.startswith("absent=")}
        assert options <= {"weak", "sign", "incidental", "device", "removed", "disease", "episode", "process"}, row[0]
        names.add(row[0])
    groups = {row[0] for row in read_table("anatomy.tsv")}
    classes = {row[0] for row in read_table("predicates.tsv")}
    for row in read_table("normality.tsv"):
        assert set(row[0].split("|")) <= groups
        assert set(row[1].split("|")) <= classes
        assert row[3] in FINDINGS
        assert row[4] in set(LabelState)
    values = {"side", "severity", "change", "location", "morphology"}
    assert {row[0] for row in read_table("modifiers.tsv")} <= values
    assert len(names) > 30


def test_every_finding_has_terms() -> None:
    assert {row[1] for row in read_table("concepts.tsv")} >= set(FINDINGS)


@given(
    st.lists(st.sampled_from(["no", "pleural", "effusion", "left", "lower", "lobe", "collapse", "chest", "tube", "x"]))
)
@settings(max_examples=300, deadline=None)
def test_hits_are_leftmost_longest(words: list[str]) -> None:
    lex = lexicon()
    hits = find_hits(words, lex)
    at = 0
    for start, end, entry in hits:
        assert at <= start < end <= len(words)
        assert len(entry.phrase.split()) == end - start
        longer = "".join(lex.table[w] for w in words[start : end + 1])
        assert end == len(words) or longer not in lex.automaton
        at = end


def test_patterns() -> None:
    assert expand("{a|b} [c] d") == ["a d", "a c d", "b d", "b c d"]
    assert expand("[very] {large|small [left]}") == [
        "large",
        "small",
        "small left",
        "very large",
        "very small",
        "very small left",
    ]
    with pytest.raises(ReportTextError, match="unbalanced"):
        expand("{a|b")
    assert "pneumothoraces" in plurals("pneumothorax")
    assert plurals("opacity") == ["opacities"]
    assert "atelectases" in plurals("atelectasis")
