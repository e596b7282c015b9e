"""``clinclip prepare``: a download, or any CSV, becomes a manifest and an image cache."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinclip.errors import ConfigError

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest
    from clinclip.prepare.build import BuildOptions
    from clinclip.prepare.readers.source import Source

_NEXT = "next: clinclip inspect --manifest {out}    then: clinclip fit --config CONFIG --data.manifests='[{out}]'"


def parser() -> argparse.ArgumentParser:
    """The command line of ``clinclip prepare``."""
    top = argparse.ArgumentParser(
        prog="clinclip prepare",
        description="Turn a download into a manifest and an image cache. Downloads are only read. An interrupted run "
        "goes on where it stopped when the same command is given again.",
    )
    kinds = top.add_subparsers(dest="kind", required=True, metavar="DATASET")

    mimic = kinds.add_parser("mimic-cxr", help="MIMIC-CXR reports with MIMIC-CXR-JPG or DICOM images")
    mimic.add_argument(
        "--images", required=True, type=Path, metavar="DIR", help="the image project, or a folder above both projects"
    )
    mimic.add_argument(
        "--reports", type=Path, metavar="DIR|ZIP", help="folder or mimic-cxr-reports.zip (default: found)"
    )
    mimic.add_argument("--tables", type=Path, metavar="DIR", help="folder of the CSV tables (default: found)")
    mimic.add_argument("--image-type", choices=["jpg", "dicom"], help="where both are there (default: jpg)")
    mimic.add_argument(
        "--labels", default="chexpert", choices=["chexpert", "negbio", "test-2.1", "none"],
        help="label table; test-2.1: radiologists' labels in the test split, CheXpert's elsewhere",
    )  # fmt: skip
    mimic.add_argument(
        "--section-rules", type=Path, metavar="JSON", help="your file of section rules of single studies"
    )
    _views(mimic, "frontal")
    _text(mimic, "findings+impression")
    _common(mimic)

    chexpert = kinds.add_parser("chexpert", help="CheXpert, full or small, with reports, prompts, or labels only")
    chexpert.add_argument("--images", required=True, type=Path, metavar="DIR", help="folder of train.csv and valid.csv")
    chexpert.add_argument("--plus-csv", type=Path, metavar="FILE", help="reports: df_chexpert_plus_240401.csv")
    chexpert.add_argument("--prompts", metavar="NAME", help="text made from the labels: present or statements")
    chexpert.add_argument("--chexbert", type=Path, metavar="JSON", help="CheXbert labels of CheXpert Plus instead")
    chexpert.add_argument("--exclude", type=Path, metavar="FILE", help="patients to leave out of training (5x200)")
    _views(chexpert, "frontal")
    _text(chexpert, "findings+impression")
    _common(chexpert)

    openi = kinds.add_parser("openi", help="Open-i / Indiana University (public): XML reports and PNG images")
    openi.add_argument("--images", required=True, type=Path, metavar="DIR", help="folder of the PNGs, or one above")
    openi.add_argument("--reports", type=Path, metavar="DIR", help="folder of the XML files (default: found)")
    _text(openi, "findings+impression")
    _split(openi)
    _common(openi)

    table = kinds.add_parser("table", help="any CSV with one row per image")
    table.add_argument("--csv", required=True, type=Path, metavar="FILE")
    table.add_argument("--image-column", required=True, metavar="C", help="paths of the images")
    table.add_argument("--text-column", metavar="C", help="reports; leave out to prepare for evaluation only")
    table.add_argument("--patient-column", required=True, metavar="C", help="patient ids, by which the split is made")
    table.add_argument("--image-root", type=Path, metavar="DIR", help="what the paths count from (default: the CSV's)")
    for name, what in (
        ("study", "study ids (default: one patient's rows with the same text are a study)"),
        ("split", "train, validate, test (default: split by patient)"),
        ("view", "views"),
        ("sex", "sex"),
        ("age", "age in years"),
    ):
        table.add_argument(f"--{name}-column", metavar="C", help=what)
    table.add_argument("--no-labels", action="store_true", help="ignore columns that bear CheXpert's 14 names")
    table.add_argument("--name", help="name of the data set (default: the CSV's)")
    table.add_argument("--encoding", help="of the CSV (default: UTF-8, or UTF-16 by its mark)")
    table.add_argument("--delimiter", default=",")
    _views(table, "all")
    _text(table, "report")
    _split(table)
    _common(table)

    merge = kinds.add_parser("merge", help="join the parts of --shard runs into one manifest")
    merge.add_argument("parts", nargs="+", type=Path, metavar="PART", help="folders written with --shard")
    merge.add_argument("--out", required=True, type=Path, metavar="DIR", help="the manifest's folder")
    return top


def _views(sub: argparse.ArgumentParser, default: str) -> None:
    from clinclip.data.views import VIEW_POLICIES

    sub.add_argument(
        "--views", default=default, help=f"{', '.join(VIEW_POLICIES)}, or a list such as PA,AP (default: %(default)s)"
    )


def _text(sub: argparse.ArgumentParser, default: str) -> None:
    sub.add_argument(
        "--text", default=default, metavar="POLICY",
        help="findings+impression, findings, impression, official, longest, full or report (default: %(default)s)",
    )  # fmt: skip


def _split(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--split", default="0.8,0.1,0.1", help="shares of train, validate, test (default: %(default)s)")
    sub.add_argument("--allow-shared-images", action="store_true", help="report images shared by splits, do not refuse")


def _common(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="the manifest's folder")
    sub.add_argument(
        "--policy", default="strict", choices=["strict", "skip"],
        help="at an image that cannot be read: stop naming it, or list it in the drop report (default: %(default)s)",
    )  # fmt: skip
    sub.add_argument("--image-size", type=int, default=512, help="side of the cached images (default: %(default)s)")
    sub.add_argument("--fit", default="pad", choices=["pad", "crop", "stretch"], help="into the square (default: pad)")
    sub.add_argument("--mode", default="fast", choices=["fast", "strict"], help="of decoding (default: fast)")
    sub.add_argument("--window", default="minmax", choices=["minmax", "voi"], help="of DICOM (default: minmax)")
    sub.add_argument("--equalize", action="store_true", help="equalise histograms, as MIMIC-CXR-JPG did to its DICOMs")
    sub.add_argument("--tier", default="raw", choices=["raw", "jpeg"], help="jpeg needs a quarter of the disk space")
    sub.add_argument("--shard", metavar="I/N", help="prepare the I-th of N parts; then: clinclip prepare merge")
    sub.add_argument("--verify", action="store_true", help="read cached images again that do not match their checksum")
    sub.add_argument("--workers", type=int, default=0, help="processes (default: the cores of this job)")
    sub.add_argument("--negations", type=int, default=4, help="negated twins of a report (default: %(default)s)")
    sub.add_argument(
        "--swaps", type=int, default=1,
        help="twins of a report of each further kind: wrong side, severity, finding (default: %(default)s)",
    )  # fmt: skip
    sub.add_argument("--seed", type=int, default=0, help="of the split and of the edited twins (default: %(default)s)")
    sub.add_argument("--quiet", action="store_true", help="no progress bars")


def build_options(args: argparse.Namespace) -> BuildOptions:
    """The options common to all data sets. Raises ConfigError for contradictory ones."""
    from clinclip.images import CacheOptions
    from clinclip.images.cache_pool import available_cores
    from clinclip.prepare.build import BuildOptions
    from clinclip.prepare.reading import AnnotateOptions

    try:
        fractions = tuple(float(part) for part in getattr(args, "split", "0.8,0.1,0.1").split(","))
    except ValueError:
        raise ConfigError(f"--split {args.split!r}: give three numbers such as 0.8,0.1,0.1") from None
    return BuildOptions(
        cache=CacheOptions(
            size=args.image_size,
            fit=args.fit,
            mode=args.mode,
            window=args.window,
            equalize=args.equalize,
            tier=args.tier,
        ),
        policy=args.policy,
        workers=args.workers if args.workers > 0 else available_cores(),
        split_seed=args.seed,
        fractions=fractions,  # type: ignore[arg-type]  # its length is checked by BuildOptions
        annotate=AnnotateOptions(negations=args.negations, swaps=args.swaps, seed=args.seed),
        shard=_shard(args.shard),
        refuse_shared_images=hasattr(args, "allow_shared_images") and not args.allow_shared_images,
        verify=args.verify,
    )


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isdigit() and second.isdigit()):
        raise ConfigError(f"--shard {text!r}: give i/n, for example 3/16 for the third of sixteen parts")
    return int(first), int(second)


def read_mimic(args: argparse.Namespace) -> Source:
    """``clinclip prepare mimic-cxr``."""
    from clinclip.prepare.readers.mimic_cxr import MimicOptions, read
    from clinclip.prepare.readers.report_text import check_policy
    from clinclip.text import StudyRules

    rules, digest = None, None
    if args.section_rules is not None:
        rules = StudyRules.from_json(args.section_rules)
        digest = hashlib.sha256(args.section_rules.read_bytes()).hexdigest()
    options = MimicOptions(args.labels, args.views, check_policy(args.text), digest)
    return read(args.images, args.reports, args.tables, options, args.image_type, rules, not args.quiet)


def read_table(args: argparse.Namespace) -> Source:
    """``clinclip prepare table``."""
    from clinclip.prepare.readers.report_text import check_policy
    from clinclip.prepare.readers.table import TableOptions, read

    options = TableOptions(
        image=args.image_column,
        text=args.text_column,
        patient=args.patient_column,
        study=args.study_column,
        split=args.split_column,
        view=args.view_column,
        sex=args.sex_column,
        age=args.age_column,
        views=args.views,
        policy=check_policy(args.text),
        labels=not args.no_labels,
        dataset=args.name or args.csv.stem,
        encoding=args.encoding,
        delimiter=args.delimiter,
    )
    return read(args.csv, options, args.image_root)


def read_chexpert(args: argparse.Namespace) -> Source:
    """``clinclip prepare chexpert``."""
    from clinclip.prepare.readers.chexpert import ChexpertOptions, read
    from clinclip.prepare.readers.report_text import check_policy

    options = ChexpertOptions(
        views=args.views,
        text=check_policy(args.text),
        prompts=args.prompts,
        plus=args.plus_csv is not None,
        chexbert=args.chexbert is not None,
        excluded=args.exclude is not None,
    )
    return read(args.images, options, args.plus_csv, args.chexbert, args.exclude, not args.quiet)


def read_openi(args: argparse.Namespace) -> Source:
    """``clinclip prepare openi``."""
    from clinclip.prepare.readers.openi import OpeniOptions, read
    from clinclip.prepare.readers.report_text import check_policy

    return read(args.images, args.reports, OpeniOptions(check_policy(args.text)), not args.quiet)


READERS = {"mimic-cxr": read_mimic, "chexpert": read_chexpert, "openi": read_openi, "table": read_table}


def report(header: dict[str, Any]) -> str:
    """What a preparation saw, as lines of counts: no ids, no paths, no text."""
    lines = []
    lines += [
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


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    if args.kind == "merge":
        from clinclip.prepare.merge import merge

        return _done(merge(args.parts, args.out), args.out)
    from clinclip.prepare.build import build

    options = build_options(args)
    source = READERS[args.kind](args)
    manifest: Manifest | None = build(source, args.out, options, progress=not args.quiet)
    if manifest is None:
        print(
            f"part {args.shard} is in {args.out}; when all parts are there: clinclip prepare merge PARTS... --out DIR"
        )
        return 0
    return _done(manifest, args.out)


def _done(manifest: Manifest, out: Path) -> int:
    print(report(manifest.header))
    print(f"manifest {out} ({manifest.hash[:12]}): {len(manifest.frame):,} images")
    print(_NEXT.format(out=out), file=sys.stderr)
    return 0
