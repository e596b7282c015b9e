"""What a checkpoint says about itself, and the one safe way to load it: no code from the file is ever run.

A Lightning checkpoint of clinclip carries a record (key ``clinclip``) with the architecture as names and numbers, the
tokenizer, the preprocessing and the identity of the training data. :func:`load` rebuilds the model from that
record; class paths inside the file are ignored.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import clinclip
from clinclip.data.spec import DataSpec
from clinclip.errors import CheckpointError, ConfigError, OutputError
from clinclip.export.inference import pick_device
from clinclip.export.model import Model
from clinclip.files import replacing, sha256_file
from clinclip.images import Preprocessing
from clinclip.models.dual_encoder import DualEncoder, own_towers
from clinclip.text.tokens import Tokenizer

#: a dual encoder, or a function that builds one
Architecture = DualEncoder | Callable[[], DualEncoder]
#: key of the record in a Lightning checkpoint
RECORD = "clinclip"
#: version of the record's form
FORMAT = 2
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"


def training_record(model: DualEncoder, data: DataSpec) -> dict[str, Any]:
    """The record of a checkpoint: plain values and tensors only, so that weights-only loading accepts it.

    Args:
        model: the dual encoder. Of towers of the user's own the record names the class.
        data: what the data module said of itself.
    """
    seen = data.provenance
    return {
        "format": FORMAT,
        "version": clinclip.__version__,
        "model": model.spec(),
        "tokenizer": data.tokenizer.to_json() if data.tokenizer is not None else None,
        "preprocessing": data.preprocessing.as_dict() if data.preprocessing is not None else None,
        "train": {
            "manifests": list(seen.manifests),
            "datasets": list(seen.datasets),
            "patients": None if seen.patients is None else torch.as_tensor(seen.patients, dtype=torch.int64).clone(),
            "version": clinclip.__version__,
        },
    }


def load(path: str | os.PathLike[str], device: str = "auto", model: Architecture | None = None) -> Model:
    """Load a Lightning checkpoint (``.ckpt``) or a folder written by :func:`save_model`, offline and safely.

    Args:
        path: the file or folder.
        device: where the model computes: "auto" (the first GPU, or the CPU), "cpu", "cuda", "cuda:1" ...
        model: the architecture, into which the weights are filled; or a function without arguments that builds it,
            called where the file cannot say it. Needed where the towers are of your own classes, because no code is
            ever taken from a file.

    Raises:
        CheckpointError: the file is missing, damaged, contains code, was not written by clinclip, or has towers of the
            user's own and no ``model`` is given, or one that its weights do not fit.
        ConfigError: there is no such device.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, device, model)
    content = read_checkpoint(path)
    prefix = "model."
    weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
    return _assemble(content[RECORD], weights, str(path), sha256_file(path), device, model)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a Lightning checkpoint of clinclip, tensors on the CPU and mapped from the file.

    Raises:
        CheckpointError: the file is missing, damaged, contains code, or was not written by clinclip.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; give a .ckpt file or an exported folder")
    seems = looks_like(path)
    if seems is not None:
        raise CheckpointError(f"{path} is no checkpoint of clinclip fit: it seems to be {seems}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"checkpoint {path} is refused, because loading it could run code: it is not a weights-only file "
            f"({str(error).splitlines()[0][:200]})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged or not a PyTorch file: {str(error)[:200]}") from error
    record = content.get(RECORD) if isinstance(content, dict) else None
    if not isinstance(record, dict) or not isinstance(content.get("state_dict"), dict):
        what = (
            "a checkpoint or weight file of another program" if isinstance(content, dict) else "another PyTorch object"
        )
        raise CheckpointError(f"checkpoint {path} has no {RECORD!r} record: it seems to be {what}, not of clinclip fit")
    return content


