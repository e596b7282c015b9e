"""Report graphs in the RadGraph schema: entities with labels, typed relations.

Source: Jain et al., "RadGraph: Extracting Clinical Entities and Relations from Radiology Reports", NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

ENTITY_LABELS: tuple[str, ...] = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
RELATION_LABELS: tuple[str, ...] = ("modify", "located_at", "suggestive_of")


@dataclass(frozen=True, slots=True)
class Entity:
    """A node: ``source[start:end] == text``. ``label`` is one of ENTITY_LABELS."""

    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A directed edge from entity ``head`` to entity ``tail`` (indices). ``label`` is one of RELATION_LABELS."""

    head: int
    tail: int
    label: str


@dataclass(frozen=True, slots=True)
class ReportGraph:
    """The entities and relations of one text, entities in order of their start."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]

    def __len__(self) -> int:
        return len(self.entities)
