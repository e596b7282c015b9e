"""The common second half of every preparation: cache the images, read the reports, write the manifest.

A run makes a *part* (``part.parquet``, ``part.json``, the image cache); the manifest is made from one part, or from the
parts of all shards of a cluster array job (:mod:`clinclip.prepare.merge`). Splits that clinclip draws come when the
parts are together, because patients who share an image must share a split.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from clinclip import __version__
from clinclip.data.ids import patient_keys
from clinclip.data.leakage import find_duplicates
from clinclip.data.manifest import (
    DROPS,
    EMPTY_GRAPH,
    IMAGES,
    READ_COLUMNS,
    SCHEMA_VERSION,
    TABLE_COLUMNS,
    Manifest,
    save,
)
from clinclip.data.splits import assert_disjoint, assign_splits, connected_groups
from clinclip.draws import stable_hash
from clinclip.errors import ConfigError, DataError, LeakageError, ManifestError
from clinclip.files import write_atomically, write_text
from clinclip.findings import NOT_MENTIONED
from clinclip.images import CacheOptions, build_cache
from clinclip.images.cache_entry import Fit, Tier
from clinclip.images.read import Mode, Window
from clinclip.prepare.annotate import AnnotateOptions, annotate
from clinclip.prepare.drops import DropReport
from clinclip.prepare.readers.source import Source
from clinclip.text.editing import EDITS
from clinclip.text.twins import count_kinds
from clinclip.workers import available_cores

PART, PART_HEADER, WORK = "part.parquet", "part.json", ".work"


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to prepare, whatever the data set.

    Attributes:
        policy: at an image or a report that cannot be read, strict stops naming it, skip lists it in the drop report.
        image_size: side of the cached images in pixels.
        fit: how a picture becomes a square.
        mode: of decoding.
        window: of DICOM grey levels.
        equalize: equalise histograms, as MIMIC-CXR-JPG did to its DICOMs.
        tier: of the cache; jpeg needs a quarter of the disk space.
        negations: negated twins of a report.
        swaps: twins of a report of each kind in data.edits but negate and omit.
        seed: of the split and of the edited twins.
        shard: prepare the I-th of N parts, given as I/N; then clinclip prepare merge.
        verify: read cached images again that do not match their checksum.
        workers: processes (default: the cores of this job).
    """

    policy: Literal["strict", "skip"] = "strict"
    image_size: int = 512
    fit: Fit = "pad"
    mode: Mode = "fast"
    window: Window = "minmax"
    equalize: bool = False
    tier: Tier = "raw"
    negations: int = 4
    swaps: int = 1
    seed: int = 0
    shard: str | None = None
    verify: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        if self.policy not in ("strict", "skip"):
            raise ConfigError(f"--policy {self.policy!r}: 'strict' (stop at the first fault) or 'skip' (list them)")
        if self.workers < 0:
            raise ConfigError(f"--workers {self.workers}: must be 0 (the cores of this job) or more")
        # wrong values of the parts are refused here, before a download is read
        _ = self.cache, self.annotate, self.part

    @property
    def cache(self) -> CacheOptions:
        """Side, fit, decoder and tier of the cached images."""
        return CacheOptions(
            size=self.image_size,
            fit=self.fit,
            mode=self.mode,
            window=self.window,
            equalize=self.equalize,
            tier=self.tier,
        )

    @property
    def annotate(self) -> AnnotateOptions:
        """How many edited twins a report gets, and their seed."""
        return AnnotateOptions(negations=self.negations, swaps=self.swaps, seed=self.seed)

    @property
    def part(self) -> tuple[int, int] | None:
        """(i, n) for the i-th of n parts of a cluster array job, counted from 1; None prepares all."""
        if self.shard is None:
            return None
        first, slash, second = self.shard.partition("/")
        if not (slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
            raise ConfigError(f"--shard {self.shard!r}: give i/n with 1 <= i <= n, 3/16 for the third of sixteen parts")
        return int(first), int(second)

    def identity(self) -> dict[str, Any]:
        """What changes the result, free of paths and of this machine."""
        return {
            **{f"image_{name}": value for name, value in asdict(self.cache).items()},
            "split_seed": self.seed,
            "edits": list(EDITS),
            **{f"annotate_{name}": value for name, value in vars(self.annotate).items()},
        }


def check_out(out: Path, source: Source, options: BuildOptions) -> dict[str, Any]:
    """Refuse an output folder that lies in the (read-only) input, or that holds a preparation with other options.

    Returns:
        The options that the manifest's hash covers.
    """
    from clinclip.text import RULESET_VERSION

    out = out.resolve()
    if out == source.root.resolve() or out.is_relative_to((source.root / "files").resolve()):
        raise ConfigError(
            f"--out {out} lies inside the download {source.root}, which is only read; choose another folder"
        )
    identity = {
        **source.options,
        "fractions": list(source.fractions),
        **options.identity(),
        "ruleset": RULESET_VERSION,
        "schema": SCHEMA_VERSION,
    }
    state = {"options": identity, "shard": None if options.part is None else list(options.part)}
    path = out / "prepare.json"
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before is not None and before != json.loads(json.dumps(state)):
            changed = [k for k in identity if before.get("options", {}).get(k) != json.loads(json.dumps(identity[k]))]
            what = ", ".join(changed) or "the shard"
            raise ConfigError(
                f"--out {out} holds a preparation with other options (changed: {what}); choose another folder, or "
                "delete this one"
            )
    text = json.dumps(state, indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)
    return identity


def build(source: Source, out: Path, options: BuildOptions, progress: bool = True) -> Manifest | None:
    """Prepare a data set; interrupted, it goes on where it stopped.

    Args:
        source: what the data set's reader returned.
        out: folder of the manifest (or of the part, with a shard).
        options: how to prepare.
        progress: show progress bars.

    Returns:
        The manifest, or None for a shard: merge the shards to get one.

    Raises:
        DataError: policy "strict", and a report cannot be read.
    """
    if source.faults and options.policy == "strict":
        more = f" (and {len(source.faults) - 1:,} more reports)" if len(source.faults) > 1 else ""
        raise DataError(f"{source.faults[0]}{more}. Mend it, or leave such studies out and list them: --policy skip")
    identity = check_out(out, source, options)
    started = time.monotonic()
    if options.part is not None:
        index, total = options.part
        mine = [stable_hash("shard", source.dataset, p) % total == index - 1 for p in source.frame["patient_id"]]
        # rows of other shards are no drops
        source.frame = source.frame[mine].reset_index(drop=True)
        ids = set(source.frame["image_id"])
        source.count(f"in shard {index}/{total}")
        if index > 1:
            # what the reader left out is reported by the first shard only
            source.drops = DropReport()
        if not ids:
            raise ManifestError(f"--shard {index}/{total} holds no image; use fewer shards")
    _cache_images(source, out, options, progress)
    source.count("image readable")
    reports = _annotate(source, out, options, progress)
    part = {
        "schema_version": SCHEMA_VERSION,
        "clinclip": __version__,
        "dataset": source.dataset,
        "options": identity,
        "shard": None if options.part is None else list(options.part),
        "roots": {"images": str(source.root)},
        "layout": source.layout,
        "counts": source.counts,
        "notes": source.notes,
        "reports": reports,
        "text": {"available": source.has_text},
        "cache": asdict(options.cache),
        "refuse_shared_images": source.refuse_shared_images,
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.part is not None:
        source.drops.save(out / DROPS)
        write_part(out, source.frame, part)
        return None
    return finish(out, source.frame, part, source.drops)


def write_part(out: Path, frame: pd.DataFrame, part: dict[str, Any]) -> None:
    """Write a shard's part; its JSON goes last and marks it complete."""
    (out / PART_HEADER).unlink(missing_ok=True)
    write_atomically(out / PART, lambda p: frame.to_parquet(p, index=False, compression="zstd"))
    text = json.dumps(part, indent=2, ensure_ascii=False) + "\n"
    write_text(out / PART_HEADER, text)


def finish(out: Path, frame: pd.DataFrame, part: dict[str, Any], drops: DropReport) -> Manifest:
    """Draw splits where the data set has none, look for duplicates, and write the manifest."""
    frame = frame.sort_values(["patient_id", "study_id", "image_id"], kind="stable").reset_index(drop=True)
    frame["dataset"] = part["dataset"]
    notes = list(part["notes"])
    drawn = (frame["split"] == "").to_numpy()
    if drawn.any() and not drawn.all():
        raise ManifestError(f"{int(drawn.sum())} of {len(frame)} images have no split, the others have one")
    if drawn.all():
        keys = patient_keys(frame)
        groups = connected_groups(zip(keys, frame["source_sha256"], strict=True))
        options = part["options"]
        assigned = assign_splits(groups.values(), options["split_seed"], options["fractions"])
        frame["split"] = [assigned[groups[key]] for key in keys]
        linked = len(groups) - len(set(groups.values()))
        notes.append(
            f"split by patient with seed {options['split_seed']}: "
            + ", ".join(f"{name} {int((frame['split'] == name).sum())}" for name in ("train", "validate", "test"))
            + (f"; {linked} patients joined to another because they share an image" if linked else "")
        )
    assert_disjoint(frame, str(out))
    duplicates = find_duplicates(frame)
    if duplicates.cross_split_images:
        message = f"{duplicates.cross_split_images} images (byte for byte) are in more than one split"
        if part["refuse_shared_images"]:
            raise LeakageError(
                f"{out}: {message}: a model would be tested on images it has seen. Remove them, leave --split-column "
                "out so that clinclip splits, or accept it with --allow-shared-images"
            )
        notes.append(message)
    header = {
        **{k: v for k, v in part.items() if k not in ("refuse_shared_images", "seconds")},
        "notes": notes,
        "labels": {
            "table": bool(
                (frame.reindex(columns=list(TABLE_COLUMNS), fill_value=NOT_MENTIONED) != NOT_MENTIONED).any(axis=None)
            ),
            "read": part["text"]["available"],
        },
        "splits": {name: int(count) for name, count in frame["split"].value_counts().sort_index().items()},
        "drops": {"dropped": drops.counts("dropped"), "kept": drops.counts("kept")},
        "duplicates": duplicates.as_dict(),
    }
    drops.save(out / DROPS)
    # the pixels' checksums in row order: where in the cache an image lies does not matter
    manifest = save(out, frame, header, [part["options"], frame["crc32"].tolist()])
    for name in (PART, PART_HEADER):
        (out / name).unlink(missing_ok=True)
    return manifest


def _cache_images(source: Source, out: Path, options: BuildOptions, progress: bool) -> None:
    """Fill the cache; add position, checksum and source hash to ``source.frame``; drop what cannot be read."""
    frame = source.frame
    items = [(image, source.root / path) for image, path in zip(frame["image_id"], frame["image_path"], strict=True)]
    report = build_cache(
        out / IMAGES,
        items,
        options.cache,
        options.policy,
        options.workers or available_cores(),
        progress,
        verify=options.verify,
    )
    source.frame = frame.assign(
        cache_index=np.arange(len(frame)),
        crc32=[entry.crc32 for entry in report.entries],
        source_sha256=[entry.source_sha256 for entry in report.entries],
    )
    for image, study, entry in zip(frame["image_id"], frame["study_id"], report.entries, strict=True):
        for remark in entry.remarks:
            source.drops.remark(image, study, remark)
    failed = dict(report.failed)
    if failed:
        lost = frame["image_id"].isin(failed)
        for image, study in zip(frame.loc[lost, "image_id"], frame.loc[lost, "study_id"], strict=True):
            source.drops.drop_image(image, study, "image unreadable", failed[image])
        source.frame = source.frame[~lost.to_numpy()].reset_index(drop=True)
        source.notes.append(f"{len(failed)} images cannot be read: left out, reasons in {DROPS}")
    if source.frame.empty:
        raise ManifestError(f"none of {len(frame)} images can be read; reasons in {out / DROPS}")


def _annotate(source: Source, out: Path, options: BuildOptions, progress: bool) -> dict[str, Any]:
    """Add labels, twins and graphs to ``source.frame``; count what reports lack."""
    frame = source.frame
    if not source.has_text:
        return {"distinct": 0}
    workers = options.workers or available_cores()
    found = annotate(frame["text"], options.annotate, out / WORK / "language", workers, progress)
    annotations = [found[text] for text in frame["text"]]
    labels = np.asarray([[a["labels"][name] for name in READ_COLUMNS] for a in annotations], dtype=np.int8)
    columns: dict[str, Any] = {name: labels[:, i] for i, name in enumerate(READ_COLUMNS)}
    columns["twins"] = [a["twins"] or "[]" for a in annotations]
    columns["graph"] = [a["graph"] or EMPTY_GRAPH for a in annotations]
    source.frame = frame.assign(**columns)
    studies = frame.drop_duplicates("study_id")
    for study, text in zip(studies["study_id"], studies["text"], strict=True):
        for reason in found[text]["reasons"]:
            source.drops.lack(study, reason)
    discarded = Counter(reason for a in found.values() for reason in a["discarded"])
    return {
        "studies": len(studies),
        "distinct": len(found),
        "with_twin": count_kinds(a["twins"] for a in found.values()),
        "discarded_edits": dict(discarded.most_common()),
    }
