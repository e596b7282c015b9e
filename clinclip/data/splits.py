"""Patient splits: seeded, stable under added rows, and disjointness as an assertion."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence

import pandas as pd

from clinclip.data.ids import patient_keys
from clinclip.errors import ConfigError, LeakageError

SPLITS: tuple[str, ...] = ("train", "validate", "test")
#: their shares unless asked otherwise
FRACTIONS: tuple[float, float, float] = (0.8, 0.1, 0.1)

#: names that other publishers and users give to the three splits
SPLIT_ALIASES: dict[str, str] = {
    "train": "train", "training": "train",
    "validate": "validate", "valid": "validate", "val": "validate", "validation": "validate", "dev": "validate",
    "test": "test", "testing": "test",
}  # fmt: skip


def unit_interval(key: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the key and the seed (BLAKE2b)."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, salt=seed.to_bytes(8, "little", signed=True)).digest()
    return int.from_bytes(digest, "little") / 2**64


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Three shares that sum to 1. Raises ConfigError otherwise."""
    values = tuple(float(f) for f in fractions)
    if len(values) != 3 or min(values) < 0 or abs(sum(values) - 1) > 1e-6:
        raise ConfigError(
            f"split fractions {fractions!r}: give train, validate and test, each >= 0, summing to 1 "
            "(--split 0.8,0.1,0.1)"
        )
    return values[0], values[1], values[2]


def assign_splits(patients: Iterable[str], seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict[str, str]:
    """Assign every patient (or group of linked patients) to a split.

    Patients are ordered by a keyed hash and cut at the fractions, so the shares are met to within one patient and every
    split with a share above 0 gets at least one patient where there are enough.

    Args:
        patients: identifiers; repetitions are fine.
        seed: another seed, another split.
        fractions: shares of train, validate and test.
    """
    shares = check_fractions(fractions)
    order = sorted(set(patients), key=lambda p: (unit_interval(p, seed), p))
    sizes = [int(share * len(order)) for share in shares]
    wanted = [i for i in range(3) if shares[i] > 0]
    # what rounding left over goes where the share is short of most
    while sum(sizes) < len(order):
        short = max(wanted, key=lambda i: (shares[i] * len(order) - sizes[i], -i))
        sizes[short] += 1
    for i in wanted:
        donor = max(range(3), key=lambda j: sizes[j])
        if sizes[i] == 0 and sizes[donor] > 1:
            sizes[i], sizes[donor] = 1, sizes[donor] - 1
    names = [name for name, size in zip(SPLITS, sizes, strict=True) for _ in range(size)]
    return dict(zip(order, names, strict=True))


def connected_groups(pairs: Iterable[tuple[str, Hashable]]) -> dict[str, str]:
    """Patient -> name of its group, where patients who share a key (an image file, a report) are one group.

    The group is named by its smallest patient identifier, so the result does not depend on the order of the pairs.
    """
    parent: dict[str, str] = {}

    def find(patient: str) -> str:
        parent.setdefault(patient, patient)
        while parent[patient] != patient:
            parent[patient] = parent[parent[patient]]
            patient = parent[patient]
        return patient

    first: dict[Hashable, str] = {}
    for patient, key in pairs:
        a, b = find(patient), find(first.setdefault(key, patient))
        parent[max(a, b)] = min(a, b)
    return {patient: find(patient) for patient in parent}


def assert_disjoint(frame: pd.DataFrame, what: str = "manifest") -> None:
    """Raise LeakageError where a patient has images in more than one split.

    Args:
        frame: rows with ``dataset``, ``patient_id`` and ``split``.
        what: how the message calls the rows.
    """
    per_patient = frame["split"].groupby(patient_keys(frame), sort=False).nunique()
    shared = int((per_patient > 1).sum())
    if shared:
        raise LeakageError(
            f"{what}: {shared} of {len(per_patient)} patients have images in more than one split; a model would be "
            "tested on patients it has seen. Split by patient (leave the split column out to let clinclip do it)"
        )
