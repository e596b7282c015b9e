"""Reports of CheXpert Plus, joined to CheXpert's images by path.

Its table writes paths without the release's prefix (``train/patient42142/study5/view1_frontal.jpg``) and has the
sections in columns of their own: about 27 % of the rows have findings. ``patient_report_date_order`` is not used: it is
reported not to follow dates. Where CheXpert's own tables are missing, this one also says which images there are, their
split, views, sex and age; it has no labels (they come as a file of CheXbert).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clinclip.data.splits import SPLIT_ALIASES
from clinclip.errors import ConfigError, LayoutError, TableError
from clinclip.prepare.readers.csv_tables import IdColumn, Table, TableFormat, read_table
from clinclip.prepare.readers.report_text import WHOLE, has_words, unwrap
from clinclip.prepare.readers.source import Source

KNOWN_ROWS = 223_462
REPORTS = TableFormat(
    name="CheXpert Plus report table",
    columns=("path_to_image", "deid_patient_id", "report", "section_findings", "section_impression"),
    optional=("frontal_lateral", "ap_pa", "section_narrative", "section_summary", "age", "sex", "split"),
    key=("path_to_image",),
    ids={"path_to_image": IdColumn(), "deid_patient_id": IdColumn()},
    source="Chambon et al., CheXpert Plus, df_chexpert_plus_240401.csv",
)


_SEX = {"male": "M", "m": "M", "female": "F", "f": "F"}


def path_parts(path: str) -> tuple[str, str, str] | None:
    """(patient, study, path below the root) of a published path, whatever release prefix and slashes it carries."""
    pieces = path.replace("\\", "/").split("/")
    for i, piece in enumerate(pieces):
        if piece.startswith("patient") and i + 1 < len(pieces):
            return piece, f"{piece}/{pieces[i + 1]}", "/".join(pieces[max(i - 1, 0) :])
    return None


def image_id(path: str) -> str:
    """The image id of a published path: below the root, without suffix."""
    parts = path_parts(path)
    return (parts[2] if parts else path).rsplit(".", 1)[0]


def listed_images(path: Path) -> pd.DataFrame:
    """One row an image of the report table, in the columns of a Source, without text.

    Raises:
        TableError: a path or split that is none of CheXpert's.
    """
    rows = _table(path).frame
    parts = [path_parts(cell) for cell in rows["path_to_image"]]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        raise TableError(
            f"{path}: column 'path_to_image', row {parts.index(None) + 1}: not "
            ".../patientNNNNN/studyN/viewN_frontal.jpg"
        )
    splits = []
    for cell, part in zip(rows["split"], known, strict=True):
        name = (cell or part[2].split("/")[0]).lower()
        if name not in SPLIT_ALIASES:
            raise TableError(f"{path}: column 'split': {name!r} is not one of {', '.join(sorted(SPLIT_ALIASES))}")
        splits.append(SPLIT_ALIASES[name])
    position = rows["ap_pa"].str.upper().where(~rows["ap_pa"].str.lower().isin(["nan", "none"]), "")
    side = rows["frontal_lateral"].str.upper()
    views = position.where(position != "", side)
    views = views.where(~((side == "FRONTAL") & position.isin(["LL", "RL"])), "FRONTAL " + position)
    return pd.DataFrame(
        {
            "image_id": [part[2].rsplit(".", 1)[0] for part in known],
            "study_id": [part[1] for part in known],
            "patient_id": [part[0] for part in known],
            "split": splits,
            "view": views,
            "sex": [_SEX.get(cell.lower(), "") for cell in rows["sex"]],
            "age": pd.to_numeric(rows["age"], errors="coerce"),
            "image_path": [part[2] for part in known],
            "findings": "",
            "impression": "",
            "text": "",
        }
    )


def _table(path: Path) -> Table:
    if not path.is_file():
        raise LayoutError(
            f"--plus-csv {path}: no such file; download df_chexpert_plus_240401.csv of CheXpert Plus "
            "(aimi.stanford.edu, 'CheXpert Plus')"
        )
    return read_table(path, REPORTS)


def add_reports(source: Source, path: Path, policy: str) -> None:
    """Add sections and text to ``source.frame``; images without a report or without text by the policy are dropped.

    Args:
        source: with CheXpert's images.
        path: ``df_chexpert_plus_240401.csv``.
        policy: a canonical text policy: "findings_impression", "findings", "impression", "official" or "report".

    Raises:
        LayoutError: the table is not there.
        TableError: it is damaged or of another data set.
        ConfigError: the policy needs sections that the table does not have.
    """
    from clinclip.text.sections import study_text

    if policy not in ("findings_impression", "findings", "impression", "official", "longest", WHOLE):
        raise ConfigError(f"--text {policy!r} is not possible with CheXpert Plus, whose sections are columns")
    table = _table(path)
    source.notes += [f"{path.name}: {note}" for note in table.notes]
    if len(table) != KNOWN_ROWS:
        source.notes.append(f"{path.name}: {len(table):,} rows; the release has {KNOWN_ROWS:,}")
    texts: dict[str, tuple[str, str, str]] = {}
    wanted = set(source.frame["image_id"])
    for row in table.frame.to_dict("records"):
        image = image_id(str(row["path_to_image"]))
        if image not in wanted:
            continue
        if f"/{row['deid_patient_id']}/" not in f"/{image}/":
            raise TableError(f"{path}: column 'deid_patient_id' contradicts 'path_to_image' in at least one row")
        sections = {"findings": unwrap(row["section_findings"]), "impression": unwrap(row["section_impression"])}
        sections = {name: text for name, text in sections.items() if has_words(text)}
        text = unwrap(row["report"]) if policy == WHOLE else unwrap(study_text(sections, policy))
        texts[image] = (sections.get("findings", ""), sections.get("impression", ""), text if has_words(text) else "")
    if not texts:
        raise TableError(
            f"{path}: has a report for none of the images; paths should look like train/patient00001/study1/..."
        )
    frame = source.frame
    without = ~frame["image_id"].isin(texts)
    if without.any():
        test = int((without & (frame["split"] == "test")).sum())
        source.notes.append(
            f"{int(without.sum()):,} images have no report and are left out, {test:,} of the test split among them: "
            "for zero-shot evaluation prepare once more without --plus-csv"
        )
    source.keep(~without, "no report", "not in the table of CheXpert Plus")
    for i, column in enumerate(("findings", "impression", "text")):
        source.frame[column] = [texts[image][i] for image in source.frame["image_id"]]
    with_findings = sum(1 for parts in texts.values() if parts[0])
    source.notes.append(f"CheXpert Plus: {with_findings:,} of {len(texts):,} reports have findings")
    source.count("with a report")
    source.keep_text(policy)
