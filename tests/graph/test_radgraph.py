"""RadGraph JSON: the package's output, the released files, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.graph.radgraph import RadGraphDocument, parse_record, read_radgraph, to_record, write_radgraph
from clinclip.graph.schema import ENTITY_LABELS, RELATION_LABELS, Entity, Relation, ReportGraph
from clinclip.graph.tokens import align_tokens, covering_tokens, tokenize

# As the package prints its own example, shortened (tokens lower-cased, punctuation set apart, ends inclusive).
WORDS = "no acute cardiopulmonary abnormality . small left effusion"


def row(tokens: str, label: str, start: int, end: int, *relations: list[str]) -> dict:
    return {"tokens": tokens, "label": label, "start_ix": start, "end_ix": end, "relations": list(relations)}


PACKAGE = {
    "0": {
        "text": WORDS,
        "entities": {
            "1": row("acute", "OBS-DA", 1, 1, ["modify", "2"]),
            "2": row("cardiopulmonary abnormality", "OBS-DA", 2, 3),
            "3": row("left", "Anatomy::definitely present", 6, 6),
            "4": row("effusion", "Observation::definitely present", 7, 7, ["located_at", "3"]),
        },
        "data_source": None,
        "data_split": "inference",
    }
}
ORIGINAL = "No acute  cardiopulmonary\n abnormality.\n Small left effusion"


def test_reads_the_package_output_into_the_original_report(tmp_path) -> None:
    path = tmp_path / "graphs.json"
    path.write_text(json.dumps(PACKAGE))
    document = read_radgraph(path, texts={"0": ORIGINAL})["0"]
    assert [e.text for e in document.graph.entities] == [
        "acute", "cardiopulmonary\n abnormality", "left", "effusion",
    ]  # fmt: skip
    assert [e.label for e in document.graph.entities] == ["OBS-DA", "OBS-DA", "ANAT-DP", "OBS-DP"]
    assert document.graph.relations == (Relation(0, 1, "modify"), Relation(3, 2, "located_at"))
    assert all(ORIGINAL[e.start : e.end] == e.text for e in document.graph.entities)
    assert document.lost == 0


def test_two_readers_and_the_choice_between_them(tmp_path) -> None:
    record = PACKAGE["0"]
    entities = record["entities"]
    both = {"text": record["text"], "labeler_1": {"entities": entities}, "labeler_2": {"entities": {}}}
    assert len(parse_record(both).graph) == 4
    assert len(parse_record(both, labeler="labeler_2").graph) == 0
    with pytest.raises(ReportTextError, match="labeler_1, labeler_2; asked for 'labeler_3'"):
        parse_record(both, labeler="labeler_3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "OBS-MAYBE"}, "OBS-MAYBE"),
        ({"end_ix": 99}, "1..99 lie outside the 8 tokens"),
        ({"start_ix": "x"}, "malformed"),
        ({"relations": [["causes", "2"]]}, "causes"),
        ({"relations": [["modify", "7"]]}, "unknown entity '7'"),
        ({"relations": ["modify"]}, "expected \\[type, entity\\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change: dict, message: str) -> None:
    broken = json.loads(json.dumps(PACKAGE))
    broken["0"]["entities"]["1"].update(change)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken))
    with pytest.raises(ReportTextError, match=message) as caught:
        read_radgraph(path)
    assert "broken.json" in str(caught.value)


@pytest.mark.parametrize("content", ["[1]", "{", '{"a": 3}', '{"a": {"text": "x"}}'])
def test_files_that_are_no_radgraph(tmp_path, content: str) -> None:
    path = tmp_path / "no.json"
    path.write_text(content)
    with pytest.raises(ReportTextError, match=r"no\.json"):
        read_radgraph(path)


def test_words_that_the_tool_cleaned_away_are_counted_as_lost() -> None:
    document = parse_record(PACKAGE["0"], text="No acute abnormality. Small left effusion")
    assert document.lost == 1
    assert [e.text for e in document.graph.entities] == ["acute", "left", "effusion"]
    assert document.graph.relations == (Relation(2, 1, "located_at"),)


def test_round_trip_of_a_graph(tmp_path) -> None:
    text = "Moderate right-sided effusion (layering), no pneumothorax."
    graph = ReportGraph(
        (
            Entity(0, 8, "Moderate", "OBS-DP"),
            Entity(21, 29, "effusion", "OBS-DP"),
            Entity(45, 57, "pneumothorax", "OBS-DA"),
        ),
        (Relation(0, 1, "modify"),),
    )
    path = tmp_path / "out.json"
    write_radgraph(path, {"a": (text, graph)})
    assert read_radgraph(path, texts={"a": text})["a"] == RadGraphDocument(text, graph)
    assert not list(tmp_path.glob(".*tmp"))


def test_a_span_that_cuts_a_token_is_widened() -> None:
    record = to_record("a pneumothorax", ReportGraph((Entity(4, 8, "eumo", "OBS-DP"),), ()))
    assert record["entities"]["1"]["tokens"] == "pneumothorax"
    with pytest.raises(ReportTextError, match="covers no token"):
        to_record("a  b", ReportGraph((Entity(1, 3, "  ", "OBS-DP"),), ()))


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.text(max_size=300))
def test_tokens_tile_the_text(text: str) -> None:
    spans = tokenize(text)
    covered = "".join(text[s:e] for s, e in spans)
    assert covered == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@given(st.text(max_size=200))
def test_alignment_finds_every_token_of_the_own_text(text: str) -> None:
    spans = tokenize(text)
    assert (
        align_tokens([text[s:e] for s, e in spans], text.upper() if len(text.upper()) == len(text) else text)
        is not None
    )
    assert align_tokens([text[s:e] for s, e in spans], text) == spans


@given(st.text(max_size=120), st.data())
def test_any_graph_survives_writing_and_reading(text: str, data: st.DataObject) -> None:
    spans = tokenize(text)
    starts, ends = [s for s, _ in spans], [e for _, e in spans]
    picks = data.draw(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), max_size=6))
    ranges = sorted({r for a, b in picks if (r := covering_tokens((min(a, b), max(a, b)), starts, ends))})
    entities = tuple(
        Entity(starts[a], ends[b - 1], text[starts[a] : ends[b - 1]], data.draw(st.sampled_from(ENTITY_LABELS)))
        for a, b in ranges
    )
    count = len(entities)
    edges = st.tuples(
        st.integers(0, max(count - 1, 0)), st.integers(0, max(count - 1, 0)), st.sampled_from(RELATION_LABELS)
    )
    relations = sorted(data.draw(st.sets(edges, max_size=5)) if count else set())
    graph = ReportGraph(entities, tuple(Relation(*r) for r in relations))
    back = parse_record(json.loads(json.dumps(to_record(text, graph))), text=text)
    assert back.graph.entities == graph.entities
    assert sorted((r.head, r.tail, r.label) for r in back.graph.relations) == relations
