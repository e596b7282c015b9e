"""Loss terms, target sources and candidate sources, each chosen by its class path in YAML.

A contrastive loss is *logits x targets x criterion + extra candidates*; each part is a class of its own.
"""

from clinclip.losses.base import Hooked, LossTerm
from clinclip.losses.candidates import CandidateSource, NegatedReports
from clinclip.losses.columns import ExtraColumns, OwnColumns, SharedColumns
from clinclip.losses.consistency import CyclicConsistency
from clinclip.losses.contrastive import Contrastive
from clinclip.losses.factors import Factor
from clinclip.losses.gates import FixedGate, Gate, NeighboursGate, QuantileGate
from clinclip.losses.graph_alignment import GraphAlignment
from clinclip.losses.negation import NegationHardNegatives
from clinclip.losses.positives import LabelEquality, MultiPositive
from clinclip.losses.priors import CorrelationPrior, LabelSoftmax, SelfSimilarity
from clinclip.losses.schedule import Constant, CosineRamp, LinearRamp, Schedule
from clinclip.losses.sources import ClinicalSimilarity, GraphSimilarity, TextSimilarity
from clinclip.losses.targets import SoftTargets, Targets, TargetSource

__all__ = [
    "CandidateSource",
    "ClinicalSimilarity",
    "Constant",
    "Contrastive",
    "CorrelationPrior",
    "CosineRamp",
    "CyclicConsistency",
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
    "NegatedReports",
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