def save_model(loaded: Model, folder: str | os.PathLike[str], with_patients: bool = False) -> Path:
    """Write a model as a folder of safetensors and JSON (no pickle), file by file atomically.

    Args:
        loaded: what to write.
        folder: created if needed.
        with_patients: also write the hashed training patients, for exposure checks. Off by default: ids of public data
            sets are short numbers, and their hashes can be searched.

    Raises:
        OutputError: a file cannot be written; names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = Path(folder)
    patients = loaded.provenance.get("patients")
    record = {
        "format": FORMAT,
        "model": loaded.towers.spec(),
        "preprocessing": loaded.preprocessing.as_dict(),
        "train": {
            **{k: v for k, v in loaded.provenance.items() if k != "patients"},
            "patients": patients.tolist() if with_patients and patients is not None else None,
        },
    }
    tensors = {k: v.contiguous().clone() for k, v in loaded.towers.state_dict().items()}
    # left in reverse: the configuration gets its name last, so that a folder with it is complete
    with (
        replacing(folder / CONFIG_FILE) as config,
        replacing(folder / TOKENIZER_FILE) as tokenizer,
        replacing(folder / WEIGHTS_FILE) as weights,
    ):
        try:
            save_file(tensors, weights, metadata={"format": "pt"})
        except SafetensorError as error:
            raise OutputError(f"cannot write {folder / WEIGHTS_FILE}: {error}") from error
        tokenizer.write_text(loaded.tokenizer.to_json(), encoding="utf-8")
        config.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return folder


def _load_folder(folder: Path, device: str, model: Architecture | None) -> Model:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} lacks {name}, so it is no folder written by clinclip's export{_folder_seems(folder)}"
            )
    try:
        record = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS_FILE)
        tokenizer = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder} is damaged: {str(error)[:200]}") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{folder / CONFIG_FILE} is not a clinclip configuration")
    record["tokenizer"] = tokenizer
    patients = (record.get("train") or {}).get("patients")
    if patients is not None:
        record["train"]["patients"] = torch.tensor(patients, dtype=torch.int64)
    return _assemble(record, weights, str(folder), sha256_file(folder / WEIGHTS_FILE), device, model)


def _assemble(
    record: dict[str, Any],
    weights: dict[str, Tensor],
    path: str,
    sha256: str,
    device: str,
    given: Architecture | None,
) -> Model:
    """Build the model a record describes, or take the one that is given, and fill in the weights."""
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has record format {record.get('format')!r}; this clinclip ({clinclip.__version__}) reads {FORMAT}"
        )
    missing = [k for k in ("tokenizer", "preprocessing") if record.get(k) is None]
    if missing:
        raise CheckpointError(
            f"{path} does not record {' and '.join(missing)}: its data module does not say them. Use "
            "clinclip.CXRDataModule, or give your own a clinclip.data.spec.DataSpec as its attribute 'spec'"
        )
    try:
        preprocessing = Preprocessing.from_dict(record["preprocessing"])
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    built = _architecture(record.get("model") or {}, given, path)
    try:
        built.load_state_dict(weights)
    except RuntimeError as error:
        whose = "its own description" if given is None else "the model that was given"
        raise CheckpointError(f"the weights in {path} do not fit {whose}: {str(error)[:300]}") from error
    where = pick_device(device)
    return Model(
        towers=built.to(where).eval().requires_grad_(False),
        tokenizer=Tokenizer.from_json(record["tokenizer"]),
        preprocessing=preprocessing,
        sha256=sha256,
        provenance=dict(record.get("train") or {}),
        path=path,
        device=str(where),
    )


def _architecture(spec: dict[str, Any], given: Architecture | None, path: str) -> DualEncoder:
    """The model that was given, or the one that the file describes."""
    if given is None or (not isinstance(given, DualEncoder) and not own_towers(spec)):
        try:
            return DualEncoder.from_spec(spec)
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be built: {error}") from error
    model = given if isinstance(given, DualEncoder) else given()
    if not isinstance(model, DualEncoder):
        raise CheckpointError(f"the model for {path} is a {type(model).__name__}; it must be a clinclip.DualEncoder")
    return model


def looks_like(path: Path) -> str | None:
    """What a file that is no PyTorch file seems to be, by its first bytes; None where that cannot be said."""
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        return "empty (an unfinished copy?)"
    if head[128:132] == b"DICM":
        return "a DICOM image"
    kinds = {b"\xff\xd8\xff": "a JPEG image", b"\x89PNG": "a PNG image", b"PAR1": "a Parquet table", b"%PDF": "a PDF"}
    for magic, name in kinds.items():
        if head.startswith(magic):
            return name
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a bare safetensors file: give the exported folder that it lies in"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (run: git lfs pull)"
    if (head.isascii() and head.decode("ascii").isprintable()) or path.suffix.lower() in (
        ".yaml",
        ".yml",
        ".json",
        ".csv",
    ):
        return "a text file"
    return None


def _folder_seems(folder: Path) -> str:
    """What the folder is instead, as the end of a sentence."""
    names = {p.name for p in folder.iterdir()}
    if "header.json" in names:
        return "; it seems to be a manifest of clinclip prepare, which holds data and no model"
    if "open_clip_config.json" in names:
        return "; it seems to be an open_clip model"
    if CONFIG_FILE in names:
        return "; it seems to be a Hugging Face model, or an unfinished export"
    found = sorted(str(p.relative_to(folder)) for p in folder.glob("**/*.ckpt"))[:5]
    return f"; it holds checkpoints, give one of them: {', '.join(found)}" if found else ""
