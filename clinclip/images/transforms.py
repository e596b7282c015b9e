"""Augmentation, seeded per sample. The one module that imports albumentations.

Albumentations keeps random state inside its pipeline: copied into every DataLoader worker it makes all workers draw the
same augmentations, and repeats them every epoch; a seed given to a pipeline also gives all its transforms the same
stream, so that the crop and the contrast of a sample move together. Here every sample gives the pipeline a fresh pair
of generators, made from a key such as (seed, epoch, sample): the same key gives the same picture on any worker, rank or
resumed run, different keys are independent, and the transforms of one sample draw from it one after the other.

There is no horizontal flip: it would put the heart on the right and turn "left pleural effusion" into a wrong report.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.draws import keyed_words
from clinclip.errors import ConfigError
from clinclip.images.preprocessing import resize_square

if TYPE_CHECKING:
    from albumentations import Compose

    from clinclip.images.cache import ImageCache

Augment = Literal["full", "crop", "none"]


class ImageTransform:
    """Grey image in, square grey image out; random only through the key.

    Args:
        size: Side of the output, the model's input, in pixels.
        train: Augment; otherwise resize (``augment="full"`` or ``"none"``) or cut the centre (``"crop"``).
        augment: "full": rotation, resized crop, CLAHE, brightness and contrast. "crop": a random window at the stored
            resolution, nothing else (the fastest). "none": resize only.
        scale: Area of the resized crop relative to the image; above 1 the image is shrunk into a black border.
        ratio: Aspect ratios (width / height) of the resized crop.
        rotation: Largest rotation in degrees, either way.
        clahe: Probability of contrast-limited adaptive histogram equalisation.
        clahe_clip: Its largest clip limit.
        brightness: Largest change of brightness, as a share of the range.
        contrast: Largest relative change of contrast.

    Defaults follow CXR-CLIP (You et al. 2023: crop 0.8 to 1.1, CLAHE clip 4, jitter 0.1 and 0.2), with a small
    rotation for the positioning of patients and without its horizontal flip.
    """

    def __init__(
        self,
        size: int = 224,
        train: bool = False,
        augment: Augment = "full",
        scale: tuple[float, float] = (0.8, 1.1),
        ratio: tuple[float, float] = (0.75, 1.3333),
        rotation: float = 5.0,
        clahe: float = 0.5,
        clahe_clip: float = 4.0,
        brightness: float = 0.1,
        contrast: float = 0.2,
    ) -> None:
        if size < 1:
            raise ConfigError(f"image transform: size is {size}; it must be at least 1 pixel")
        if augment not in get_args(Augment):
            raise ConfigError(f"image transform: augment is {augment!r}; allowed: {', '.join(get_args(Augment))}")
        if not 0 < scale[0] <= scale[1] <= 4:
            raise ConfigError(f"image transform: scale is {tuple(scale)}; two areas 0 < low <= high <= 4 are needed")
        if not 0 < ratio[0] <= ratio[1]:
            raise ConfigError(f"image transform: ratio is {tuple(ratio)}; two ratios 0 < low <= high are needed")
        if not 0 <= clahe <= 1 or clahe_clip < 1:
            raise ConfigError(
                f"image transform: clahe is {clahe} (a probability), clahe_clip {clahe_clip} (at least 1)"
            )
        self.size, self.train, self.augment = size, train, augment
        self.scale, self.ratio, self.rotation = tuple(scale), tuple(ratio), rotation
        self.clahe, self.clahe_clip, self.brightness, self.contrast = clahe, clahe_clip, brightness, contrast
        self._pipeline: Compose | None = None

    def __call__(self, image: NDArray[np.uint8], key: tuple[int, ...] = ()) -> NDArray[np.uint8]:
        """Transform one image.

        Args:
            image: uint8 (H, W).
            key: Whole numbers that name this draw, such as (seed, epoch, sample). Unused in evaluation.

        Returns:
            uint8 (size, size).
        """
        if self.augment == "crop":
            top, left = self._corners(image.shape[0], image.shape[1], [key])
            return np.ascontiguousarray(image[top[0] : top[0] + self.size, left[0] : left[0] + self.size])
        if not self.train or self.augment == "none":
            return resize_square(image, self.size)
        return self._augmented(image, keyed_words([key or (0,)], 3)[0])

    def from_cache(
        self, cache: ImageCache, indices: Sequence[int] | NDArray[np.integer], keys: Sequence[Sequence[int]] | NDArray
    ) -> NDArray[np.uint8]:
        """Read and transform a batch; the same pictures as one by one, without a Python step per pixel copy.

        Args:
            cache: The cache.
            indices: Positions (n,).
            keys: One key a position (n, k).

        Returns:
            uint8 (n, size, size).
        """
        side = cache.options.size
        if self.augment == "crop":
            tops, lefts = self._corners(side, side, keys)
            return cache.gather_windows(indices, tops, lefts, self.size)
        if side == self.size and (not self.train or self.augment == "none"):
            return cache.gather(indices)
        out = np.empty((len(indices), self.size, self.size), np.uint8)
        if not self.train or self.augment == "none":
            for i, index in enumerate(indices):
                out[i] = resize_square(cache[int(index)], self.size)
            return out
        for i, (index, words) in enumerate(zip(indices, keyed_words(keys, 3), strict=True)):
            out[i] = self._augmented(cache[int(index)], words)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pipeline": None}  # each worker builds its own

    def _corners(
        self, height: int, width: int, keys: Sequence[Sequence[int]] | NDArray
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Upper left corners of the windows, uniform over all positions, or centred in evaluation."""
        free = np.array([height - self.size, width - self.size])
        if (free < 0).any():
            raise ConfigError(
                f"image transform: augment 'crop' cuts {self.size} x {self.size} pixels from {height} x {width} ones;"
                " prepare a larger image cache or choose augment 'full'"
            )
        if not self.train:
            return np.full(len(keys), free[0] // 2), np.full(len(keys), free[1] // 2)
        words = (keyed_words(keys, 2) >> np.uint64(33)).astype(np.int64)
        corners = (words * (free + 1)) >> 31
        return corners[:, 0], corners[:, 1]

    def _augmented(self, image: NDArray[np.uint8], words: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Augment one image with generators of its own, made from three random words."""
        if self._pipeline is None:
            self._pipeline = self._build()
        generator = np.random.Generator(np.random.Philox(key=words[:2]))
        self._pipeline.set_random_state(generator, random.Random(int(words[2])))
        return self._pipeline(image=np.ascontiguousarray(self._bordered(image)))["image"]

    def _bordered(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Room around the image for crops of more than its area, which albumentations does not know."""
        if self.scale[1] <= 1:
            return image
        grow = (self.scale[1] ** 0.5 - 1) / 2
        rows, columns = round(image.shape[0] * grow), round(image.shape[1] * grow)
        return cv2.copyMakeBorder(image, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=[0])  # type: ignore[return-value]

    def _build(self) -> Compose:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for a newer version on import otherwise
        import albumentations as A

        most = max(1.0, self.scale[1])
        transforms: list[A.BasicTransform | A.BaseCompose] = []
        if self.rotation:
            turn = (-self.rotation, self.rotation)
            transforms.append(A.Affine(rotate=turn, scale=1.0, interpolation=cv2.INTER_LINEAR, fill=0, p=1.0))
        transforms.append(
            A.RandomResizedCrop(
                size=(self.size, self.size),
                scale=(self.scale[0] / most, self.scale[1] / most),
                ratio=(self.ratio[0], self.ratio[1]),
                interpolation=cv2.INTER_LINEAR,
                p=1.0,
            )
        )
        if self.clahe:
            transforms.append(A.CLAHE(clip_limit=(1.0, self.clahe_clip), tile_grid_size=(8, 8), p=self.clahe))
        if self.brightness or self.contrast:
            bright, contrast = (-self.brightness, self.brightness), (-self.contrast, self.contrast)
            transforms.append(A.RandomBrightnessContrast(brightness_limit=bright, contrast_limit=contrast, p=1.0))
        return A.Compose(transforms)
