"""The losses once more, slowly: Python loops over pairs of rows, written from the formulas and not from the package.

Affinities and targets are plain lists of floats. Losses are sums of 0-dimensional float64 tensors, so that autograd
gives their gradients too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clinclip import losses
from clinclip.losses import TargetSource
from clinclip.types import Batch, Embeddings

Rows = list[list[float]]

#: codes 1 present, 0 absent, -1 uncertain, -2 not mentioned -> number
ENCODINGS = {
    "positive": {1: 1.0, -1: 0.5, 0: 0.0, -2: 0.0},
    "signed": {1: 1.0, -1: 0.5, 0: -1.0, -2: 0.0},
    "u_zeros": {1: 1.0, -1: 0.0, 0: 0.0, -2: 0.0},
    "u_ones": {1: 1.0, -1: 1.0, 0: 0.0, -2: 0.0},
}


def encode(states: Tensor, encoding: str) -> Rows:
    return [[ENCODINGS[encoding][int(code)] for code in row] for row in states.tolist()]


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(p * q for p, q in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    length = math.sqrt(dot(a, a) * dot(b, b))
    return max(-1.0, min(1.0, dot(a, b) / length)) if length else 0.0


def centred(a: list[float]) -> list[float]:
    mean = math.fsum(a) / len(a)
    return [v - mean for v in a]


def jaccard(a: list[int], b: list[int]) -> float:
    first, second = set(a) - {0}, set(b) - {0}
    return len(first & second) / len(first | second) if first | second else 0.0


def matrix(vectors: list, similarity=cosine) -> Rows:
    return [[similarity(a, b) for b in vectors] for a in vectors]


def threshold(gate: losses.Gate, s: Rows, valid: list[bool]) -> list[float]:
    """Theta of every row."""
    n = len(s)
    members = [i for i in range(n) if valid[i]]
    if isinstance(gate, losses.FixedGate):
        return [gate.value] * n
    if isinstance(gate, losses.QuantileGate):
        off = sorted(s[i][j] for i in members for j in members if i != j)
        if not off:
            return [gate.ceiling] * n
        position = gate.q * (len(off) - 1)
        low = math.floor(position)
        high = min(low + 1, len(off) - 1)
        value = off[low] + (off[high] - off[low]) * (position - low)
        return [min(value, gate.ceiling)] * n
    assert isinstance(gate, losses.NeighboursGate)
    thetas = []
    for i in range(n):
        others = sorted((s[i][j] for j in members if j != i), reverse=True)
        k = min(gate.k, len(members) - 2)
        # an invalid row has no neighbours of its own, whatever stands here
        thetas.append(min(others[k], gate.ceiling) if len(members) > 1 and valid[i] else gate.ceiling)
    return thetas


def gated(gate: losses.Gate, s: Rows, valid: list[bool] | None = None) -> tuple[Rows, Rows]:
    n = len(s)
    valid = [True] * n if valid is None else valid
    theta = threshold(gate, s, valid)
    a = [
        [
            1.0 if i == j else max(0.0, min(1.0, (s[i][j] - theta[i]) / (1 - theta[i]))) * (valid[i] and valid[j])
            for j in range(n)
        ]
        for i in range(n)
    ]
    return a, a


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    total = math.fsum(math.exp(v - top) for v in values)
    return [math.exp(v - top) / total for v in values]


def two_softmaxes(s: Rows, temperature: float, keep: list[int]) -> tuple[Rows, Rows]:
    """Softmax over the columns and softmax over the rows, among the rows that are kept."""
    n = len(s)
    forward, backward = ([[0.0] * n for _ in range(n)] for _ in range(2))
    for i in keep:
        for j, share in zip(keep, softmax([s[i][j] / temperature for j in keep]), strict=True):
            forward[i][j] = share
        for j, share in zip(keep, softmax([s[j][i] / temperature for j in keep]), strict=True):
            backward[j][i] = share
    return forward, backward


def affinity(source: TargetSource, e: Embeddings, b: Batch, keep: list[int]) -> tuple[Rows, Rows]:
    """A of the directions image -> text and text -> image, on the pairs too."""
    n = len(e.text)

    def labels(which: str) -> Tensor:
        return b.labels if which == "batch" else b.text_labels

    def vectors(name: str) -> Rows:
        found = {"online": e.text, "features": e.text_features, "frozen": b.frozen_text}[name]
        assert found is not None
        return found.double().tolist()

    def equal(ids: list, valid: list[bool] | None = None) -> tuple[Rows, Rows]:
        a = [[float(i == j or (ids[i] == ids[j] and (valid is None or valid[i]))) for j in range(n)] for i in range(n)]
        return a, a

    match source:
        case losses.TextSimilarity():
            return gated(source.gate, matrix(vectors(source.source)))
        case losses.ClinicalSimilarity():
            c = encode(labels(source.labels), source.encoding)
            return gated(source.gate, matrix(c), [any(row) for row in c])
        case losses.GraphSimilarity(form="learned"):
            assert e.graph is not None and e.graph_valid is not None
            return gated(source.gate, matrix(e.graph.double().tolist()), e.graph_valid.tolist())
        case losses.GraphSimilarity():
            assert b.graph is not None
            sets = b.graph.entity.tolist()
            return gated(source.gate, matrix(sets, jaccard), [any(row) for row in sets])
        case losses.LabelEquality():
            c = encode(labels(source.labels), source.encoding)
            return equal(c, [any(row) for row in c])
        case losses.MultiPositive():
            return equal(getattr(b, source.field).tolist())
        case losses.LabelSoftmax():
            image, text = encode(b.labels, source.encoding), encode(b.text_labels, source.encoding)
            return two_softmaxes([[dot(i, t) for t in text] for i in image], source.temperature, keep)
        case losses.SelfSimilarity():
            return two_softmaxes(matrix(getattr(e, source.of).double().tolist()), source.temperature, keep)
        case losses.CorrelationPrior():
            r = matrix([centred(v) for v in vectors(source.source)])
            a = [
                [1.0 if i == j else 1 - math.exp(-source.rate * max(r[i][j], 0.0)) for j in range(n)] for i in range(n)
            ]
            return a, a
    raise AssertionError(type(source))


@dataclass
class Soft:
    """Targets of both directions, and the affinity that the sigmoid criterion uses."""

    rows: Rows
    cols: Rows
    pairwise: Rows


def soft_targets(
    sources: dict[str, TargetSource],
    e: Embeddings,
    b: Batch,
    mix: float,
    form: str = "mixed",
    normalize: bool = True,
    keep: list[int] | None = None,
) -> Soft:
    """Q, the mixture of targets, among the rows ``keep`` (rows and columns of others are zero)."""
    n = len(e.text)
    keep = list(range(n)) if keep is None else keep
    total = sum(s.weight for s in sources.values())
    parts = [(s.weight / total, *affinity(s, e, b, keep)) for s in sources.values()]
    forward, backward = (
        [[math.fsum(part[0] * part[d][i][j] for part in parts) for j in range(n)] for i in range(n)] for d in (1, 2)
    )

    def mixed(a: Rows) -> Rows:
        q = [[0.0] * n for _ in range(n)]
        for i in keep:
            row_sum = math.fsum(a[i][j] for j in keep)
            if form == "added":
                mass = 1 + mix * (row_sum - a[i][i])
                for j in keep:
                    q[i][j] = (1.0 if i == j else mix * a[i][j]) / (mass if normalize else 1.0)
                continue
            for j in keep:
                w = (a[i][j] / row_sum if row_sum else float(i == j)) if normalize else a[i][j]
                q[i][j] = (1 - mix) * (i == j) + mix * w
        return q

    transposed = [list(column) for column in zip(*backward, strict=True)]
    pairwise = [[1.0 if i == j else mix * forward[i][j] for j in range(n)] for i in range(n)]
    return Soft(mixed(forward), mixed(transposed), pairwise)


def one_hot(n: int) -> Soft:
    eye = [[float(i == j) for j in range(n)] for i in range(n)]
    return Soft(eye, eye, eye)


def twin_columns(e: Embeddings, b: Batch, kind: str, encoding: str = "positive") -> list[list[Tensor]]:
    """The extra columns of each row."""
    assert e.twins is not None and b.twins is not None
    n, copies = b.twins.valid.shape
    c = encode(b.text_labels, encoding)
    found: list[list[Tensor]] = [[] for _ in range(n)]
    for i in range(n):
        for j in range(n):
            edited = encode(b.twins.labels[j], encoding)
            for k in range(copies):
                seen = i == j or (kind == "all" and edited[k] != c[i])
                if bool(b.twins.valid[j, k]) and seen:
                    found[i].append(e.twins[j, k])
    return found


def softmax_loss(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    soft: Soft,
    extra: list[list[Tensor]] | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
    keep: list[int] | None = None,
) -> Tensor:
    """Soft cross-entropy in both directions, mean over the kept rows."""
    keep = list(range(len(x))) if keep is None else keep
    total = scale * 0.0
    for i in keep:
        row = [scale * (x[i] * y[j]).sum() for j in keep]
        col = [scale * (y[i] * x[j]).sum() for j in keep]
        more = [scale * (x[i] * u).sum() for u in (extra[i] if extra else [])]
        row_lse, col_lse = torch.stack(row + more).logsumexp(0), torch.stack(col).logsumexp(0)
        for j, row_logit, col_logit in zip(keep, row, col, strict=True):
            total = total - weights[0] * soft.rows[i][j] * (row_logit - row_lse)
            total = total - weights[1] * soft.cols[i][j] * (col_logit - col_lse)
    return total / len(keep)


def sigmoid_loss(
    x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, soft: Soft, extra: list[list[Tensor]] | None = None
) -> Tensor:
    """Binary cross-entropy of every pair, summed over columns, mean over rows."""
    total = scale * 0.0
    zero = torch.zeros_like(scale)
    for i in range(len(x)):
        for j in range(len(y)):
            logit = scale * (x[i] * y[j]).sum() + bias
            target = soft.pairwise[i][j]
            # -log sigmoid(l) = log(1 + exp(-l))
            total = total + target * torch.logaddexp(zero, -logit) + (1 - target) * torch.logaddexp(zero, logit)
        for u in extra[i] if extra else []:
            total = total + torch.logaddexp(zero, scale * (x[i] * u).sum() + bias)
    return total / len(x)
