"""Metrics of a split during training: collected by batch, each image counted once, equal on every process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clinclip.distributed import gather_objects
from clinclip.findings import FINDING_INDEX
from clinclip.metrics.align import align_accuracy
from clinclip.metrics.arrays import codes_to_binary
from clinclip.metrics.auroc import auroc
from clinclip.metrics.retrieval import retrieval_metrics
from clinclip.metrics.zero_shot import ensemble, zero_shot_margins
from clinclip.models.dual_encoder import DualEncoder
from clinclip.text.prompts import PromptSet
from clinclip.types import Batch, TwinBatch

#: the CXR-Align numbers that are worth a curve
ALIGN = (
    "report_vs_negation",
    "report_vs_omitted",
    "omitted_vs_negation",
    "three_way_top1",
    "full_order",
    "margin_report_negation",
    "items",
)


class SplitMetrics:
    """Collects embeddings of a split and turns them into retrieval, zero-shot and CXR-Align numbers.

    Distributed samplers repeat images to make batches even; every image is counted once, by its sample id.

    Args:
        prompts: zero-shot prompts.
        policy: a key of :data:`clinclip.findings.EVALUATION_POLICIES`, for the zero-shot truth.
    """

    def __init__(self, prompts: PromptSet, policy: str = "mentioned") -> None:
        self.prompts, self.policy = prompts, policy
        codes_to_binary(np.zeros(1), policy)  # a wrong policy fails before training, not after an epoch
        self._rows: list[dict[str, np.ndarray]] = []

    @torch.no_grad()
    def update(self, model: DualEncoder, batch: Batch) -> None:
        """Embed a batch and keep what the metrics need, on the CPU."""
        image, text = model.encode_image(batch.image), model.encode_text(batch.text)
        row: dict[str, Tensor] = {
            "image": image,
            "text": text,
            "sample": batch.sample,
            "study": batch.study,
            "text_hash": batch.text_hash,
            "labels": batch.labels,
        }
        for name, edited in (("negated", batch.twins), ("omitted", batch.omitted)):
            if edited is not None:
                row |= _edited(name, model, edited)
        self._rows.append({k: v.detach().to("cpu").numpy() for k, v in row.items()})

    def compute(self, encode: Callable[[list[str]], Tensor] | None) -> dict[str, float]:
        """The metrics of everything collected on all processes; the collection is emptied.

        Args:
            encode: turns prompt texts into unit vectors (P, D); None leaves zero-shot out.

        Returns:
            ``retrieval/...``, ``zero_shot/auroc_macro``, ``align/...``; a metric without items is absent.
        """
        rows = [row for part in gather_objects(self._rows) for row in part]
        self._rows = []
        if not rows:
            return {}
        columns = set.intersection(*(set(r) for r in rows))
        data = {k: _concatenate([r[k] for r in rows]) for k in sorted(columns)}
        once = np.unique(data["sample"], return_index=True)[1]
        data = {k: v[once] for k, v in data.items()}
        result = {
            f"retrieval/{k}": v
            for k, v in retrieval_metrics(data["image"], data["text"], data["study"], data["text_hash"]).items()
        }
        if encode is not None:
            result |= self._zero_shot(data, encode)
        if "negated" in data:
            result |= _align(data)
        return {k: v for k, v in result.items() if not np.isnan(v) or k.startswith("retrieval/")}

    def _zero_shot(self, data: dict[str, np.ndarray], encode: Callable[[list[str]], Tensor]) -> dict[str, float]:
        texts, groups = self.prompts.flat()
        vectors = encode(texts)
        if not (np.isfinite(data["image"]).all() and bool(torch.isfinite(vectors).all())):
            return {}
        pairs = ensemble(vectors, groups, 2 * len(self.prompts.findings))
        margins = zero_shot_margins(data["image"], pairs[0::2], pairs[1::2])
        columns = [FINDING_INDEX[f] for f in self.prompts.findings]
        scores = auroc(margins, codes_to_binary(data["labels"], self.policy)[:, columns])
        return {"zero_shot/auroc_macro": scores.macro, "zero_shot/findings": float(scores.defined)}


def _edited(name: str, model: DualEncoder, edited: TwinBatch) -> dict[str, Tensor]:
    return {
        name: model.encode_edited(edited),
        f"{name}_valid": edited.valid,
    }


def _align(data: dict[str, np.ndarray]) -> dict[str, float]:
    """CXR-Align accuracies, without the numbers per finding (too many curves)."""
    arguments: dict[str, Any] = {"negation": data["negated"], "valid": data["negated_valid"]}
    if "omitted" in data and data["omitted"].shape[1] in (1, data["negated"].shape[1]):
        omitted, valid = data["omitted"], data["omitted_valid"]
        if omitted.shape[1] == 1:
            omitted, valid = omitted[:, 0], valid[:, 0]
        arguments |= {"omitted": omitted, "omitted_valid": valid}
    if not data["negated_valid"].any():
        return {}
    numbers = align_accuracy(data["image"], data["text"], **arguments)
    return {f"align/{k}": v for k, v in numbers.items() if k in ALIGN}


def _concatenate(parts: list[np.ndarray]) -> np.ndarray:
    """Join batches whose number of edited reports K may differ: missing ones are zero, hence not valid."""
    if parts[0].ndim < 2 or len({p.shape[1] for p in parts}) == 1:
        return np.concatenate(parts)
    width = max(p.shape[1] for p in parts)
    padded = [np.pad(p, [(0, 0), (0, width - p.shape[1]), *[(0, 0)] * (p.ndim - 2)]) for p in parts]
    return np.concatenate(padded)
