"""The image tower: any timm model on one-channel uint8 radiographs, normalised on the device. The one timm import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clinclip.errors import CheckpointError, ConfigError
from clinclip.models.base import ImageTower

#: name -> (timm model, its arguments). ``tiny`` is a 0.4 M parameter ResNet that trains on two CPU cores.
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {"tiny": ("test_resnet", {})}
#: mean and standard deviation of pixel values in [0, 1] for towers without pretrained weights
DEFAULT_MEAN, DEFAULT_STD = 0.5, 0.25


class ImageEncoder(ImageTower):
    """A timm model without its classifier, fed with uint8 grayscale images.

    Normalisation happens here, on the device, so that the data module ships one byte a pixel. The mean and standard
    deviation are part of the weights: a checkpoint carries its own preprocessing.

    Args:
        name: ``"tiny"`` or any timm model name, e.g. ``swin_tiny_patch4_window7_224``.
        pretrained: False for random weights; True for timm's weights (from the local cache or the Hub); or the path of
            a local weight file. First-layer RGB weights are summed into one channel.
        in_chans: 1, or 3 to repeat the gray channel (needed by models whose stem timm cannot adapt).
        image_size: side of the images in pixels; models with a fixed input size are built for it. None: timm's own.
        model_kwargs: further arguments of ``timm.create_model``, e.g. ``{drop_path_rate: 0.1}``.
        frozen: keep the tower as it is: no gradients, evaluation mode, running statistics untouched.
        grad_checkpointing: recompute activations in the backward pass, to save memory.

    Attributes:
        width: length F of the feature vector.
        pixel_mean: float (1, C, 1, 1) on the scale [0, 1].
        pixel_std: float (1, C, 1, 1).
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        name: str = "tiny",
        pretrained: bool | str = False,
        in_chans: int = 1,
        image_size: int | None = None,
        model_kwargs: dict[str, Any] | None = None,
        frozen: bool = False,
        grad_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if in_chans not in (1, 3):
            raise ConfigError(f"image_encoder.in_chans={in_chans}: allowed are 1 (gray) and 3 (gray, repeated)")
        self.name, self.in_chans, self.image_size, self.frozen = name, in_chans, image_size, frozen
        self.model_kwargs = dict(model_kwargs or {})
        self.trunk: Any = _create(name, pretrained, in_chans, image_size, self.model_kwargs)
        self.width = int(self.trunk.num_features)
        mean, std = _normalisation(self.trunk, in_chans, bool(pretrained))
        self.register_buffer("pixel_mean", mean)
        self.register_buffer("pixel_std", std)
        if grad_checkpointing:
            self.trunk.set_grad_checkpointing(True)
        if frozen:
            self.requires_grad_(False).eval()

    def normalise(self, image: Tensor) -> Tensor:
        """uint8 (B, 1, H, W) -> float (B, C, H, W) with the tower's mean and standard deviation."""
        if image.ndim != 4 or image.shape[1] != 1:
            raise ConfigError(f"images of shape {tuple(image.shape)}: the image encoder takes (B, 1, H, W) uint8")
        return (image.to(self.pixel_mean.dtype) / 255 - self.pixel_mean) / self.pixel_std

    def forward(self, image: Tensor) -> Tensor:
        """uint8 images (B, 1, H, W) -> features (B, F)."""
        if self.frozen:
            with torch.no_grad():
                return self.trunk(self.normalise(image))
        return self.trunk(self.normalise(image))

    def spec(self) -> dict[str, Any]:
        """Names and numbers that rebuild the architecture without weights (no download)."""
        return {
            "name": self.name,
            "in_chans": self.in_chans,
            "image_size": self.image_size,
            "model_kwargs": self.model_kwargs,
            "frozen": self.frozen,
        }


def _create(
    name: str, pretrained: bool | str, in_chans: int, image_size: int | None, model_kwargs: dict[str, Any]
) -> nn.Module:
    """Build the timm model, and check that pretrained weights really arrived."""
    import timm

    base, preset = PRESETS.get(name, (name, {}))
    if not timm.is_model(base):
        close = timm.list_models(f"*{base.split('.')[0].split('_')[0]}*")[:5]
        hint = f"; similar: {', '.join(close)}" if close else ""
        raise ConfigError(
            f"image_encoder.name={name!r} is not a timm model{hint}. Allowed: {', '.join(PRESETS)}, or a name of "
            "timm.list_models()"
        )
    kwargs: dict[str, Any] = {"in_chans": in_chans, "num_classes": 0, **preset, **model_kwargs}
    cfg = timm.get_pretrained_cfg(base)
    if image_size is not None and cfg is not None and cfg.fixed_input_size:
        kwargs.setdefault("img_size", image_size)
    if isinstance(pretrained, str):
        if not Path(pretrained).is_file():
            raise CheckpointError(
                f"image_encoder.pretrained={pretrained!r} is not a file; give a weight file, true or false"
            )
        kwargs["pretrained_cfg_overlay"] = {"file": pretrained}
    try:
        if not pretrained:
            return timm.create_model(base, pretrained=False, **kwargs)
        state = torch.get_rng_state()
        fresh = timm.create_model(base, pretrained=False, **kwargs)
        torch.set_rng_state(state)
        loaded = timm.create_model(base, pretrained=True, **kwargs)
    except (TypeError, RuntimeError, OSError, AssertionError) as error:
        raise ConfigError(
            f"timm cannot build image_encoder.name={name!r} with pretrained={pretrained!r}, image_size={image_size}, "
            f"model_kwargs={model_kwargs}: {str(error)[:300]}. On a machine without a network, put the weights into "
            "HF_HOME beforehand or give a local file"
        ) from error
    # timm loads with strict=False once the classifier is dropped: a file of another model would leave random weights
    before = dict(fresh.named_parameters())
    unchanged = [n for n, p in loaded.named_parameters() if p.ndim > 1 and torch.equal(p, before[n])]
    if unchanged:
        raise CheckpointError(
            f"pretrained={pretrained!r} does not fit image_encoder.name={name!r}: {len(unchanged)} weight tensors "
            f"would stay random, e.g. {unchanged[0]}"
        )
    return loaded


def _normalisation(trunk: nn.Module, in_chans: int, pretrained: bool) -> tuple[Tensor, Tensor]:
    """Mean and std (1, C, 1, 1): the pretrained ones (averaged over colours for one channel), else the defaults."""
    cfg: dict[str, Any] = getattr(trunk, "pretrained_cfg", {}) if pretrained else {}
    mean = torch.tensor(cfg.get("mean", (DEFAULT_MEAN,)), dtype=torch.float32)
    std = torch.tensor(cfg.get("std", (DEFAULT_STD,)), dtype=torch.float32)
    if in_chans == 1:
        mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
    else:
        mean, std = mean.expand(in_chans).clone(), std.expand(in_chans).clone()
    return mean.reshape(1, -1, 1, 1), std.reshape(1, -1, 1, 1)
