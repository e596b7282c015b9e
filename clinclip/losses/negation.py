"""The report against its twins, as a term of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.losses.base import LossTerm
from clinclip.losses.checks import check_positive
from clinclip.losses.citations import KO_PARK
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.schedule import Schedule
from clinclip.losses.targets.soft import Targets
from clinclip.types import Batch, Embeddings, LossOutput


class NegationHardNegatives(LossTerm):
    """Each image must prefer its report to the twins that ``data.edits`` chose of it: by default its negations.

    ``- mean_i log( exp(s v_i.t_i) / (exp(s v_i.t_i) + sum_k exp(s v_i.u_ik + margin)) )`` over the studies of the
    global batch that have at least one twin; 0 if there are none. One direction (image -> text); targets are
    one-hot; there are no negatives of other studies, so nothing is gathered but a count.

    Inputs:
        - ``embeddings.image``, ``embeddings.text``, ``embeddings.twins``, ``batch.twins.valid``.

    Requirements:
        1. ``data.twins >= 1``.

    Logs:
        - ``usable_twins`` (studies of the global batch) and ``scale``; of this process's rows
          ``positive_similarity``, ``twin_similarity``, ``margin`` (report less best twin, in cosine) and
          ``accuracy`` (share of reports that win; ties count half).

    Example:
        >>> ClinClipModule(model, losses={"contrastive": Contrastive(), "negation": NegationHardNegatives(weight=0.1)})

        or ``--model.losses.negation=NegationHardNegatives --model.losses.negation.weight=0.1``.

    Recommendations:
        1. Only two texts compete, so at the start a twin holds 1/2 of the softmax; as one more column of the
           contrastive term it holds 1/65 at batch size 64 (:class:`clinclip.losses.EditedReports`). The term is
           therefore strong: begin with a small weight (0.1) and watch retrieval.

    Relations:
        - :class:`clinclip.losses.EditedReports` puts the same reports into the denominator of the contrastive loss.

    Args:
        weight: factor of this term in the total.
        schedule: multiplies the weight over training.
        margin: added to the logits of the twins, in logits (scale x cosine).
        temperature: fixed temperature; null uses the model's learned logit scale.
    """

    citation = KO_PARK
    requires = frozenset({"embeddings.image", "embeddings.text", "embeddings.twins", "batch.twins"})

    def __init__(
        self,
        weight: float = 1.0,
        schedule: Schedule | None = None,
        margin: float = 0.0,
        temperature: float | None = None,
    ) -> None:
        super().__init__(weight, schedule, None)
        self.margin = float(margin)
        self.temperature = None if temperature is None else check_positive(self, "temperature", temperature)

    def compute(self, embeddings: Embeddings, batch: Batch, targets: Targets | None) -> LossOutput:
        """The loss of this process's rows."""
        assert embeddings.twins is not None and batch.twins is not None  # checked through `requires`
        dtype, device = compute_dtype(embeddings.image), embeddings.image.device
        valid = batch.twins.valid
        keep = valid.any(1)
        usable = Shard.of(int(keep.sum()), device)
        logs: dict[str, Tensor | float] = {"usable_twins": float(usable.total)}
        if usable.total == 0:
            return LossOutput(embeddings.image.new_zeros(()), logs)
        with torch.autocast(device.type, enabled=False):
            x, y, u = (e.to(dtype)[keep] for e in (embeddings.image, embeddings.text, embeddings.twins))
            scale = embeddings.logit_scale.to(dtype)
            if self.temperature is not None:
                scale = torch.full_like(scale, 1 / self.temperature)
            positive = (x * y).sum(1)
            twins = torch.einsum("nd,nkd->nk", x, u)
            # log(1 + sum exp(gap)): no difference of large numbers
            gap = (scale * (twins - positive[:, None]) + self.margin).masked_fill(~valid[keep], -torch.inf)
            loss = torch.cat([torch.zeros_like(gap[:, :1]), gap], 1).logsumexp(1)
            value = loss.sum() * usable.value_factor
        logs["scale"] = scale.detach()
        if len(x):
            logs.update(_described(positive.detach(), twins.detach(), valid[keep]))
        return LossOutput(value, logs)


def _described(positive: Tensor, twins: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Mean cosines with the report (n,) and with its valid twins (n, K), and how often the report wins."""
    best = twins.masked_fill(~valid, -torch.inf).amax(1)
    won = (positive > best).to(positive) + 0.5 * (positive == best).to(positive)
    return {
        "positive_similarity": positive.mean(),
        "twin_similarity": twins[valid].mean(),
        "accuracy": won.mean(),
        "margin": (positive - best).mean(),
    }
