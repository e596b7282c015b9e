"""Loss terms, target sources and candidate sources, each chosen by its class path in YAML.

A contrastive loss is *logits x targets x criterion + extra candidates*; each part is a class of its own. Names are
resolved on first use, so that the engines (:mod:`clinclip.losses.engine.tiled`) can be imported without the terms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinclip.losses.base import LossTerm
    from clinclip.losses.candidates import CandidateSource, EditedReports
    from clinclip.losses.consistency import CyclicConsistency
    from clinclip.losses.contrastive import Contrastive
    from clinclip.losses.engine.affinity import Affinity, Gated, Matrix
    from clinclip.losses.engine.columns import ExtraColumns, OwnColumns, SharedColumns
    from clinclip.losses.engine.mixture import Mixture
    from clinclip.losses.engine.similarity import Cosine
    from clinclip.losses.graph_alignment import GraphAlignment
    from clinclip.losses.hooks import Hooked
    from clinclip.losses.negation import NegationHardNegatives
    from clinclip.losses.schedule import Constant, CosineRamp, LinearRamp, Schedule
    from clinclip.losses.targets.clinical_similarity import ClinicalSimilarity
    from clinclip.losses.targets.correlation_prior import CorrelationPrior
    from clinclip.losses.targets.gates import FixedGate, Gate, NeighboursGate, QuantileGate
    from clinclip.losses.targets.graph_similarity import GraphSimilarity
    from clinclip.losses.targets.label_equality import LabelEquality
    from clinclip.losses.targets.label_softmax import LabelSoftmax
    from clinclip.losses.targets.multi_positive import MultiPositive
    from clinclip.losses.targets.self_similarity import SelfSimilarity
    from clinclip.losses.targets.soft import SoftTargets, Targets
    from clinclip.losses.targets.source import TargetSource
    from clinclip.losses.targets.text_similarity import TextSimilarity

# module -> public names that it defines
_MODULES = {
    "base": ("LossTerm",),
    "candidates": ("CandidateSource", "EditedReports"),
    "consistency": ("CyclicConsistency",),
    "contrastive": ("Contrastive",),
    "engine.affinity": ("Affinity", "Gated", "Matrix"),
    "engine.columns": ("ExtraColumns", "OwnColumns", "SharedColumns"),
    "engine.mixture": ("Mixture",),
    "engine.similarity": ("Cosine",),
    "graph_alignment": ("GraphAlignment",),
    "hooks": ("Hooked",),
    "negation": ("NegationHardNegatives",),
    "schedule": ("Constant", "CosineRamp", "LinearRamp", "Schedule"),
    "targets.clinical_similarity": ("ClinicalSimilarity",),
    "targets.correlation_prior": ("CorrelationPrior",),
    "targets.gates": ("FixedGate", "Gate", "NeighboursGate", "QuantileGate"),
    "targets.graph_similarity": ("GraphSimilarity",),
    "targets.label_equality": ("LabelEquality",),
    "targets.label_softmax": ("LabelSoftmax",),
    "targets.multi_positive": ("MultiPositive",),
    "targets.self_similarity": ("SelfSimilarity",),
    "targets.soft": ("SoftTargets", "Targets"),
    "targets.source": ("TargetSource",),
    "targets.text_similarity": ("TextSimilarity",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Affinity",
    "CandidateSource",
    "ClinicalSimilarity",
    "Constant",
    "Contrastive",
    "CorrelationPrior",
    "Cosine",
    "CosineRamp",
    "CyclicConsistency",
    "EditedReports",
    "ExtraColumns",
    "FixedGate",
    "Gate",
    "Gated",
    "GraphAlignment",
    "GraphSimilarity",
    "Hooked",
    "LabelEquality",
    "LabelSoftmax",
    "LinearRamp",
    "LossTerm",
    "Matrix",
    "Mixture",
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
