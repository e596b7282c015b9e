"""``clinclip evaluate probe``: what a linear classifier can read from the frozen image tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clinclip.commands import evaluate_items as items_of
from clinclip.commands.evaluate_items import Items
from clinclip.commands.evaluate_tasks import Engine, Outcome, Task
from clinclip.errors import ConfigError
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.report import Example
from clinclip.evaluation.tables import measure
from clinclip.findings import FINDING_INDEX

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest
    from clinclip.export.checkpoint import LoadedModel


class Probe(Task):
    """Logistic regression on image features: fitted on train, penalty by validation, judged on the protocol's split."""

    def __init__(self, manifest: Manifest, protocol: Protocol) -> None:
        from clinclip.metrics.arrays import codes_to_binary
        from clinclip.metrics.probe import patient_subset, subset_digest

        if protocol.split != "test":
            raise ConfigError(
                f"--split {protocol.split}: a probe is fitted on train and tuned on validate, so it is judged on test"
            )
        self.protocol, self.notes, self.resolved = protocol, [], {}
        self.items = items_of.select(manifest, "test", protocol.views)
        self.train = items_of.select(manifest, "train", protocol.views)
        self.tuning = items_of.select(manifest, "validate", protocol.views)
        self.source = items_of.label_source(manifest, protocol.label_source)
        columns = [FINDING_INDEX[f] for f in protocol.findings]

        def truth(items: Items) -> np.ndarray:
            return codes_to_binary(items_of.label_codes(items, self.source), protocol.label_policy)[:, columns]

        self.labels, self.train_labels, self.tuning_labels = map(truth, (self.items, self.train, self.tuning))
        patients = self.train.patient
        self.subsets = {
            f: [
                patient_subset(patients, f, number, protocol.seed)
                for number in range(1 if f == 1 else protocol.subsets)
            ]
            for f in sorted(protocol.fractions)
        }
        digests = "; ".join(
            f"{100 * f:g} %: {' '.join(subset_digest(patients, mask) for mask in masks)}"
            for f, masks in self.subsets.items()
        )
        self.facts = items_of.data_facts(
            self.items,
            training_images=len(self.train.rows),
            labels=f"{self.source}, policy {protocol.label_policy}",
            subsets_by_patient=digests,
        )

    def run(self, loaded: LoadedModel, engine: Engine, examples: int) -> Outcome:
        """Fit a probe for every subset and measure it. A probe has no examples to show."""
        from tqdm import tqdm

        from clinclip.evaluation.probe_tables import probe_tables, share_name
        from clinclip.metrics.probe import fit_probe

        train, tuning, test = (engine.images(loaded, i, features=True) for i in (self.train, self.tuning, self.items))
        scores: dict[float, list[np.ndarray]] = {f: [] for f in self.subsets}
        jobs = [(f, mask) for f, masks in self.subsets.items() for mask in masks]
        for fraction, mask in tqdm(jobs, desc="probes", disable=not engine.progress):
            probe, _ = fit_probe(train[mask], self.train_labels[mask], tuning, self.tuning_labels)
            scores[fraction].append(probe.scores(test))
        counts = {
            f: {
                "images": round(float(np.mean([m.sum() for m in masks]))),
                "patients": len(np.unique(self.train.patient[masks[0]])),
            }
            for f, masks in self.subsets.items()
        }
        specs = probe_tables(scores, self.labels, self.protocol.findings, counts)
        measured = measure(specs, len(test), self.resamples(self.items.patient), self.protocol.level)
        table = measured.table("probe")
        headline = {f"auroc_{100 * f:g}": table.cell(share_name(f), "AUROC") for f in self.subsets}
        nothing: tuple[Example, ...] = ()
        return Outcome(measured, {}, headline, nothing)
