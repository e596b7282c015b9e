"""Character spans -> token spans, truncation, padding, the manifest's column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinclip.errors import ReportTextError
from clinclip.graph.batch import collate_graphs, encode_graph, entity_hash, graph_from_column, graph_to_column
from clinclip.graph.schema import Entity, Relation, ReportGraph

TEXT = "Small left pleural effusion. No pneumothorax."
GRAPH = ReportGraph(
    (
        Entity(0, 5, "Small", "OBS-DP"),
        Entity(6, 10, "left", "ANAT-DP"),
        Entity(11, 18, "pleural", "ANAT-DP"),
        Entity(19, 27, "effusion", "OBS-DP"),
        Entity(32, 44, "pneumothorax", "OBS-DA"),
    ),
    (Relation(0, 3, "modify"), Relation(1, 2, "modify"), Relation(3, 2, "located_at"), Relation(2, 3, "modify")),
)
# [CLS] small left pleural eff ##usion . no pneumo ##thorax . [SEP]
OFFSETS = [
    (0, 0), (0, 5), (6, 10), (11, 18), (19, 22), (22, 27), (27, 28), (29, 31), (32, 38), (38, 44), (44, 45), (0, 0),
]  # fmt: skip


def test_spans_count_in_tokens_including_the_special_ones() -> None:
    encoded = encode_graph(GRAPH, OFFSETS)
    assert encoded.span_start.tolist() == [1, 2, 3, 4, 8]
    assert encoded.span_end.tolist() == [2, 3, 4, 6, 10]
    assert encoded.label.tolist() == [1, 0, 0, 1, 3]
    assert encoded.edges.tolist() == [[0, 3], [1, 2], [2, 3]]
    assert encoded.dropped == 0


def test_truncation_drops_and_counts_also_a_span_cut_in_two() -> None:
    cut = [*OFFSETS[:5], (0, 0)]  # ends inside "effusion"
    encoded = encode_graph(GRAPH, cut)
    assert encoded.span_end.tolist() == [2, 3, 4]
    assert encoded.dropped == 2
    assert encoded.edges.tolist() == [[1, 2]]
    assert encode_graph(GRAPH, [(0, 0), (0, 0)]).dropped == 5
    assert encode_graph(GRAPH, []).dropped == 5


def test_node_limit_counts_too() -> None:
    encoded = encode_graph(GRAPH, OFFSETS, max_nodes=2)
    assert len(encoded) == 2
    assert encoded.dropped == 3
    assert encoded.edges.shape == (0, 2)


def test_collation_pads_with_masks_and_symmetric_edges() -> None:
    batch = collate_graphs([encode_graph(GRAPH, OFFSETS), encode_graph(ReportGraph((), ()), OFFSETS)])
    assert batch.mask.sum(1).tolist() == [5, 0]
    assert batch.adjacency.shape == (2, 5, 5)
    assert bool((batch.adjacency == batch.adjacency.transpose(1, 2)).all())
    assert batch.adjacency[0].sum().item() == 6
    assert not batch.adjacency.diagonal(dim1=1, dim2=2).any()
    assert batch.entity[1].tolist() == [0] * 5
    assert batch.dropped.tolist() == [0, 0]


def test_a_batch_without_any_node_keeps_one_padded_column() -> None:
    batch = collate_graphs([encode_graph(ReportGraph((), ()), OFFSETS)] * 3)
    assert batch.mask.shape == (3, 1)
    assert not batch.mask.any()


def test_entity_hash_is_stable_and_ignores_case_and_wraps() -> None:
    assert entity_hash("Pleural\n effusion", "OBS-DP") == entity_hash("pleural effusion", "OBS-DP")
    assert entity_hash("effusion", "OBS-DP") != entity_hash("effusion", "OBS-DA")
    # The value goes into caches: it may never change between versions.
    assert entity_hash("effusion", "OBS-DP") == -7649481759820978746


def test_the_column_round_trips_and_refuses_what_does_not_fit() -> None:
    column = graph_to_column(GRAPH)
    assert graph_from_column(column, TEXT) == GRAPH
    assert graph_from_column("", TEXT) == ReportGraph((), ())
    with pytest.raises(ReportTextError, match="another text policy"):
        graph_from_column(column, TEXT[:20])
    for broken in ("{", '{"entities": []}', '{"entities": [[0, 1, -1]], "relations": []}'):
        with pytest.raises(ReportTextError, match="malformed"):
            graph_from_column(broken, TEXT)
    with pytest.raises(ReportTextError, match="points outside"):
        graph_from_column('{"entities": [[0, 1, 1]], "relations": [[0, 1, 0]]}', TEXT)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=12), st.integers(0, 60))
def test_every_kept_span_covers_its_characters(pairs: list[tuple[int, int]], length: int) -> None:
    entities = tuple(Entity(s, s + n, "x" * n, "OBS-DP") for s, n in sorted(set(pairs)))
    offsets = [(0, 0), *((i, i + 2) for i in range(0, length, 2)), (0, 0)]
    encoded = encode_graph(ReportGraph(entities, ()), offsets)
    table = np.array(offsets)
    kept = [e for e in entities if e.end <= (max((e for _, e in offsets), default=0))]
    assert len(kept) == len(encoded) == len(entities) - encoded.dropped
    for entity, start, end in zip(kept, encoded.span_start, encoded.span_end, strict=True):
        assert table[start, 0] <= entity.start < table[start, 1]
        assert table[end - 1, 0] < entity.end <= table[end - 1, 1]
