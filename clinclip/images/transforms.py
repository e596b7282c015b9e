"""Augmentation, seeded per sample. The one module that imports albumentations.

Albumentations keeps random state inside its pipeline: copied into every DataLoader worker it makes all workers draw the
same augmentations, and repeats them every epoch; one seed given to a pipeline also gives all its transforms the same
stream, so that the crop and the contrast of a sample move together. Here the state is set anew for every sample and
every transform from a key such as (seed, epoch, sample): the same key gives the same picture on any worker, rank or
resumed run, and different keys are independent.

There is no horizontal flip: it would put the heart on the right and turn "left pleural effusion" into a wrong report.

A transform's ``__call__`` spends most of its time on masks, boxes and replays that are not there. Here its public steps
(should_apply, get_params, get_params_dependent_on_data, apply) are called alone; tests hold the pictures to be those of
``__call__``, bit for bit.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from clinclip.draws import keyed_words
from clinclip.errors import ConfigError
from clinclip.images.preprocessing import resize_square

if TYPE_CHECKING:
    from clinclip.images.cache import ImageCache

Augment = Literal["full", "crop", "none"]
#: (albumentations transform, image) -> the parameters of its ``apply``.
Draw = Callable[[Any, NDArray[np.uint8]], dict[str, Any]]


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
        self._pipeline: list[tuple[Any, Draw]] | None = None

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
        return self._augmented(image, self._seeds([key or (0,)])[0])

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
        for i, (index, seeds) in enumerate(zip(indices, self._seeds(keys), strict=True)):
            out[i] = self._augmented(cache[int(index)], seeds)
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

    def _seeds(self, keys: Sequence[Sequence[int]] | NDArray) -> list[list[int]]:
        """A 32-bit seed for each transform of the pipeline, for each key."""
        if self._pipeline is None:
            self._pipeline = self._build()
        return (keyed_words(keys, len(self._pipeline)) >> np.uint64(32)).tolist()

    def _augmented(self, image: NDArray[np.uint8], seeds: Sequence[int]) -> NDArray[np.uint8]:
        assert self._pipeline is not None
        image = np.ascontiguousarray(self._bordered(image))
        for (transform, draw), seed in zip(self._pipeline, seeds, strict=True):
            transform.py_random.seed(seed)
            if transform.should_apply():
                image = np.ascontiguousarray(transform.apply(image, **draw(transform, image)))
        return image

    def _bordered(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Room around the image for crops of more than its area, which albumentations does not know."""
        if self.scale[1] <= 1:
            return image
        grow = (self.scale[1] ** 0.5 - 1) / 2
        rows, columns = round(image.shape[0] * grow), round(image.shape[1] * grow)
        return cv2.copyMakeBorder(image, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=[0])  # type: ignore[return-value]

    def _build(self) -> list[tuple[Any, Draw]]:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for a newer version on import otherwise
        import albumentations as A

        most = max(1.0, self.scale[1])
        transforms: list[tuple[Any, Draw]] = []
        if self.rotation:
            turn = (-self.rotation, self.rotation)
            rotation = A.Affine(rotate=turn, scale=1.0, interpolation=cv2.INTER_LINEAR, fill=0, p=1.0)
            transforms.append((rotation, _draw_rotation))
        crop = A.RandomResizedCrop(
            size=(self.size, self.size),
            scale=(self.scale[0] / most, self.scale[1] / most),
            ratio=(self.ratio[0], self.ratio[1]),
            interpolation=cv2.INTER_LINEAR,
            p=1.0,
        )
        transforms.append((crop, _draw))
        if self.clahe:
            clahe = A.CLAHE(clip_limit=(1.0, self.clahe_clip), tile_grid_size=(8, 8), p=self.clahe)
            transforms.append((clahe, _draw))
        if self.brightness or self.contrast:
            bright, contrast = (-self.brightness, self.brightness), (-self.contrast, self.contrast)
            levels = A.RandomBrightnessContrast(brightness_limit=bright, contrast_limit=contrast, p=1.0)
            transforms.append((levels, _draw))
        for transform, _ in transforms:
            # None of them draws from the NumPy generator; one that did would fail here instead of escaping the key.
            transform.set_random_state(None, random.Random())
        return transforms


def _draw(transform: Any, image: NDArray[np.uint8]) -> dict[str, Any]:
    """The parameters that a transform draws for this image, as its ``__call__`` would."""
    data = {"image": image}
    params = transform.update_transform_params(transform.get_params(), data)
    return {**params, **transform.get_params_dependent_on_data(params, data)}


def _draw_rotation(transform: Any, image: NDArray[np.uint8]) -> dict[str, Any]:
    """The same for a pure rotation, whose matrix albumentations multiplies from six, twice.

    Before the angle it draws two shifts, two shears and two scales, each from a range of one value.
    """
    height, width = image.shape
    for _ in range(2):
        transform.py_random.randint(0, 0)
    for _ in range(4):
        transform.py_random.random()
    angle = np.deg2rad(transform.py_random.uniform(*transform.rotate) % 360)
    cos, sin, x, y = np.cos(angle), np.sin(angle), (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[cos, sin, x], [-sin, cos, y], [0, 0, 1]]) @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    return {"matrix": matrix, "output_shape": (height, width)}
