"""``clinclip phantom``: generate phantom studies in a real download's layout, or a contact sheet of them."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run ``clinclip phantom mimic-cxr|chexpert|sheet``."""
    parser = argparse.ArgumentParser(prog="clinclip phantom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    mimic = commands.add_parser("mimic-cxr", help="the layout of MIMIC-CXR and MIMIC-CXR-JPG side by side")
    _common(mimic)
    mimic.add_argument("--format", default="jpg", choices=("jpg", "dicom", "both"), help="image files to write (jpg)")
    mimic.add_argument("--reports", default="tree", choices=("tree", "zip", "both"), help="reports as files, zip, both")
    args = parser.parse_args(argv)
    from clinclip.data.phantom import generate_mimic_cxr
    from clinclip.data.phantom.knobs import parse_knobs

    knobs = parse_knobs(args.knob)
    summary = generate_mimic_cxr(
        args.out, args.studies, args.seed, knobs, args.workers, args.image_size, args.format, args.reports
    )
    splits = ", ".join(f"{name} {count}" for name, count in summary.splits.items())
    print(
        f"{summary.studies} studies of {summary.patients} patients, {summary.images} images ({splits}) in {summary.out}"
    )
    return 0


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="root folder, new or of an earlier run")
    parser.add_argument("--studies", type=int, required=True, help="how many studies")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (0)")
    parser.add_argument("--image-size", type=int, default=320, help="shorter side of the images in pixels (320)")
    parser.add_argument("--workers", type=int, default=None, help="processes (one a core, at most 8)")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="difficulty, see clinclip.data.phantom.PhantomKnobs; may be given several times",
    )
