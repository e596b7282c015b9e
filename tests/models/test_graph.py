"""The graph tower: hand-computed propagation, padding without effect, empty graphs as a learned vector."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clinclip.errors import ConfigError
from clinclip.models.graph import GraphEncoder, normalised_adjacency, pool_spans
from clinclip.testing import random_batch
from clinclip.types import GraphBatch


def test_spans_are_averaged() -> None:
    states = torch.arange(12.0).reshape(1, 6, 2)
    start, end = torch.tensor([[0, 2, 5, 3]]), torch.tensor([[1, 5, 6, 3]])
    expected = torch.stack([states[0, 0], states[0, 2:5].mean(0), states[0, 5], torch.zeros(2)])
    torch.testing.assert_close(pool_spans(states, start, end)[0], expected)


def test_adjacency_of_a_chain_by_hand() -> None:
    # 0 - 1 - 2 and one padded node that claims an edge
    adjacency = torch.zeros(1, 4, 4, dtype=torch.bool)
    adjacency[0, 0, 1] = adjacency[0, 1, 2] = adjacency[0, 2, 3] = True
    mask = torch.tensor([[True, True, True, False]])
    got = normalised_adjacency(adjacency, mask, torch.float64)[0]
    a, b = 1 / 2, 1 / (2 * 3) ** 0.5
    expected = torch.tensor([[a, b, 0, 0], [b, 1 / 3, b, 0], [0, b, a, 0], [0, 0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(got, expected)


def test_one_layer_by_hand() -> None:
    encoder = GraphEncoder(hidden_size=3, num_layers=1).build(2).double()
    graph = GraphBatch(
        span_start=torch.tensor([[1, 2]]),
        span_end=torch.tensor([[2, 4]]),
        label=torch.tensor([[0, 3]]),
        mask=torch.ones(1, 2, dtype=torch.bool),
        adjacency=torch.tensor([[[False, True], [True, False]]]),
        entity=torch.zeros(1, 2, dtype=torch.int64),
        dropped=torch.zeros(1, dtype=torch.int64),
    )
    states = torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nodes = torch.stack(
        [
            torch.cat([states[0, 1], torch.tensor([1.0, 0, 0, 0])]),
            torch.cat([states[0, 2:4].mean(0), torch.tensor([0, 0, 0, 1.0])]),
        ]
    )
    mixed = torch.full((2, 2), 0.5, dtype=torch.float64) @ encoder.layers[0](nodes)
    torch.testing.assert_close(encoder(states, graph)[0], torch.relu(mixed).mean(0))


def test_padding_and_order_of_nodes_change_nothing() -> None:
    batch = random_batch(size=6, empty_graphs=0.0, nodes=5)
    graph, states = batch.graph, torch.randn(6, 12, 8, dtype=torch.float64)
    assert graph is not None
    encoder = GraphEncoder(hidden_size=4).build(8).double()
    pad = torch.nn.functional.pad
    padded = replace(
        graph,
        **{k: pad(getattr(graph, k), (0, 3)) for k in ("span_start", "span_end", "label", "mask", "entity")},
        adjacency=pad(graph.adjacency, (0, 3, 0, 3)),
    )
    torch.testing.assert_close(encoder(states, padded), encoder(states, graph))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(3))
    shuffled = replace(
        graph,
        **{k: getattr(graph, k)[:, order] for k in ("span_start", "span_end", "label", "mask", "entity")},
        adjacency=graph.adjacency[:, order][:, :, order],
    )
    torch.testing.assert_close(encoder(states, shuffled), encoder(states, graph))


def test_empty_graphs_are_the_learned_vector_and_train_it() -> None:
    batch = random_batch(size=8, empty_graphs=0.5, seed=2)
    graph = batch.graph
    assert graph is not None
    empty = ~graph.mask.any(1)
    assert empty.any() and not empty.all()
    encoder = GraphEncoder(hidden_size=4).build(8)
    out = encoder(torch.randn(8, 12, 8), graph)
    assert (out[empty] == encoder.empty).all()
    out.square().sum().backward()
    assert encoder.empty.grad is not None and encoder.empty.grad.abs().sum() > 0


@pytest.mark.parametrize("stop", [True, False])
def test_the_text_tower_learns_only_when_asked(stop: bool) -> None:
    batch = random_batch(size=4, empty_graphs=0.0)
    assert batch.graph is not None
    states = torch.randn(4, 12, 8, requires_grad=True)
    out = GraphEncoder(hidden_size=4, stop_gradient=stop).build(8)(states, batch.graph).sum()
    (gradient,) = torch.autograd.grad(out, states, allow_unused=True)
    assert (gradient is None) is stop


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError, match="num_layers=0"):
        GraphEncoder(num_layers=0)


def test_unsaid_its_width_follows_a_narrow_text_tower() -> None:
    for text, width in ((128, 128), (256, 256), (768, 256)):
        encoder = GraphEncoder().build(text)
        assert encoder.width == encoder.spec()["hidden_size"] == width
        assert [tuple(layer.weight.shape) for layer in encoder.layers] == [(width, text + 4), (width, width)]
    assert GraphEncoder(hidden_size=300).build(128).width == 300
