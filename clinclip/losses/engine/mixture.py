"""From affinities to target distributions: weights, mixing with one-hot, normalisation, in both directions.

With A = sum_m w_m A^m / sum_m w_m (A_r for image -> text, A_c for text -> image, mostly the same matrix):

- form "mixed": T = (1 - lambda) I + lambda A; normalised: the row sums of A divide A first, so rows sum to 1;
- form "added": T = I + lambda (A off the pairs); normalised: the row mass divides T.

In every case ``T_ij = beta_i A_ij`` off the pair and ``T_ii = pair_i``, with per-row numbers beta, pair and the mass
``M_i = sum_j T_ij``. That is all the engines need to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import Affinity, clear_pairs
from clinclip.losses.engine.closed import Closed

Form = Literal["mixed", "added"]


@dataclass(frozen=True)
class Coefficients:
    """Per-row numbers of a target distribution, over the global batch.

    Attributes:
        beta: (N,) factor of the affinity off the pair.
        pair: (N,) target on the pair.
        mass: (N,) sum of the target.
    """

    beta: Tensor
    pair: Tensor
    mass: Tensor


def coefficients(off_pair: Tensor, pair: Tensor, mix: float, form: Form, normalize: bool) -> Coefficients:
    """Turn row sums without the pair, and the affinity on the pair, both (N,), into target coefficients."""
    if form == "added":
        beta, on_pair = torch.full_like(off_pair, mix), torch.ones_like(off_pair)
        mass = 1 + mix * off_pair
        return (
            Coefficients(beta / mass, on_pair / mass, torch.ones_like(mass))
            if normalize
            else Coefficients(beta, on_pair, mass)
        )
    if not normalize:
        return Coefficients(torch.full_like(off_pair, mix), 1 - mix + mix * pair, 1 - mix + mix * (off_pair + pair))
    total = off_pair + pair
    # a row without any affinity keeps its one-hot target
    some = total > 0
    beta = torch.where(some, mix / torch.where(some, total, 1.0), 0.0)
    return Coefficients(beta, torch.where(some, 1 - mix + beta * pair, 1.0), torch.ones_like(total))


class Mixture:
    """A weighted mean of affinities over one set of rows, with its target coefficients.

    Args:
        affinities: (weight, affinity) over the same rows; weights >= 0, not all 0.
        mix: lambda.
        form: "mixed" or "added".
        normalize: whether target rows sum to 1.
        shard: which of the rows are this process's.
    """

    def __init__(
        self, affinities: list[tuple[float, Affinity]], mix: float, form: Form, normalize: bool, shard: Shard
    ) -> None:
        total = sum(weight for weight, _ in affinities)
        self.affinities = [(weight / total, affinity.fit(shard)) for weight, affinity in affinities if weight > 0]
        self.mix, self.normalize, self.shard = mix, normalize, shard
        self.form: Form = form
        self.open = [(weight, affinity) for weight, affinity in self.affinities if not isinstance(affinity, Closed)]
        self.closed = [(weight, affinity) for weight, affinity in self.affinities if isinstance(affinity, Closed)]
        self.symmetric = all(affinity.symmetric for _, affinity in self.affinities)

    @property
    def size(self) -> int:
        """N."""
        return self.shard.total

    @cached_property
    def pair(self) -> tuple[Tensor, Tensor]:
        """A on the pairs, (N,) in each direction."""
        pairs = [(weight, affinity.pair()) for weight, affinity in self.affinities]
        device = self.affinities[0][1].device
        # numbers are added as numbers: a float32 tensor of one would round the weights of float64 affinities
        forward, backward = (
            torch.as_tensor(sum(weight * pair[d] for weight, pair in pairs), device=device) for d in (0, 1)
        )
        return forward.expand(self.size), backward.expand(self.size)

    @cached_property
    def targets(self) -> tuple[Coefficients, Coefficients]:
        """Coefficients of the rows (image -> text) and of the columns (text -> image)."""
        sums = [(weight, affinity.sums(self.shard)) for weight, affinity in self.affinities]
        forward, backward = (sum(weight * part[d] for weight, part in sums) for d in (0, 1))
        assert isinstance(forward, Tensor) and isinstance(backward, Tensor)
        return (
            coefficients(forward, self.pair[0].to(forward), self.mix, self.form, self.normalize),
            coefficients(backward, self.pair[1].to(backward), self.mix, self.form, self.normalize),
        )

    def block(
        self, rows: slice, cols: slice, affinities: list[tuple[float, Affinity]] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(A_r, A_c)[rows, cols] with zeros on the pairs, of all affinities or of the given ones."""
        forward: Tensor | None = None
        backward: Tensor | None = None
        for weight, affinity in self.affinities if affinities is None else affinities:
            one, other = affinity.block(rows, cols)
            if forward is None or backward is None:
                forward = one.mul_(weight) if weight != 1 else one
                backward = forward if other is one else other.mul_(weight)
                continue
            if other is not one or backward is not forward:
                backward = backward.clone() if backward is forward else backward
                backward.add_(other, alpha=weight)
                forward.add_(one, alpha=weight)
            else:
                forward.add_(one, alpha=weight)
        assert forward is not None and backward is not None
        clear_pairs(forward, rows, cols)
        if backward is not forward:
            clear_pairs(backward, rows, cols)
        return forward, backward

    def dense(self) -> tuple[Tensor, Tensor]:
        """Target rows of this process: image -> text (n, N) and text -> image (n, N)."""
        here, everything = self.shard.here, slice(0, self.size)
        rows, cols = self.targets
        forward = self.block(here, everything)[0] * rows.beta[here][:, None]
        backward = self.block(everything, here)[1].T * cols.beta[here][:, None]
        forward.diagonal(here.start).copy_(rows.pair[here])
        backward.diagonal(here.start).copy_(cols.pair[here])
        return forward, backward

    def pairwise(self, rows: slice) -> Tensor:
        """Targets in [0, 1] of independent pairs (sigmoid criterion): 1 on the pair, lambda A_r elsewhere, (n, N)."""
        affinity = self.block(rows, slice(0, self.size))[0].mul_(self.mix)
        affinity.diagonal(rows.start).fill_(1.0)
        return affinity
