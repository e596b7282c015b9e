"""clinclip: train and judge CLIP-style chest X-ray models that understand clinical language.

Importing the package is instant: public names are resolved on first use, and no heavy library is loaded before.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "load": "clinclip.export.checkpoint",
    "Model": "clinclip.export.model",
    "Manifest": "clinclip.data.manifest",
    "TargetSource": "clinclip.losses.targets.source",
    "FINDINGS": "clinclip.findings",
    "LabelState": "clinclip.findings",
    "Batch": "clinclip.types",
    "Embeddings": "clinclip.types",
    "LossOutput": "clinclip.types",
    "ClinClipModule": "clinclip.training.module",
    "CXRDataModule": "clinclip.data.datamodule",
    "DualEncoder": "clinclip.models.dual_encoder",
    "LossTerm": "clinclip.losses.base",
    "evaluate": "clinclip.evaluation.run",
    "build": "clinclip.cli",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'clinclip' has no attribute {name!r}; public names: {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted(__all__)
