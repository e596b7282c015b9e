"""``clinclip phantom``: generate phantom studies in a real download's layout, or a contact sheet of them."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run ``clinclip phantom mimic-cxr|chexpert|sheet|knobs``."""
    parser = argparse.ArgumentParser(prog="clinclip phantom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    mimic = commands.add_parser("mimic-cxr", help="the layout of MIMIC-CXR and MIMIC-CXR-JPG, side by side")
    _common(mimic)
    mimic.add_argument("--format", default="jpg", choices=("jpg", "dicom", "both"), help="image files to write (jpg)")
    mimic.add_argument("--reports", default="tree", choices=("tree", "zip", "both"), help="reports as files, zip, both")
    mimic.add_argument("--release", default="2.1.0", choices=("2.0.0", "2.1.0"), help="release to imitate (2.1.0)")
    chexpert = commands.add_parser("chexpert", help="the layout of CheXpert, with the table of CheXpert Plus")
    _common(chexpert)
    chexpert.add_argument("--release", default="small", choices=("small", "full"), help="which release's names (small)")
    chexpert.add_argument("--no-plus", action="store_true", help="without the reports of CheXpert Plus")
    sheet = commands.add_parser("sheet", help="a PNG contact sheet of generated studies")
    sheet.add_argument("--root", type=Path, required=True, help="output folder of clinclip phantom")
    sheet.add_argument("--out", type=Path, required=True, help="PNG to write")
    sheet.add_argument("--rows", type=int, default=2, help="tiles down (2)")
    sheet.add_argument("--columns", type=int, default=4, help="tiles across (4)")
    sheet.add_argument("--tile", type=int, default=220, help="width of a tile in pixels (220)")
    sheet.add_argument("--no-boxes", action="store_true", help="without the boxes of findings")
    commands.add_parser("knobs", help="list the difficulty knobs, their defaults and what they do")
    args = parser.parse_args(argv)
    if args.command == "knobs":
        from clinclip.phantom.knobs import describe_knobs

        print(describe_knobs())
        return 0
    if args.command == "sheet":
        from clinclip.phantom.contact_sheet import contact_sheet

        path = contact_sheet(args.root, args.out, args.rows, args.columns, args.tile, not args.no_boxes)
        print(f"contact sheet in {path} ({path.stat().st_size / 1024:.0f} KiB)")
        return 0
    from clinclip.phantom import generate_chexpert, generate_mimic_cxr
    from clinclip.phantom.knobs import parse_knobs

    knobs = parse_knobs(args.knob)
    if args.command == "mimic-cxr":
        summary = generate_mimic_cxr(
            args.out,
            args.studies,
            args.seed,
            knobs,
            args.workers,
            args.image_size,
            args.format,
            args.reports,
            args.release,
        )
    else:
        summary = generate_chexpert(
            args.out, args.studies, args.seed, knobs, args.workers, args.image_size, args.release, not args.no_plus
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
        help="difficulty, see `clinclip phantom knobs`; may be given several times",
    )
