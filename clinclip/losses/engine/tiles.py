"""The walks over tiles behind :mod:`clinclip.losses.engine.tiled`, where their mathematics is derived.

Names follow the derivation: x rows, y columns, S logits, G the gradient of N L with respect to S. ``coef`` is the soft
part of the targets of both directions together, ``coef_ij = u_i A_r,ij + v_j A_c,ij`` with u = a beta^r, v = b beta^c.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.engine.affinity import slices
from clinclip.losses.engine.columns import SharedColumns
from clinclip.losses.engine.dense import softplus
from clinclip.losses.engine.mixture import Coefficients, Mixture

#: largest |logit| whose exponential, summed over a million columns, stays a normal float32
PLAIN_EXP = 60.0


@dataclass
class Problem:
    """One batch: everything but the tensors that may need a gradient."""

    mixture: Mixture | None
    weights: tuple[float, float]
    shard: Shard
    tile: int
    own_masks: list[Tensor] = field(default_factory=list)
    shared: list[SharedColumns] = field(default_factory=list)
    sigmoid: bool = False


def accumulate(parts: Iterable[Tensor]) -> Tensor:
    """The sum of at least one fresh tensor, in place."""
    return reduce(Tensor.add_, parts)


class Tiles(ABC):
    """What both criteria share: the walk, the soft part of the targets, the gradients.

    Args:
        problem: the batch.
        want: whether gradients are formed.
        x: (n, D) rows of this process.
        y: (N, D) columns of all processes.
        scale: scalar.
        bias: scalar.
        extras: (n, K, D) for each own source, then (M, D) for each shared one.
    """

    def __init__(
        self, problem: Problem, want: bool, x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, *extras: Tensor
    ) -> None:
        self.problem, self.want, self.x, self.y, self.scale, self.bias = problem, want, x, y, scale, bias
        self.own, self.shared = extras[: len(problem.own_masks)], extras[len(problem.own_masks) :]
        self.mixture, self.shard, self.here = problem.mixture, problem.shard, problem.shard.here
        self.cross = x.new_zeros(len(x))
        self.bias_grad = torch.zeros_like(bias)
        if want:
            # dx without the factor s, the rest with it; all without 1 / N
            self.dx, self.dy = torch.zeros_like(x), torch.zeros_like(y)
            self.dextras = [torch.zeros_like(e) for e in extras]

    @abstractmethod
    def run(self) -> Tensor:
        """The loss; leaves the gradients behind."""

    def gradients(self) -> list[Tensor]:
        """Gradients of the value with respect to x, y, scale, bias and the extras."""
        factor = self.shard.value_factor
        self.dx.mul_(self.scale * factor)
        for grad in (self.dy, *self.dextras):
            grad.mul_(factor)
        # every logit is s times a product with x; a process without rows adds nothing
        scale_grad = accumulate(
            [self.scale.new_zeros(()), *((self.x[r] * self.dx[r]).sum() for r in self.row_tiles())]
        ).div_(self.scale)
        return [self.dx, self.dy, scale_grad, self.bias_grad * factor, *self.dextras]

    # --- the walk ---------------------------------------------------------------------------------------------------

    def row_tiles(self) -> Iterator[slice]:
        """Local rows."""
        return slices(0, len(self.x), self.problem.tile)

    def col_tiles(self, start: int = 0) -> Iterator[slice]:
        """Columns of all processes."""
        return slices(start, len(self.y), self.problem.tile)

    def pair_diagonal(self, tile: Tensor, rows: slice, cols: slice) -> tuple[slice, Tensor] | None:
        """The local rows whose pair lies in the tile, and the view of those entries; None if there are none."""
        shift = rows.start + self.here.start - cols.start
        if not -tile.shape[0] < shift < tile.shape[1]:
            return None
        view = tile.diagonal(shift)
        first = rows.start + max(0, -shift)
        return slice(first, first + len(view)), view

    def coef(self, rows: slice, cols: slice, u: Tensor, v: Tensor) -> Tensor:
        """``u_i A_r,ij + v_j A_c,ij`` of the affinities that need tiles, zero on the pairs; ``rows`` are local."""
        assert self.mixture is not None
        here = slice(rows.start + self.here.start, rows.stop + self.here.start)
        forward, backward = self.mixture.block(here, cols, self.mixture.open)
        if backward is forward:
            return forward.mul_(u[rows][:, None] + v[cols][None, :])
        return forward.mul_(u[rows][:, None]).add_(backward.mul_(v[cols][None, :]))

    def closed_form(self, u: Tensor, v: Tensor) -> None:
        """Subtract the soft part of the affinities in product form: O(N K D), no tile.

        ``sum_j coef_ij y_j = u_i (A_r y)_i + (A_c (v y))_i``, and for the columns ``(A_r' (u x))_j + v_j (A_c' x)_j``.
        """
        if self.mixture is None or not self.mixture.closed or not len(self.x):
            return
        x, y, here = self.x, self.y, self.here
        row_weights, col_weights = torch.stack([u, torch.ones_like(u)]), torch.stack([torch.ones_like(v), v])
        for weight, affinity in self.mixture.closed:
            own = [part.expand(len(y))[here] for part in (affinity.own(0).to(x), affinity.own(1).to(x))]
            pair = (weight * (own[0] * u + own[1] * v[here]))[:, None]
            codes = affinity.mix(affinity.collect(y, slice(0, len(y)), False, col_weights), False) * weight
            for rows in self.row_tiles():
                where = slice(rows.start + here.start, rows.stop + here.start)
                pull = affinity.expand(codes, where, True, row_weights[:, rows])
                pull.addcmul_(pair[rows], y[where], value=-1.0)
                self.cross[rows] += self.scale * (x[rows] * pull).sum(1)
                if self.want:
                    self.dx[rows] -= pull
            if not self.want:
                continue
            codes = affinity.mix(affinity.collect(x, here, True, row_weights), True) * (-weight * self.scale)
            for cols in self.col_tiles():
                self.dy[cols] += affinity.expand(codes, cols, False, col_weights[:, cols])
            self.dy[here].addcmul_(x, pair * self.scale)

    # --- extra columns ----------------------------------------------------------------------------------------------

    def own_logits(self, index: int, rows: slice) -> Tensor:
        """(rows, K) logits of the own columns, -inf where masked."""
        logits = torch.einsum("nd,nkd->nk", self.x[rows], self.own[index][rows]) * self.scale
        return logits.masked_fill_(~self.problem.own_masks[index][rows], -torch.inf)

    def shared_logits(self, index: int, rows: slice, cols: slice) -> Tensor:
        """(rows, columns) logits of shared columns, -inf where masked."""
        logits = (self.x[rows] * self.scale) @ self.shared[index][cols].T
        allowed = self.problem.shared[index].allowed
        return logits if allowed is None else logits.masked_fill_(~allowed(rows, cols), -torch.inf)

    def extra_tiles(self, rows: slice) -> Iterator[tuple[int, slice | None]]:
        """(index, None) for every own source, (index, columns) for every tile of the shared ones."""
        for index in range(len(self.own)):
            yield index, None
        for index, columns in enumerate(self.shared):
            for cols in slices(0, len(columns), self.problem.tile):
                yield index, cols

    def extra_logits(self, rows: slice, index: int, cols: slice | None) -> Tensor:
        """Logits of one piece of :meth:`extra_tiles`."""
        return self.own_logits(index, rows) if cols is None else self.shared_logits(index, rows, cols)

    def extra_backward(self, rows: slice, index: int, cols: slice | None, grad: Tensor) -> None:
        """Send the gradient of that piece's logits to x and to the columns."""
        scaled = self.x[rows] * self.scale
        if cols is None:
            self.dx[rows] += torch.einsum("nk,nkd->nd", grad, self.own[index][rows])
            self.dextras[index][rows] += grad[:, :, None] * scaled[:, None, :]
        else:
            self.dx[rows].addmm_(grad, self.shared[index][cols])
            self.dextras[len(self.own) + index][cols].addmm_(grad.T, scaled)


