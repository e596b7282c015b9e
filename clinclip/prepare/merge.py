"""Joining the parts of a cluster array job (``--shard i/n``) into one manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clinclip.data.manifest import DROPS, IMAGES, SCHEMA_VERSION, Manifest
from clinclip.errors import ManifestError
from clinclip.images import ImageCache
from clinclip.images.cache_merge import merge_caches
from clinclip.prepare.build import PART, PART_HEADER, finish
from clinclip.prepare.drops import DropReport


def _load(folder: Path) -> dict[str, Any]:
    path = folder / PART_HEADER
    if not path.is_file():
        raise ManifestError(
            f"{folder} is not a finished part: no {PART_HEADER}. Run its clinclip prepare ... --shard again, it goes "
            "on where it stopped"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: damaged ({error}); run this part again") from error


def _check(folders: Sequence[Path], parts: Sequence[dict[str, Any]]) -> list[int]:
    """The order of the parts. Raises ManifestError for other options, missing or repeated parts."""
    first = parts[0]
    if first["schema_version"] != SCHEMA_VERSION:
        raise ManifestError(
            f"{folders[0]}: part of manifest schema version {first['schema_version']}, this clinclip writes "
            f"{SCHEMA_VERSION}; prepare the parts again"
        )
    for folder, part in zip(folders, parts, strict=True):
        for name in ("options", "dataset", "schema_version"):
            if part[name] != first[name]:
                both = (part[name], first[name])
                changed = (
                    sorted(k for k in both[0].keys() | both[1].keys() if both[0].get(k) != both[1].get(k))
                    if name == "options"
                    else [name]
                )
                raise ManifestError(
                    f"{folder} was prepared with other options than {folders[0]} (different: {', '.join(changed)}); "
                    "prepare all parts with the same command"
                )
    shards = [tuple(part["shard"] or (1, 1)) for part in parts]
    total = shards[0][1]
    wrong = [shard for shard in shards if shard[1] != total]
    if wrong:
        raise ManifestError(f"parts of {total} and of {wrong[0][1]} shards cannot be mixed")
    numbers = Counter(index for index, _ in shards)
    missing = [index for index in range(1, total + 1) if not numbers[index]]
    twice = [index for index, count in numbers.items() if count > 1]
    if missing or twice:
        raise ManifestError(
            f"{total} parts are needed, each once; missing: {missing or 'none'}, given more than once: "
            f"{twice or 'none'}"
        )
    return sorted(range(len(parts)), key=lambda i: shards[i])


def _sum_counts(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps before sharding are the same in all parts; those after it add up (parts share no patient)."""
    steps: dict[str, dict[str, Any]] = {}
    for number, part in enumerate(parts):
        sharded = False
        for step in part["counts"]:
            name = step["step"]
            if name.startswith("in shard"):
                sharded = True
                name = "in all shards"
            if not sharded:
                if number == 0:
                    steps[name] = dict(step)
                continue
            known = steps.setdefault(name, {"step": name, "images": 0, "studies": 0, "patients": 0})
            for key in ("images", "studies", "patients"):
                known[key] += step[key]
    return list(steps.values())


def _sum_reports(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    discarded: Counter[str] = Counter()
    for part in parts:
        for name, value in part["reports"].items():
            if isinstance(value, dict):
                discarded.update(value)
            else:
                total[name] += value
    return {**total, "discarded_edits": dict(discarded.most_common())}


def merge(folders: Sequence[Path], out: Path) -> Manifest:
    """Join parts into a manifest with the same hash as if it had been prepared in one piece.

    Args:
        folders: all parts, in any order.
        out: the manifest's folder; images are hard-linked where the file system allows it.

    Raises:
        ManifestError: a part is unfinished, missing, given twice, or was prepared with other options.
    """
    loaded = [_load(folder) for folder in folders]
    order = _check(folders, loaded)
    folders, parts = [folders[i] for i in order], [loaded[i] for i in order]
    merge_caches([folder / IMAGES for folder in folders], out / IMAGES)
    frames, drops, offset = [], DropReport(), 0
    for folder in folders:
        frame = pd.read_parquet(folder / PART)
        frame["cache_index"] += offset
        offset += len(ImageCache.open(folder / IMAGES))
        frames.append(frame)
        listed = pd.read_csv(folder / DROPS, dtype=str, keep_default_na=False)
        drops.rows += [tuple(row) for row in listed.itertuples(index=False, name=None)]
    notes = list(dict.fromkeys(note for part in parts for note in part["notes"]))
    header = {
        **parts[0],
        "shard": None,
        "merged": len(parts),
        "counts": _sum_counts(parts),
        "notes": notes,
        "reports": _sum_reports(parts),
    }
    return finish(out, pd.concat(frames, ignore_index=True), header, drops)
