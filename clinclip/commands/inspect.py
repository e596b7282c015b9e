"""``clinclip inspect``: what a manifest holds, in the terminal and as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from clinclip.data.manifest import Manifest
    from clinclip.prepare.summary import LabelTable, Summary

#: pictures of the contact sheet, and their side
SHEET, SIDE = 48, 256


def parser() -> argparse.ArgumentParser:
    """The command line of ``clinclip inspect``."""
    top = argparse.ArgumentParser(
        prog="clinclip inspect",
        description="Counts, labels, report lengths, views, splits, drop reasons and duplicates of a manifest. No "
        "image, text or id is shown unless asked for.",
    )
    top.add_argument("--manifest", required=True, type=Path, metavar="DIR")
    top.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: inspect.html in the manifest's folder)"
    )
    top.add_argument(
        "--against", nargs="+", type=Path, default=[], metavar="DIR",
        help="other manifests: count images (byte for byte) and patients that are there too",
    )  # fmt: skip
    top.add_argument("--show-patients", action="store_true", help="add a contact sheet of images to the page")
    return top


def _bar(share: float, width: int = 20) -> str:
    return "#" * round(share * width)


def _labels(table: LabelTable) -> list[str]:
    from clinclip.findings import FINDINGS
    from clinclip.prepare.summary import STATES

    lines = [f"labels ({table.source}), studies:"]
    lines.append(" " * 30 + "".join(f"{str(state).replace('_', ' '):>15}" for state in STATES))
    total = max(int(table.counts[0].sum()), 1)
    for name, counts in zip(FINDINGS, table.counts, strict=True):
        lines.append(f"  {name:<28}" + "".join(f"{int(n):>15,}" for n in counts) + f"  {_bar(int(counts[0]) / total)}")
    return lines


def as_text(summary: Summary) -> str:
    """The terminal's form: counts only."""
    import numpy as np

    lines = [f"{name}: {value}" for name, value in summary.facts[:7]]
    lines += ["", "splits:", f"  {'':<10}{'images':>12}{'studies':>12}{'patients':>12}"]
    lines += [f"  {name:<10}{a:>12,}{b:>12,}{c:>12,}" for name, (a, b, c) in summary.splits.items()]
    lines += ["", "views: " + ", ".join(f"{view} {count:,}" for view, count in summary.views.items())]
    lines += ["images a study: " + ", ".join(f"{k}: {v:,}" for k, v in summary.images_per_study.items())]
    if len(summary.words):
        quantiles = np.quantile(summary.words, [0, 0.25, 0.5, 0.75, 0.95, 1]).round().astype(int)
        names = ("shortest", "25 %", "median", "75 %", "95 %", "longest")
        lines += ["words a report: " + ", ".join(f"{n} {q}" for n, q in zip(names, quantiles, strict=True))]
        twins = ", ".join(f"{kind} {count:,}" for kind, count in summary.twins.items())
        lines += [f"of {summary.reports:,} reports: {summary.graphs:,} with a graph; with an edited twin: {twins}"]
    for table in summary.labels:
        lines += ["", *_labels(table)]
    if summary.agreement:
        both, same = (sum(getattr(a, name) for a in summary.agreement) for name in ("both", "same"))
        if both:
            lines += [
                "",
                f"table and read labels: the same in {same / both:.1%} of {both:,} cells where both say something",
            ]
    found = summary.duplicates
    lines += [
        "",
        f"duplicates: {found.texts:,} texts shared by {found.text_studies:,} studies (largest groups: "
        f"{', '.join(map(str, summary.largest[:5])) or 'none'}; {found.cross_split_texts:,} across splits); "
        f"{found.images:,} images in {found.image_rows:,} rows ({found.cross_split_images:,} across splits)",
        "",
    ]
    lines += [f"left out: {count:,} ({reason})" for reason, count in summary.dropped.items()]
    lines += [f"kept, but: {count:,} ({reason})" for reason, count in summary.kept.items()]
    lines += [f"note: {note}" for note in summary.notes]
    return "\n".join(lines)


def against(manifest: Manifest, others: list[Path]) -> list[str]:
    """Lines that count what this manifest shares with others, by split: leaks between data sets of one origin."""
    from clinclip.data.leakage import cross_set_duplicates, shared_patients
    from clinclip.data.manifest import Manifest as Opened

    lines = []
    for path in others:
        other = Opened.load(path)
        images = cross_set_duplicates([manifest, other])
        patients = shared_patients(manifest, other)
        lines.append(f"against {path} ({other.hash[:12]}):" + ("" if images or patients else " nothing in common"))
        lines += [f"  {r['images']:,} images: {r['splits'][0]} here, {r['splits'][1]} there" for r in images]
        lines += [f"  {count:,} patients: {a} here, {b} there" for (a, b), count in patients.items()]
    return lines


def contact_sheet(manifest: Manifest) -> list[np.ndarray]:
    """Evenly spaced images of the manifest, reduced."""
    import cv2
    import numpy as np

    rows = np.unique(np.linspace(0, len(manifest.frame) - 1, SHEET).round().astype(int))
    pixels = manifest.cache.gather(manifest.frame["cache_index"].to_numpy()[rows])
    return [np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)) for image in pixels]


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    from clinclip.commands.inspect_html import page
    from clinclip.data.manifest import Manifest
    from clinclip.files import write_text
    from clinclip.prepare.summary import summarise

    manifest = Manifest.load(args.manifest)
    summary = summarise(manifest)
    print(as_text(summary))
    if args.against:
        print("", *against(manifest, args.against), sep="\n")
    out = args.out or args.manifest / "inspect.html"
    html = page(summary, contact_sheet(manifest) if args.show_patients else ())
    write_text(out, html)
    print(f"\npage: {out}" + (" (shows patients: do not pass it on)" if args.show_patients else ""))
    return 0
