"""Label states as vectors of numbers, and the classes of rows that carry the same vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.types import Batch

#: name of an encoding of label states, see :data:`clinclip.findings.ENCODINGS`
Encoding = Literal["positive", "signed", "u_zeros", "u_ones"]
#: "batch": the label source of the data module, "text": the labels read from the report itself
LabelsFrom = Literal["batch", "text"]

#: where label states can come from -> the batch field that holds them
LABELS_FROM = {"batch": "labels", "text": "text_labels"}
#: with more distinct label vectors than this, affinities are computed by blocks instead of looked up
MAX_CLASSES = 2048


def label_states(source: str, batch: Batch, shard: Shard) -> Tensor:
    """Label states of the global batch, int8 (N, 14), by the name of their source."""
    return shard.gather(getattr(batch, LABELS_FROM[source]))


def encode_labels(states: Tensor, encoding: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Label states, int8 (..., 14), as numbers of a named encoding (see :data:`clinclip.findings.ENCODINGS`)."""
    # codes are -2 .. 1: one look-up
    table = [0.0] * 4
    for state, number in ENCODINGS[encoding].items():
        table[state.code + 2] = number
    return torch.tensor(table, dtype=dtype, device=states.device)[states.long() + 2]


def label_classes(*vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Distinct label vectors (K, r), and for each argument (n, r) the class of every row, int64 (n,)."""
    distinct, inverse = torch.cat(vectors).unique(dim=0, return_inverse=True)
    return distinct, list(inverse.split([len(v) for v in vectors]))


def fits_table(distinct: Tensor) -> bool:
    """Whether a K x K table over the distinct label vectors (K, r) is small enough to look affinities up in."""
    return len(distinct) <= MAX_CLASSES
