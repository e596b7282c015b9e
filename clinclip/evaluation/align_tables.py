"""The tables of CXR-Align: all items, by finding, margins, and the controls that tell understanding from habit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clinclip.evaluation.tables import RowSpec, TableSpec
from clinclip.findings import FINDINGS
from clinclip.metrics.align import COMPARISONS, half_ties, outcomes
from clinclip.metrics.intervals import weighted_means
from clinclip.metrics.subgroups import Group

#: outcome -> column title
TITLES: dict[str, str] = {
    "report_vs_negation": "report > negation",
    "report_vs_omitted": "report > omitted",
    "omitted_vs_negation": "omitted > negation",
    "three_way_top1": "3-way top-1",
    "full_order": "full order",
}
#: images of other patients against which each item is held
BLIND_IMAGES = 256


@dataclass(frozen=True)
class AlignItems:
    """N items: an image and three texts. NaN scores and lengths stand for a text that an item lacks.

    Attributes:
        scores: "report", "negation", "omitted" -> float64 (N,) cosine of the item's image with that text.
        blind: the same names -> float (N, J) cosines of J images of other patients with that text.
        lengths: the same names -> float64 (N,) characters of that text.
        finding: int64 (N,) index into FINDINGS of the edited finding, -1 where unknown.
    """

    scores: dict[str, np.ndarray]
    blind: dict[str, np.ndarray]
    lengths: dict[str, np.ndarray]
    finding: np.ndarray

    def __len__(self) -> int:
        return len(self.finding)

    @property
    def results(self) -> dict[str, np.ndarray]:
        """Outcome of every comparison on every item."""
        omitted = self.scores["omitted"]
        known = None if np.isnan(omitted).all() else omitted
        return outcomes(self.scores["report"], self.scores["negation"], known)


def other_patients(patients: np.ndarray, count: int = BLIND_IMAGES, seed: int = 0) -> np.ndarray:
    """For every item, up to ``count`` items of other patients: int64 (N, J), the same J for all items.

    Drawn without replacement by a seeded shift along a random order, so that every image serves equally often.
    """
    n = len(patients)
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(n)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    partners = []
    for shift in range(1, n):
        partner = order[(place + shift) % n]
        partners.append(np.where(patients[partner] == patients, -1, partner))
        if len(partners) == count:
            break
    return np.stack(partners, axis=1) if partners else np.zeros((n, 0), dtype=np.int64)


def blind_scores(text: np.ndarray, image: np.ndarray, partners: np.ndarray, chunk: int = 512) -> np.ndarray:
    """Cosines of each item's text with the images of its partners.

    Args:
        text: (N, D) unit-length embeddings; NaN rows give NaN.
        image: (N, D) the items' own images.
        partners: int64 (N, J) from :func:`other_patients`.
        chunk: items at once.

    Returns:
        float32 (N, J), NaN where the partner is -1.
    """
    out = np.empty(partners.shape, dtype=np.float32)
    pictures = np.ascontiguousarray(image, dtype=np.float32)
    for start in range(0, len(text), chunk):
        rows = slice(start, start + chunk)
        scores = np.asarray(text[rows], dtype=np.float32) @ pictures.T
        out[rows] = np.take_along_axis(scores, np.maximum(partners[rows], 0), axis=1)
    return np.where(partners >= 0, out, np.float32(np.nan))


def _matrix(items: AlignItems) -> tuple[list[str], np.ndarray]:
    results = items.results
    return list(results), np.stack(list(results.values()), axis=1)


def overall_table(items: AlignItems) -> TableSpec:
    """Accuracies over all items (micro) and as the mean over findings (macro)."""
    names, values = _matrix(items)
    found = [f for f in range(len(FINDINGS)) if (items.finding == f).any()]

    members = [items.finding == f for f in found]
    # findings that have the outcome at all, (findings, outcomes); the same ones count in every resample
    known = np.array([~np.isnan(values[m]).all(0) for m in members]).reshape(-1, len(names))

    def statistic(weights: np.ndarray) -> np.ndarray:
        micro = weighted_means(values, weights)
        if not members:
            return np.concatenate([micro, np.full_like(micro, np.nan)], axis=1)
        each = np.stack([weighted_means(values[m], weights[:, m]) for m in members], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            macro = np.where(known, each, 0.0).sum(1) / known.sum(0)
        return np.concatenate([micro, macro], axis=1)

    columns = tuple(TITLES[n] for n in names)
    chance = "Chance is 50 %" + (", 33.3 % three ways, 16.7 % for the full order." if len(names) > 1 else ".")
    return TableSpec(
        key="align",
        title="Does the image prefer its own report?",
        about=(
            "Share of items in which the image scores the one text above the other, ties counting half. Full order is "
            f"report > omitted > negation. {chance}"
        ),
        columns=columns,
        rows=(
            RowSpec("all items", {"items": int((~np.isnan(values[:, 0])).sum())}),
            RowSpec(f"mean over {len(found)} findings", {"items": int((items.finding >= 0).sum())}),
        ),
        statistic=statistic,
        percent=columns,
    )


def finding_table(items: AlignItems) -> TableSpec:
    """The same accuracies for every finding that occurs."""
    names, values = _matrix(items)
    found = [f for f in range(len(FINDINGS)) if (items.finding == f).any()]

    def statistic(weights: np.ndarray) -> np.ndarray:
        parts = [weighted_means(values[items.finding == f], weights[:, items.finding == f]) for f in found]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(weights), 0))

    columns = tuple(TITLES[n] for n in names)
    return TableSpec(
        key="findings",
        title="By finding",
        about="The same by the finding that was negated or left out.",
        columns=columns,
        rows=tuple(RowSpec(FINDINGS[f], {"items": int((items.finding == f).sum())}) for f in found),
        statistic=statistic,
        percent=columns,
    )


def margin_table(items: AlignItems) -> TableSpec:
    """Mean difference of cosines, and the number of exact ties."""
    rows, values = [], []
    for high, low in COMPARISONS.values():
        gap = items.scores[high] - items.scores[low]
        if np.isnan(gap).all():
            continue
        values.append(gap)
        counts = {"items": int((~np.isnan(gap)).sum()), "exact ties": int((gap == 0).sum())}
        rows.append(RowSpec(f"{high} minus {low}", counts))

    return TableSpec(
        key="margins",
        title="Margins",
        about=(
            "Mean difference of the cosines. Exact ties mean that the model cannot see the edit, for instance because "
            "it lies beyond the last token that is read."
        ),
        columns=("mean margin",),
        rows=tuple(rows),
        statistic=lambda weights: weighted_means(np.stack(values, axis=1), weights),
        decimals={"mean margin": 5},
    )


def control_table(items: AlignItems) -> TableSpec:
    """What a model scores that ignores the image or only measures length."""
    compared = [
        (name, high, low)
        for name, (high, low) in COMPARISONS.items()
        if not np.isnan(items.scores[high] - items.scores[low]).all()
    ]
    own, blind, specific, longer = [], [], [], []
    for _, high, low in compared:
        gap = items.scores[high] - items.scores[low]
        others = items.blind[high] - items.blind[low]
        own.append(half_ties(gap))
        known = ~np.isnan(others)
        count = np.maximum(known.sum(1), 1)
        none = ~known.any(1)
        blind.append(np.where(none, np.nan, np.where(known, half_ties(others), 0.0).sum(1) / count))
        mean = np.where(none, np.nan, np.where(known, others, 0.0).sum(1) / count)
        specific.append(half_ties(gap - mean))
        longer.append(half_ties(items.lengths[high] - items.lengths[low]))
    stacked = [np.stack(part, axis=1) for part in (own, blind, specific, longer)]

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([weighted_means(part, weights) for part in stacked], axis=1)

    columns = tuple(TITLES[name] for name, _, _ in compared)
    labels = ("own image", "images of other patients", "own image above other patients' mean", "the longer text wins")
    return TableSpec(
        key="controls",
        title="Controls",
        about=(
            "Images of other patients: the same texts scored by images they do not belong to; what lies above 50 % "
            "here is a liking for a kind of text (its length, its wording), not understanding of the image. Own image "
            "above other patients' mean: that liking subtracted. The longer text wins: what counting characters would "
            "score, since the omitted report is shorter."
        ),
        columns=columns,
        rows=tuple(RowSpec(label, {"items": int((~np.isnan(own[0])).sum())}) for label in labels),
        statistic=statistic,
        percent=columns,
    )


def align_subgroups(items: AlignItems, groups: Sequence[Group]) -> TableSpec:
    """The accuracies by subgroup."""
    names, values = _matrix(items)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([weighted_means(values[g.mask], weights[:, g.mask]) for g in groups], axis=1)

    columns = tuple(TITLES[n] for n in names)
    return TableSpec(
        key="subgroups",
        title="Subgroups",
        about="The same accuracies by subgroup of the image.",
        columns=columns,
        rows=tuple(RowSpec(g.label, {"items": int(g.mask.sum()), "patients": g.patients}, g.note) for g in groups),
        statistic=statistic,
        percent=columns,
    )


def align_figures(items: AlignItems, bins: int = 40) -> dict[str, Any]:
    """Histograms of the score gaps: counts on a common grid that is symmetric around 0."""
    gaps = {
        TITLES[name]: items.scores[high] - items.scores[low]
        for name, (high, low) in COMPARISONS.items()
        if not np.isnan(items.scores[high] - items.scores[low]).all()
    }
    widest = max((float(np.nanquantile(np.abs(g), 0.995)) for g in gaps.values()), default=0.0) or 1e-3
    edges = np.linspace(-widest, widest, bins + 1)
    counts = {
        name: np.histogram(np.clip(gap[~np.isnan(gap)], -widest, widest), edges)[0].tolist()
        for name, gap in gaps.items()
    }
    return {"gaps": {"edges": edges.round(6).tolist(), "counts": counts}}
