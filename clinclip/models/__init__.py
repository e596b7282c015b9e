"""Towers and the dual encoder. Importing this loads torch, but neither timm nor transformers."""

from clinclip.models.dual_encoder import DualEncoder
from clinclip.models.graph_encoder import GraphEncoder
from clinclip.models.image_encoder import ImageEncoder
from clinclip.models.text_encoder import TextEncoder

__all__ = ["DualEncoder", "GraphEncoder", "ImageEncoder", "TextEncoder"]