class SoftmaxTiles(Tiles):
    """Soft cross-entropy in both directions."""

    def run(self) -> Tensor:
        a, b = self.problem.weights
        self.plain = self._plain()
        pair, row_rest, col_rest = self._first_pass()
        # everything relative to the pair: r = lse - S_ii
        all_pairs = self.shard.gather(pair)
        row_gap, col_gap = softplus(row_rest - pair), softplus(col_rest - all_pairs)
        rows, cols = self._coefficients()
        u, v = a * rows.beta, b * cols.beta
        row_soft, col_soft = rows.mass - rows.pair, cols.mass - cols.pair
        mine = self.here
        self._second_pass(
            u,
            v,
            a * rows.mass,
            b * cols.mass,
            pair + row_gap,
            all_pairs + col_gap,
            a * (rows.mass * torch.expm1(-row_gap) + row_soft)
            + b * (cols.mass * torch.expm1(-col_gap) + col_soft)[mine],
        )
        self.closed_form(u, v)
        loss = a * (rows.mass * row_gap + row_soft * pair) + (b * (cols.mass * col_gap + col_soft * all_pairs))[mine]
        return (loss - self.cross).sum() * self.shard.value_factor

    def _coefficients(self) -> tuple[Coefficients, Coefficients]:
        """Row coefficients of the local rows, column coefficients of all columns."""
        if self.mixture is None:
            one, many = self.x.new_ones(len(self.x)), self.y.new_ones(len(self.y))
            return Coefficients(0 * one, one, one), Coefficients(0 * many, many, many)
        rows, cols = self.mixture.targets
        return Coefficients(rows.beta[self.here], rows.pair[self.here], rows.mass[self.here]), cols

    def _plain(self) -> bool:
        """Whether exp(S) can be taken as it is; the same answer on every process."""
        longest = [t.norm(dim=-1).max() for t in (self.y, *self.own, *self.shared) if len(t)]
        if not longest:
            return True
        reach = self.x.norm(dim=-1).max() if len(self.x) else self.x.new_zeros(())
        bound = self.scale.abs() * reach * torch.stack(longest).max()
        return bool(self.shard.all_reduce(bound, "max") <= PLAIN_EXP)

    def _first_pass(self) -> tuple[Tensor, Tensor, Tensor]:
        """The pairs' logits (n,), and log-sum-exp without the pair of the rows (n,) and of the columns (N,)."""
        start = 0.0 if self.plain else -torch.inf
        pair = self.x.new_zeros(len(self.x))
        row, col = self.x.new_full((len(self.x),), start), self.x.new_full((len(self.y),), start)
        for rows in self.row_tiles():
            scaled = self.x[rows] * self.scale
            for cols in self.col_tiles():
                tile = scaled @ self.y[cols].T
                found = self.pair_diagonal(tile, rows, cols)
                if found is not None:
                    pair[found[0]] = found[1]
                    found[1].fill_(-torch.inf)
                if self.plain:
                    tile.exp_()
                    row[rows] += tile.sum(1)
                    col[cols] += tile.sum(0)
                else:
                    row[rows] = torch.logaddexp(row[rows], tile.logsumexp(1))
                    col[cols] = torch.logaddexp(col[cols], tile.logsumexp(0))
            for index, cols in self.extra_tiles(rows):
                logits = self.extra_logits(rows, index, cols)
                if self.plain:
                    row[rows] += logits.exp_().sum(1)
                else:
                    row[rows] = torch.logaddexp(row[rows], logits.logsumexp(1))
        if self.plain:
            return pair, row.log(), self.shard.all_reduce(col).log()
        return pair, row, self.shard.logsumexp(col)

    def _second_pass(
        self,
        u: Tensor,
        v: Tensor,
        row_mass: Tensor,
        col_mass: Tensor,
        row_lse: Tensor,
        col_lse: Tensor,
        on_pair: Tensor,
    ) -> None:
        """Gradients and the cross term ``sum_j coef_ij S_ij``."""
        soft = self.mixture is not None and bool(self.mixture.open)
        if not soft and not self.want:
            return
        # exp(S) p_i = M_i exp(S - lse_i); where exp(S) is too large the exponent is shifted instead
        self.row_weight = row_mass * (-row_lse).exp() if self.plain else row_lse - row_mass.log()
        self.col_weight = col_mass * (-col_lse).exp() if self.plain else col_lse - col_mass.log()
        self.on_pair = on_pair
        a, b = self.problem.weights
        # a symmetric mixture with all rows here: the tile (J, I) has the transposed soft part of the tile (I, J)
        half = soft and a == b and self.shard.world == 1 and self.mixture is not None and self.mixture.symmetric
        for rows in self.row_tiles():
            for cols in self.col_tiles(rows.start if half else 0):
                coef = self.coef(rows, cols, u, v) if soft else None
                self._tile(rows, cols, coef)
                if half and cols.start > rows.start:
                    self._mirror(rows, cols, coef)
            for index, cols in self.extra_tiles(rows) if self.want else ():
                logits = self.extra_logits(rows, index, cols)
                if self.plain:
                    grad = logits.exp_().mul_(self.row_weight[rows][:, None])
                else:
                    grad = logits.sub_(self.row_weight[rows][:, None]).exp_()
                self.extra_backward(rows, index, cols, grad)

    def _probabilities(self, tile: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Overwrite logits by ``M_r P_row + M_c P_col``; ``first`` is of the tile's rows, ``second`` of its columns."""
        if self.plain:
            return tile.exp_().mul_(first[:, None] + second[None, :])
        return (tile - first[:, None]).exp_().add_(tile.sub_(second[None, :]).exp_())

    def _tile(self, rows: slice, cols: slice, coef: Tensor | None) -> None:
        scaled = self.x[rows] * self.scale
        tile = scaled @ self.y[cols].T
        if coef is not None:
            self.cross[rows] += (coef * tile).sum(1)
        if not self.want:
            return
        grad = self._probabilities(tile, self.row_weight[rows], self.col_weight[cols])
        if coef is not None:
            grad.sub_(coef)
        found = self.pair_diagonal(grad, rows, cols)
        if found is not None:
            found[1].copy_(self.on_pair[found[0]])
        self.dx[rows].addmm_(grad, self.y[cols])
        self.dy[cols].addmm_(grad.T, scaled)

    def _mirror(self, cols: slice, rows: slice, coef: Tensor | None) -> None:
        """The tile (rows, cols) below the diagonal, laid out transposed, (cols, rows), as ``coef`` is."""
        scaled = self.x[rows] * self.scale
        tile = self.y[cols] @ scaled.T
        if coef is not None:
            self.cross[rows] += (coef * tile).sum(0)
        if not self.want:
            return
        grad = self._probabilities(tile, self.col_weight[cols], self.row_weight[rows])
        if coef is not None:
            grad.sub_(coef)
        self.dx[rows].addmm_(grad.T, self.y[cols])
        self.dy[cols].addmm_(grad, scaled)


class SigmoidTiles(Tiles):
    """A binary question for every pair: one pass."""

    def run(self) -> Tensor:
        total = self.x.new_zeros(len(self.x))
        mix = 0.0 if self.mixture is None else self.mixture.mix
        u, v = self.x.new_full((len(self.x),), mix), self.y.new_zeros(len(self.y))
        for rows in self.row_tiles():
            for cols in self.col_tiles():
                total[rows] += self._tile(rows, cols, u, v)
            for index, cols in self.extra_tiles(rows):
                logits = self.extra_logits(rows, index, cols).add_(self.bias)
                total[rows] += softplus(logits).sum(1)
                if self.want:
                    grad = logits.sigmoid_()
                    self.bias_grad += grad.sum()
                    self.extra_backward(rows, index, cols, grad)
        self.closed_form(u, v)
        if self.mixture is not None:
            for weight, affinity in self.mixture.closed:
                # the bias takes part in the cross term too
                shares = weight * mix * affinity.sums(self.shard)[0][self.here]
                self.cross += self.bias * shares
                self.bias_grad -= shares.sum()
        return (total - self.cross).sum() * self.shard.value_factor

    def _tile(self, rows: slice, cols: slice, u: Tensor, v: Tensor) -> Tensor:
        scaled = self.x[rows] * self.scale
        tile = (scaled @ self.y[cols].T).add_(self.bias)
        coef = None
        if self.mixture is not None and self.mixture.open:
            coef = self.coef(rows, cols, u, v)
            self.cross[rows] += (coef * tile).sum(1)
        found = self.pair_diagonal(tile, rows, cols)
        # the pair has target 1: softplus(-l); everything else softplus(l)
        if found is not None:
            found[1].neg_()
        loss = softplus(tile).sum(1)
        if not self.want:
            return loss
        grad = tile.sigmoid_()
        if found is not None:
            found[1].neg_()
        if coef is not None:
            grad.sub_(coef)
        self.bias_grad += grad.sum()
        self.dx[rows].addmm_(grad, self.y[cols])
        self.dy[cols].addmm_(grad.T, scaled)
        return loss
