"""Loss terms, target sources and candidate sources, each chosen by its class path in YAML.

A contrastive loss is *logits x targets x criterion + extra candidates*; each part is a class of its own.
"""

from clinclip.losses.base import Hooked, LossTerm
from clinclip.losses.candidates import CandidateSource, NegatedReports
from clinclip.losses.columns import ExtraColumns, OwnColumns, SharedColumns
from clinclip.losses.contrastive import Contrastive
from clinclip.losses.factors import Factor
from clinclip.losses.gates import FixedGate, Gate, NeighboursGate, QuantileGate
from clinclip.losses.graph_alignment import GraphAlignment
from clinclip.losses.negation import NegationHardNegatives
from clinclip.losses.schedule import Constant, CosineRamp, LinearRamp, Schedule
from clinclip.losses.sources import ClinicalSimilarity, GraphSimilarity, LabelEquality, TextSimilarity
from clinclip.losses.targets import SoftTargets, Targets, TargetSource

__all__ = [
    "CandidateSource",
    "ClinicalSimilarity",
    "Constant",
    "Contrastive",
    "CosineRamp",
    "ExtraColumns",
    "Factor",
    "FixedGate",
    "Gate",
    "GraphAlignment",
    "GraphSimilarity",
    "Hooked",
    "LabelEquality",
    "LinearRamp",
    "LossTerm",
    "NegatedReports",
    "NegationHardNegatives",
    "NeighboursGate",
    "OwnColumns",
    "QuantileGate",
    "Schedule",
    "SharedColumns",
    "SoftTargets",
    "TargetSource",
    "Targets",
    "TextSimilarity",
]
