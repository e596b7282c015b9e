"""Synthetic batches and embeddings, for users' tests and for clinclip's own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.findings import FINDINGS
from clinclip.types import Batch, Embeddings, GraphBatch, NegationBatch, TextBatch


def random_batch(
    size: int = 8,
    seed: int = 0,
    negations: int = 1,
    graphs: bool = True,
    image_size: int = 32,
    tokens: int = 12,
    nodes: int = 6,
    vocabulary: int = 100,
    frozen_text: int | None = None,
    negatable: float = 0.7,
    empty_graphs: float = 0.2,
    duplicates: float = 0.0,
) -> Batch:
    """A batch of B = ``size`` made-up studies with everything a loss term can ask for.

    Args:
        size: number of studies.
        seed: the same seed gives the same batch.
        negations: K, negated reports a study; 0 leaves them out.
        graphs: whether to add report graphs.
        image_size: height and width of the images.
        tokens: T, padded length of the texts.
        nodes: N, padded number of graph nodes.
        vocabulary: token ids are drawn below this.
        frozen_text: width E of precomputed report embeddings, or None.
        negatable: share of the studies that have a negated report.
        empty_graphs: share of the studies whose graph has no node.
        duplicates: share of the studies whose report and labels repeat those of study 0.
    """
    g = torch.Generator().manual_seed(seed)
    findings = len(FINDINGS)
    # mostly absent or not mentioned, as in real reports
    states = torch.tensor([1, 0, -1, -2], dtype=torch.int8)
    labels = states[torch.multinomial(torch.tensor([0.15, 0.25, 0.1, 0.5]), size * findings, True, generator=g)]
    labels = labels.view(size, findings)
    text = _text(g, (size,), tokens, vocabulary)
    same = torch.rand(size, generator=g) < duplicates
    for tensor in (labels, text.token_ids, text.mask):
        tensor[same] = tensor[0].clone()
    text_hash = torch.arange(size) + 1_000_003 * (seed + 1)
    text_hash[same] = text_hash[0]
    negated = None
    if negations:
        valid = (torch.rand(size, 1, generator=g) < negatable) & (torch.rand(size, negations, generator=g) < 0.8)
        finding = torch.randint(1, findings, (size, negations), generator=g).masked_fill_(~valid, -1)
        edited = labels[:, None].repeat(1, negations, 1)
        edited.scatter_(2, finding.clamp(min=0)[..., None], 0)
        negated = NegationBatch(_text(g, (size, negations), tokens, vocabulary), valid, edited, finding)
    graph = _graph(g, size, nodes, tokens, empty_graphs) if graphs else None
    return Batch(
        image=torch.randint(0, 256, (size, 1, image_size, image_size), generator=g, dtype=torch.uint8),
        text=text,
        labels=labels,
        text_labels=labels.clone(),
        sample=torch.arange(size),
        study=torch.arange(size) // 2,
        patient=torch.arange(size) // 3,
        text_hash=text_hash,
        negated=negated,
        graph=graph,
        frozen_text=None if frozen_text is None else torch.randn(size, frozen_text, generator=g),
    )


def random_embeddings(
    batch: Batch,
    dim: int = 16,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    scale: float = 14.2857,
    bias: float | None = None,
    alignment: float = 1.0,
    requires_grad: bool = False,
) -> Embeddings:
    """What a half-trained dual encoder might return for ``batch``: unit vectors, pairs closer than non-pairs.

    Args:
        batch: decides the number of rows and which optional embeddings exist.
        dim: D, the joint width.
        seed: the same seed gives the same embeddings.
        dtype: of all embeddings.
        scale: the logit scale.
        bias: the logit bias, or None.
        alignment: 0 makes image, text and graph independent; larger brings pairs together.
        requires_grad: make every tensor a leaf with gradient.
    """
    g = torch.Generator().manual_seed(seed)
    size = len(batch)
    common = torch.randn(size, dim, generator=g, dtype=torch.float64)
    # reports of one domain point in similar directions
    domain = torch.randn(dim, generator=g, dtype=torch.float64)

    def draw(*shape: int, base: Tensor = common) -> Tensor:
        noise = torch.randn(*shape, dim, generator=g, dtype=torch.float64)
        vector = F.normalize(noise + alignment * base + domain, dim=-1)
        return vector.to(dtype).requires_grad_(requires_grad)

    def number(value: float) -> Tensor:
        return torch.tensor(value, dtype=dtype, requires_grad=requires_grad)

    image, text = draw(size), draw(size)
    negated = None
    if batch.negated is not None:
        negated = draw(size, batch.negated.valid.shape[1], base=common[:, None])
    graph = valid = None
    if batch.graph is not None:
        graph, valid = draw(size), batch.graph.mask.any(1)
    return Embeddings(
        image=image,
        text=text,
        logit_scale=number(scale),
        logit_bias=None if bias is None else number(bias),
        negated=negated,
        graph=graph,
        graph_valid=valid,
        text_features=torch.randn(size, 2 * dim, generator=g, dtype=torch.float64).to(dtype),
    )


def _text(g: torch.Generator, shape: tuple[int, ...], tokens: int, vocabulary: int) -> TextBatch:
    length = torch.randint(max(1, tokens // 2), tokens + 1, shape, generator=g)
    mask = torch.arange(tokens) < length[..., None]
    ids = torch.randint(1, vocabulary, (*shape, tokens), generator=g)
    return TextBatch(ids.masked_fill(~mask, 0), mask)


def _graph(g: torch.Generator, size: int, nodes: int, tokens: int, empty: float) -> GraphBatch:
    count = torch.randint(1, nodes + 1, (size,), generator=g)
    count[torch.rand(size, generator=g) < empty] = 0
    mask = torch.arange(nodes) < count[:, None]
    start = torch.randint(0, max(1, tokens - 2), (size, nodes), generator=g).masked_fill(~mask, 0)
    edges = (torch.rand(size, nodes, nodes, generator=g) < 0.3).triu(1)
    edges = (edges | edges.transpose(1, 2)) & mask[:, :, None] & mask[:, None, :]
    return GraphBatch(
        span_start=start,
        span_end=(start + 1).masked_fill(~mask, 0),
        label=torch.randint(0, 4, (size, nodes), generator=g).masked_fill(~mask, 0),
        mask=mask,
        adjacency=edges,
        entity=torch.randint(1, 12, (size, nodes), generator=g).masked_fill(~mask, 0),
        dropped=torch.zeros(size, dtype=torch.int64),
    )
