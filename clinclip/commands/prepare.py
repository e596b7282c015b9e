"""``clinclip prepare``: a download, or any CSV, becomes a manifest and an image cache."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from clinclip.commands.options import add_options, make, new_parser, summary
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.merge import merge
from clinclip.prepare.readers import chexpert, mimic_cxr, openi, table

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest


#: the data sets; a new one is a module and its name here
READERS: list[ModuleType] = [mimic_cxr, chexpert, openi, table]

_ABOUT = (
    "Turn a download into a manifest and an image cache. Downloads are only read. An interrupted run goes on where it "
    "stopped when the same command is given again."
)
_NEXT = "next: clinclip inspect --manifest {out}    then: clinclip fit --config CONFIG --data.manifests='[{out}]'"
_MERGE = "join the parts of --shard runs into one manifest"


def options_of(reader: ModuleType) -> type:
    """The options dataclass of a reader: the type of what its ``read`` takes."""
    return get_type_hints(reader.read)["options"]


def usage() -> str:
    """The text of ``clinclip prepare --help``."""
    lines = [(reader.NAME, summary(options_of(reader))) for reader in READERS] + [("merge", _MERGE)]
    width = max(len(name) for name, _ in lines)
    return "\n".join(
        [
            "usage: clinclip prepare DATASET [options]        clinclip prepare DATASET --help for one data set",
            "",
            _ABOUT,
            "",
            *(f"  {name:<{width}}  {text}" for name, text in lines),
        ]
    )


def main(argv: list[str]) -> int:
    """Run the command."""
    if argv and argv[0] in {"-h", "--help"}:
        print(usage())
        raise SystemExit(0)
    names = {reader.NAME: reader for reader in READERS}
    if not argv or argv[0] not in {*names, "merge"}:
        given = f"no data set {argv[0]!r}" if argv else "name a data set"
        print(f"clinclip prepare: {given}; there are {', '.join(names)}, and merge", file=sys.stderr)
        return 2
    if argv[0] == "merge":
        return _merge(argv[1:])
    reader = names[argv[0]]
    chosen = options_of(reader)
    parser = new_parser(f"clinclip prepare {reader.NAME}", f"{summary(chosen)}. {_ABOUT}")
    add_options(parser, chosen)
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="the manifest's folder")
    add_options(parser, BuildOptions)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    given = parser.parse_args(argv[1:])
    options, progress = make(BuildOptions, given), not given.quiet
    manifest = build(reader.read(make(chosen, given), progress), given.out, options, progress)
    if manifest is None:
        print(
            f"part {options.shard} is in {given.out}; when all parts are there: clinclip prepare merge PARTS... "
            "--out DIR"
        )
        return 0
    return _done(manifest, given.out)


def _merge(argv: list[str]) -> int:
    parser = new_parser("clinclip prepare merge", _MERGE)
    parser.add_argument("parts", nargs="+", type=Path, metavar="PART", help="folders written with --shard")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="the manifest's folder")
    given = parser.parse_args(argv)
    return _done(merge(given.parts, given.out), given.out)


def report(header: dict[str, Any]) -> str:
    """What a preparation saw, as lines of counts: no ids, no paths, no text."""
    lines = [
        f"  {s['step']:<36} {s['images']:>9,} images {s['studies']:>9,} studies {s['patients']:>8,} patients"
        for s in header["counts"]
    ]
    if header.get("splits"):
        lines.append("  splits: " + ", ".join(f"{name} {count:,}" for name, count in header["splits"].items()))
    for outcome, title in (("dropped", "left out"), ("kept", "kept, but")):
        for reason, count in header.get("drops", {}).get(outcome, {}).items():
            lines.append(f"  {title}: {count:,} ({reason})")
    lines += [f"  note: {note}" for note in header["notes"]]
    return "\n".join(lines)


def _done(manifest: Manifest, out: Path) -> int:
    print(report(manifest.header))
    print(f"manifest {out} ({manifest.hash[:12]}): {len(manifest.frame):,} images")
    print(_NEXT.format(out=out), file=sys.stderr)
    return 0
