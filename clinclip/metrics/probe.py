"""Linear probe: logistic regression on frozen features, fitted on shares of the training patients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from clinclip.metrics.auroc import auroc

#: L2 penalties among which the validation split chooses
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def patient_subset(patients: np.ndarray, fraction: float, number: int, seed: int = 0) -> np.ndarray:
    """Rows of a share of the patients: bool (N,).

    Patients are ordered by a keyed hash, so a subset does not depend on the order of rows, and smaller shares of the
    same number lie inside larger ones. At least one patient is taken.

    Args:
        patients: int64 (N,) patient of each row.
        fraction: share of the patients, in (0, 1].
        number: which draw.
        seed: of the draws.
    """
    names = np.unique(patients)
    key = f"probe/{seed}/{number}".encode()
    rank = [hashlib.blake2b(str(int(p)).encode(), digest_size=8, key=key).digest() for p in names]
    order = sorted(range(len(names)), key=rank.__getitem__)
    taken = names[order[: max(1, round(fraction * len(names)))]]
    return np.isin(patients, taken)


def subset_digest(patients: np.ndarray, mask: np.ndarray) -> str:
    """SHA-256 (12 digits) of a subset's sorted patients: whoever has the manifest can check it, nobody can read it."""
    return hashlib.sha256(np.unique(patients[mask]).astype("<i8").tobytes()).hexdigest()[:12]


class LinearProbe:
    """One logistic regression a finding, all fitted together.

    Args:
        features: float (N, F).
        labels: (N, K) 1, 0 or NaN (left out). A finding without positives or negatives is not fitted: its scores are
            all equal, which is an AUROC of 0.5.
        penalty: weight of the squared norm of the coefficients, against the mean loss of a finding.
        steps: L-BFGS iterations at most.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, penalty: float, steps: int = 100) -> None:
        x = torch.from_numpy(np.asarray(features, dtype=np.float64))
        # population statistics; a constant feature is left as it is
        self.mean, spread = x.mean(0), x.std(0, correction=0)
        self.spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        x = (x - self.mean) / self.spread
        y = torch.from_numpy(np.asarray(labels, dtype=np.float64))
        known = ~y.isnan()
        y = y.nan_to_num()
        fitted = ((known & (y == 1)).any(0)) & ((known & (y == 0)).any(0))
        share = known / known.sum(0).clamp(min=1) * fitted
        self.weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
        self.bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [self.weight, self.bias],
            max_iter=steps,
            history_size=10,
            tolerance_grad=1e-7,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            optimiser.zero_grad()
            logits = x @ self.weight.T + self.bias
            loss = (F.binary_cross_entropy_with_logits(logits, y, reduction="none") * share).sum()
            loss = loss + 0.5 * penalty * self.weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimiser.step(closure)
        self.weight, self.bias = self.weight.detach(), self.bias.detach()

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Logits (N, K)."""
        x = torch.from_numpy(np.asarray(features, dtype=np.float64))
        return (((x - self.mean) / self.spread) @ self.weight.T + self.bias).numpy()


def fit_probe(
    features: np.ndarray,
    labels: np.ndarray,
    validation_features: np.ndarray,
    validation_labels: np.ndarray,
    penalties: Sequence[float] = PENALTIES,
) -> tuple[LinearProbe, float]:
    """The probe whose penalty gives the best macro AUROC on validation, and that penalty.

    Without a defined finding on validation the middle penalty is taken.
    """
    best: tuple[float, LinearProbe, float] | None = None
    for penalty in penalties:
        probe = LinearProbe(features, labels, penalty)
        quality = auroc(probe.scores(validation_features), validation_labels).macro
        if np.isnan(quality):
            middle = penalties[len(penalties) // 2]
            return LinearProbe(features, labels, middle), middle
        if best is None or quality > best[0]:
            best = (quality, probe, penalty)
    assert best is not None
    return best[1], best[2]
