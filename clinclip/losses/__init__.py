"""Loss terms, target sources and candidate sources, each chosen by its class path in YAML.

A contrastive loss is *logits x targets x criterion + extra candidates*; each part is a class of its own. Names are
resolved on first use, so that the engines (:mod:`clinclip.losses.engine.tiled`) can be imported without the terms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinclip.losses.base import Hooked, LossTerm
    from clinclip.losses.candidates import CandidateSource, EditedReports
    from clinclip.losses.consistency import CyclicConsistency
    from clinclip.losses.contrastive import Contrastive
    from clinclip.losses.engine.columns import ExtraColumns, OwnColumns, SharedColumns
    from clinclip.losses.engine.factors import Factor
    from clinclip.losses.graph_alignment import GraphAlignment
    from clinclip.losses.negation import NegationHardNegatives
    from clinclip.losses.schedule import Constant, CosineRamp, LinearRamp, Schedule
    from clinclip.losses.targets.gates import FixedGate, Gate, NeighboursGate, QuantileGate
    from clinclip.losses.targets.positives import LabelEquality, MultiPositive
    from clinclip.losses.targets.priors import CorrelationPrior, LabelSoftmax, SelfSimilarity
    from clinclip.losses.targets.soft import SoftTargets, Targets, TargetSource
    from clinclip.losses.targets.sources import ClinicalSimilarity, GraphSimilarity, TextSimilarity

# module -> public names that it defines
_MODULES = {
    "base": ("Hooked", "LossTerm"),
    "candidates": ("CandidateSource", "EditedReports"),
    "engine.columns": ("ExtraColumns", "OwnColumns", "SharedColumns"),
    "consistency": ("CyclicConsistency",),
    "contrastive": ("Contrastive",),
    "engine.factors": ("Factor",),
    "targets.gates": ("FixedGate", "Gate", "NeighboursGate", "QuantileGate"),
    "graph_alignment": ("GraphAlignment",),
    "negation": ("NegationHardNegatives",),
    "targets.positives": ("LabelEquality", "MultiPositive"),
    "targets.priors": ("CorrelationPrior", "LabelSoftmax", "SelfSimilarity"),
    "schedule": ("Constant", "CosineRamp", "LinearRamp", "Schedule"),
    "targets.sources": ("ClinicalSimilarity", "GraphSimilarity", "TextSimilarity"),
    "targets.soft": ("SoftTargets", "TargetSource", "Targets"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CandidateSource",
    "ClinicalSimilarity",
    "Constant",
    "Contrastive",
    "CorrelationPrior",
    "CosineRamp",
    "CyclicConsistency",
    "EditedReports",
    "ExtraColumns",
    "Factor",
    "FixedGate",
    "Gate",
    "GraphAlignment",
    "GraphSimilarity",
    "Hooked",
    "LabelEquality",
    "LabelSoftmax",
    "LinearRamp",
    "LossTerm",
    "MultiPositive",
    "NegationHardNegatives",
    "NeighboursGate",
    "OwnColumns",
    "QuantileGate",
    "Schedule",
    "SelfSimilarity",
    "SharedColumns",
    "SoftTargets",
    "TargetSource",
    "Targets",
    "TextSimilarity",
]


def load_all() -> None:
    """Import every public class, so that short class names resolve on the command line."""
    for name in __all__:
        __getattr__(name)


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'clinclip.losses' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
