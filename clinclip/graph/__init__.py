"""Report graphs in the RadGraph schema: build them from text, read and write RadGraph JSON, batch and score them.

The names resolve lazily, so that importing this package loads neither torch nor the rules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinclip.graph.builder import build_graph
    from clinclip.graph.radgraph import RadGraphDocument, read_radgraph, write_radgraph
    from clinclip.graph.schema import ENTITY_LABELS, RELATION_LABELS, Entity, Relation, ReportGraph

_HOME = {
    "build_graph": "clinclip.graph.builder",
    "RadGraphDocument": "clinclip.graph.radgraph",
    "read_radgraph": "clinclip.graph.radgraph",
    "write_radgraph": "clinclip.graph.radgraph",
    "ENTITY_LABELS": "clinclip.graph.schema",
    "RELATION_LABELS": "clinclip.graph.schema",
    "Entity": "clinclip.graph.schema",
    "Relation": "clinclip.graph.schema",
    "ReportGraph": "clinclip.graph.schema",
}

__all__ = [
    "ENTITY_LABELS",
    "RELATION_LABELS",
    "Entity",
    "RadGraphDocument",
    "Relation",
    "ReportGraph",
    "build_graph",
    "read_radgraph",
    "write_radgraph",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
