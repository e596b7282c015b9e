"""Zero-shot classification: by finding, at an operating point, calibration, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.data.labels import label_source
from clinclip.evaluation import figures as draw
from clinclip.evaluation import items as items_of
from clinclip.evaluation.items import LabelProtocol
from clinclip.evaluation.result import Drawing, Example, Headline
from clinclip.evaluation.tables import Measured, RowSpec, Table, TableSpec
from clinclip.evaluation.tasks.base import Embedder, Task, row
from clinclip.findings import CHEXPERT_FIVE
from clinclip.metrics.auroc import SortedScores, sorted_columns
from clinclip.metrics.calibration import expected_calibration_error, reliability
from clinclip.metrics.intervals import Statistic
from clinclip.metrics.subgroups import Group
from clinclip.metrics.thresholds import best_threshold, confusion, f1, mcc
from clinclip.metrics.zero_shot import ensemble, zero_shot_margins, zero_shot_scores
from clinclip.text.prompts import load_prompts

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest

#: a finding is rare when fewer training images than this share have it
RARE = 0.05
#: a finding with fewer positives among the test items is left out of the rare and the common mean
POSITIVES = 5


@dataclass(frozen=True, kw_only=True)
class ZeroShotProtocol(LabelProtocol):
    """Further decides ``prompts``: name or file of the prompt set."""

    prompts: str = "report-v1"


@dataclass(frozen=True)
class ZeroShotScores:
    """Scores (N, K) of the items: positive minus negative prompt, and as a probability; margins of the tuning items."""

    margins: np.ndarray
    probability: np.ndarray
    tuning: np.ndarray | None


class ZeroShot(Task[ZeroShotScores]):
    """Classification by prompts. Thresholds come from the validation split, where the manifest has one."""

    name = "zero-shot"
    title = "Zero-shot classification"
    about = "Classify findings by positive and negative prompts: AUROC, AUPRC, F1, MCC, calibration, subgroups."
    default = "zero-shot-chexpert14-v1"
    protocol_class = ZeroShotProtocol
    options = {  # noqa: RUF012
        **LabelProtocol.OPTIONS,
        "--prompts": {"metavar": "NAME|FILE", "help": "report-v1, plain-v1, or a JSON file of your own"},
    }
    ablation = ("ranking",)
    demo = ("auroc_macro",)

    def __init__(self, manifest: Manifest, protocol: ZeroShotProtocol) -> None:
        super().__init__(manifest, protocol)
        self.prompts = load_prompts(protocol.prompts).select(protocol.findings)
        self.findings = self.prompts.findings
        self.resolved = {"prompts": self.prompts.hash}
        self.source = label_source([manifest], protocol.label_source, "--labels ")
        self.labels = items_of.truth(self.items, protocol, self.source, self.findings)
        self.tuning: items_of.Items | None = None
        if protocol.split != "validate" and (manifest.frame["split"] == "validate").any():
            self.tuning = items_of.select(manifest, "validate")
            self.tuning_labels = items_of.truth(self.tuning, protocol, self.source, self.findings)
        else:
            self.notes.append("No validation split to choose thresholds on: F1 and MCC are left out.")
        self.facts = items_of.data_facts(
            self.items,
            labels=f"{self.source}, policy {protocol.label_policy}",
            prompts=f"{self.prompts.name} (hash {self.prompts.hash})",
        )

    def score(self, embed: Embedder) -> ZeroShotScores:
        texts, groups = self.prompts.flat()
        pairs = ensemble(embed.texts(texts), groups, 2 * len(self.findings))
        positive, negative = pairs[0::2], pairs[1::2]
        image = embed.images(self.items)
        tuning = None if self.tuning is None else zero_shot_margins(embed.images(self.tuning), positive, negative)
        return ZeroShotScores(
            zero_shot_margins(image, positive, negative),
            zero_shot_scores(image, positive, negative, embed.logit_scale),
            tuning,
        )

    def tables(self, scores: ZeroShotScores) -> list[TableSpec]:
        specs = [ranking_table(scores.margins, self.labels, self.findings)]
        if scores.tuning is not None:
            specs.append(operating_table(scores.margins, self.labels, self.findings, scores.tuning, self.tuning_labels))
        specs.append(calibration_table(scores.probability, self.labels, self.findings))
        subgroups = self.items.groups()
        if subgroups:
            specs.append(subgroup_table(scores.margins, self.labels, subgroups))
        return specs

    def headlines(self, measured: Measured) -> list[Headline]:
        macro = (row(measured, "ranking", "macro over"),)
        return [
            Headline("auroc_macro", "macro AUROC", "ranking", macro, "AUROC"),
            Headline("auprc_macro", "macro AUPRC", "ranking", macro, "AUPRC"),
        ]

    def compared(self, measured: Measured) -> list[Headline]:
        """Mean AUROC of the common and of the rare findings, by their share of the training split."""
        share = prevalence(self.manifest, self.source)
        positives = {r.label: r.counts["positives"] for r in measured.table("ranking").rows if r.counts}
        known = [f for f, count in positives.items() if count >= POSITIVES]
        common, rare = (tuple(f for f in known if (share[f] < RARE) == few) for few in (False, True))
        wanted = (("common", "at least", common), ("rare", "below", rare))
        about = "findings ({} {:.0%} of the training images, {} positives or more among those tested): {}"
        return [
            Headline(
                f"auroc_{name}", f"AUROC {name}", "ranking", rows, "AUROC",
                about.format(how, RARE, POSITIVES, ", ".join(rows)),
            )
            for name, how, rows in wanted
            if rows
        ]  # fmt: skip

    def figures(self, scores: ZeroShotScores) -> dict[str, Any]:
        return zero_shot_figures(scores.margins, self.labels, scores.probability, self.findings)

    @classmethod
    def draw(
        cls, tables: Mapping[str, Sequence[Table]], figures: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[Drawing]:
        return [
            Drawing(
                "AUROC by finding",
                "Dots with intervals; dashed: chance.",
                draw.forest(tables["ranking"], "AUROC", names, 0.5),
            ),
            Drawing("ROC curves", "One panel a defined finding.", draw.roc([f["roc"] for f in figures], names)),
            Drawing(
                "Reliability",
                "All findings together: how often a finding is there against the probability that the model gives it. "
                "Larger dots hold more predictions; a calibrated model lies on the dashed line.",
                draw.reliability([f["reliability"] for f in figures], names),
            ),
        ]

    def example(self, scores: ZeroShotScores, at: int) -> Example:
        words = {1.0: "present", 0.0: "absent"}
        probability = scores.probability[at]
        best = np.argsort(-probability)[:5]
        lines = tuple(
            (self.findings[f], f"truth: {words.get(self.labels[at, f], 'not labelled')}", float(probability[f]),
             bool(self.labels[at, f] == 1))
            for f in best
        )  # fmt: skip
        return Example(self.picture(at), "Highest probabilities", lines)


def prevalence(manifest: Manifest, source: str) -> dict[str, float]:
    """Finding -> share of the training images that have it; nothing where there is no training split."""
    from clinclip.findings import FINDINGS, PRESENT

    part = items_of.select(manifest, "train")
    shares = (items_of.label_codes(part, source) == PRESENT).mean(0)
    return dict(zip(FINDINGS, shares.tolist(), strict=True))


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis: NaN where any is, so that a macro mean has the same findings in every resample."""
    return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


