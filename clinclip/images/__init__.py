"""Images: read any file to uint8 grey, cache them memory-mapped, augment them reproducibly.

Names resolve lazily, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinclip.images.cache import CacheOptions, ImageCache
    from clinclip.images.cache_build import CacheReport, build_cache
    from clinclip.images.cache_merge import merge_caches
    from clinclip.images.preprocessing import Preprocessing
    from clinclip.images.read import read_image
    from clinclip.images.transforms import ImageTransform

__all__ = [
    "CacheOptions",
    "CacheReport",
    "ImageCache",
    "ImageTransform",
    "Preprocessing",
    "build_cache",
    "merge_caches",
    "read_image",
]

_HOMES = {
    "CacheOptions": "cache",
    "CacheReport": "cache_build",
    "ImageCache": "cache",
    "ImageTransform": "transforms",
    "Preprocessing": "preprocessing",
    "build_cache": "cache_build",
    "merge_caches": "cache_merge",
    "read_image": "read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"clinclip.images.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
