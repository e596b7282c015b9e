"""Label tables as automatic labelers leave them: derived from the report, with their errors, gaps and odd rows."""

from __future__ import annotations

import csv
import io
import random

from clinclip.draws import stream
from clinclip.findings import FINDINGS

#: Column order of the MIMIC-CXR-JPG label tables.
MIMIC_LABELS: tuple[str, ...] = tuple(sorted(FINDINGS))
_VALUE = {"present": "1.0", "absent": "0.0", "uncertain": "-1.0", "not_mentioned": ""}
_STATES = ("present", "absent", "uncertain", "not_mentioned")
#: What a labeler makes of a state when it errs: missed negations, missed mentions, missed hedges, things never said.
_ERRORS = {
    "present": ("not_mentioned", "uncertain", "absent"),
    "absent": ("present", "not_mentioned", "uncertain"),
    "uncertain": ("present", "not_mentioned", "absent"),
    "not_mentioned": ("present", "absent", "uncertain"),
}


def noisy_labels(labels: dict[str, str], seed: int, tool: str, study: int, noise: float) -> dict[str, str]:
    """The states that a labeler writes for a report.

    Args:
        labels: True states.
        seed: Seed of the data set.
        tool: "chexpert" or "negbio": they err independently.
        study: Running number of the study.
        noise: Chance of an error a label; labels that are not mentioned err a tenth as often.
    """
    rng = stream(seed, "labeler", tool, study)
    out = {}
    for name, state in labels.items():
        if name == "No Finding":
            continue
        chance = noise * (0.1 if state == "not_mentioned" else 1.0)
        out[name] = rng.choices(_ERRORS[state], (6, 3, 1))[0] if rng.random() < chance else state
    disease = [s for f, s in out.items() if f != "Support Devices"]
    normal = not any(s in {"present", "uncertain"} for s in disease)
    out["No Finding"] = "present" if normal else "not_mentioned"
    return out


def cells(labels: dict[str, str], columns: tuple[str, ...]) -> list[str]:
    """Table cells of the states: 1.0, 0.0, -1.0 or blank."""
    return [_VALUE[labels[c]] for c in columns]


def special_rows(count: int, share: float, seed: int, purpose: str, floor_from: int = 20) -> set[int]:
    """Which of ``count`` rows are special: a share of them, at least one where there are ``floor_from`` rows."""
    rng = random.Random(stream(seed, "special", purpose).getrandbits(64))
    n = round(share * count)
    if share > 0 and count >= floor_from:
        n = max(1, n)
    return set(rng.sample(range(count), min(n, count)))


def csv_text(header: list[str], rows: list[list[str]]) -> str:
    """A CSV as pandas writes it: quotes only where needed, lines ended by a newline alone."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
