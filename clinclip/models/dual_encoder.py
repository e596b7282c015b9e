"""Image, text and graph towers with their projections and the logit scale: batches in, unit-length embeddings out."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from clinclip.errors import CheckpointError, ConfigError
from clinclip.models.base import OWN, TextOutput, own_spec, width_of
from clinclip.models.graph import GraphEncoder
from clinclip.models.huggingface import TextEncoder
from clinclip.models.timm import ImageEncoder
from clinclip.types import Batch, Embeddings, TextBatch, TwinBatch

#: clinclip's own towers, which a checkpoint may name
TOWERS = {"image_encoder": ImageEncoder, "text_encoder": TextEncoder, "graph_encoder": GraphEncoder}


class DualEncoder(nn.Module):
    """Two towers (three with graphs), bias-free linear projections, a learnable and clamped logit scale.

    Everything that is learned lives here; loss terms own no parameters. The graph tower is used in training only.

    Args:
        image_encoder: the image tower: any module that :class:`clinclip.models.base.ImageTower` describes.
        text_encoder: the text tower, as :class:`clinclip.models.base.TextTower`.
        graph_encoder: the graph tower, as :class:`clinclip.models.base.GraphTower`, or None.
        embed_dim: width D of the joint space.
        init_logit_scale: initial factor of the cosines; 1 / 0.07 as CLIP.
        max_logit_scale: the scale never exceeds this (100 as CLIP; unbounded, it overflows).
        init_logit_bias: initial value added to the logits, for the sigmoid criterion (SigLIP: -10); None: no bias.
    """

    # any module of the right form, so that the checker cannot know more
    image_encoder: Any
    text_encoder: Any
    graph_encoder: Any
    logit_bias: nn.Parameter | None

    def __init__(
        self,
        image_encoder: ImageEncoder | nn.Module,
        text_encoder: TextEncoder | nn.Module,
        graph_encoder: GraphEncoder | nn.Module | None = None,
        embed_dim: int = 512,
        init_logit_scale: float = 1 / 0.07,
        max_logit_scale: float = 100.0,
        init_logit_bias: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 < init_logit_scale <= max_logit_scale:
            raise ConfigError(
                f"model.model.init_logit_scale={init_logit_scale} must lie in (0, max_logit_scale={max_logit_scale}]"
            )
        self.embed_dim, self.max_logit_scale = embed_dim, float(max_logit_scale)
        # the float32 below, so that its exponential does not round above the bound
        bound = torch.tensor(math.log(max_logit_scale), dtype=torch.float32)
        self._log_bound = float(torch.nextafter(bound, torch.tensor(-math.inf)))
        self.image_encoder, self.text_encoder, self.graph_encoder = image_encoder, text_encoder, graph_encoder
        width = width_of(text_encoder, "model.model.text_encoder")
        if isinstance(graph_encoder, GraphEncoder):
            graph_encoder.build(width)
        self.image_projection = _projection(width_of(image_encoder, "model.model.image_encoder"), embed_dim)
        self.text_projection = _projection(width, embed_dim)
        self.graph_projection = None
        if graph_encoder is not None:
            self.graph_projection = _projection(width_of(graph_encoder, "model.model.graph_encoder"), embed_dim)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(init_logit_scale)))
        self.logit_bias = None if init_logit_bias is None else nn.Parameter(torch.tensor(float(init_logit_bias)))

    @property
    def logit_scale(self) -> Tensor:
        """The factor of the cosines: scalar with gradient, at most ``max_logit_scale``."""
        # projected gradient: the value is clamped, the gradient is not (torch.clamp has none at its bound), so that a
        # scale at the bound can come back down
        log = self.log_logit_scale
        return (log.detach().clamp(max=self._log_bound) + (log - log.detach())).exp()

    @torch.no_grad()
    def clamp_logit_scale_(self) -> None:
        """Pull the parameter back to the bound (called after every optimiser step)."""
        self.log_logit_scale.clamp_(max=self._log_bound)

    def encode_image(self, image: Tensor) -> Tensor:
        """uint8 (B, 1, H, W) -> unit vectors (B, D)."""
        return _unit(self.image_projection(self.image_encoder(image)))

    def encode_text(self, text: TextBatch) -> Tensor:
        """Tokens (B, T) -> unit vectors (B, D)."""
        return _unit(self.text_projection(self.text_features(text).pooled))

    def text_features(self, text: TextBatch) -> TextOutput:
        """What the text tower makes of tokens (B, T), before the projection."""
        out = self.text_encoder(text)
        return out if isinstance(out, TextOutput) else TextOutput(out)

    def encode_edited(self, edited: TwinBatch) -> Tensor:
        """Edited reports (B, K, T) -> unit vectors (B, K, D); zeros where not valid, at no cost."""
        valid = edited.valid
        flat = valid.reshape(-1).nonzero().squeeze(1)
        out = self.text_projection.weight.new_zeros(valid.numel(), self.embed_dim)
        if len(flat):
            ids, mask = edited.text.token_ids.flatten(0, 1)[flat], edited.text.mask.flatten(0, 1)[flat]
            encoded = self.encode_text(TextBatch(ids, mask))
            out = out.to(encoded.dtype).index_copy(0, flat, encoded)
        return out.reshape(*valid.shape, self.embed_dim)

    def forward(self, batch: Batch) -> Embeddings:
        """Embed a batch: image, text, and what the batch carries of edited reports and graphs."""
        text = self.text_features(batch.text)
        graph = graph_valid = None
        if self.graph_encoder is not None and self.graph_projection is not None and batch.graph is not None:
            if text.states is None:
                raise ConfigError(
                    f"model.model.graph_encoder needs the states of tokens, but text encoder "
                    f"{type(self.text_encoder).__name__} returns one vector a text; let it return a TextOutput, or set "
                    "model.model.graph_encoder=null"
                )
            graph = _unit(self.graph_projection(self.graph_encoder(text.states, batch.graph)))
            graph_valid = batch.graph.mask.any(1)
        return Embeddings(
            image=self.encode_image(batch.image),
            text=_unit(self.text_projection(text.pooled)),
            logit_scale=self.logit_scale,
            logit_bias=self.logit_bias,
            twins=self.encode_edited(batch.twins) if batch.twins is not None else None,
            graph=graph,
            graph_valid=graph_valid,
            text_features=text.pooled,
        )

    def spec(self) -> dict[str, Any]:
        """Names and numbers that rebuild the architecture without weights or network (see :meth:`from_spec`).

        Of a tower that is not clinclip's there is the name of its class.
        """
        towers = {key: getattr(self, key) for key in TOWERS}
        return {
            **{
                key: tower.spec() if type(tower) is TOWERS[key] else own_spec(tower)
                for key, tower in towers.items()
                if tower is not None
            },
            "embed_dim": self.embed_dim,
            "max_logit_scale": self.max_logit_scale,
            "logit_bias": self.logit_bias is not None,
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> DualEncoder:
        """Rebuild the architecture of :meth:`spec` with random weights. Only clinclip's own classes are built.

        Raises:
            CheckpointError: the description is damaged, or has a tower that is not clinclip's.
        """
        try:
            own = own_towers(spec)
            if own:
                raise CheckpointError(
                    f"it has towers of the user's own ({', '.join(own)}), and no code is taken from a file. Build the "
                    "dual encoder yourself: clinclip.load(path, model=...), or on the command line --model-factory "
                    "my_towers:build, a function without arguments that returns a DualEncoder"
                )
            towers = {key: TOWERS[key](**spec[key]) for key in TOWERS if spec.get(key) is not None}
            return cls(
                **towers,
                embed_dim=int(spec["embed_dim"]),
                init_logit_scale=1.0,
                max_logit_scale=float(spec["max_logit_scale"]),
                init_logit_bias=0.0 if spec["logit_bias"] else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"the architecture description is damaged or of another version: {error}") from error


def own_towers(spec: dict[str, Any]) -> list[str]:
    """The towers of a spec that are not clinclip's, as "image_encoder my_towers.MyTower"."""
    return [f"{key} {spec[key][OWN]}" for key in TOWERS if isinstance(spec.get(key), dict) and OWN in spec[key]]


def _projection(width: int, embed_dim: int) -> nn.Linear:
    """A bias-free linear map, initialised as CLIP's (std width^-1/2)."""
    layer = nn.Linear(width, embed_dim, bias=False)
    nn.init.normal_(layer.weight, std=width**-0.5)
    return layer


def _unit(x: Tensor) -> Tensor:
    """Rows of length one, at least in float32: half-precision cosines lose the last digits that ranking needs."""
    return nn.functional.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1)
