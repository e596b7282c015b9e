"""Towers and the dual encoder. Importing this loads torch, but neither timm nor transformers."""

from clinclip.models.base import GraphTower, ImageTower, TextOutput, TextTower
from clinclip.models.dual_encoder import DualEncoder
from clinclip.models.graph import GraphEncoder
from clinclip.models.huggingface import TextEncoder
from clinclip.models.timm import ImageEncoder

__all__ = [
    "DualEncoder",
    "GraphEncoder",
    "GraphTower",
    "ImageEncoder",
    "ImageTower",
    "TextEncoder",
    "TextOutput",
    "TextTower",
]
