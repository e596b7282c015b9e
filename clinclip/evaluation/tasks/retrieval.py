"""Report retrieval: both directions under two duplicate policies, subgroups, clinical agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.draws import text_hash
from clinclip.errors import ConfigError, DataError
from clinclip.evaluation import figures as draw
from clinclip.evaluation import items as items_of
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.result import Drawing, Example, Headline
from clinclip.evaluation.tables import Measured, RowSpec, Table, TableSpec
from clinclip.evaluation.tasks.base import Embedder, Task
from clinclip.findings import FINDINGS, PRESENT
from clinclip.metrics import clinical
from clinclip.metrics.clinical import Facts, label_statistic, overlap_f1
from clinclip.metrics.intervals import weighted_means, weighted_median
from clinclip.metrics.retrieval import Ranks, retrieval_ranks
from clinclip.metrics.subgroups import Group

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest

#: how duplicate reports are treated -> what the row says
POLICIES = {"raw": "raw", "duplicates": "duplicates are positives"}


@dataclass(frozen=True, kw_only=True)
class RetrievalProtocol(Protocol):
    """Further decides ``gallery_texts``, "study" (one report a study) or "image", and ``ks``, the recall cut-offs."""

    gallery_texts: str = "study"
    ks: tuple[int, ...] = (1, 5, 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.one_of("gallery_texts", ("study", "image"))
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"protocol {self.name}: ks must not be empty, and at least 1")


@dataclass(frozen=True)
class RetrievalScores:
    """Embeddings (N, D) and (M, D) of images and gallery, ranks by duplicate policy, best-scoring report (N,)."""

    image: np.ndarray
    text: np.ndarray
    ranks: dict[str, Ranks]
    best: np.ndarray


class Retrieval(Task[RetrievalScores]):
    """Reports for images and images for reports, within the whole split."""

    name = "retrieval"
    title = "Report retrieval"
    about = "Retrieve reports for images and images for reports: recall at k, ranks, clinical agreement."
    default = "retrieval-v1"
    protocol_class = RetrievalProtocol
    ablation = ("retrieval", "clinical")
    demo = ("i2t_r10", "t2i_r10")

    def __init__(self, manifest: Manifest, protocol: RetrievalProtocol) -> None:
        super().__init__(manifest, protocol)
        there = (self.items.frame["text"] != "").to_numpy()
        if not there.any():
            raise DataError(f"{manifest.path}: no image of the {protocol.split} split has a report to retrieve")
        self.items = self.items.take(there)
        if not there.all():
            self.notes.append(f"{int((~there).sum())} images without a report are left out.")
        self.reports = self.items.frame["text"].tolist()
        self.text_hash = np.array([text_hash(t) for t in self.reports], dtype=np.int64)
        keys = np.stack([self.items.study, self.text_hash], axis=1)
        if protocol.gallery_texts == "image":
            self.gallery = self.own = np.arange(len(self.reports))
        else:
            # one report a study, in the order of the manifest
            first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:]
            order = np.argsort(first)
            self.gallery = first[order]
            place = np.empty(len(order), dtype=np.int64)
            place[order] = np.arange(len(order))
            self.own = place[inverse.reshape(-1)]
        self.facts = items_of.data_facts(
            self.items, reports=len(self.gallery), distinct_reports=len(np.unique(self.text_hash[self.gallery]))
        )

    @property
    def patients(self) -> np.ndarray:
        """Of the images, then of the gallery's reports."""
        return np.concatenate([self.items.patient, self.items.patient[self.gallery]])

    def score(self, embed: Embedder) -> RetrievalScores:
        image = embed.images(self.items)
        text = embed.texts([self.reports[i] for i in self.gallery])
        study, hashes = self.items.study, self.text_hash
        ranks = {
            "raw": retrieval_ranks(image, text, study, study[self.gallery]),
            "duplicates": retrieval_ranks(image, text, study, study[self.gallery], hashes, hashes[self.gallery]),
        }
        return RetrievalScores(image, text, ranks, clinical.top1(image, text))

    def tables(self, scores: RetrievalScores) -> list[TableSpec]:
        # another report, whatever it says: the chance level
        chance = clinical.random_partner(len(self.gallery), self.protocol.seed)[self.own]
        specs = [
            retrieval_table(scores.ranks, self.protocol.ks),
            clinical_table(
                items_of.label_codes(self.items, "read")[self.gallery],
                self.own,
                {"retrieved report": scores.best, "random report": chance},
                self._facts_of_reports(),
            ),
        ]
        subgroups = self.items.groups()
        if subgroups:
            specs.append(retrieval_subgroups(scores.ranks["duplicates"], subgroups, self.protocol.ks))
        return specs

    def headlines(self, measured: Measured) -> list[Headline]:
        found = []
        for way, label in (("i2t", "image to report"), ("t2i", "report to image")):
            rows = (f"{label}, {POLICIES['duplicates']}",)
            found += [Headline(f"{way}_r{k}", f"{label} R@{k}", "retrieval", rows, f"R@{k}") for k in self.protocol.ks]
            found.append(Headline(f"{way}_median_rank", f"median rank, {label}", "retrieval", rows, "median rank"))
        return found

    def compared(self, measured: Measured) -> list[Headline]:
        ranks = {h.name: h for h in self.headlines(measured)}
        rows, table = ("retrieved report",), measured.table("clinical")
        best = "the best-scoring report of the gallery against the image's own"
        found = [ranks[name] for name in ("i2t_r1", "i2t_r10", "t2i_r10") if name in ranks]
        for name, title, column in (
            ("label_f1", "label F1", "label F1 micro"),
            ("entity_f1", "entity F1", "entity F1"),
        ):
            if column in table.columns:
                found.append(Headline(name, title, "clinical", rows, column, best))
        return found

    def figures(self, scores: RetrievalScores) -> dict[str, Any]:
        return retrieval_figures(scores.ranks)

    @classmethod
    def draw(
        cls, tables: Mapping[str, Sequence[Table]], figures: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[Drawing]:
        return [
            Drawing(
                "Recall at every k",
                "Up to the whole gallery. The gap between the lines is what identical reports of other studies cost.",
                draw.recall([f["recall"] for f in figures], names),
            )
        ]

    def _facts_of_reports(self) -> list[Facts] | None:
        """Entities and relations of the gallery, or None where the manifest has no graph."""
        from clinclip.graph.batch import graph_from_column

        part = self.items.frame.iloc[self.gallery]
        pairs = zip(part["graph"], part["text"], strict=True)
        found = [clinical.facts(graph_from_column(graph, text)) for graph, text in pairs]
        return found if any(entities for entities, _ in found) else None

    def example(self, scores: RetrievalScores, at: int) -> Example:
        cosines = scores.image[at] @ scores.text.T
        own = int(self.own[at])
        place = int((cosines > cosines[own]).sum()) + 1
        lines = [("own report", self.reports[self.gallery[own]], float(cosines[own]), True)]
        shown: set[str] = set()
        for n, j in enumerate(np.argsort(-cosines, kind="stable"), start=1):
            text = self.reports[self.gallery[j]]
            if text not in shown:  # copies of a report tell nothing new
                lines.append((f"retrieved, rank {n}", text, float(cosines[j]), bool(j == own)))
                shown.add(text)
            if len(shown) == 3:
                break
        return Example(self.picture(at), f"Own report at rank {place} of {len(cosines):,}", tuple(lines))


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
