"""The graph tower: a small graph convolutional network on report graphs, in plain torch (padded dense adjacency).

Source: Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017; two layers
of width 256 as reported for this method. The tower is used in training only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from clinclip.errors import ConfigError
from clinclip.models.base import GraphTower
from clinclip.types import GraphBatch

NUM_ENTITY_LABELS = 4
#: of every layer, unless the text tower is narrower
WIDTH = 256


def pool_spans(states: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Mean of the token states of each span.

    Args:
        states: float (B, T, F).
        start: int64 (B, N) first token.
        end: int64 (B, N) one past the last token; an empty span gives zeros.

    Returns:
        float (B, N, F).
    """
    position = torch.arange(states.shape[1], device=states.device)
    inside = (position >= start.unsqueeze(-1)) & (position < end.unsqueeze(-1))  # (B, N, T)
    weight = inside.to(states.dtype) / inside.sum(-1, keepdim=True).clamp(min=1).to(states.dtype)
    return weight @ states


def normalised_adjacency(adjacency: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 of undirected graphs; rows and columns of padding are zero.

    Args:
        adjacency: bool (B, N, N).
        mask: bool (B, N), True on real nodes.
        dtype: floating type of the result.
    """
    real = mask.unsqueeze(1) & mask.unsqueeze(2)
    loops = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    linked = ((adjacency | adjacency.transpose(1, 2) | loops) & real).to(dtype)
    scale = linked.sum(-1).clamp(min=1).rsqrt()
    return linked * scale.unsqueeze(1) * scale.unsqueeze(2)


class GraphEncoder(GraphTower):
    """Graph convolutions over entities: node = mean token state of its span + one-hot of its label; mean pool.

    A graph without nodes is represented by a learned vector. :class:`~clinclip.models.dual_encoder.DualEncoder` calls
    :meth:`build` with the width of its text tower.

    Args:
        hidden_size: width of every layer. None: 256, or the width of the text tower where that is smaller.
        num_layers: number of graph convolutions.
        stop_gradient: do not train the text tower through the node features.
    """

    empty: nn.Parameter

    def __init__(self, hidden_size: int | None = None, num_layers: int = 2, stop_gradient: bool = True) -> None:
        super().__init__()
        if (hidden_size is not None and hidden_size < 1) or num_layers < 1:
            raise ConfigError(f"graph_encoder: hidden_size={hidden_size} and num_layers={num_layers} must be >= 1")
        self.hidden_size, self.num_layers, self.stop_gradient = hidden_size, num_layers, stop_gradient
        self.width = WIDTH if hidden_size is None else hidden_size
        self.layers = nn.ModuleList()

    def build(self, text_width: int) -> GraphEncoder:
        """Create the layers for token states of this width. Returns itself."""
        self.width = self.hidden_size or min(WIDTH, text_width)
        sizes = [text_width + NUM_ENTITY_LABELS, *[self.width] * self.num_layers]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.empty = nn.Parameter(torch.randn(self.width) * self.width**-0.5)
        return self

    def forward(self, states: Tensor, graph: GraphBatch) -> Tensor:
        """Encode graphs.

        Args:
            states: token states (B, T, F) of the reports.
            graph: the graphs; spans index the tokens of ``states``.

        Returns:
            float (B, width).
        """
        if self.stop_gradient:
            states = states.detach()
        nodes = pool_spans(states, graph.span_start, graph.span_end)
        label = nn.functional.one_hot(graph.label.clamp(0, NUM_ENTITY_LABELS - 1), NUM_ENTITY_LABELS).to(nodes.dtype)
        real = graph.mask.unsqueeze(-1).to(nodes.dtype)
        hidden = torch.cat([nodes, label], dim=-1) * real
        adjacency = normalised_adjacency(graph.adjacency, graph.mask, nodes.dtype)
        for layer in self.layers:
            hidden = torch.relu(adjacency.to(hidden.dtype) @ layer(hidden)) * real
        count = graph.mask.sum(1, keepdim=True)
        mean = hidden.sum(1) / count.clamp(min=1).to(hidden.dtype)
        return torch.where(count > 0, mean, self.empty.to(mean.dtype).expand_as(mean))

    def spec(self) -> dict[str, Any]:
        """Numbers that rebuild the architecture."""
        return {"hidden_size": self.width, "num_layers": self.num_layers, "stop_gradient": self.stop_gradient}
