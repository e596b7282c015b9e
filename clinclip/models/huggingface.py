"""The text tower: any Hugging Face encoder, by name or local folder, with our own pooling. The one model import."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from clinclip.errors import ConfigError
from clinclip.models.base import TextOutput, TextTower
from clinclip.types import TextBatch

Pooling = Literal["cls", "mean", "eos"]
#: a 2-layer BERT that trains on two CPU cores; its vocabulary bound matches Tokenizer.train's default
TINY: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 2048,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 512,
    "type_vocab_size": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


class TextEncoder(TextTower):
    """A Hugging Face encoder in float32 without its pooler, and a pooling of our own.

    Args:
        name: ``"tiny"``, a local folder, or a Hugging Face name, e.g. ``emilyalsentzer/Bio_ClinicalBERT``.
        pretrained: False builds the architecture with random weights (``tiny`` always is).
        revision: commit, tag or branch of a Hugging Face name; pin a commit for a reproducible run.
        pooling: ``"cls"`` first token, ``"mean"`` of the real tokens, ``"eos"`` last real token.
        model_kwargs: overrides of the model's configuration, e.g. ``{hidden_dropout_prob: 0.0}``.
        frozen: keep the tower as it is: no gradients, evaluation mode.
        length_buckets: a batch is sorted by length and encoded in this many pieces, each cut to its own longest text,
            then put back in order. Same result, less padding; the batch's composition does not change. 1: off.
        grad_checkpointing: recompute activations in the backward pass, to save memory.
        config: a complete configuration instead of the one of ``name`` (used when a checkpoint is loaded offline).

    Attributes:
        width: length F of the feature vectors.
    """

    def __init__(
        self,
        name: str = "tiny",
        pretrained: bool = True,
        revision: str | None = None,
        pooling: Pooling = "cls",
        model_kwargs: dict[str, Any] | None = None,
        frozen: bool = False,
        length_buckets: int = 1,
        grad_checkpointing: bool = False,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if pooling not in ("cls", "mean", "eos"):
            raise ConfigError(f"text_encoder.pooling={pooling!r}: allowed are 'cls', 'mean' and 'eos'")
        if length_buckets < 1:
            raise ConfigError(f"text_encoder.length_buckets={length_buckets}: must be >= 1")
        self.name, self.pooling, self.frozen, self.length_buckets = name, pooling, frozen, length_buckets
        self.transformer = _create(name, pretrained and config is None, revision, model_kwargs or {}, config)
        settings = self.transformer.config
        self.width = int(settings.hidden_size)
        self.vocab_size = int(settings.vocab_size)
        if grad_checkpointing:
            self.transformer.gradient_checkpointing_enable()
        if frozen:
            self.requires_grad_(False)
        # a pretrained model arrives in evaluation mode, and would be trained without its dropout
        self.train()

    @property
    def max_positions(self) -> int | None:
        """Longest text in tokens that the tower can encode, or None without a limit."""
        settings = self.transformer.config
        limit = getattr(settings, "max_position_embeddings", None)
        if limit is None or limit <= 0:
            return None
        # RoBERTa's family counts positions from pad_token_id + 1
        family = ("roberta", "camembert", "longformer", "mpnet")
        offset = settings.pad_token_id + 1 if any(f in settings.model_type for f in family) else 0
        return int(limit) - offset

    def forward(self, text: TextBatch) -> TextOutput:
        """Encode token ids (B, T)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = self._states(text)
        return TextOutput(pooled=_pool(states, text.mask, self.pooling), states=states)

    def _states(self, text: TextBatch) -> Tensor:
        """Last hidden states (B, T, F), zero on padding."""
        count, length = text.token_ids.shape
        buckets = min(self.length_buckets, count)
        if buckets <= 1:
            return self._encode(text.token_ids, text.mask)
        order = text.mask.sum(1).argsort(stable=True)
        pieces = []
        for rows in order.tensor_split(buckets):
            ids, mask = text.token_ids[rows], text.mask[rows]
            longest = max(int(mask.sum(1).max()), 1)
            states = self._encode(ids[:, :longest], mask[:, :longest])
            pieces.append(nn.functional.pad(states, (0, 0, 0, length - longest)))
        return torch.cat(pieces)[order.argsort()]

    def _encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        out = self.transformer(input_ids=ids, attention_mask=mask.to(torch.long)).last_hidden_state
        return out * mask.unsqueeze(-1).to(out.dtype)

    def spec(self) -> dict[str, Any]:
        """Names and numbers that rebuild the architecture without weights or network."""
        config = self.transformer.config.to_diff_dict()
        config.pop("transformers_version", None)
        return {
            "name": self.name,
            "pretrained": False,
            "pooling": self.pooling,
            "frozen": self.frozen,
            "length_buckets": self.length_buckets,
            "config": config,
        }


def _pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """(B, T, F) -> (B, F). Texts are padded on the right and hold at least one token."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "mean":
        return states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1).to(states.dtype)
    last = mask.sum(1).clamp(min=1) - 1
    return states[torch.arange(len(states), device=states.device), last]


def _create(
    name: str, pretrained: bool, revision: str | None, overrides: dict[str, Any], config: dict[str, Any] | None
) -> Any:
    """Build or load the Hugging Face model, in float32 and without pooler."""
    from transformers import AutoConfig, AutoModel

    try:
        if config is not None or name == "tiny":
            settings = AutoConfig.for_model(**(config if config is not None else TINY))
        else:
            settings = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        unknown = sorted(k for k in overrides if not hasattr(settings, k))
        if unknown:
            raise ConfigError(f"text_encoder.model_kwargs has {unknown}, which {settings.model_type} does not know")
        for key, value in overrides.items():
            setattr(settings, key, value)
        # a stored half-precision dtype would be kept otherwise; precision is the Trainer's business
        settings.dtype = None
        if not pretrained or name == "tiny" or config is not None:
            return _without_pooler(lambda **kw: AutoModel.from_config(settings, trust_remote_code=False, **kw))
        model, info = _without_pooler(
            lambda **kw: AutoModel.from_pretrained(
                name,
                config=settings,
                revision=revision,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
                **kw,
            )
        )
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"text_encoder.name={name!r} cannot be loaded: {str(error).splitlines()[0]} Allowed: 'tiny', a local "
            "folder with config.json and weights, or a Hugging Face name whose files are on this machine (HF_HOME). "
            "Models that need code from the Hub are not supported"
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(
            f"text_encoder.name={name!r}: {len(missing)} weights are missing in its files and would start random, e.g. "
            f"{missing[0]}; set text_encoder.pretrained=false if that is meant"
        )
    return model


def _without_pooler(build: Any) -> Any:
    """Unused pooler parameters would trip DDP; not every architecture has the switch."""
    try:
        return build(add_pooling_layer=False)
    except TypeError as error:
        if "add_pooling_layer" not in str(error):
            raise
        return build()
