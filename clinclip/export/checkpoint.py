"""What a checkpoint says about itself, and the one safe way to load it: no code from the file is ever run.

A Lightning checkpoint of clinclip carries a record (key ``clinclip``) with the architecture as names and numbers, the
tokenizer, the preprocessing and the identity of the training data. :func:`load_model` rebuilds the model from that
record; class paths inside the file are ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import clinclip
from clinclip.data.spec import DataSpec
from clinclip.errors import CheckpointError, ConfigError
from clinclip.images import Preprocessing
from clinclip.models.dual_encoder import DualEncoder
from clinclip.text.tokens import Tokenizer

#: key of the record in a Lightning checkpoint
RECORD = "clinclip"
#: version of the record's form
FORMAT = 2
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class LoadedModel:
    """A trained model with everything that is needed to use it.

    Attributes:
        model: in evaluation mode, on the CPU.
        tokenizer: the one it was trained with.
        preprocessing: how pictures and texts become its input.
        sha256: of the file (of the weights file, for an exported folder).
        train: the training data: ``manifests`` (list of hashes), ``datasets`` (their names), ``patients`` (int64 tensor
            of hashed training patients, or None), ``version`` of clinclip.
        path: where it was loaded from.
    """

    model: DualEncoder
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    sha256: str
    train: dict[str, Any] = field(default_factory=dict)
    path: str = ""


def training_record(model: DualEncoder, data: DataSpec) -> dict[str, Any]:
    """The record of a checkpoint: plain values and tensors only, so that weights-only loading accepts it.

    Args:
        model: the dual encoder. With tower classes of the user's own there is no portable description (``None``).
        data: what the data module said of itself.
    """
    try:
        spec = model.spec()
    except CheckpointError:
        spec = None
    seen = data.provenance
    return {
        "format": FORMAT,
        "version": clinclip.__version__,
        "model": spec,
        "tokenizer": data.tokenizer.to_json() if data.tokenizer is not None else None,
        "preprocessing": data.preprocessing.as_dict() if data.preprocessing is not None else None,
        "train": {
            "manifests": list(seen.manifests),
            "datasets": list(seen.datasets),
            "patients": None if seen.patients is None else torch.as_tensor(seen.patients, dtype=torch.int64).clone(),
            "version": clinclip.__version__,
        },
    }


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Load a Lightning checkpoint (``.ckpt``) or a folder written by :func:`save_model`, offline and safely.

    Raises:
        CheckpointError: the file is missing, damaged, contains code, was not written by clinclip, or uses tower classes
            of the user's own.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path)
    content = read_checkpoint(path)
    prefix = "model."
    weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
    return _assemble(content[RECORD], weights, str(path), sha256_of(path))


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a Lightning checkpoint of clinclip, tensors on the CPU and mapped from the file.

    Raises:
        CheckpointError: the file is missing, damaged, contains code, or was not written by clinclip.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; give a .ckpt file or an exported folder")
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
        raise CheckpointError(f"checkpoint {path} has no {RECORD!r} record: it was not written by clinclip fit")
    return content


def save_model(loaded: LoadedModel, folder: str | os.PathLike[str], with_patients: bool = False) -> Path:
    """Write a model as a folder of safetensors and JSON (no pickle), file by file atomically.

    Args:
        loaded: what to write.
        folder: created if needed.
        with_patients: also write the hashed training patients, for exposure checks. Off by default: ids of public data
            sets are short numbers, and their hashes can be searched.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    patients = loaded.train.get("patients")
    record = {
        "format": FORMAT,
        "model": loaded.model.spec(),
        "preprocessing": loaded.preprocessing.as_dict(),
        "train": {
            **{k: v for k, v in loaded.train.items() if k != "patients"},
            "patients": patients.tolist() if with_patients and patients is not None else None,
        },
    }
    weights = {k: v.contiguous().clone() for k, v in loaded.model.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
        save_file(weights, Path(temporary) / WEIGHTS_FILE, metadata={"format": "pt"})
        (Path(temporary) / TOKENIZER_FILE).write_text(loaded.tokenizer.to_json(), encoding="utf-8")
        (Path(temporary) / CONFIG_FILE).write_text(json.dumps(record, indent=1), encoding="utf-8")
        # the configuration last: a folder with it is complete
        for name in (WEIGHTS_FILE, TOKENIZER_FILE, CONFIG_FILE):
            os.replace(Path(temporary) / name, folder / name)
    return folder


def _load_folder(folder: Path) -> LoadedModel:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}: it is not a folder written by clinclip's export")
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
    return _assemble(record, weights, str(folder), sha256_of(folder / WEIGHTS_FILE))


def _assemble(record: dict[str, Any], weights: dict[str, Tensor], path: str, sha256: str) -> LoadedModel:
    """Build the model a record describes and fill in the weights."""
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has record format {record.get('format')!r}; this clinclip ({clinclip.__version__}) reads {FORMAT}"
        )
    if record.get("model") is None:
        raise CheckpointError(
            f"{path} was trained with tower classes of the user's own, which are never imported from a file; build the "
            "model in Python and call model.load_state_dict with the 'model.' weights of the checkpoint"
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
    model = DualEncoder.from_spec(record["model"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {path} do not fit its own description: {str(error)[:300]}") from error
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        tokenizer=Tokenizer.from_json(record["tokenizer"]),
        preprocessing=preprocessing,
        sha256=sha256,
        train=dict(record.get("train") or {}),
        path=path,
    )


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
