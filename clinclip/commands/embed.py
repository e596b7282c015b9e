"""``clinclip embed``: precomputed report embeddings of a frozen text encoder, for ``data.frozen_text``."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from clinclip.data.manifest import Manifest


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="clinclip embed",
        description="Encode every distinct report of one or several manifests once, and write a file for "
        "data.frozen_text. The file holds hashes of the reports, not their text. An interrupted run goes on where it "
        "stopped.",
    )
    add = top.add_argument
    add("--manifest", required=True, nargs="+", metavar="DIR", help="folders written by clinclip prepare")
    add("--out", required=True, type=Path, metavar="FILE.npz", help="the file to write")
    source = top.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", metavar="CKPT", help="text tower of a clinclip checkpoint or exported folder")
    source.add_argument("--encoder", metavar="NAME", help="a Hugging Face encoder by name or local folder")
    add("--features", action="store_true", help="with --checkpoint: pooled features before the projection")
    add("--pooling", choices=("cls", "mean", "eos"), default="mean", help="with --encoder (default: mean)")
    add("--revision", metavar="COMMIT", help="with --encoder: commit of a Hugging Face name")
    add("--max-tokens", type=int, default=256, metavar="N", help="with --encoder: texts are cut there (default: 256)")
    add("--batch-size", type=int, default=64, metavar="N", help="texts at once (default: 64)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    add("--quiet", action="store_true", help="no progress bar")
    return top


def main(argv: list[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    import numpy as np

    from clinclip.data.frozen import write_frozen_text
    from clinclip.data.manifest import Manifest
    from clinclip.draws import text_hash
    from clinclip.errors import ConfigError

    if arguments.out.suffix != ".npz":
        raise ConfigError(f"--out {arguments.out}: the file of frozen embeddings must end in .npz")
    for option, wrong in (("--batch-size", arguments.batch_size < 1), ("--max-tokens", arguments.max_tokens < 3)):
        if wrong:
            raise ConfigError(f"{option}: too small")
    texts = _distinct_texts([Manifest.load(path) for path in arguments.manifest])
    work = arguments.out.with_name(f".{arguments.out.name}.work")
    vectors = _encode(arguments, texts, work)
    if not np.isfinite(vectors).all():
        raise ConfigError("the text encoder gives embeddings that are not finite; choose another checkpoint or encoder")
    write_frozen_text(arguments.out, np.array([text_hash(t) for t in texts], dtype=np.int64), vectors)
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(texts):,} distinct reports, {vectors.shape[1]} numbers each; use --data.frozen_text={arguments.out}")
    return 0


def _distinct_texts(manifests: Sequence[Manifest]) -> list[str]:
    """Every distinct report once, whatever its split."""
    from clinclip.errors import DataError

    texts = dict.fromkeys(text for m in manifests for text in m.frame["text"] if text)
    if not texts:
        raise DataError(f"{manifests[0].path}: no reports; it was prepared for evaluation only")
    return list(texts)


def _encode(arguments: argparse.Namespace, texts: list[str], work: Path) -> np.ndarray:
    """(n, F) embeddings by the tower that the options name."""
    from clinclip.export.inference import embed_texts, encode_texts, pick_device

    if arguments.checkpoint:
        from clinclip.export.checkpoint import load

        loaded = load(arguments.checkpoint)
        return embed_texts(
            loaded,
            texts,
            arguments.batch_size,
            arguments.device,
            not arguments.quiet,
            work,
            features=arguments.features,
        )
    from clinclip.models.huggingface import TextEncoder
    from clinclip.text.tokens import Tokenizer

    where = pick_device(arguments.device)
    tokenizer = Tokenizer.from_pretrained(arguments.encoder, revision=arguments.revision)
    tower = TextEncoder(arguments.encoder, revision=arguments.revision, pooling=arguments.pooling, frozen=True).to(
        where
    )
    length = min(arguments.max_tokens, tower.max_positions or arguments.max_tokens)
    key = hashlib.sha256()
    for name, value in tower.state_dict().items():
        key.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return encode_texts(
        lambda batch: tower(batch).pooled,
        tokenizer,
        length,
        texts,
        f"{key.hexdigest()}/{arguments.pooling}",
        arguments.batch_size,
        where,
        not arguments.quiet,
        work,
    )
