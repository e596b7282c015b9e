"""What is evaluated, whatever the model: rows of a manifest, their labels, and the triplets of CXR-Align."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.errors import ConfigError, DataError
from clinclip.findings import FINDING_INDEX

if TYPE_CHECKING:
    import pandas as pd

    from clinclip.data.manifest import Manifest
    from clinclip.metrics.subgroups import Group


@dataclass(frozen=True)
class Items:
    """Rows of a manifest.

    Attributes:
        manifest: where they come from.
        rows: int64 (N,) positions in its frame.
        patient: int64 (N,) hashed patients, as training records them.
        study: int64 (N,) hashed studies.
    """

    manifest: Manifest
    rows: np.ndarray
    patient: np.ndarray
    study: np.ndarray

    @property
    def frame(self) -> pd.DataFrame:
        """Their rows."""
        return self.manifest.frame.iloc[self.rows]

    def take(self, mask: np.ndarray) -> Items:
        """Some of them."""
        return Items(self.manifest, self.rows[mask], self.patient[mask], self.study[mask])

    def groups(self, index: np.ndarray | None = None) -> list[Group]:
        """Subgroups by sex, age and view; of items that refer to these rows by ``index``, if given."""
        from clinclip.metrics.subgroups import subgroups

        at = np.arange(len(self.rows)) if index is None else index
        frame = self.frame.iloc[at]
        return subgroups(frame["sex"].tolist(), frame["age"].tolist(), frame["view"].tolist(), self.patient[at])


def select(manifest: Manifest, split: str, views: tuple[str, ...] = ()) -> Items:
    """The images of a split, in the manifest's order.

    Raises:
        DataError: none is left.
    """
    from clinclip.draws import stable_hashes

    frame = manifest.frame
    mask = (frame["split"] == split).to_numpy()
    if views:
        mask = mask & frame["view"].str.upper().isin(views).to_numpy()
    rows = np.flatnonzero(mask)
    if not len(rows):
        counts = ", ".join(f"{name} {count}" for name, count in frame["split"].value_counts().items())
        raise DataError(
            f"{manifest.path}: no image in the {split} split{' with the views ' + ', '.join(views) if views else ''}; "
            f"there are: {counts} (options --split, --views)"
        )
    part = frame.iloc[rows]
    return Items(
        manifest,
        rows,
        stable_hashes(part["dataset"], part["patient_id"]),
        stable_hashes(part["dataset"], part["study_id"]),
    )


def label_source(manifest: Manifest, wanted: str) -> str:
    """Resolve "auto" to "table" where the manifest has one, else to "read".

    Raises:
        ConfigError: the wanted one does not exist.
    """
    there = manifest.header.get("labels", {})
    table = bool(there.get("table", False))
    read = manifest.has_text
    if wanted == "auto":
        wanted = "table" if table else "read"
    if (wanted == "table" and not table) or (wanted == "read" and not read):
        raise ConfigError(
            f"--labels {wanted}: {manifest.path} has no "
            + ("label table; use --labels read" if wanted == "table" else "reports to read; use --labels table")
        )
    return wanted


def label_codes(items: Items, source: str) -> np.ndarray:
    """int8 (N, 14) label codes from the table, or as read from the reports."""
    from clinclip.data.manifest import READ_COLUMNS, TABLE_COLUMNS

    return items.frame[list(TABLE_COLUMNS if source == "table" else READ_COLUMNS)].to_numpy(np.int8)


def data_facts(items: Items, **more: Any) -> dict[str, Any]:
    """What is said about the data next to every number."""
    header, options = items.manifest.header, items.manifest.header.get("options", {})
    facts: dict[str, Any] = {
        "data_set": ", ".join(sorted(items.frame["dataset"].unique())),
        "manifest_hash": items.manifest.hash,
        "split": ", ".join(sorted(items.frame["split"].unique())),
        "images": len(items.rows),
        "studies": len(np.unique(items.study)),
        "patients": len(np.unique(items.patient)),
    }
    if header.get("text", {}).get("available", True):
        facts["text"] = str(options.get("text", "as prepared"))
        facts["report_rules"] = str(options.get("ruleset", "unknown"))
    return {**facts, **more}


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


def _first_by_finding(column: str, where: Path, evaluation: bool) -> dict[int, str]:
    """Finding index -> text of the first edited twin of an edits column."""
    result: dict[int, str] = {}
    try:
        for twin in json.loads(column or "[]"):
            if evaluation and twin["templates"] != "eval":
                continue
            result.setdefault(FINDING_INDEX[twin["finding"]], str(twin["text"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: an edited report is malformed ({error!r}); prepare the data again") from None
    return result


def triplets_from_manifest(items: Items) -> Triplets:
    """One triplet for every image and finding that its report can be negated for, with the evaluation templates.

    Raises:
        DataError: the manifest has no negated report for these images.
    """
    frame, where = items.frame, items.manifest.path
    parsed: dict[tuple[str, str], tuple[dict[int, str], dict[int, str]]] = {}
    rows: list[tuple[int, str, str, str, int]] = []
    columns = zip(frame["text"], frame["negations"], frame["omissions"], strict=True)
    for i, (text, negations, omissions) in enumerate(columns):
        key = (negations, omissions)
        if key not in parsed:
            parsed[key] = (
                _first_by_finding(negations, where, evaluation=True),
                _first_by_finding(omissions, where, evaluation=False),
            )
        negated, omitted = parsed[key]
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
    import hashlib

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
