"""Soft labels: target sources, their mixture and its schedule, and the targets of one batch.

A source answers "which other reports of this batch say something similar?" as a
:class:`~clinclip.losses.engine.factors.Factor` over the global batch. :class:`SoftTargets` mixes sources; its
:meth:`~SoftTargets.prepare` is called once a batch and the result serves every loss term that names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.base import Hooked, check_requirements
from clinclip.losses.engine.affinity import Affinity, Form
from clinclip.losses.engine.factors import Factor
from clinclip.losses.schedule import Constant, LinearRamp, Schedule
from clinclip.types import Batch, Embeddings

#: rows on which the entropy of large targets is measured
DIAGNOSTIC_ROWS = 256


class TargetSource(Hooked, ABC):
    """Base class of every source of soft labels. A subclass in a user's own file works by its class path.

    Args:
        weight: relative weight among the sources of one :class:`SoftTargets`.
    """

    citation: ClassVar[str] = ""

    def __init__(self, weight: float = 1.0) -> None:
        if not weight >= 0:
            raise ConfigError(f"weight={weight} of {type(self).__name__}: the weight of a target source must be >= 0")
        self.weight = float(weight)

    @abstractmethod
    def factor(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Factor:
        """The affinity of the global batch. No gradient flows through it.

        Args:
            embeddings: of this process's rows.
            batch: of this process's rows.
            shard: which rows of the global batch these are; ``shard.gather(t)`` collects a tensor of all of them.
        """


class Targets:
    """The soft labels of one batch, shared by the loss terms that name them.

    Args:
        factors: source name -> (weight, factor) over the global batch; empty means one-hot.
        mix: lambda, the share taken from the pair.
        form: see :mod:`clinclip.losses.engine.affinity`.
        normalize: whether target rows sum to 1.
        shard: which rows are this process's.
    """

    def __init__(
        self, factors: dict[str, tuple[float, Factor]], mix: float, form: Form, normalize: bool, shard: Shard
    ) -> None:
        self.factors, self.mix, self.normalize, self.shard = factors, mix, normalize, shard
        self.form: Form = form
        self._whole: Affinity | None = None

    @property
    def device(self) -> torch.device:
        """Where the factors live; the CPU if there are none."""
        return next((factor.device for _, factor in self.factors.values()), torch.device("cpu"))

    @property
    def one_hot(self) -> bool:
        """True if these are plain CLIP's targets."""
        return self.mix == 0 or not self.factors

    def affinity(self, keep: Tensor | None = None, local: bool = False) -> Affinity | None:
        """The mixture over the global batch, or over part of it; None where it is one-hot.

        Args:
            keep: bool (N,): the rows that stay; targets are normalised over them.
            local: only this process's rows, normalised over them (losses that do not gather).
        """
        if self.one_hot:
            return None
        if keep is None and not local:
            if self._whole is None:
                self._whole = self._build(list(self.factors.values()), self.shard)
            return self._whole
        shard = self.shard
        index = torch.arange(shard.total, device=self.device)
        if local:
            index = index[shard.here]
            shard = Shard.local(shard.count)
            if keep is not None:
                keep = keep[self.shard.here]
        if keep is not None:
            index, shard = index[keep], shard.keep(keep)
        return self._build([(weight, factor.select(index)) for weight, factor in self.factors.values()], shard)

    def _build(self, factors: list[tuple[float, Factor]], shard: Shard) -> Affinity:
        return Affinity(factors, self.mix, self.form, self.normalize, shard)

    def matrix(self) -> Tensor:
        """The dense image -> text targets (n, N) of this process's rows, for pictures and tests."""
        affinity = self.affinity()
        if affinity is None:
            return torch.eye(self.shard.total, device=self.device)[self.shard.here]
        return affinity.dense()[0]

    @torch.no_grad()
    def logs(self, affinity: Affinity | None = None) -> dict[str, Tensor | float]:
        """Lambda, the gates' thresholds, and what the image -> text targets of this process's rows look like.

        The latter are ``pair_share``, the mean share of the mass on the pair, and ``target_entropy``, the mean entropy
        in nats (on at most 256 rows).

        Args:
            affinity: the part of the batch that a term uses; None: the whole.
        """
        logs: dict[str, Tensor | float] = {"mix": self.mix}
        affinity = self.affinity() if affinity is None else affinity
        if affinity is None:
            return {**logs, "pair_share": 1.0, "target_entropy": 0.0}
        if affinity.shard.count:
            logs.update(_shape(affinity))
        for name, (_, factor) in self.factors.items():
            logs.update({f"{key}_{name}": value for key, value in factor.logs().items()})
        return logs


