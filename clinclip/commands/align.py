"""``clinclip align build``: a CXR-Align-shaped benchmark from any manifest, offline and repeatable."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinclip.draws import Draws


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(prog="clinclip align", description="Benchmarks in the form of CXR-Align.")
    commands = p.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build",
        help="build a benchmark from a manifest",
        description="Rewrite every report into one finding a sentence without comparisons, choose a positive finding, "
        "and write the report, its negation and the report without the finding. Normal studies are left out. The file "
        "holds report text: treat it as patient data.",
    )
    build.add_argument("--manifest", required=True, type=Path, help="a prepared manifest")
    build.add_argument("--out", required=True, type=Path, help="JSON to write, {source: {image id: {chosen, ...}}}")
    build.add_argument("--split", default="test", choices=("train", "validate", "test"), help="default: test")
    build.add_argument("--seed", type=int, default=0, help="of the choice of finding and wording (default 0)")
    build.add_argument("--templates", default="eval", choices=("eval", "train"), help="wordings (default eval)")
    build.add_argument("--lateral", action="store_true", help="lateral images too (default: frontal ones)")
    build.add_argument("--max", type=int, default=None, help="at most this many items, drawn by seed (default: all)")
    build.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    import json
    from dataclasses import asdict

    from tqdm import tqdm

    from clinclip.data.manifest import Manifest
    from clinclip.data.views import LATERAL
    from clinclip.draws import Draws
    from clinclip.errors import ConfigError, DataError
    from clinclip.files import write_text
    from clinclip.text import RULESET_VERSION
    from clinclip.text.editing.alignment import AlignItem, make_item

    if args.max is not None and args.max < 1:
        raise ConfigError(f"--max {args.max} must be at least 1")
    manifest = Manifest.load(args.manifest)
    frame = manifest.split(args.split)
    if frame.empty:
        raise DataError(f"{args.manifest}: split {args.split!r} is empty; choose another with --split")
    dropped: Counter[str] = Counter()
    if not args.lateral:
        # CXR-Align's images are frontal
        frontal = ~frame["view"].str.upper().isin(LATERAL)
        dropped["lateral image"] = int((~frontal).sum())
        frame = frame[frontal]
    items: dict[str, AlignItem | str] = {}
    texts = sorted({text for text in frame["text"] if text})
    for text in tqdm(texts, unit="report", disable=args.quiet, file=sys.stderr):
        items[text] = make_item(text, args.seed, args.templates)
    content: dict[str, dict[str, dict[str, str]]] = {}
    chosen: Counter[str] = Counter()
    rows = zip(frame["dataset"], frame["image_id"], frame["text"], strict=True)
    for dataset, image_id, text in _sample(list(rows), items, args.max, Draws(args.seed, "align")):
        item = items.get(text, "no text")
        if isinstance(item, str):
            dropped[item] += 1
            continue
        content.setdefault(dataset, {})[image_id] = asdict(item)
        chosen[item.chosen] += 1
    total = sum(chosen.values())
    if not total:
        raise DataError(f"{args.manifest}: no image of split {args.split!r} gives an item: {_listing(dropped)}")
    summary = {
        "manifest": manifest.hash,
        "ruleset": RULESET_VERSION,
        "split": args.split,
        "seed": args.seed,
        "templates": args.templates,
        "items": total,
        "chosen": dict(chosen.most_common()),
        "dropped": dict(dropped.most_common()),
    }
    for path, value in ((args.out, content), (args.out.with_suffix(".summary.json"), summary)):
        write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    images = total + sum(dropped.values())
    print(f"{args.out}: {total} items from {images} images of split {args.split} (manifest {manifest.hash[:12]})")
    print(f"chosen: {_listing(chosen)}")
    print(f"left out: {_listing(dropped)}")
    return 0


def _sample(rows: list, items: dict, limit: int | None, draws: Draws) -> list:
    """The rows in their order; with a limit, that many of those with an item, and all the others for the count."""
    if limit is None:
        return rows
    good = [n for n, (_, _, text) in enumerate(rows) if text in items and not isinstance(items[text], str)]
    surplus = set(draws.order(good, "sample")[limit:])
    return [row for n, row in enumerate(rows) if n not in surplus]


def _listing(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common() if count) or "nothing"
