"""The contrastive term: logits x targets x criterion + extra candidates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.errors import ConfigError
from clinclip.losses.base import LossTerm, pair_similarities
from clinclip.losses.candidates import CandidateSource
from clinclip.losses.checks import check_choice, check_positive
from clinclip.losses.engine.choice import Engine, check_engine, sigmoid_loss, softmax_loss
from clinclip.losses.engine.columns import ExtraColumns
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.hooks import Hooked
from clinclip.losses.schedule import Schedule
from clinclip.losses.targets.soft import Targets
from clinclip.types import Batch, Embeddings, LossOutput


class Contrastive(LossTerm):
    """Image-text contrastive loss with any soft targets and any extra candidates.

    Softmax criterion: ``w_i2t H(Q, softmax(s V [T; U]^T)) + w_t2i H(Q', softmax(s T V^T))``, H the soft cross-entropy
    as a mean over the rows of the global batch, U the extra candidates. The default weights take the *mean* of the two
    directions, as CLIP; (1, 1) is their sum, as MGCA and IMITATE; (0.75, 0.25) is ConVIRT's. Sigmoid criterion:
    SigLIP's binary question for every pair, summed over columns, mean over rows; direction weights do not apply.

    Inputs:
        - ``embeddings.image``, ``embeddings.text``, ``embeddings.logit_scale``
        - ``embeddings.logit_bias`` for "sigmoid"

    Targets are normalised as :class:`clinclip.losses.SoftTargets` says (softmax) or never (sigmoid: 1 on the pair,
    lambda A elsewhere). Negatives are gathered from all processes unless ``gather`` is false. Softmax and log-sum-exp
    are computed in float32 (float64 inputs stay float64) under any precision setting.

    Logs:
        - ``scale``, ``positive_similarity`` and ``negative_similarity`` (mean cosine of pairs and of other combinations
          of a process's rows, then the mean over processes); what the candidates say (``usable_twins``,
          ``twin_similarity``) and what the targets say (``pair_share``, ``target_entropy``, ``mix``,
          ``threshold_<source>``).

    Example:
        >>> Contrastive(targets="default", candidates=EditedReports())

        NegCLIP with a sharper fixed temperature:

        >>> Contrastive(candidates=EditedReports(columns="all"), temperature=0.05)

    Recommendations:
        1. Negatives come from one batch over all processes: more or larger devices help, accumulation does not.
        2. "sigmoid" needs ``model.init_logit_bias`` (SigLIP starts at -10, because most pairs are no pairs).

    Relations:
        - no targets, no candidates: CLIP / InfoNCE; ``criterion="sigmoid"``: SigLIP.
        - ``candidates: EditedReports(columns="all")``: NegCLIP; "own": the negation-aware loss of clinclip.

    Args:
        weight: factor of this term in the total.
        schedule: multiplies the weight over training.
        targets: name of the entry of ``model.targets``; null means one-hot targets.
        criterion: "softmax" or "sigmoid".
        candidates: one source of extra columns, a list, or a name -> source mapping (null leaves one out).
        i2t_weight: weight of the direction image -> text.
        t2i_weight: weight of the direction text -> image.
        temperature: fixed temperature; null uses the model's learned logit scale.
        gather: take negatives from all processes.
        engine: "dense" holds all logits, "tiled" never does (same value and gradients, flat memory), "auto" takes the
            tiled engine above 2,048 x 2,048 logits a process.
        tile: rows and columns of a tile; null chooses by device.
    """

    citation = (
        "Radford, A. et al. Learning Transferable Visual Models From Natural Language Supervision. ICML 2021 (CLIP)."
    )

    def __init__(
        self,
        weight: float = 1.0,
        schedule: Schedule | None = None,
        targets: str | None = None,
        criterion: Literal["softmax", "sigmoid"] = "softmax",
        candidates: CandidateSource | list[CandidateSource] | dict[str, CandidateSource | None] | None = None,
        i2t_weight: float = 0.5,
        t2i_weight: float = 0.5,
        temperature: float | None = None,
        gather: bool = True,
        engine: Engine = "auto",
        tile: int | None = None,
    ) -> None:
        super().__init__(weight, schedule, targets)
        self.criterion = check_choice(self, "criterion", criterion, ("softmax", "sigmoid"))
        self.candidates = _as_tuple(candidates)
        if i2t_weight < 0 or t2i_weight < 0:
            raise ConfigError(f"Contrastive(i2t_weight={i2t_weight}, t2i_weight={t2i_weight}): both must be >= 0")
        self.weights = (float(i2t_weight), float(t2i_weight))
        self.temperature = None if temperature is None else check_positive(self, "temperature", temperature)
        self.gather = gather
        self.engine: Engine = check_engine(self, engine, tile)
        self.tile = tile

    @property
    def parts(self) -> tuple[Hooked, ...]:
        """The candidate sources."""
        return self.candidates

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]
        """What the criterion and the candidates need."""
        keys = {"embeddings.image", "embeddings.text"}
        if self.criterion == "sigmoid":
            keys.add("embeddings.logit_bias")
        return frozenset(keys).union(*(source.requires for source in self.candidates))

    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The loss of this process's rows."""
        dtype = compute_dtype(embeddings.image)
        with torch.autocast(embeddings.image.device.type, enabled=False):
            x, y = embeddings.image.to(dtype), embeddings.text.to(dtype)
            shard = self._shard(len(x), x.device, targets)
            extra = ExtraColumns()
            for source in self.candidates:
                extra = extra + source.columns(embeddings, batch, shard)
            mixture = None if targets is None else targets.mixture(local=not self.gather)
            scale = self._scale(embeddings).to(dtype)
            bias = embeddings.logit_bias
            if self.criterion == "sigmoid":
                assert bias is not None  # checked through `requires`
                value = sigmoid_loss(self.engine, x, y, scale, bias.to(dtype), mixture, extra, shard, self.tile)
            else:
                value = softmax_loss(self.engine, x, y, scale, mixture, extra, self.weights, shard, self.tile)
            # diagnostics are products too: in half precision they would be off in the third digit
            return LossOutput(value, self._logs(x, y, scale, extra, targets))

    def _shard(self, rows: int, device: torch.device, targets: Targets | None) -> Shard:
        if not self.gather:
            return Shard.local(rows)
        return targets.shard if targets is not None else Shard.of(rows, device)

    def _scale(self, embeddings: Embeddings) -> Tensor:
        if self.temperature is None:
            return embeddings.logit_scale
        return torch.full_like(embeddings.logit_scale, 1 / self.temperature)

    @torch.no_grad()
    def _logs(
        self, x: Tensor, y: Tensor, scale: Tensor, extra: ExtraColumns, targets: Targets | None
    ) -> dict[str, Tensor | float]:
        logs: dict[str, Tensor | float] = {"scale": scale.detach(), **pair_similarities(x, y), **extra.logs}
        if targets is not None:
            logs.update(targets.logs())
        return logs


def _as_tuple(
    candidates: CandidateSource | Iterable[CandidateSource] | dict[str, CandidateSource | None] | None,
) -> tuple[CandidateSource, ...]:
    if candidates is None:
        return ()
    if isinstance(candidates, CandidateSource):
        return (candidates,)
    found = candidates.values() if isinstance(candidates, dict) else candidates
    return tuple(source for source in found if source is not None)
