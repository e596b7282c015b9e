"""Subgroups of patients and images: by sex, by age band, by view. Small groups are shown as small, not hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: lower bounds of the age bands in years
AGE_BANDS = (0, 18, 40, 60, 80)
#: a group of fewer patients is marked as small
SMALL = 30


@dataclass(frozen=True)
class Group:
    """Some of the rows.

    Attributes:
        label: "sex: F", "age: 40-59", "view: PA".
        mask: bool (N,).
        patients: distinct patients among them.
        note: "small group" where there are fewer than :data:`SMALL` patients.
    """

    label: str
    mask: np.ndarray
    patients: int
    note: str


def _bands(age: np.ndarray) -> list[tuple[str, np.ndarray]]:
    upper = [*AGE_BANDS[1:], np.inf]
    with np.errstate(invalid="ignore"):
        bands = [
            (f"age: {low}+" if np.isinf(high) else f"age: {low}-{int(high) - 1}", (age >= low) & (age < high))
            for low, high in zip(AGE_BANDS, upper, strict=True)
        ]
    return [*bands, ("age: unknown", ~np.isfinite(age))]


def subgroups(sex: Sequence[str], age: Sequence[float], view: Sequence[str], patients: np.ndarray) -> list[Group]:
    """The groups that occur, of each kind with at least two groups (one group alone would repeat the whole).

    Args:
        sex: N values, "" where unknown.
        age: N ages in years, NaN where unknown.
        view: N view positions, "" where unknown.
        patients: (N,) patient of each row.
    """
    result: list[Group] = []
    kinds: list[list[tuple[str, np.ndarray]]] = []
    for name, values in (("sex", np.asarray(sex, dtype=object)), ("view", np.asarray(view, dtype=object))):
        present = sorted({str(v) for v in values})
        kinds.append([(f"{name}: {v or 'unknown'}", values == v) for v in present])
    kinds.insert(1, _bands(np.asarray(age, dtype=np.float64)))
    for kind in kinds:
        occurring = [(label, mask) for label, mask in kind if mask.any()]
        if len(occurring) < 2:
            continue
        for label, mask in occurring:
            count = len(np.unique(patients[mask]))
            result.append(Group(label, mask, count, "" if count >= SMALL else f"small group, under {SMALL} patients"))
    return result
