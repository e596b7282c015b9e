"""The tables of the linear probe: macro AUROC by share of labels, and AUROC by finding at every share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clinclip.evaluation.tables import RowSpec, TableSpec
from clinclip.metrics.auroc import sorted_columns
from clinclip.metrics.intervals import Statistic


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
