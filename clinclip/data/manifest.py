"""The manifest: one Parquet row per image, and a JSON header that says how it came to be.

A manifest folder holds ``manifest.parquet``, ``header.json``, ``drops.csv`` and ``images/`` (the image cache). The
header is written last: a folder with a header is complete. Its ``hash`` covers every cell, the options and the cached
pixels, and neither roots nor dates of this machine: the same download prepared elsewhere has the same hash.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinclip.data.splits import SPLITS, assert_disjoint
from clinclip.errors import ManifestError
from clinclip.files import compact_json, sha256_file, write_atomically, write_text
from clinclip.findings import CODE_STATE, FINDINGS, NOT_MENTIONED, column_name

if TYPE_CHECKING:
    from clinclip.images.cache import ImageCache

SCHEMA_VERSION = 3
PARQUET, HEADER, DROPS, IMAGES = "manifest.parquet", "header.json", "drops.csv", "images"

TABLE_COLUMNS: tuple[str, ...] = tuple(f"table_{column_name(f)}" for f in FINDINGS)
READ_COLUMNS: tuple[str, ...] = tuple(f"read_{column_name(f)}" for f in FINDINGS)
STRING_COLUMNS: tuple[str, ...] = (
    "image_id", "study_id", "patient_id", "dataset", "split", "view", "sex",
    "findings", "impression", "text", "twins", "graph", "image_path",
    "source_sha256",
)  # fmt: skip
#: every column, in file order
COLUMNS: tuple[str, ...] = (
    "image_id", "study_id", "patient_id", "dataset", "split", "view", "sex", "age",
    "findings", "impression", "text", *TABLE_COLUMNS, *READ_COLUMNS,
    "twins", "graph", "image_path", "cache_index", "source_sha256",
)  # fmt: skip
EMPTY_GRAPH = '{"entities":[],"relations":[]}'


def content_hash(frame: pd.DataFrame, identity: object) -> str:
    """SHA-256 over every cell of ``frame``, column by column, and over ``identity`` (options, pixel checksums).

    Only ``cache_index`` is left out: it says where an image lies, not what it shows.
    """
    digest = hashlib.sha256(compact_json([SCHEMA_VERSION, identity]).encode())
    for name in COLUMNS:
        if name == "cache_index":
            continue
        digest.update(name.encode())
        if name in STRING_COLUMNS:
            for value in frame[name]:
                data = value.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "little"))
                digest.update(data)
        else:
            kind = np.float64 if name == "age" else np.int64
            values = frame[name].to_numpy(dtype=kind, na_value=np.nan) if name == "age" else frame[name].to_numpy(kind)
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of the contract, in order, with their types; label columns that are missing are "not mentioned"."""
    out: dict[str, Any] = {}
    for name in COLUMNS:
        if name in STRING_COLUMNS:
            default = "[]" if name == "twins" else EMPTY_GRAPH if name == "graph" else ""
            series = frame[name] if name in frame else pd.Series(default, index=frame.index, dtype="str")
            out[name] = series.astype("str")
        elif name == "age":
            series = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
            out[name] = pd.to_numeric(series, errors="coerce").astype("float64")
        elif name == "cache_index":
            out[name] = frame[name].astype("int64")
        else:
            series = frame[name] if name in frame else pd.Series(NOT_MENTIONED, index=frame.index)
            out[name] = series.astype("int8")
    return pd.DataFrame(out).reset_index(drop=True)


def validate(frame: pd.DataFrame, where: str) -> None:
    """Check the data contract. Raises ManifestError (LeakageError for shared patients) naming the column."""
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise ManifestError(f"{where}: lacks columns {', '.join(missing)}; prepare the data again")
    if frame.empty:
        raise ManifestError(f"{where}: no image is left; drops.csv says why each was dropped")
    for name in ("image_id", "study_id", "patient_id", "dataset"):
        if (frame[name] == "").any() or frame[name].isna().any():
            raise ManifestError(f"{where}: column {name!r} has blanks; every image needs one")
    unknown = sorted(set(frame["split"]) - set(SPLITS))
    if unknown:
        raise ManifestError(f"{where}: split {unknown[0]!r} is not one of {', '.join(SPLITS)}")
    twice = frame.duplicated(["dataset", "image_id"])
    if twice.any():
        raise ManifestError(f"{where}: {int(twice.sum())} image ids occur more than once")
    codes = np.unique(frame[[*TABLE_COLUMNS, *READ_COLUMNS]].to_numpy())
    if not set(codes.tolist()) <= set(CODE_STATE):
        raise ManifestError(f"{where}: label codes {codes.tolist()}; allowed {sorted(CODE_STATE)}")
    owners = frame.groupby(["dataset", "study_id"], sort=False)["patient_id"].nunique()
    if (owners > 1).any():
        raise ManifestError(f"{where}: {int((owners > 1).sum())} studies belong to more than one patient")
    assert_disjoint(frame, where)


