"""``clinclip annotate``: RadGraph annotations of a manifest's reports, by the rules or by the radgraph package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="clinclip annotate",
        description="Write RadGraph annotations of a manifest's reports. The file holds report text: treat it as "
        "patient data.",
    )
    p.add_argument("--manifest", required=True, type=Path, help="a prepared manifest")
    p.add_argument("--out", required=True, type=Path, help="RadGraph JSON to write, one record a study")
    p.add_argument(
        "--backend", choices=("rules", "radgraph"), default="rules", help="default: rules, which need nothing"
    )
    p.add_argument(
        "--python", default=None, help="interpreter of the environment that has radgraph (--backend radgraph)"
    )
    p.add_argument("--model", default="radgraph-xl", help="radgraph, radgraph-xl (default) or modern-radgraph-xl")
    p.add_argument("--batch-size", type=int, default=16, help="reports a forward pass (default 16)")
    p.add_argument(
        "--split", choices=("train", "validate", "test"), default=None, help="only this split (default: all)"
    )
    p.add_argument(
        "--into-manifest",
        action="store_true",
        help="also store the graphs in the manifest, so that training uses them; its hash changes",
    )
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    import json

    from clinclip.data.manifest import Manifest
    from clinclip.errors import ConfigError
    from clinclip.files import write_text
    from clinclip.graph.runner import RadGraphWorker, annotate_texts, text_key

    if args.backend == "radgraph" and not args.python:
        raise ConfigError(
            "--backend radgraph needs --python PATH, the interpreter of an environment with radgraph installed (it "
            "cannot share clinclip's: it needs transformers 4)"
        )
    if args.batch_size < 1:
        raise ConfigError(f"--batch-size {args.batch_size} must be at least 1")
    if args.into_manifest and args.split:
        raise ConfigError("--into-manifest needs the graphs of all splits: leave out --split")
    manifest = Manifest.load(args.manifest)
    frame = manifest.frame if args.split is None else manifest.split(args.split)
    frame = frame[frame["text"] != ""]
    texts = {text_key(text): text for text in frame["text"]}
    worker = RadGraphWorker(args.python, args.model) if args.backend == "radgraph" else None
    name = worker.version if worker else _rules_version()
    partial = args.out.with_name(f"{args.out.name}.{name.replace(' ', '-')}.partial")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        records = annotate_texts(texts, worker, partial, args.batch_size, progress=not args.quiet)
    finally:
        if worker:
            worker.close()
    studies = frame.drop_duplicates(["dataset", "study_id"])
    content = {
        f"{dataset}/{study}": {**records[text_key(text)], "data_source": dataset, "data_split": split}
        for dataset, study, split, text in zip(
            studies["dataset"], studies["study_id"], studies["split"], studies["text"], strict=True
        )
    }
    write_text(args.out, json.dumps(content, ensure_ascii=False))
    entities = sum(len(r["entities"]) for r in content.values())
    empty = sum(not r["entities"] for r in content.values())
    print(f"{args.out}: {len(content)} studies, {entities} entities, {empty} studies without any, by {name}")
    if worker and worker.batched is False:
        print("note: batching did not give RadGraph's own answers here, so reports went one by one", file=sys.stderr)
    if args.into_manifest:
        _store(manifest, records, name)
    partial.unlink(missing_ok=True)
    return 0


def _rules_version() -> str:
    from clinclip.text import RULESET_VERSION

    return f"clinclip-rules {RULESET_VERSION}"


def _store(manifest: object, records: dict[str, dict], name: str) -> None:
    """Replace the graph column and write the manifest anew."""
    from clinclip.data.manifest import Manifest, save
    from clinclip.graph.batch import graph_to_column
    from clinclip.graph.radgraph import parse_record
    from clinclip.graph.runner import text_key

    assert isinstance(manifest, Manifest)
    columns: dict[str, str] = {"": graph_to_column(parse_record({"text": "", "entities": {}}).graph)}
    lost = 0
    for text in manifest.frame["text"].unique():
        if text:
            document = parse_record(records[text_key(text)], text=text)
            columns[text] = graph_to_column(document.graph)
            lost += document.lost
    frame = manifest.frame.assign(graph=[columns[text] for text in manifest.frame["text"]])
    header = {k: v for k, v in manifest.header.items() if k not in {"schema_version", "hash", "files"}}
    header["graphs"] = {"backend": name, "entities_not_found_in_text": lost}
    saved = save(manifest.path, frame, header, {"before": manifest.hash, "graphs": name})
    print(f"{manifest.path}: graphs by {name} stored, {lost} entities not found in the text; hash {saved.hash[:12]}")
