"""Encoded report graphs as flat arrays: small, cheap to share with worker processes, saved beside the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clinclip.graph.batch import EncodedGraph, collate_graphs
from clinclip.types import GraphBatch


@dataclass(frozen=True)
class GraphStore:
    """Graphs of n texts, by text number.

    Attributes:
        node_start: int64 (n + 1,) where each graph's nodes begin.
        span_start: int32 (nodes,) first token of each node.
        span_end: int32 (nodes,) one past its last token.
        label: int8 (nodes,).
        entity: int64 (nodes,) hashes.
        edge_start: int64 (n + 1,) where each graph's edges begin.
        edges: int32 (edges, 2) node numbers within the graph.
        dropped: int32 (n,) nodes lost to truncation.
    """

    node_start: np.ndarray
    span_start: np.ndarray
    span_end: np.ndarray
    label: np.ndarray
    entity: np.ndarray
    edge_start: np.ndarray
    edges: np.ndarray
    dropped: np.ndarray

    def __len__(self) -> int:
        return len(self.dropped)

    def graph(self, number: int) -> EncodedGraph:
        """The graph of one text."""
        nodes = slice(self.node_start[number], self.node_start[number + 1])
        return EncodedGraph(
            span_start=self.span_start[nodes],
            span_end=self.span_end[nodes],
            label=self.label[nodes],
            entity=self.entity[nodes],
            edges=self.edges[self.edge_start[number] : self.edge_start[number + 1]],
            dropped=int(self.dropped[number]),
        )

    def batch(self, numbers: np.ndarray) -> GraphBatch:
        """Pad and stack the graphs of these text numbers."""
        return collate_graphs([self.graph(int(number)) for number in numbers])


def pack(graphs: Sequence[EncodedGraph | None]) -> GraphStore:
    """Lay graphs out flat; None stands for an empty graph."""
    present = [g for g in graphs if g is not None]

    def starts(sizes: list[int]) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)

    def column(name: str, dtype: type) -> np.ndarray:
        parts = [getattr(g, name) for g in present]
        return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)

    edges = [g.edges for g in present if len(g.edges)]
    return GraphStore(
        node_start=starts([0 if g is None else len(g) for g in graphs]),
        span_start=column("span_start", np.int32),
        span_end=column("span_end", np.int32),
        label=column("label", np.int8),
        entity=column("entity", np.int64),
        edge_start=starts([0 if g is None else len(g.edges) for g in graphs]),
        edges=np.concatenate(edges).astype(np.int32) if edges else np.zeros((0, 2), np.int32),
        dropped=np.asarray([0 if g is None else g.dropped for g in graphs], dtype=np.int32),
    )
