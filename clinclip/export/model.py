"""A trained model in use: images and texts in, embeddings and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, DataError
from clinclip.export import inference
from clinclip.images import Preprocessing
from clinclip.models.dual_encoder import DualEncoder
from clinclip.text.prompts import PromptSet, load_prompts, prompts_of
from clinclip.text.tokens import Tokenizer

if TYPE_CHECKING:
    import pandas as pd

#: a file, or pixels as :func:`clinclip.images.cache_entry.square_array` takes them
Picture = str | os.PathLike | np.ndarray


@dataclass(frozen=True, repr=False)
class Model:
    """A trained model with everything that is needed to use it; :func:`clinclip.load` makes one.

    Attributes:
        towers: the dual encoder, in evaluation mode.
        tokenizer: the one it was trained with.
        preprocessing: how pictures and texts become its input.
        sha256: of its file (of the weights file, for an exported folder).
        provenance: what it was trained on: ``manifests`` (hashes), ``datasets`` (names), ``patients`` (int64 tensor of
            hashed training patients, or None), ``version`` of clinclip.
        path: where it was loaded from.
        device: where it computes.
    """

    towers: DualEncoder
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    sha256: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    device: str = "cpu"

    @property
    def logit_scale(self) -> float:
        """Factor of the cosines."""
        return float(self.towers.logit_scale.detach())

    def encode_image(
        self,
        images: Iterable[Picture] | Manifest,
        split: str | None = None,
        batch_size: int = 64,
        progress: bool = False,
        allow_preprocessing_difference: bool = False,
    ) -> Tensor:
        """Embed images as in evaluation: decoded and squared as preparation does it, then seen as in validation.

        Args:
            images: a list of files (JPEG, PNG, DICOM) and arrays: grey (H, W) or RGB (H, W, 3), uint8 as it is, uint16
                stretched from minimum to maximum, floats in [0, 1]. Or a manifest, whose stored images are used.
            split: with a manifest: "train", "validate" or "test".
            batch_size: images at once.
            progress: show a progress bar.
            allow_preprocessing_difference: go on with a manifest that was prepared otherwise than the training data.

        Returns:
            float32 (n, D) on the CPU, unit length, in the order given.

        Raises:
            ImageError: a file is missing or cannot be read.
            DataError: no image, a single one outside a list, an array of another form.
            ConfigError: a manifest without ``split``, or one that was prepared otherwise.
        """
        how = (batch_size, self.device, progress)
        if isinstance(images, Manifest):
            rows = _rows(images, split)
            self.check_preprocessing(images, allow_preprocessing_difference)
            return torch.from_numpy(inference.embed_images(self, images, rows, *how))
        given = _listed(images, "encode_image", "images", "a.dcm")

        def pixels(start: int, stop: int) -> np.ndarray:
            made = [self.preprocessing.see(self.preprocessing.read(image)) for image in given[start:stop]]
            return np.stack(made)[:, None]

        return torch.from_numpy(inference.encode_images(self, pixels, len(given), *how))

    def encode_text(self, texts: Iterable[str], batch_size: int = 64, progress: bool = False) -> Tensor:
        """Embed texts; each distinct one is computed once.

        Args:
            texts: a list of reports, sentences or prompts.
            batch_size: texts at once.
            progress: show a progress bar.

        Returns:
            float32 (n, D) on the CPU, unit length, in the order given.

        Raises:
            DataError: no text, a single one outside a list, or something else than text.
        """
        given = _listed(texts, "encode_text", "texts", "No pneumothorax.")
        wrong = [type(text).__name__ for text in given if not isinstance(text, str)]
        if wrong:
            raise DataError(f"encode_text: {wrong[0]} is no text; give a list of strings")
        return torch.from_numpy(inference.embed_texts(self, given, batch_size, self.device, progress))

    def zero_shot(
        self,
        images: Iterable[Picture] | Manifest,
        names: Sequence[str],
        prompts: str | PromptSet | Mapping[str, tuple[Any, Any]] = "report-v1",
        split: str | None = None,
        batch_size: int = 64,
        allow_preprocessing_difference: bool = False,
    ) -> pd.DataFrame:
        """Probability of each finding in each image: softmax over its positive and its negative prompts.

        Args:
            images: as :meth:`encode_image`.
            names: findings: those of :data:`clinclip.findings.FINDINGS`, or any other words.
            prompts: a prompt set by name or file, for the findings that it knows; the others get the template of
                :func:`clinclip.text.prompts.template`. Or a mapping: name -> (positive, negative), each a text or a
                list of texts.
            split: with a manifest.
            batch_size: images at once.
            allow_preprocessing_difference: as :meth:`encode_image`.

        Returns:
            Probabilities in [0, 1]: a row an image (named by its file, its position, or its image id in the manifest),
            a column a name.
        """
        import pandas as pd

        from clinclip.metrics.zero_shot import ensemble, zero_shot_scores

        if isinstance(names, str) or not names or len(set(names)) != len(names):
            raise DataError(f"zero_shot: names={names!r}: give a list of at least one finding, each once")
        chosen = prompts_of(names, load_prompts(prompts) if isinstance(prompts, str) else prompts)
        if isinstance(images, Manifest):
            index = images.frame["image_id"].iloc[_rows(images, split)].tolist()
        else:
            images = _listed(images, "zero_shot", "images", "a.dcm")
            index = [i if isinstance(image, np.ndarray) else str(image) for i, image in enumerate(images)]
        sides = [side for name in names for side in chosen[name]]
        groups = [i for i, side in enumerate(sides) for _ in side]
        pairs = ensemble(self.encode_text([text for side in sides for text in side]), groups, len(sides))
        vectors = self.encode_image(
            images, split, batch_size, allow_preprocessing_difference=allow_preprocessing_difference
        )
        scores = zero_shot_scores(vectors, pairs[0::2], pairs[1::2], self.logit_scale)
        return pd.DataFrame(scores, index=pd.Index(index, name="image"), columns=list(names))

    def check_preprocessing(self, manifest: Manifest, allow: bool = False) -> tuple[str, ...]:
        """How a manifest's pictures were made otherwise than those of training, one clause each.

        Raises:
            ConfigError: they were, and ``allow`` is not set.
        """
        found = self.preprocessing.differences(manifest.cache.options, manifest.published_equalised)
        if found and not allow:
            raise ConfigError(
                f"{manifest.path} was prepared otherwise than the training data of {self.path or 'the model'}: "
                f"{'; '.join(found)}. Prepare it alike, or allow it: --allow-preprocessing-difference (in Python "
                "allow_preprocessing_difference=True); the difference is then printed beside the numbers"
            )
        return found

    def save(self, folder: str | os.PathLike[str], with_patients: bool = False) -> Path:
        """Write it as a folder without pickle, see :func:`clinclip.export.checkpoint.save_model`."""
        from clinclip.export.checkpoint import save_model

        return save_model(self, folder, with_patients)

    def __repr__(self) -> str:
        p, towers = self.preprocessing, self.towers
        levels = {"none": "not equalised", "prepared": "equalised", "published": "equalised by the publisher"}
        view = "whole picture" if p.view == "whole" else f"centre of {p.stored_size} x {p.stored_size}"
        sha = f", sha256 {self.sha256[:12]}" if self.sha256 else ""
        text = f"{_tower(towers.text_encoder)}, {self.tokenizer.vocab_size:,} tokens, {p.max_tokens} at most a text"
        data = ", ".join(self.provenance.get("datasets") or ()) or "unknown data"
        hashes = ", ".join(str(h)[:12] for h in self.provenance.get("manifests") or ())
        lines = [
            f"clinclip model {self.path or '(not from a file)'}{sha}",
            f"  image    {_tower(towers.image_encoder)}, {p.image_size} x {p.image_size} pixels, {view}, fit {p.fit}, "
            f"window {p.window}, {levels[p.equalisation]}",
            f"  text     {text}",
            f"  joint    {towers.embed_dim} dimensions, logit scale {self.logit_scale:.4g}, on {self.device}",
            f"  trained  on {data}{f' (manifest {hashes})' if hashes else ''}",
        ]
        return "\n".join(lines)


def _tower(tower: torch.nn.Module) -> str:
    name = getattr(tower, "name", None)
    return f"{type(tower).__name__}{f' {name}' if isinstance(name, str) else ''}"


def _rows(manifest: Manifest, split: str | None) -> np.ndarray:
    """Positions of a split's images in the manifest's frame."""
    if split is None:
        raise ConfigError(f"{manifest.path}: say which split: split='train', 'validate' or 'test'")
    rows = np.flatnonzero((manifest.frame["split"] == split).to_numpy())
    if not len(rows):
        counts = ", ".join(f"{name} {count}" for name, count in manifest.frame["split"].value_counts().items())
        raise DataError(f"{manifest.path}: no image in split {split!r}; there are: {counts}")
    return rows


def _listed(values: Any, where: str, what: str, example: str) -> list[Any]:
    """The values as a list; a single one and none at all are mistakes."""
    if isinstance(values, str | os.PathLike | np.ndarray | Tensor) or not isinstance(values, Iterable):
        raise DataError(f"{where}: {what} is one {type(values).__name__}; give a list, as in {where}([{example!r}])")
    found = list(values)
    if not found:
        raise DataError(f"{where}: the list of {what} is empty")
    return found
