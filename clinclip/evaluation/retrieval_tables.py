"""The tables of report retrieval: both directions under two duplicate policies, subgroups, clinical agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinclip.evaluation.tables import RowSpec, TableSpec
from clinclip.findings import FINDINGS, PRESENT
from clinclip.metrics.clinical import Facts, label_statistic, overlap_f1
from clinclip.metrics.intervals import weighted_means, weighted_median
from clinclip.metrics.retrieval import Ranks
from clinclip.metrics.subgroups import Group

#: how duplicate reports are treated -> what the row says
POLICIES = {"raw": "raw", "duplicates": "duplicates are positives"}


def rank_values(ranks: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Hits at each k and the reciprocal rank of every query, (N, len(ks) + 1); NaN without a positive."""
    hits = [np.where(np.isnan(ranks), np.nan, (ranks <= k).astype(np.float64)) for k in ks]
    return np.stack([*hits, 1.0 / ranks], axis=1)


def _weigh(ranks: np.ndarray, ks: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """R@k ..., median rank, MRR under weights (R, N): (R, len(ks) + 2)."""
    means = weighted_means(rank_values(ranks, ks), weights)
    median = weighted_median(ranks, weights)
    return np.concatenate([means[:, :-1], median[:, None], means[:, -1:]], axis=1)


def _columns(ks: Sequence[int]) -> tuple[str, ...]:
    return (*(f"R@{k}" for k in ks), "median rank", "MRR")


def retrieval_table(ranks: dict[str, Ranks], ks: Sequence[int] = (1, 5, 10)) -> TableSpec:
    """Both directions under every duplicate policy.

    Args:
        ranks: policy (a key of :data:`POLICIES`) -> ranks of N images and M texts.
        ks: cut-offs.

    Returns:
        A table whose weight vectors have N + M entries: images first, then texts.
    """
    rows, parts = [], []
    for policy, result in ranks.items():
        n = len(result.image_to_text)
        directions = (
            ("image to report", result.image_to_text, slice(0, n), len(result.text_to_image)),
            ("report to image", result.text_to_image, slice(n, None), n),
        )
        for name, values, where, gallery in directions:
            counts = {"queries": int((~np.isnan(values)).sum()), "gallery": gallery}
            rows.append(RowSpec(f"{name}, {POLICIES[policy]}", counts))
            parts.append((values, where))

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([_weigh(values, ks, weights[:, where]) for values, where in parts], axis=1)

    columns = _columns(ks)
    return TableSpec(
        key="retrieval",
        title="Report retrieval",
        about=(
            "Rank of the best positive: 1 + others scoring higher + half of those scoring equal. All images of a study "
            "are positives of its report. Raw: identical reports of other studies compete. Duplicates are positives: "
            "they count as hits."
        ),
        columns=columns,
        rows=tuple(rows),
        statistic=statistic,
        percent=tuple(c for c in columns if c.startswith("R@")),
        decimals={"median rank": 1},
    )


def retrieval_subgroups(ranks: Ranks, groups: Sequence[Group], ks: Sequence[int] = (1, 5, 10)) -> TableSpec:
    """Image to report by subgroup of the image; the gallery stays whole. Weight vectors as :func:`retrieval_table`."""
    values, n = ranks.image_to_text, len(ranks.image_to_text)

    def statistic(weights: np.ndarray) -> np.ndarray:
        parts = [_weigh(np.where(g.mask, values, np.nan), ks, weights[:, :n]) for g in groups]
        return np.concatenate(parts, axis=1)

    columns = _columns(ks)
    return TableSpec(
        key="subgroups",
        title="Subgroups",
        about="Image to report, duplicates are positives, by subgroup of the query image; the gallery is always whole.",
        columns=columns,
        rows=tuple(RowSpec(g.label, {"images": int(g.mask.sum()), "patients": g.patients}, g.note) for g in groups),
        statistic=statistic,
        percent=tuple(c for c in columns if c.startswith("R@")),
        decimals={"median rank": 1},
    )


def retrieval_figures(ranks: dict[str, Ranks], points: int = 60) -> dict[str, Any]:
    """Recall at every k up to the gallery (thinned to ``points`` values of k), per policy and direction."""
    curves = {}
    for policy, result in ranks.items():
        for name, values, gallery in (
            ("image to report", result.image_to_text, len(result.text_to_image)),
            ("report to image", result.text_to_image, len(result.image_to_text)),
        ):
            known = np.sort(values[~np.isnan(values)])
            if not len(known):
                continue
            ks = np.unique(np.geomspace(1, max(gallery, 1), points).round().astype(int))
            recall = np.searchsorted(known, ks, "right") / len(known)
            curves[f"{name}, {POLICIES[policy]}"] = {"k": ks.tolist(), "recall": recall.round(4).tolist()}
    return {"recall": curves}


def clinical_table(
    labels: np.ndarray,
    true: np.ndarray,
    retrieved: dict[str, np.ndarray],
    graphs: Sequence[Facts] | None = None,
) -> TableSpec:
    """Agreement of retrieved and true reports.

    Args:
        labels: int8 (M, 14) label codes of every report.
        true: int64 (N,) number of each image's own report.
        retrieved: row label -> int64 (N,) number of the report retrieved for each image.
        graphs: the facts of every report (M of them), or None.

    Returns:
        A table with a row for each entry of ``retrieved``; weight vectors begin with the N images.
    """
    present = labels == PRESENT
    n = len(true)
    columns = ["label F1 micro", "label F1 macro"]
    if graphs is not None:
        columns += ["entity F1", "relation F1"]
    parts = []
    for found in retrieved.values():
        agreement = label_statistic(present[found], present[true])
        overlap = None
        if graphs is not None:
            pairs = [(graphs[a], graphs[b]) for a, b in zip(found.tolist(), true.tolist(), strict=True)]
            overlap = np.array([[overlap_f1(a[k], b[k]) for k in (0, 1)] for a, b in pairs]).reshape(-1, 2)
        parts.append((agreement, overlap))

    def statistic(weights: np.ndarray) -> np.ndarray:
        values = []
        for agreement, overlap in parts:
            values.append(agreement(weights[:, :n]))
            if overlap is not None:
                values.append(weighted_means(overlap, weights[:, :n]))
        return np.concatenate(values, axis=1)

    return TableSpec(
        key="clinical",
        title="Clinical agreement of the retrieved report",
        about=(
            "The best-scoring report of the gallery against the image's own: F1 of the "
            f"{len(FINDINGS)} findings "
            "read as present (micro over all, macro over findings that occur), and mean F1 of graph entities and "
            "relations by report. The random row is another patient's report: what the gallery's monotony alone gives."
        ),
        columns=tuple(columns),
        rows=tuple(RowSpec(name, {"images": n}) for name in retrieved),
        statistic=statistic,
    )
