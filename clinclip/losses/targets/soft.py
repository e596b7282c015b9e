"""Soft labels: the mixture of target sources and its schedule, and the targets of one batch.

A source (:mod:`clinclip.losses.targets.source`) gives an :class:`~clinclip.losses.engine.affinity.Affinity` over the
global batch. :class:`SoftTargets` mixes several; its :meth:`~SoftTargets.prepare` is called once a batch and the result
serves every loss term that names it.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.checks import check_choice
from clinclip.losses.engine.affinity import Affinity
from clinclip.losses.engine.mixture import Form, Mixture
from clinclip.losses.hooks import Hooked, check_requirements
from clinclip.losses.schedule import Constant, LinearRamp, Schedule
from clinclip.losses.targets.source import TargetSource
from clinclip.types import Batch, Embeddings

#: rows on which the entropy of large targets is measured
DIAGNOSTIC_ROWS = 256


class Targets:
    """The soft labels of one batch, shared by the loss terms that name them.

    Args:
        affinities: source name -> (weight, affinity) over the global batch; empty means one-hot.
        mix: lambda, the share taken from the pair.
        form: see :mod:`clinclip.losses.engine.mixture`.
        normalize: whether target rows sum to 1.
        shard: which rows are this process's.
    """

    def __init__(
        self, affinities: dict[str, tuple[float, Affinity]], mix: float, form: Form, normalize: bool, shard: Shard
    ) -> None:
        self.affinities, self.mix, self.normalize, self.shard = affinities, mix, normalize, shard
        self.form: Form = form
        self._whole: Mixture | None = None

    @property
    def device(self) -> torch.device:
        """Where the affinities live; the CPU if there are none."""
        return next((affinity.device for _, affinity in self.affinities.values()), torch.device("cpu"))

    @property
    def one_hot(self) -> bool:
        """True if these are plain CLIP's targets."""
        return self.mix == 0 or not self.affinities

    def mixture(self, keep: Tensor | None = None, local: bool = False) -> Mixture | None:
        """The mixture over the global batch, or over part of it; None where it is one-hot.

        Args:
            keep: bool (N,): the rows that stay; targets are normalised over them.
            local: only this process's rows, normalised over them (losses that do not gather).
        """
        if self.one_hot:
            return None
        if keep is None and not local:
            if self._whole is None:
                self._whole = self._build(list(self.affinities.values()), self.shard)
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
        return self._build([(weight, affinity.select(index)) for weight, affinity in self.affinities.values()], shard)

    def _build(self, affinities: list[tuple[float, Affinity]], shard: Shard) -> Mixture:
        return Mixture(affinities, self.mix, self.form, self.normalize, shard)

    def matrix(self) -> Tensor:
        """The dense image -> text targets (n, N) of this process's rows, for pictures and tests."""
        mixture = self.mixture()
        if mixture is None:
            return torch.eye(self.shard.total, device=self.device)[self.shard.here]
        return mixture.dense()[0]

    @torch.no_grad()
    def logs(self, mixture: Mixture | None = None) -> dict[str, Tensor | float]:
        """Lambda, the gates' thresholds, and what the image -> text targets of this process's rows look like.

        The latter are ``pair_share``, the mean share of the mass on the pair, and ``target_entropy``, the mean entropy
        in nats (on at most 256 rows).

        Args:
            mixture: the part of the batch that a term uses; None: the whole.
        """
        logs: dict[str, Tensor | float] = {"mix": self.mix}
        mixture = self.mixture() if mixture is None else mixture
        if mixture is None:
            return {**logs, "pair_share": 1.0, "target_entropy": 0.0}
        if mixture.shard.count:
            logs.update(_shape(mixture))
        for name, (_, affinity) in self.affinities.items():
            logs.update({f"{key}_{name}": value for key, value in affinity.logs().items()})
        return logs