def _ranking(columns: Sequence[SortedScores], macros: Sequence[np.ndarray]) -> Statistic:
    """AUROC and AUPRC of every finding, then of every macro mean (index arrays): (R, rows * 2)."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        area = np.stack([c.auroc(weights) for c in columns], axis=1)
        precision = np.stack([c.average_precision(weights) for c in columns], axis=1)
        both = np.stack([area, precision], axis=2)
        means = [_mean(both[:, m].transpose(0, 2, 1))[:, None] for m in macros]
        return np.concatenate([both, *means], axis=1).reshape(len(weights), -1)

    return statistic


def _counts(column: SortedScores) -> dict[str, int]:
    return {"positives": column.positives, "negatives": column.negatives}


def ranking_table(margins: np.ndarray, labels: np.ndarray, findings: Sequence[str]) -> TableSpec:
    """AUROC and average precision of every finding and their macro means over the defined findings."""
    columns = sorted_columns(margins, labels)
    defined = np.array([bool(c.positives and c.negatives) for c in columns])
    rows = [
        RowSpec(f, _counts(c), "" if d else "undefined") for f, c, d in zip(findings, columns, defined, strict=True)
    ]
    macros = [np.flatnonzero(defined)]
    rows.append(RowSpec(f"macro over {int(defined.sum())} of {len(findings)} findings"))
    five = np.array([f in CHEXPERT_FIVE for f in findings]) & defined
    if five.sum() == len(CHEXPERT_FIVE) < int(defined.sum()):
        macros.append(np.flatnonzero(five))
        rows.append(RowSpec("macro over the CheXpert five"))
    return TableSpec(
        key="ranking",
        title="Zero-shot classification by finding",
        about=(
            "AUROC and average precision (AUPRC) of the positive-minus-negative prompt score. A finding without "
            "positives or without negatives is undefined and stays out of the macro mean."
        ),
        columns=("AUROC", "AUPRC"),
        rows=tuple(rows),
        statistic=_ranking(columns, macros),
    )


def operating_table(
    margins: np.ndarray,
    labels: np.ndarray,
    findings: Sequence[str],
    validation_margins: np.ndarray,
    validation_labels: np.ndarray,
) -> TableSpec:
    """F1 and MCC, each at the threshold that was best for it on the validation split."""
    pairs = list(zip(validation_margins.T, validation_labels.T, strict=True))
    cut = {m: np.array([best_threshold(s, y, m) for s, y in pairs]) for m in ("f1", "mcc")}
    usable = ~np.isnan(cut["f1"])
    test = [bool((y == 1).any() and (y == 0).any()) for y in labels.T]
    defined = np.flatnonzero(usable & np.array(test))

    def statistic(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            tp, fp, fn, _ = confusion(margins >= cut["f1"], labels, weights)
            first = f1(tp, fp, fn)
            second = mcc(*confusion(margins >= cut["mcc"], labels, weights))
        both = np.stack([first, second], axis=2)
        both[:, [i for i in range(len(findings)) if i not in defined]] = np.nan
        macro = _mean(both[:, defined].transpose(0, 2, 1))[:, None]
        return np.concatenate([both, macro], axis=1).reshape(len(weights), -1)

    rows = []
    for i, finding in enumerate(findings):
        note = (
            ""
            if i in defined
            else "undefined"
            if usable[i]
            else "no threshold: validation lacks positives or negatives"
        )
        rows.append(RowSpec(finding, {"positives": int((labels[:, i] == 1).sum())}, note))
    rows.append(RowSpec(f"macro over {len(defined)} of {len(findings)} findings"))
    return TableSpec(
        key="operating",
        title="At an operating point",
        about="F1 and Matthews correlation (MCC), each at the threshold that was best for it on the validation split.",
        columns=("F1", "MCC"),
        rows=tuple(rows),
        statistic=statistic,
    )


def calibration_table(probability: np.ndarray, labels: np.ndarray, findings: Sequence[str]) -> TableSpec:
    """Expected calibration error of every finding with labels, and its mean."""
    known = [i for i in range(len(findings)) if (~np.isnan(labels[:, i])).any()]

    def statistic(weights: np.ndarray) -> np.ndarray:
        each = [expected_calibration_error(probability[:, i], labels[:, i], weights) for i in known]
        values = np.stack([*each], axis=1) if each else np.zeros((len(weights), 0))
        mean = _mean(values)[:, None] if known else np.full((len(weights), 1), np.nan)
        return np.concatenate([values, mean], axis=1)

    counts = [{"labelled": int((~np.isnan(labels[:, i])).sum())} for i in known]
    rows = [RowSpec(findings[i], c) for i, c in zip(known, counts, strict=True)]
    return TableSpec(
        key="calibration",
        title="Calibration",
        about=(
            "Expected calibration error (15 equal-width bins) of the softmax probability at the model's own logit "
            "scale; smaller is better. Contrastive training does not calibrate, so expect large values."
        ),
        columns=("ECE",),
        rows=(*rows, RowSpec("mean")),
        statistic=statistic,
    )


def subgroup_table(margins: np.ndarray, labels: np.ndarray, groups: Sequence[Group]) -> TableSpec:
    """Macro AUROC and AUPRC of every subgroup, over the findings that are defined within it."""
    statistics, rows = [], []
    for group in groups:
        columns = sorted_columns(margins, np.where(group.mask[:, None], labels, np.nan))
        defined = [c for c in columns if c.positives and c.negatives]
        statistics.append(_ranking(defined, [np.arange(len(defined))]) if defined else None)
        counts = {"images": int(group.mask.sum()), "patients": group.patients, "findings": len(defined)}
        rows.append(RowSpec(group.label, counts, group.note))

    def statistic(weights: np.ndarray) -> np.ndarray:
        parts = [
            np.full((len(weights), 2), np.nan) if measured is None else measured(weights)[:, -2:]
            for measured in statistics
        ]
        return np.concatenate(parts, axis=1)

    return TableSpec(
        key="subgroups",
        title="Subgroups",
        about="Macro means over the findings that are defined within the group; their number differs between groups.",
        columns=("AUROC", "AUPRC"),
        rows=tuple(rows),
        statistic=statistic,
    )


def zero_shot_figures(
    margins: np.ndarray, labels: np.ndarray, probability: np.ndarray, findings: Sequence[str], points: int = 200
) -> dict[str, Any]:
    """Aggregates to draw: ROC curves of the defined findings (thinned to ``points``) and the reliability curve."""
    curves = {}
    for finding, column in zip(findings, sorted_columns(margins, labels), strict=True):
        if not column.positives or not column.negatives:
            continue
        fpr, tpr = column.roc()
        if len(fpr) > points:
            at = np.unique(np.linspace(0, len(fpr) - 1, points).round().astype(int))
            fpr, tpr = fpr[at], tpr[at]
        curves[finding] = {"fpr": fpr.round(4).tolist(), "tpr": tpr.round(4).tolist()}
    return {"roc": curves, "reliability": reliability(probability, labels)}
