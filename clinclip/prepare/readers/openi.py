"""Open-i (Indiana University chest X-rays): XML reports and PNG images, public. Reads into a Source.

Source: Demner-Fushman et al., "Preparing a collection of radiology examinations for distribution and retrieval",
JAMIA 2016; openi.nlm.nih.gov. Sections are found by their Label, never by position. Each report is of another
patient. There is no official split and no view in the XML; de-identified words are ``XXXX``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clinclip.errors import DataError, LayoutError
from clinclip.prepare.readers.report_text import WHOLE, has_words, unwrap
from clinclip.prepare.readers.source import Source, SplitOptions, TextOptions

NAME = "openi"
DOWNLOAD = "NLMCXR_png.tgz and NLMCXR_reports.tgz (openi.nlm.nih.gov, FAQ, collection of Indiana University)"
KNOWN_REPORTS = 3_955


@dataclass(frozen=True, kw_only=True)
class OpeniOptions(TextOptions, SplitOptions):
    """Open-i / Indiana University (public), XML reports and PNG images.

    Attributes:
        images: folder of the PNGs, or one above.
        reports: folder of the XML files (default: found in or beside the images).
    """

    images: Path
    reports: Path | None = None


def _folder_of(start: Path, pattern: str, what: str, option: str) -> Path:
    """The folder below ``start`` whose files match; several levels of unpacked archives are common."""
    start = start.resolve()
    if not start.is_dir():
        raise LayoutError(f"{option} {start}: no such folder; download {DOWNLOAD}")
    first = next(
        iter(sorted(start.glob(pattern)) or sorted(start.glob(f"*/{pattern}")) or sorted(start.glob(f"*/*/{pattern}"))),
        None,
    )
    if first is None:
        found = ", ".join(sorted(p.name for p in start.iterdir())[:8]) or "nothing"
        raise LayoutError(f"{option} {start}: no {what} ({pattern}) there; found: {found}. Download {DOWNLOAD}")
    return first.parent


def read(options: OpeniOptions, progress: bool = True) -> Source:
    """Read a download without touching it.

    Args:
        options: where it is and what to keep.
        progress: show a progress bar.

    Raises:
        LayoutError: images or reports are missing.
        DataError: no report is XML of this collection.
    """
    images, reports = options.images, options.reports
    policy, fractions = options.policy(), options.fractions()
    root = _folder_of(images, "CXR*.png", "images", "--images")
    if reports is None:
        beside = images if any(images.glob("**/[0-9]*.xml")) else root.parent
        folder = _folder_of(beside, "[0-9]*.xml", "reports", "--images")
    else:
        folder = _folder_of(reports, "[0-9]*.xml", "reports", "--reports")
    # macOS leaves "._1.xml" beside "1.xml"
    paths = [path for path in folder.glob("*.xml") if not path.name.startswith(".")]
    paths.sort(key=lambda p: (len(p.stem), p.stem))
    rows, without, faults = [], 0, {}
    for path in tqdm(paths, desc="reading reports", unit="report", disable=not progress, leave=False):
        try:
            found = _report(path, policy)
        except DataError as error:
            faults[path.stem] = error
            continue
        without += not found
        rows += found
    if not rows and faults:
        raise DataError(f"none of {len(paths):,} reports can be read; the first: {next(iter(faults.values()))}")
    if not rows:
        raise LayoutError(f"{folder}: {len(paths)} reports name no image; is it NLMCXR_reports? Download {DOWNLOAD}")
    frame = pd.DataFrame(rows)
    # all PNGs lie in one folder: one listing
    there = {p.name for p in root.glob("*.png")}
    source = Source(
        dataset=NAME,
        root=root,
        frame=frame.sort_values(["patient_id", "image_id"], kind="stable").reset_index(drop=True),
        options={"dataset": NAME, "text": policy},
        fractions=fractions,
        refuse_shared_images=not options.allow_shared_images,
        layout={"images": str(root), "reports": str(folder)},
    )
    for study, error in faults.items():
        source.fault(f"CXR{study}", error)
    if len(paths) != KNOWN_REPORTS:
        source.notes.append(f"{len(paths):,} reports; the collection has {KNOWN_REPORTS:,}")
    if without:
        source.notes.append(f"{without:,} reports name no image")
    source.count("named by the reports")
    missing = int((~source.frame["image_path"].isin(there)).sum())
    if missing == len(frame):
        raise LayoutError(
            f"{root}: none of the {len(frame):,} images that the reports name is there; download {DOWNLOAD}"
        )
    if missing:
        source.notes.append(f"{missing:,} images that the reports name are not there")
    source.keep_text(policy)
    return source


def _report(path: Path, policy: str) -> list[dict[str, object]]:
    """One row an image of a report."""
    from clinclip.text.sections import study_text

    try:
        tree = ET.parse(path).getroot()
    except (ET.ParseError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not an Open-i report ({error}); download it again") from error
    identifier = tree.find("uId")
    if identifier is None or not identifier.get("id"):
        raise DataError(f"{path}: no <uId id=...>: not an Open-i report")
    study = str(identifier.get("id"))
    sections: dict[str, str] = {}
    for element in tree.iter("AbstractText"):
        text = unwrap("".join(element.itertext()))
        if has_words(text):
            sections[(element.get("Label") or "").strip().lower()] = text
    whole = "\n".join(sections.values())
    text = whole if policy == WHOLE else unwrap(study_text(sections, policy))
    return [
        {
            "image_id": image.get("id"),
            "study_id": study,
            "patient_id": study,
            "split": "",
            "view": "",
            "image_path": f"{image.get('id')}.png",
            "findings": sections.get("findings", ""),
            "impression": sections.get("impression", ""),
            "text": text if has_words(text) else "",
        }
        for image in tree.iter("parentImage")
        if image.get("id")
    ]