def _shape(mixture: Mixture) -> dict[str, Tensor | float]:
    """How much of the target stands on the pair, and how far the rest is spread."""
    here, rows = mixture.shard.here, mixture.targets[0]
    some = slice(here.start, min(here.stop, here.start + DIAGNOSTIC_ROWS))
    share = mixture.block(some, slice(0, mixture.size))[0] * (rows.beta / rows.mass)[some][:, None]
    pair = rows.pair / rows.mass
    entropy = torch.special.entr(share).sum(1) + torch.special.entr(pair[some])
    return {"pair_share": pair[here].mean(), "target_entropy": entropy.mean()}


class SoftTargets(Hooked):
    """Mixes target sources: ``Q = (1 - lambda) I + lambda W``, W the row-normalised weighted mean of the affinities.

    Targets of the text -> image direction normalise the columns instead (the rows of A transposed). The schedule of
    lambda is a function of the epoch alone, so resuming restores it. Without any source the targets are one-hot: plain
    CLIP. A source has the name of its argument, or in ``more`` that of its class (then ``_2``, ``_3`` ...), which
    appears in logs.

    Example:
        >>> SoftTargets(text=TextSimilarity(), clinical=ClinicalSimilarity(weight=0.5), mix=0.3)

        On the command line, where ``default`` is the entry of ``model.targets``: ``--model.targets.default.text=null``
        leaves a source out, ``--model.targets.default.clinical.weight=0.5`` and
        ``--model.targets.default.text.gate.q=0.8`` retune one, ``--model.targets.default.text=my_losses.Mine`` replaces
        one, ``--model.targets.default.more+=my_losses.Mine`` adds one.

    Recommendations:
        1. Similarities of an untrained text tower mean little: keep the ramp of ``mix``.
        2. Watch the logged ``pair_share``, the part of the target that stays with the own report.

    Args:
        text: similarity of the wording, mostly a :class:`clinclip.losses.TextSimilarity`. Any source fits any slot.
        clinical: similarity of the findings, mostly a :class:`clinclip.losses.ClinicalSimilarity`.
        graph: similarity of the report graphs, mostly a :class:`clinclip.losses.GraphSimilarity`.
        more: further sources.
        mix: lambda over training, in [0, 1] for form "mixed"; a number keeps it constant. Default: from 0 to 0.3 in a
            straight line over the first epoch.
        form: "mixed" as above; "added" for ``T = I + lambda A`` (IMITATE).
        normalize: whether target rows sum to 1.
    """

    def __init__(
        self,
        text: TargetSource | None = None,
        clinical: TargetSource | None = None,
        graph: TargetSource | None = None,
        more: list[TargetSource] | None = None,
        mix: Schedule | float | None = None,
        form: Form = "mixed",
        normalize: bool = True,
    ) -> None:
        named = {"text": text, "clinical": clinical, "graph": graph}
        found = {name: source for name, source in named.items() if source is not None}
        count = Counter(list(found))
        for source in more or ():
            name = type(source).__name__
            count[name] += 1
            found[name if count[name] == 1 else f"{name}_{count[name]}"] = source
        self.sources = {name: source for name, source in found.items() if source.weight > 0}
        if isinstance(mix, int | float):
            mix = Constant(mix)
        self.mix: Schedule = LinearRamp(0.0, 0.3, epochs=1.0) if mix is None else mix
        check_choice(self, "form", form, ("mixed", "added"))
        self.form: Form = form
        self.normalize = normalize
        # a constant or a start out of range fails here and not in the first step
        _ = self.current_mix

    @property
    def parts(self) -> tuple[Hooked, ...]:
        """The sources."""
        return tuple(self.sources.values())

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]
        """What the sources need."""
        return frozenset().union(*(source.requires for source in self.sources.values()))

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
            affinities = {
                name: (source.weight, source.affinity(embeddings, batch, shard))
                for name, source in self.sources.items()
            }
        return Targets(affinities, mix, self.form, self.normalize, shard)
