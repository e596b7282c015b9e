"""The items of CXR-Align: an image with its report, the negated report, and the one with the finding left out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinclip.errors import DataError, ReportTextError
from clinclip.evaluation.items import Items
from clinclip.findings import FINDING_INDEX
from clinclip.text.twins import twins_from_column


@dataclass(frozen=True)
class Triplets:
    """CXR-Align items.

    Attributes:
        index: int64 (T,) position of each one's image in the :class:`Items`.
        report: the true reports.
        negation: the negated reports.
        omitted: the reports with the finding left out, "" where there is none.
        finding: int64 (T,) index into FINDINGS, -1 where unknown.
        facts: where they come from, and what was left out.
    """

    index: np.ndarray
    report: list[str]
    negation: list[str]
    omitted: list[str]
    finding: np.ndarray
    facts: dict[str, Any]

    def __len__(self) -> int:
        return len(self.report)


def triplets_from_manifest(items: Items) -> Triplets:
    """One triplet for every image and finding that its report can be negated for, with the evaluation templates.

    Raises:
        DataError: the manifest has no negated report for these images.
    """
    frame, where = items.frame, items.manifest.path
    parsed: dict[tuple[str, str], tuple[dict[int, str], dict[int, str]]] = {}
    rows: list[tuple[int, str, str, str, int]] = []
    for i, (text, column) in enumerate(zip(frame["text"], frame["twins"], strict=True)):
        if (text, column) not in parsed:
            negated: dict[int, str] = {}
            omitted: dict[int, str] = {}
            try:
                for twin in twins_from_column(column, text, kinds=("negate", "omit"), styles=("eval", None)):
                    into = negated if twin.kind == "negate" else omitted
                    into.setdefault(FINDING_INDEX[twin.finding], twin.text)
            except ReportTextError as error:
                raise DataError(f"{where}: {error}") from None
            parsed[text, column] = negated, omitted
        negated, omitted = parsed[text, column]
        rows += [(i, text, negated[f], omitted.get(f, ""), f) for f in sorted(negated)]
    if not rows:
        raise DataError(
            f"{where}: no image of the {'/'.join(frame['split'].unique())} split has a negated report with an "
            "evaluation template; prepare the data with reports, or give a benchmark with --benchmark FILE"
        )
    return _triplets(rows, {"benchmark": "edits of the manifest, evaluation templates"})


def triplets_from_file(path: Path, items: Items) -> Triplets:
    """Read a CXR-Align file and match its image ids with the manifest's.

    The file is ``{source: {image id: {chosen, report, negation, omitted, ...}}}``: the published ``cxr-align.json``, or
    one built by ``clinclip align build``.

    Args:
        path: the file.
        items: the images that may be used.

    Raises:
        DataError: another form, or no image in common; says how many lie in other splits.
    """
    try:
        content = path.read_bytes()
        data = json.loads(content)
    except OSError as error:
        raise DataError(f"--benchmark {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"--benchmark {path}: not JSON ({error})") from None
    if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
        raise DataError(f"--benchmark {path}: expected {{source: {{image id: {{chosen, report, negation, omitted}}}}}}")
    position = {image: i for i, image in enumerate(items.frame["image_id"])}
    elsewhere = dict(zip(items.manifest.frame["image_id"], items.manifest.frame["split"], strict=True))
    known = {name.lower(): number for name, number in FINDING_INDEX.items()}
    rows: list[tuple[int, str, str, str, int]] = []
    missed: Counter[str] = Counter()
    for source, entries in data.items():
        for image, entry in entries.items():
            if not isinstance(entry, dict) or not all(isinstance(entry.get(k), str) for k in ("report", "negation")):
                raise DataError(
                    f"--benchmark {path}: an entry of {source!r} lacks the text 'report' or 'negation' (entry number "
                    f"{list(entries).index(image) + 1})"
                )
            name = str(image).removesuffix(".jpg").removesuffix(".dcm")
            if name not in position:
                missed[elsewhere.get(name, "not in the manifest")] += 1
                continue
            finding = known.get(str(entry.get("chosen", "")).strip().lower(), -1)
            omitted = entry.get("omitted") or ""
            rows.append((position[name], entry["report"], entry["negation"], str(omitted), finding))
    total = sum(len(entries) for entries in data.values())
    split = "/".join(sorted(items.frame["split"].unique()))
    lost = ", ".join(
        f"{count} {'in the ' + k + ' split' if k in ('train', 'validate', 'test') else k}"
        for k, count in missed.items()
    )
    if not rows:
        raise DataError(
            f"--benchmark {path}: none of its {total} images is in the {split} split of {items.manifest.path} "
            f"({lost}); use --split, or prepare the manifest that holds them"
        )
    facts = {
        "benchmark": f"{path.name} ({', '.join(map(str, data))})",
        "benchmark_hash": hashlib.sha256(content).hexdigest(),
        "benchmark_entries": total,
        "benchmark_used": len(rows),
    }
    if lost:
        facts["benchmark_unused"] = lost
    return _triplets(rows, facts)


def _triplets(rows: list[tuple[int, str, str, str, int]], facts: dict[str, Any]) -> Triplets:
    index, report, negation, omitted, finding = zip(*rows, strict=True)
    return Triplets(
        np.array(index, dtype=np.int64),
        list(report),
        list(negation),
        list(omitted),
        np.array(finding, dtype=np.int64),
        {**facts, "triplets": len(rows)},
    )
