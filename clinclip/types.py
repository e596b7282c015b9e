"""Typed batches, embeddings and loss outputs: frozen dataclasses whose fields state their shapes.

Notation: B images of this process, K edited reports (twins) an image, T tokens, N graph nodes, D joint width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor

#: Width of a label vector.
NUM_FINDINGS = 14


class _TensorRecord:
    """Move, pin or slice every tensor of a dataclass, recursively."""

    def apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        changes = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                changes[f.name] = fn(value)
            elif isinstance(value, _TensorRecord):
                changes[f.name] = value.apply(fn)
        return replace(self, **changes)  # type: ignore[type-var]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Copy to a device."""
        return self.apply(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Page-lock every tensor (called by the DataLoader)."""
        return self.apply(lambda t: t.pin_memory())

    def rows(self, index: slice | Tensor) -> Self:
        """Select along the batch axis (axis 0) of every tensor with at least one axis."""
        return self.apply(lambda t: t[index] if t.ndim else t)


@dataclass(frozen=True)
class TextBatch(_TensorRecord):
    """Padded token ids.

    Attributes:
        token_ids: int64 (..., T).
        mask: bool (..., T), True on real tokens.
    """

    token_ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TwinBatch(_TensorRecord):
    """Twins: edited copies of the reports (a finding denied, left out, or stated wrongly).

    Attributes:
        text: tokens (B, K, T).
        valid: bool (B, K); False where the report has no finding to edit.
        labels: int8 (B, K, 14) states of the *edited* report, re-derived after the edit.
        finding: int64 (B, K) index into FINDINGS of the edited finding, -1 where not valid.
    """

    text: TextBatch
    valid: Tensor
    labels: Tensor
    finding: Tensor


@dataclass(frozen=True)
class GraphBatch(_TensorRecord):
    """Report graphs, padded. Node features are pooled by the model from the text tower's token states.

    Attributes:
        span_start: int64 (B, N) first token of the entity.
        span_end: int64 (B, N) one past its last token.
        label: int64 (B, N) 0 ANAT-DP, 1 OBS-DP, 2 OBS-U, 3 OBS-DA.
        mask: bool (B, N) True on real nodes.
        adjacency: bool (B, N, N) undirected edges, without self-loops.
        entity: int64 (B, N) hash of (lower-case entity text, label), for entity-set overlap; 0 on padding.
        dropped: int64 (B,) nodes lost because their span lies past the truncated text.
    """

    span_start: Tensor
    span_end: Tensor
    label: Tensor
    mask: Tensor
    adjacency: Tensor
    entity: Tensor
    dropped: Tensor


@dataclass(frozen=True)
class Batch(_TensorRecord):
    """One batch of image-report pairs.

    Attributes:
        image: uint8 (B, 1, H, W) grayscale, not normalised (the image encoder does that on the device).
        text: tokens (B, T) of the report.
        labels: int8 (B, 14) states by the chosen label source (table or read).
        text_labels: int8 (B, 14) states read by clinclip from this very text.
        sample: int64 (B,) row in the data set, unique across manifests of a run.
        study: int64 (B,) hash of (data set, study id).
        patient: int64 (B,) hash of (data set, patient id).
        text_hash: int64 (B,) hash of the white-space-normalised text: equal for duplicate reports.
        twins: edited reports, or None when not requested.
        omitted: reports with a finding left out (evaluation), or None.
        graph: report graphs, or None when not requested.
        frozen_text: float32 (B, E) precomputed report embeddings of a frozen encoder, or None.
    """

    image: Tensor
    text: TextBatch
    labels: Tensor
    text_labels: Tensor
    sample: Tensor
    study: Tensor
    patient: Tensor
    text_hash: Tensor
    twins: TwinBatch | None = None
    omitted: TwinBatch | None = None
    graph: GraphBatch | None = None
    frozen_text: Tensor | None = None

    def __len__(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True)
class Embeddings(_TensorRecord):
    """What the dual encoder returns for a batch. All embeddings have unit length.

    Attributes:
        image: float (B, D).
        text: float (B, D).
        logit_scale: scalar, already exponentiated and clamped (multiplies cosines).
        logit_bias: scalar added to logits (sigmoid criterion), or None.
        twins: float (B, K, D), or None. Rows with ``batch.twins.valid`` False are finite but meaningless.
        graph: float (B, D), or None. Samples without nodes carry the learned empty-graph vector.
        graph_valid: bool (B,) True where the graph has at least one node, or None.
        text_features: float (B, F) pooled text features before the projection, or None.
    """

    image: Tensor
    text: Tensor
    logit_scale: Tensor
    logit_bias: Tensor | None = None
    twins: Tensor | None = None
    graph: Tensor | None = None
    graph_valid: Tensor | None = None
    text_features: Tensor | None = None


@dataclass(frozen=True)
class LossOutput:
    """What a loss term returns: what is optimised, and what is reported.

    Attributes:
        value: scalar with gradient. Its mean over processes is the loss of the global batch.
        logs: detached scalars, logged as ``train/loss/<term>/<key>``.
    """

    value: Tensor
    logs: dict[str, Tensor | float] = field(default_factory=dict)
