"""What is done to a picture and a text before the towers see them: one value that training makes and a model keeps.

The data module makes it, training validates through it, a checkpoint carries it, and evaluation and
:func:`clinclip.load` use it again, so that no two places decide how a radiograph becomes a model's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ConfigError
from clinclip.images.cache_entry import CacheOptions, Fit, square, square_array
from clinclip.images.read import Mode, Window, is_dicom

if TYPE_CHECKING:
    from clinclip.images.cache import ImageCache

View = Literal["whole", "centre"]
Equalisation = Literal["none", "prepared", "published"]
_KINDS = {"fit": Fit, "window": Window, "equalisation": Equalisation, "mode": Mode, "view": View}


@dataclass(frozen=True)
class Preprocessing:
    """How files become the pixels, and texts the tokens, that a model was trained on.

    Attributes:
        image_size: Side of the model's input in pixels.
        stored_size: Side of the squares that preparation stored, from which the input is taken.
        fit: How a picture became a square: "pad", "crop" or "stretch", see `clinclip.images.CacheOptions`.
        window: How DICOM values became grey levels: "minmax" or "voi".
        equalisation: Of the histogram: "none"; "prepared" by clinclip; or "published": by the data set's publisher
            (MIMIC-CXR-JPG), so that JPEG and PNG files are taken as they are and DICOM files are equalised.
        mode: How files were decoded: "fast" or "strict"; within one grey level of each other.
        view: What validation and evaluation look at: the "whole" square, resized to ``image_size``; or its "centre", a
            window of ``image_size`` pixels.
        max_tokens: Texts are cut there.
    """

    image_size: int = 224
    stored_size: int = 256
    fit: Fit = "pad"
    window: Window = "minmax"
    equalisation: Equalisation = "none"
    mode: Mode = "fast"
    view: View = "whole"
    max_tokens: int = 256

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if getattr(self, name) not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                raise ConfigError(f"preprocessing: {name} is {getattr(self, name)!r}; allowed: {allowed}")
        for name in ("image_size", "stored_size", "max_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"preprocessing: {name} is {value!r}; it must be a whole number of at least 1")
        if self.view == "centre" and self.image_size > self.stored_size:
            raise ConfigError(
                f"data.augment=crop cuts {self.image_size} x {self.image_size} pixels (data.image_size) from stored "
                f"squares of {self.stored_size} x {self.stored_size}; prepare the data with a larger --image-size, "
                "lower data.image_size, or choose data.augment=full"
            )

    @classmethod
    def of(cls, stored: CacheOptions, published_equalised: bool = False) -> Preprocessing:
        """What a cache tells of it: how files became squares.

        Args:
            stored: Options of the cache.
            published_equalised: The publisher equalised the histograms of its files.
        """
        equalisation = "prepared" if stored.equalize else "published" if published_equalised else "none"
        return cls(
            image_size=stored.size,
            stored_size=stored.size,
            fit=stored.fit,
            window=stored.window,
            equalisation=equalisation,
            mode=stored.mode,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """What :meth:`as_dict` wrote. Raises ConfigError for other values, names and types."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or set(values) != known:
            raise ConfigError(f"preprocessing needs exactly {', '.join(sorted(known))}, not {values!r}"[:300])
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Names and values, for JSON and for checkpoints."""
        return asdict(self)

    def differences(self, stored: CacheOptions, published_equalised: bool = False) -> tuple[str, ...]:
        """What would make pictures of another preparation look unlike those of training, one clause each.

        The stored side is no difference: :meth:`from_cache` brings squares to the size that the view is taken from.
        How equal histograms came about is none either.
        """
        there = Preprocessing.of(stored, published_equalised)
        found = [
            f"{name} {getattr(self, name)!r} in training, {getattr(there, name)!r} here (--{name})"
            for name in ("fit", "window")
            if getattr(self, name) != getattr(there, name)
        ]
        if (self.equalisation == "none") != (there.equalisation == "none"):
            words = [f"{'not ' * (p.equalisation == 'none')}equalised" for p in (self, there)]
            found.append(f"histograms {words[0]} in training, {words[1]} here (--equalize)")
        return tuple(found)

    def read(self, source: str | PathLike[str] | NDArray) -> NDArray[np.uint8]:
        """A file or an array as preparation stores it: the same decoding, grey levels and square.

        Args:
            source: A JPEG, PNG or DICOM file, or pixels as `clinclip.images.cache_entry.square_array` takes them.

        Returns:
            uint8 (stored_size, stored_size).

        Raises:
            ImageError: The file cannot be read.
        """
        file = isinstance(source, str | PathLike)
        equalize = self.equalisation == "prepared" or (self.equalisation == "published" and file and is_dicom(source))
        options = CacheOptions(self.stored_size, self.fit, self.mode, self.window, equalize)
        return square(source, options)[0] if file else square_array(source, options)

    def see(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A stored square (S, S) of any side -> the model's input, uint8 (image_size, image_size)."""
        if self.view == "whole":
            return resize_square(stored, self.image_size)
        stored = resize_square(stored, self.stored_size)
        first = (self.stored_size - self.image_size) // 2
        return np.ascontiguousarray(stored[first : first + self.image_size, first : first + self.image_size])

    def from_cache(self, cache: ImageCache, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """:meth:`see` for many images of a cache, without a Python step a picture where nothing has to be resized.

        Args:
            cache: The cache.
            indices: Positions (n,).

        Returns:
            uint8 (n, image_size, image_size).
        """
        side = cache.options.size
        if self.view == "whole" and side == self.image_size:
            return cache.gather(indices)
        if self.view == "centre" and side == self.stored_size:
            first = np.full(len(indices), (side - self.image_size) // 2)
            return cache.gather_windows(indices, first, first, self.image_size)
        out = np.empty((len(indices), self.image_size, self.image_size), np.uint8)
        for i, index in enumerate(indices):
            out[i] = self.see(cache[int(index)])
        return out


def resize_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (H, W) -> uint8 (size, size): area averaging to shrink, linear to enlarge; unchanged where it fits."""
    if image.shape == (size, size):
        return np.ascontiguousarray(image)
    method = cv2.INTER_AREA if min(image.shape) >= size else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=method)  # type: ignore[return-value]
