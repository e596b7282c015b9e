"""Zero-shot classification: an image is scored against a positive and a negative prompt of each finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinclip.errors import DataError
from clinclip.metrics.arrays import Array, to_numpy


def ensemble(embeddings: Array, groups: Sequence[int], count: int) -> np.ndarray:
    """Average prompt embeddings of each group in embedding space, and normalise again.

    Args:
        embeddings: (P, D) unit-length prompt embeddings.
        groups: P group numbers in ``range(count)``.
        count: number of groups.

    Returns:
        float64 (count, D), unit length.

    Raises:
        DataError: a group without a prompt, or prompts that cancel out.
    """
    vectors = to_numpy(embeddings).astype(np.float64)
    total = np.zeros((count, vectors.shape[1]))
    np.add.at(total, np.asarray(groups), vectors)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    if not (length > 0).all():
        raise DataError(f"prompt groups {np.flatnonzero(length[:, 0] <= 0).tolist()} have no prompt, or cancel out")
    return total / length


def zero_shot_margins(image: Array, positive: Array, negative: Array) -> np.ndarray:
    """Cosine of the positive prompt minus cosine of the negative prompt.

    The softmax score of :func:`zero_shot_scores` is a rising function of it, so AUROC and average precision are the
    same; but a softmax at scale 100 saturates to equal numbers where the margin still ranks.

    Args:
        image: (N, D) unit-length image embeddings.
        positive: (F, D) unit-length prompt embeddings.
        negative: (F, D).

    Returns:
        float64 (N, F).
    """
    image, positive, negative = (to_numpy(a).astype(np.float64) for a in (image, positive, negative))
    if positive.shape != negative.shape or image.shape[1] != positive.shape[1]:
        raise DataError(
            f"image {image.shape}, positive {positive.shape} and negative {negative.shape} embeddings do not fit: "
            "one positive and one negative prompt a finding, all of one width"
        )
    return image @ positive.T - image @ negative.T


def zero_shot_scores(image: Array, positive: Array, negative: Array, scale: float | Array) -> np.ndarray:
    """Softmax over the positive / negative prompt pair: the model's probability that the finding is present.

    Args:
        image: (N, D) unit-length image embeddings.
        positive: (F, D) unit-length prompt embeddings.
        negative: (F, D).
        scale: the model's logit scale (multiplies cosines).

    Returns:
        float64 (N, F) in [0, 1].
    """
    logits = float(scale) * zero_shot_margins(image, positive, negative)
    # two branches, so that neither exponential overflows
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0 / (1.0 + small), small / (1.0 + small))