class Manifest:
    """A prepared data set. Its rows are read when they are first asked for.

    Args:
        path: its folder.
        header: what ``header.json`` holds: schema version, options, counts at every step, drops, notes, hash.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.header = header

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Open a manifest folder and check that it is complete and unchanged.

        Raises:
            ManifestError: not a manifest, unfinished, of another schema version, or damaged.
        """
        path = Path(path)
        if not (path / HEADER).is_file():
            found = sorted(p.name for p in path.iterdir())[:8] if path.is_dir() else None
            state = "does not exist" if found is None else f"holds {', '.join(found) or 'nothing'} but no {HEADER}"
            raise ManifestError(
                f"{path} is not a prepared manifest: it {state}. Run clinclip prepare ... --out {path} (again, if it "
                "was interrupted); config key: data.manifests"
            )
        try:
            header = json.loads((path / HEADER).read_text(encoding="utf-8"))
            version = header["schema_version"]
            expected, wanted = header["hash"], header["files"][PARQUET]
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"{path / HEADER}: damaged ({error}); prepare the data again") from error
        if version != SCHEMA_VERSION:
            raise ManifestError(
                f"{path}: manifest schema version {version}, this clinclip reads {SCHEMA_VERSION}"
                + (", where all edited reports stand in one column" if version in (1, 2) else "")
                + "; prepare the data again"
            )
        if not (path / PARQUET).is_file() or sha256_file(path / PARQUET) != wanted:
            raise ManifestError(
                f"{path / PARQUET}: missing, or changed since it was prepared (hash {expected[:12]}); prepare it again"
            )
        manifest = cls(path, header)
        # the digest proves that the rows are those that were checked when they were written
        assert_disjoint(manifest.index, str(path))
        return manifest

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per image, the columns :data:`COLUMNS`."""
        return pd.read_parquet(self.path / PARQUET)

    @cached_property
    def index(self) -> pd.DataFrame:
        """The rows without texts, labels and edited twins: what is cheap to read of a large manifest."""
        return pd.read_parquet(self.path / PARQUET, columns=["image_id", "study_id", "patient_id", "dataset", "split"])

    @property
    def hash(self) -> str:
        """SHA-256 of the contents, as quoted by training, evaluation and model cards."""
        return str(self.header["hash"])

    @property
    def has_text(self) -> bool:
        """False for a manifest that can only be evaluated on (images and labels without reports)."""
        return bool(self.header.get("text", {}).get("available", True))

    @cached_property
    def cache(self) -> ImageCache:
        """The image cache; row ``i`` of the frame is entry ``frame.cache_index[i]``."""
        from clinclip.images.cache import ImageCache

        return ImageCache.open(self.path / IMAGES)

    @property
    def published_equalised(self) -> bool:
        """Whether the publisher equalised the histograms of the files (MIMIC-CXR-JPG did)."""
        options = self.header.get("options", {})
        return options.get("dataset") == "mimic-cxr" and options.get("kind") == "jpg"

    def split(self, name: str) -> pd.DataFrame:
        """The rows of one split. Raises ManifestError for an unknown name."""
        if name not in SPLITS:
            raise ManifestError(f"split {name!r}: not one of {', '.join(SPLITS)}")
        return self.frame[self.frame["split"] == name]


def save(path: Path, frame: pd.DataFrame, header: dict[str, Any], identity: object) -> Manifest:
    """Validate and write a manifest; the header goes last, so an interruption leaves no half manifest.

    Args:
        path: its folder; the image cache is there already.
        frame: any frame with the columns of the contract.
        header: everything but schema version, hash and file digests.
        identity: what else the hash covers (options, cache checksum), JSON-able and free of paths.
    """
    frame = typed(frame)
    validate(frame, str(path))
    (path / HEADER).unlink(missing_ok=True)
    write_atomically(path / PARQUET, lambda p: frame.to_parquet(p, index=False, compression="zstd"))
    header = {
        "schema_version": SCHEMA_VERSION,
        "hash": content_hash(frame, identity),
        **{k: v for k, v in header.items() if k not in ("schema_version", "hash")},
        "files": {PARQUET: sha256_file(path / PARQUET)},
    }
    text = json.dumps(header, indent=2, ensure_ascii=False) + "\n"
    write_text(path / HEADER, text)
    return Manifest(path, header)
