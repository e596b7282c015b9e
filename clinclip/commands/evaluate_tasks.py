"""The three tasks of ``clinclip evaluate``: embed, score, measure. One class a task, the same steps in each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.commands import evaluate_items as items_of
from clinclip.commands.evaluate_items import Items, Triplets
from clinclip.errors import DataError
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.report import Example
from clinclip.evaluation.tables import Measured, measure
from clinclip.findings import FINDING_INDEX
from clinclip.metrics.intervals import Interval, PatientResamples

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest
    from clinclip.evaluation.tables import TableSpec
    from clinclip.export.checkpoint import LoadedModel
    from clinclip.text.prompts import PromptSet


@dataclass(frozen=True)
class Engine:
    """How embeddings are made (:mod:`clinclip.export.inference`), and which tables are measured (None: all)."""

    batch_size: int
    device: str
    progress: bool
    work: Path | None
    tables: frozenset[str] | None = None

    def wanted(self, specs: list[TableSpec]) -> list[TableSpec]:
        """The tables to be measured: all, or those named by ``tables`` (intervals are what costs)."""
        return [spec for spec in specs if self.tables is None or spec.key in self.tables]

    def images(self, loaded: LoadedModel, items: Items, features: bool = False) -> np.ndarray:
        """Embeddings (N, D), or features before the projection (N, F); refused when not finite."""
        from clinclip.export.inference import embed_images

        how = (self.batch_size, self.device, self.progress, self.work)
        return _finite(embed_images(loaded, items.manifest, items.rows, *how, features=features), "image")

    def texts(self, loaded: LoadedModel, texts: list[str]) -> np.ndarray:
        """Embeddings (n, D), refused when not finite."""
        from clinclip.export.inference import embed_texts

        return _finite(embed_texts(loaded, texts, self.batch_size, self.device, self.progress, self.work), "text")


def _finite(vectors: np.ndarray, what: str) -> np.ndarray:
    bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    if bad:
        raise DataError(f"{bad} of {len(vectors)} {what} embeddings are not finite: the checkpoint has diverged")
    return vectors


@dataclass(frozen=True)
class Outcome:
    """What a task measured for one model."""

    measured: Measured
    figures: dict[str, Any]
    headline: dict[str, Interval]
    examples: tuple[Example, ...] = ()


class Task(ABC):
    """Items that are chosen once and measured for every model.

    Attributes:
        protocol: how.
        items: the images.
        facts: what is said about the data.
        notes: what a reader must know.
        resolved: hashes of what the protocol only names.
    """

    protocol: Protocol
    items: Items
    facts: dict[str, Any]
    notes: list[str]
    resolved: dict[str, str]

    @abstractmethod
    def run(self, loaded: LoadedModel, engine: Engine, examples: int) -> Outcome:
        """Embed and measure; ``examples`` items are prepared for readers who may see patients."""

    def resamples(self, patients: np.ndarray) -> PatientResamples | None:
        """The bootstrap of the protocol, or None without one."""
        p = self.protocol
        return PatientResamples(patients, p.resamples, p.seed) if p.resamples else None

    def picture(self, at: int, side: int = 320) -> bytes:
        """A small PNG of the image of item ``at``."""
        import cv2

        entry = int(self.items.frame["cache_index"].iloc[at])
        image = cv2.resize(self.items.manifest.cache[entry], (side, side), interpolation=cv2.INTER_AREA)
        return cv2.imencode(".png", image)[1].tobytes()

    def some(self, count: int, total: int) -> list[int]:
        """``count`` of ``total`` numbers, seeded."""
        stream = np.random.Generator(np.random.Philox(key=self.protocol.seed))
        return sorted(stream.permutation(total)[:count].tolist())


class ZeroShot(Task):
    """Classification by prompts. Thresholds come from the validation split, where the manifest has one."""

    def __init__(self, manifest: Manifest, protocol: Protocol) -> None:
        from clinclip.metrics.arrays import codes_to_binary
        from clinclip.text.prompts import load_prompts

        self.protocol, self.notes = protocol, []
        self.prompts: PromptSet = load_prompts(protocol.prompts).select(protocol.findings)
        self.findings = self.prompts.findings
        self.resolved = {"prompts": self.prompts.hash}
        self.items = items_of.select(manifest, protocol.split, protocol.views)
        self.source = items_of.label_source(manifest, protocol.label_source)
        columns = [FINDING_INDEX[f] for f in self.findings]

        def truth(items: Items) -> np.ndarray:
            return codes_to_binary(items_of.label_codes(items, self.source), protocol.label_policy)[:, columns]

        self.labels = truth(self.items)
        self.tuning: Items | None = None
        if protocol.split != "validate" and (manifest.frame["split"] == "validate").any():
            self.tuning = items_of.select(manifest, "validate")
            self.tuning_labels = truth(self.tuning)
        else:
            self.notes.append("No validation split to choose thresholds on: F1 and MCC are left out.")
        self.facts = items_of.data_facts(
            self.items,
            labels=f"{self.source}, policy {protocol.label_policy}",
            prompts=f"{self.prompts.name} (hash {self.prompts.hash})",
        )

    def run(self, loaded: LoadedModel, engine: Engine, examples: int) -> Outcome:
        """Tables by finding, at an operating point, calibration and subgroups."""
        from clinclip.evaluation import zero_shot_tables as tables
        from clinclip.metrics.zero_shot import ensemble, zero_shot_margins, zero_shot_scores

        texts, groups = self.prompts.flat()
        pairs = ensemble(engine.texts(loaded, texts), groups, 2 * len(self.findings))
        positive, negative = pairs[0::2], pairs[1::2]
        image = engine.images(loaded, self.items)
        margins = zero_shot_margins(image, positive, negative)
        probability = zero_shot_scores(image, positive, negative, float(loaded.model.logit_scale))
        specs = [tables.ranking_table(margins, self.labels, self.findings)]
        if self.tuning is not None:
            tuning = zero_shot_margins(engine.images(loaded, self.tuning), positive, negative)
            specs.append(tables.operating_table(margins, self.labels, self.findings, tuning, self.tuning_labels))
        specs.append(tables.calibration_table(probability, self.labels, self.findings))
        subgroups = self.items.groups()
        if subgroups:
            specs.append(tables.subgroup_table(margins, self.labels, subgroups))
        measured = measure(engine.wanted(specs), len(image), self.resamples(self.items.patient), self.protocol.level)
        macro = next(r for r in measured.table("ranking").rows if r.label.startswith("macro over"))
        shown = [self._example(i, probability[i]) for i in self.some(examples, len(image))]
        return Outcome(
            measured,
            tables.zero_shot_figures(margins, self.labels, probability, self.findings),
            {"auroc_macro": macro.cells["AUROC"], "auprc_macro": macro.cells["AUPRC"]},
            tuple(shown),
        )

    def _example(self, at: int, probability: np.ndarray) -> Example:
        words = {1.0: "present", 0.0: "absent"}
        best = np.argsort(-probability)[:5]
        lines = tuple(
            (self.findings[f], f"truth: {words.get(self.labels[at, f], 'not labelled')}", float(probability[f]),
             bool(self.labels[at, f] == 1))
            for f in best
        )  # fmt: skip
        return Example(self.picture(at), "Highest probabilities", lines)


class Retrieval(Task):
    """Reports for images and images for reports, within the whole split."""

    def __init__(self, manifest: Manifest, protocol: Protocol) -> None:
        from clinclip.draws import text_hash

        self.protocol, self.notes, self.resolved = protocol, [], {}
        everything = items_of.select(manifest, protocol.split, protocol.views)
        there = (everything.frame["text"] != "").to_numpy()
        if not there.any():
            raise DataError(f"{manifest.path}: no image of the {protocol.split} split has a report to retrieve")
        self.items = everything.take(there)
        if not there.all():
            self.notes.append(f"{int((~there).sum())} images without a report are left out.")
        frame = self.items.frame
        self.text_hash = np.array([text_hash(t) for t in frame["text"]], dtype=np.int64)
        keys = np.stack([self.items.study, self.text_hash], axis=1)
        if protocol.gallery_texts == "image":
            self.gallery = self.own = np.arange(len(frame))
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

    def run(self, loaded: LoadedModel, engine: Engine, examples: int) -> Outcome:
        """Tables of ranks under both duplicate policies, clinical agreement and subgroups."""
        from clinclip.evaluation import retrieval_tables as tables
        from clinclip.metrics import clinical
        from clinclip.metrics.retrieval import retrieval_ranks

        image = engine.images(loaded, self.items)
        reports = self.items.frame["text"].tolist()
        text = engine.texts(loaded, [reports[i] for i in self.gallery])
        study, hashes = self.items.study, self.text_hash
        ranks = {
            "raw": retrieval_ranks(image, text, study, study[self.gallery]),
            "duplicates": retrieval_ranks(image, text, study, study[self.gallery], hashes, hashes[self.gallery]),
        }
        best = clinical.top1(image, text)
        # another report, whatever it says: the chance level
        chance = clinical.random_partner(len(self.gallery), self.protocol.seed)[self.own]
        specs = [
            tables.retrieval_table(ranks, self.protocol.ks),
            tables.clinical_table(
                items_of.label_codes(self.items, "read")[self.gallery],
                self.own,
                {"retrieved report": best, "random report": chance},
                self._facts_of_reports(),
            ),
        ]
        subgroups = self.items.groups()
        if subgroups:
            specs.append(tables.retrieval_subgroups(ranks["duplicates"], subgroups, self.protocol.ks))
        patients = np.concatenate([self.items.patient, self.items.patient[self.gallery]])
        measured = measure(engine.wanted(specs), len(patients), self.resamples(patients), self.protocol.level)
        headline = {}
        for way, label in (("i2t", "image to report"), ("t2i", "report to image")):
            row = next(r for r in measured.table("retrieval").rows if r.label == f"{label}, duplicates are positives")
            headline |= {f"{way}_r{k}": row.cells[f"R@{k}"] for k in self.protocol.ks}
            headline[f"{way}_median_rank"] = row.cells["median rank"]
        shown = [self._example(i, image[i] @ text.T, reports) for i in self.some(examples, len(image))]
        return Outcome(measured, tables.retrieval_figures(ranks), headline, tuple(shown))

    def _facts_of_reports(self) -> list[Any] | None:
        """Entities and relations of the gallery, or None where the manifest has no graph."""
        from clinclip.graph.batch import graph_from_column
        from clinclip.metrics.clinical import facts

        part = self.items.frame.iloc[self.gallery]
        pairs = zip(part["graph"], part["text"], strict=True)
        found = [facts(graph_from_column(graph, text)) for graph, text in pairs]
        return found if any(entities for entities, _ in found) else None

    def _example(self, at: int, scores: np.ndarray, reports: list[str]) -> Example:
        own = int(self.own[at])
        place = int((scores > scores[own]).sum()) + 1
        lines = [("own report", reports[self.gallery[own]], float(scores[own]), True)]
        shown: set[str] = set()
        for n, j in enumerate(np.argsort(-scores, kind="stable"), start=1):
            text = reports[self.gallery[j]]
            if text not in shown:  # copies of a report tell nothing new
                lines.append((f"retrieved, rank {n}", text, float(scores[j]), bool(j == own)))
                shown.add(text)
            if len(shown) == 3:
                break
        return Example(self.picture(at), f"Own report at rank {place} of {len(scores):,}", tuple(lines))


class Align(Task):
    """CXR-Align comparisons, from the manifest's own edits or from a benchmark file."""

    def __init__(self, manifest: Manifest, protocol: Protocol, benchmark: Path | None) -> None:
        self.protocol, self.notes, self.resolved = protocol, [], {}
        everything = items_of.select(manifest, protocol.split, protocol.views)
        found: Triplets
        if benchmark is None:
            found = items_of.triplets_from_manifest(everything)
        else:
            found = items_of.triplets_from_file(benchmark, everything)
        used, index = np.unique(found.index, return_inverse=True)
        self.items = everything.take(used)
        self.triplets = found
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

    def run(self, loaded: LoadedModel, engine: Engine, examples: int) -> Outcome:
        """Tables over all items and by finding, margins, controls and subgroups."""
        from clinclip.evaluation import align_tables as tables
        from clinclip.metrics.align import pair_scores

        image = engine.images(loaded, self.items)[self.index]
        patients = self.items.patient[self.index]
        partners = tables.other_patients(patients, seed=self.protocol.seed)
        texts = {"report": self.triplets.report, "negation": self.triplets.negation, "omitted": self.triplets.omitted}
        vectors = engine.texts(loaded, [t for name in texts for t in texts[name]])
        scores, blind, lengths = {}, {}, {}
        for i, (name, these) in enumerate(texts.items()):
            there = np.array([bool(t) for t in these])
            mine = vectors[i * len(these) : (i + 1) * len(these)].astype(np.float64)
            mine[~there] = np.nan
            scores[name] = pair_scores(image, mine)
            blind[name] = tables.blind_scores(mine, image, partners)
            lengths[name] = np.where(there, [float(len(t)) for t in these], np.nan)
        found = tables.AlignItems(scores, blind, lengths, self.triplets.finding)
        specs = [tables.overall_table(found), tables.finding_table(found), tables.margin_table(found)]
        specs.append(tables.control_table(found))
        subgroups = self.items.groups(self.index)
        if subgroups:
            specs.append(tables.align_subgroups(found, subgroups))
        measured = measure(engine.wanted(specs), len(found), self.resamples(patients), self.protocol.level)
        row = measured.table("align").rows[0]
        titles = {title: name for name, title in tables.TITLES.items()}
        headline = {titles[column]: cell for column, cell in row.cells.items()}
        shown = [self._example(i, {n: float(s[i]) for n, s in scores.items()}) for i in self.some(examples, len(found))]
        return Outcome(measured, tables.align_figures(found), headline, tuple(shown))

    def _example(self, at: int, scores: dict[str, float]) -> Example:
        from clinclip.findings import FINDINGS

        texts = {
            "report": self.triplets.report[at],
            "negation": self.triplets.negation[at],
            "omitted": self.triplets.omitted[at],
        }
        lines = [(name, text, scores[name], name == "report") for name, text in texts.items() if text]
        finding = int(self.triplets.finding[at])
        title = FINDINGS[finding] if finding >= 0 else "finding outside the CheXpert-14"
        return Example(self.picture(int(self.index[at])), title, tuple(sorted(lines, key=lambda line: -line[2])))
