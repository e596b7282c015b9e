"""Linear probe of the frozen image tower: macro AUROC by share of labels, and AUROC by finding at every share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.data.labels import label_source
from clinclip.errors import ConfigError
from clinclip.evaluation import figures as draw
from clinclip.evaluation import items as items_of
from clinclip.evaluation.items import LabelProtocol
from clinclip.evaluation.result import Drawing, Headline
from clinclip.evaluation.tables import Measured, RowSpec, Table, TableSpec
from clinclip.evaluation.tasks.base import Embedder, Task
from clinclip.metrics.auroc import sorted_columns
from clinclip.metrics.intervals import Statistic
from clinclip.metrics.probe import fit_probe, patient_subset, subset_digest

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class ProbeProtocol(LabelProtocol):
    """Further decides the shares of the training patients, and the nested draws of each share below 1.

    Attributes:
        fractions: shares of the training patients that a probe is fitted on.
        subsets: draws of each share below 1; their mean and spread are shown.
    """

    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    subsets: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fractions or not all(0 < f <= 1 for f in self.fractions) or self.subsets < 1:
            raise ConfigError(f"protocol {self.name}: fractions must lie in (0, 1], subsets be at least 1")


#: share of the training patients -> scores (N, K) of the probe of every subset
ProbeScores = dict[float, list[np.ndarray]]


class Probe(Task[ProbeScores]):
    """Logistic regression on image features: fitted on train, penalty by validation, judged on the test split."""

    name = "probe"
    title = "Linear probe"
    about = "Linear probe: logistic regression on frozen image features, with 1, 10 and 100 % of training patients."
    default = "probe-v1"
    protocol_class = ProbeProtocol
    options = LabelProtocol.OPTIONS

    def __init__(self, manifest: Manifest, protocol: ProbeProtocol) -> None:
        if protocol.split != "test":
            raise ConfigError(
                f"--split {protocol.split}: a probe is fitted on train and tuned on validate, so it is judged on test"
            )
        super().__init__(manifest, protocol)
        self.train = items_of.select(manifest, "train", protocol.views)
        self.tuning = items_of.select(manifest, "validate", protocol.views)
        source = label_source([manifest], protocol.label_source, "--labels ")
        self.labels, self.train_labels, self.tuning_labels = (
            items_of.truth(part, protocol, source, protocol.findings) for part in (self.items, self.train, self.tuning)
        )
        patients = self.train.patient
        self.subsets = {
            f: [patient_subset(patients, f, draw, protocol.seed) for draw in range(1 if f == 1 else protocol.subsets)]
            for f in sorted(protocol.fractions)
        }
        digests = "; ".join(
            f"{100 * f:g} %: {' '.join(subset_digest(patients, mask) for mask in masks)}"
            for f, masks in self.subsets.items()
        )
        self.facts = items_of.data_facts(
            self.items,
            training_images=len(self.train.rows),
            labels=f"{source}, policy {protocol.label_policy}",
            subsets_by_patient=digests,
        )

    def score(self, embed: Embedder) -> ProbeScores:
        """Fit a probe for every subset and apply it to the test items."""
        from tqdm import tqdm

        train, tuning, test = (embed.images(i, features=True) for i in (self.train, self.tuning, self.items))
        scores: ProbeScores = {f: [] for f in self.subsets}
        jobs = [(f, mask) for f, masks in self.subsets.items() for mask in masks]
        for fraction, mask in tqdm(jobs, desc="probes", disable=not embed.progress):
            probe, _ = fit_probe(train[mask], self.train_labels[mask], tuning, self.tuning_labels)
            scores[fraction].append(probe.scores(test))
        return scores

    def tables(self, scores: ProbeScores) -> list[TableSpec]:
        counts = {
            f: {
                "images": round(float(np.mean([m.sum() for m in masks]))),
                "patients": len(np.unique(self.train.patient[masks[0]])),
            }
            for f, masks in self.subsets.items()
        }
        return probe_tables(scores, self.labels, self.protocol.findings, counts)

    def headlines(self, measured: Measured) -> list[Headline]:
        found = []
        for f in self.subsets:
            labels = "all labels" if f == 1 else f"{share_name(f)} of the labels"
            found.append(Headline(f"auroc_{100 * f:g}", f"AUROC, {labels}", "probe", (share_name(f),), "AUROC"))
        return found

    @classmethod
    def draw(
        cls, tables: Mapping[str, Sequence[Table]], figures: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[Drawing]:
        if "findings" not in tables:
            return []
        column = tables["findings"][0].columns[-1]
        svg = draw.forest(tables["findings"], column, names, 0.5)
        return [
            Drawing(f"AUROC by finding, {column} of the labels", "Dots with intervals; dashed: chance.", svg),
        ]


def share_name(fraction: float) -> str:
    """``0.01`` -> ``"1 %"``."""
    return f"{100 * fraction:g} %"


def _areas(scores: Mapping[float, Sequence[np.ndarray]], labels: np.ndarray, findings: Sequence[int]) -> Statistic:
    """AUROC by share, subset and finding, flat: weights (R, N) -> (R, sum of subsets x findings)."""
    columns = [
        sorted_columns(subset[:, findings], labels[:, findings]) for subsets in scores.values() for subset in subsets
    ]

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.stack([c.auroc(weights) for subset in columns for c in subset], axis=1)

    return statistic


def probe_tables(
    scores: Mapping[float, Sequence[np.ndarray]],
    labels: np.ndarray,
    findings: Sequence[str],
    counts: Mapping[float, Mapping[str, int]],
) -> list[TableSpec]:
    """Two tables.

    Args:
        scores: share of the training patients -> scores (N, K) of the probe of every subset.
        labels: (N, K) 1, 0 or NaN (left out) of the test items.
        findings: K names.
        counts: share -> what stands behind it (images, patients).

    Returns:
        ``probe`` (macro AUROC, mean over subsets, and its spread) and ``findings`` (mean over subsets).
    """
    defined = [i for i, y in enumerate(labels.T) if (y == 1).any() and (y == 0).any()]
    sizes = [len(subsets) for subsets in scores.values()]
    areas = _areas(scores, labels, defined) if defined else None

    def by_share(weights: np.ndarray) -> list[np.ndarray]:
        """For every share (R, subsets, findings)."""
        if areas is None:
            return [np.full((len(weights), n, 0), np.nan) for n in sizes]
        flat = areas(weights).reshape(len(weights), sum(sizes), len(defined))
        return np.split(flat, np.cumsum(sizes)[:-1], axis=1)

    def macro(weights: np.ndarray) -> np.ndarray:
        values = []
        for part in by_share(weights):
            each: np.ndarray = part.mean(2) if defined else np.full(part.shape[:2], np.nan)
            spread = each.std(1, ddof=1) if each.shape[1] > 1 else np.full(len(each), np.nan)
            values += [each.mean(1), spread]
        return np.stack(values, axis=1)

    def per_finding(weights: np.ndarray) -> np.ndarray:
        return np.stack([part.mean(1) for part in by_share(weights)], axis=2).reshape(len(weights), -1)

    rows = tuple(RowSpec(share_name(f), dict(counts[f]) | {"subsets": len(s)}) for f, s in scores.items())
    specs = [
        TableSpec(
            key="probe",
            title="Linear probe",
            about=(
                f"Macro AUROC over {len(defined)} of {len(findings)} findings, mean over the subsets, and its standard "
                "deviation over them. Intervals are over test patients. A finding that a subset has no positives of is "
                "not fitted and scores 0.5."
            ),
            columns=("AUROC", "spread"),
            rows=rows,
            statistic=macro,
        )
    ]
    if defined:
        specs.append(
            TableSpec(
                key="findings",
                title="By finding",
                about="AUROC of every defined finding by share of the training patients, mean over the subsets.",
                columns=tuple(share_name(f) for f in scores),
                rows=tuple(RowSpec(findings[i], {"positives": int((labels[:, i] == 1).sum())}) for i in defined),
                statistic=per_finding,
            )
        )
    return specs