def _shape(affinity: Affinity) -> dict[str, Tensor | float]:
    """How much of the target stands on the pair, and how far the rest is spread."""
    here, rows = affinity.shard.here, affinity.targets[0]
    some = slice(here.start, min(here.stop, here.start + DIAGNOSTIC_ROWS))
    share = affinity.block(some, slice(0, affinity.size))[0] * (rows.beta / rows.mass)[some][:, None]
    pair = rows.pair / rows.mass
    entropy = torch.special.entr(share).sum(1) + torch.special.entr(pair[some])
    return {"pair_share": pair[here].mean(), "target_entropy": entropy.mean()}


class SoftTargets(Hooked):
    """Mixes target sources: ``Q = (1 - lambda) I + lambda W``, W the row-normalised weighted mean of the affinities.

    Targets of the text -> image direction normalise the columns instead (the rows of A transposed). The schedule of
    lambda is a function of the epoch alone, so resuming restores it.

    Args:
        sources: name -> source; a source set to null is left out.
        mix: lambda over training, in [0, 1] for form "mixed"; a number keeps it constant. Default: from 0 to 0.3 in a
            straight line over the first epoch.
        form: "mixed" as above; "added" for ``T = I + lambda A`` (IMITATE).
        normalize: whether target rows sum to 1.
        weights: name -> weight, replaces the weights of these sources; 0 leaves one out. One line on the command line
            retunes a mixture: ``--model.targets.default.weights='{"text": 0.5, "graph": 0}'``.
    """

    def __init__(
        self,
        sources: dict[str, TargetSource | None],
        mix: Schedule | float | None = None,
        form: Form = "mixed",
        normalize: bool = True,
        weights: dict[str, float] | None = None,
    ) -> None:
        present = {name: source for name, source in sources.items() if source is not None}
        for name, weight in (weights or {}).items():
            if name not in present:
                raise ConfigError(f"SoftTargets: weights names {name!r}, but sources has {sorted(present)}")
            if not weight >= 0:
                raise ConfigError(f"SoftTargets: weights[{name!r}]={weight}; a weight must be >= 0")
        every = {name: source.weight for name, source in present.items()} | (weights or {})
        self.weights = {name: float(weight) for name, weight in every.items() if weight > 0}
        self.sources = {name: present[name] for name in self.weights}
        if isinstance(mix, int | float):
            mix = Constant(mix)
        self.mix: Schedule = LinearRamp(0.0, 0.3, epochs=1.0) if mix is None else mix
        if form not in ("mixed", "added"):
            raise ConfigError(f"SoftTargets(form={form!r}): allowed are 'mixed', 'added' (model.targets.<name>.form)")
        self.form: Form = form
        self.normalize = normalize
        self._epoch = 0.0
        # a constant or a start out of range fails here and not in the first step
        _ = self.current_mix

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]
        """What the sources need."""
        return frozenset().union(*(source.requires for source in self.sources.values()))

    def setup(self, module: Any, datamodule: Any) -> None:
        """Forward to the sources."""
        for source in self.sources.values():
            source.setup(module, datamodule)

    def on_train_epoch_start(self, epoch: int) -> None:
        """Forward to the sources."""
        for source in self.sources.values():
            source.on_train_epoch_start(epoch)

    def on_train_batch_start(self, step: int, epoch: float) -> None:
        """Remember where the schedule stands; forward to the sources."""
        self._epoch = epoch
        for source in self.sources.values():
            source.on_train_batch_start(step, epoch)

    @property
    def current_mix(self) -> float:
        """Lambda after the schedule."""
        value = self.mix(self._epoch)
        if not value >= 0 or (self.form == "mixed" and value > 1):
            allowed = "[0, 1]" if self.form == "mixed" else "[0, infinity)"
            raise ConfigError(
                f"SoftTargets(form={self.form!r}): mix={value} at epoch {self._epoch:.2f}; lambda must lie in "
                f"{allowed} (model.targets.<name>.mix)"
            )
        return value

    @torch.no_grad()
    def prepare(self, embeddings: Embeddings, batch: Batch) -> Targets:
        """The targets of this batch; under several processes, of the global batch.

        Args:
            embeddings: of this process's rows.
            batch: of this process's rows.

        Raises:
            MissingFieldError: a source needs something that this run does not have.
        """
        for name, source in self.sources.items():
            check_requirements(f"target source {name} ({type(source).__name__})", source.requires, embeddings, batch)
        shard = Shard.of(len(embeddings.text), embeddings.text.device)
        mix = self.current_mix
        if mix == 0:
            return Targets({}, mix, self.form, self.normalize, shard)
        with torch.autocast(embeddings.text.device.type, enabled=False):
            factors = {
                name: (self.weights[name], source.factor(embeddings, batch, shard))
                for name, source in self.sources.items()
            }
        return Targets(factors, mix, self.form, self.normalize, shard)
