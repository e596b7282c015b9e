"""CXR-Align: all items, by finding, margins, and the controls that tell understanding from habit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.evaluation import figures as draw
from clinclip.evaluation import items as items_of
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.result import Drawing, Example, Headline
from clinclip.evaluation.tables import Measured, RowSpec, Table, TableSpec
from clinclip.evaluation.tasks.base import Embedder, Task
from clinclip.evaluation.triplets import triplets_from_file, triplets_from_manifest
from clinclip.findings import FINDINGS
from clinclip.metrics.align import COMPARISONS, half_ties, outcomes, pair_scores
from clinclip.metrics.intervals import weighted_means
from clinclip.metrics.subgroups import Group

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest

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


class Align(Task[AlignItems]):
    """CXR-Align comparisons, from the manifest's own edits or from a benchmark file."""

    name = "align"
    title = "CXR-Align: negation and completeness"
    about = "CXR-Align: does an image prefer its report to the negated and to the incomplete one?"
    default = "align-v1"
    options = {  # noqa: RUF012
        "--benchmark": {"type": Path, "metavar": "FILE", "help": "cxr-align.json, or a file of clinclip align build"},
    }
    ablation = ("align",)
    demo = ("report_vs_negation", "report_vs_omitted")

    def __init__(self, manifest: Manifest, protocol: Protocol, benchmark: Path | None = None) -> None:
        super().__init__(manifest, protocol)
        found = triplets_from_manifest(self.items) if benchmark is None else triplets_from_file(benchmark, self.items)
        used, index = np.unique(found.index, return_inverse=True)
        self.items = self.items.take(used)
        self.triplets = found
        #: position of each triplet's image among the items
        self.index = index.reshape(-1)
        if "benchmark_hash" in found.facts:
            self.resolved = {"benchmark": found.facts["benchmark_hash"]}
        without = sum(not text for text in found.omitted)
        if without:
            self.notes.append(f"{without} of {len(found)} items have no report with the finding left out.")
        unknown = int((found.finding < 0).sum())
        if unknown:
            self.notes.append(
                f"{unknown} items name a finding outside the CheXpert-14: in the totals, in no finding's row."
            )
        self.facts = items_of.data_facts(self.items, **found.facts)
        self.texts = {"report": found.report, "negation": found.negation, "omitted": found.omitted}

    @property
    def patients(self) -> np.ndarray:
        """One a triplet."""
        return self.items.patient[self.index]

    @property
    def examples_from(self) -> int:
        return len(self.triplets)

    def score(self, embed: Embedder) -> AlignItems:
        image = embed.images(self.items)[self.index]
        partners = other_patients(self.patients, seed=self.protocol.seed)
        vectors = embed.texts([t for these in self.texts.values() for t in these])
        scores, blind, lengths = {}, {}, {}
        for i, (name, these) in enumerate(self.texts.items()):
            there = np.array([bool(t) for t in these])
            mine = vectors[i * len(these) : (i + 1) * len(these)].astype(np.float64)
            mine[~there] = np.nan
            scores[name] = pair_scores(image, mine)
            blind[name] = blind_scores(mine, image, partners)
            lengths[name] = np.where(there, [float(len(t)) for t in these], np.nan)
        return AlignItems(scores, blind, lengths, self.triplets.finding)

    def tables(self, scores: AlignItems) -> list[TableSpec]:
        specs = [overall_table(scores), finding_table(scores), margin_table(scores), control_table(scores)]
        subgroups = self.items.groups(self.index)
        return [*specs, align_subgroups(scores, subgroups)] if subgroups else specs

    def headlines(self, measured: Measured) -> list[Headline]:
        names = {title: name for name, title in TITLES.items()}
        return [Headline(names[c], c, "align", ("all items",), c) for c in measured.table("align").columns]

    def compared(self, measured: Measured) -> list[Headline]:
        return [h for h in self.headlines(measured) if h.name in ("report_vs_negation", "report_vs_omitted")]

    def figures(self, scores: AlignItems) -> dict[str, Any]:
        return align_figures(scores)

    @classmethod
    def draw(
        cls, tables: Mapping[str, Sequence[Table]], figures: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[Drawing]:
        column = tables["align"][0].columns[0]
        return [
            Drawing(
                "Score gaps",
                "Right of zero the model is right. A narrow peak at zero means that it hardly tells the texts apart.",
                draw.gaps([f["gaps"] for f in figures], names),
            ),
            Drawing(
                f"{column}, by finding",
                "Dots with intervals; dashed: chance.",
                draw.forest(tables["findings"], column, names, 0.5),
            ),
        ]

    def example(self, scores: AlignItems, at: int) -> Example:
        lines = [
            (name, these[at], float(scores.scores[name][at]), name == "report")
            for name, these in self.texts.items()
            if these[at]
        ]
        finding = int(self.triplets.finding[at])
        title = FINDINGS[finding] if finding >= 0 else "finding outside the CheXpert-14"
        return Example(self.picture(int(self.index[at])), title, tuple(sorted(lines, key=lambda line: -line[2])))


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
