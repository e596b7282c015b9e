"""MIMIC-CXR: tables, splits, labels, views and report files. Reads into a Source.

Sources: the PhysioNet pages of MIMIC-CXR and MIMIC-CXR-JPG 2.0.0 and 2.1.0, and github.com/MIT-LCP/mimic-cxr.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from clinclip.data.manifest import TABLE_COLUMNS
from clinclip.errors import ConfigError, DataError, LayoutError, TableError
from clinclip.files import sha256_file
from clinclip.findings import FINDINGS, NOT_MENTIONED, column_name
from clinclip.prepare.readers.csv_tables import Table, read_table
from clinclip.prepare.readers.mimic_layout import JPG, Layout, locate
from clinclip.prepare.readers.mimic_reports import read_reports, report_names
from clinclip.prepare.readers.mimic_tables import CHEXPERT, METADATA, NEGBIO, SPLIT, TEST_LABELED
from clinclip.prepare.readers.report_text import report_parts
from clinclip.prepare.readers.source import Source, TextOptions, ViewOptions

if TYPE_CHECKING:
    from clinclip.text.sections import StudyRules

NAME = "mimic-cxr"
LABELS: dict[str, tuple[str, ...]] = {
    "chexpert": ("chexpert",),
    "negbio": ("negbio",),
    # radiologists' labels of the test studies, CheXpert's elsewhere
    "test-2.1": ("chexpert", "test-set-labeled"),
    "none": (),
}
#: rows of the full release, by table; a deviation is noted, never refused (partial downloads are fine)
KNOWN_ROWS = {
    "metadata": 377_110,
    "split": 377_110,
    "chexpert": 227_827,
    "negbio": 227_827,
    "test-set-labeled": 687,  # as users report; not stated by the publisher
}
KNOWN_SPLITS = {"train": 368_960, "validate": 2_991, "test": 5_159}
_CODES = [column_name(name) for name in FINDINGS]

#: words of ViewCodeSequence_CodeMeaning that stand in where ViewPosition is blank
VIEW_OF_MEANING = {
    "antero-posterior": "AP",
    "postero-anterior": "PA",
    "lateral": "LATERAL",
    "left lateral": "LL",
    "left anterior oblique": "LAO",
    "right anterior oblique": "RAO",
    "left posterior oblique": "LPO",
    "right posterior oblique": "RPO",
    "Erect": "",
}


@dataclass(frozen=True, kw_only=True)
class MimicOptions(ViewOptions, TextOptions):
    """MIMIC-CXR reports with MIMIC-CXR-JPG or DICOM images.

    Attributes:
        images: the image project, its files folder, or a folder above both projects.
        reports: folder of the reports or mimic-cxr-reports.zip (default: found).
        tables: folder of the CSV tables (default: found).
        image_type: where both are there (default: jpg).
        labels: label table; test-2.1 is radiologists' labels in the test split, CheXpert's elsewhere.
        section_rules: your JSON file of section rules of single studies.
    """

    images: Path
    reports: Path | None = None
    tables: Path | None = None
    image_type: Literal["jpg", "dicom"] | None = None
    labels: Literal["chexpert", "negbio", "test-2.1", "none"] = "chexpert"
    section_rules: Path | None = None


def read(options: MimicOptions, progress: bool = True) -> Source:
    """Read a download without touching it.

    Args:
        options: where it is and what to keep.
        progress: show progress bars.

    Raises:
        LayoutError: something is missing; says what was found and what to download.
        TableError: a table is damaged or contradicts another.
        ConfigError: an unknown policy or label table, or a file of section rules that cannot be read.
    """
    policy = options.policy()
    if options.labels not in LABELS:
        raise ConfigError(f"--labels {options.labels!r}: not one of {', '.join(LABELS)}")
    rules = None if options.section_rules is None else _section_rules(options.section_rules)
    required = ("metadata", "split", *LABELS[options.labels])
    layout = locate(options.images, options.reports, options.tables, required, options.image_type)
    metadata = read_table(layout.tables["metadata"], METADATA)
    splits = read_table(layout.tables["split"], SPLIT)
    frame = _join(metadata, splits, layout)
    source = Source(
        dataset=NAME,
        root=layout.images,
        frame=frame,
        options={
            "dataset": NAME,
            "kind": layout.kind,
            "labels": options.labels,
            "views": options.views,
            "text": policy,
            "section_rules": None if options.section_rules is None else sha256_file(options.section_rules),
        },
        layout={
            "images": str(layout.images),
            "kind": layout.kind,
            "version": layout.version,
            "reports": str(layout.reports),
            **{f"table:{name}": path.name for name, path in sorted(layout.tables.items())},
        },
    )
    _note_rows(source, "metadata", metadata)
    _note_rows(source, "split", splits)
    if len(splits) == KNOWN_ROWS["split"]:
        sizes = {name: int((splits.frame["split"] == name).sum()) for name in KNOWN_SPLITS}
        if sizes != KNOWN_SPLITS:
            source.notes.append(f"table split: its rows are divided into {sizes}; the full release into {KNOWN_SPLITS}")
    source.count("listed in the metadata table")
    source.keep(frame["split"] != "", "split", "not in the split table")
    source.keep_views(options.views)
    _add_labels(source, layout, options.labels)
    source.keep_downloaded(progress)
    _add_reports(source, layout.reports, policy, rules, progress)
    return source


def _section_rules(path: Path) -> StudyRules:
    from clinclip.text import StudyRules

    return StudyRules.from_json(path)


def _join(metadata: Table, splits: Table, layout: Layout) -> pd.DataFrame:
    """One row per image of the metadata table, with its split; the two tables must tell the same story."""
    meta, split = metadata.frame, splits.frame
    merged = meta.merge(split, on="dicom_id", how="left", suffixes=("", "_split"), validate="one_to_one")
    for name in ("study_id", "subject_id"):
        other = merged[f"{name}_split"]
        clash = other.notna() & (other != merged[name])
        if clash.any():
            raise TableError(
                f"{layout.tables['split']}: {int(clash.sum())} images have another {name} than in "
                f"{layout.tables['metadata'].name}: the tables are of different releases or damaged"
            )
    meaning = merged["ViewCodeSequence_CodeMeaning"].map(VIEW_OF_MEANING).fillna("")
    view = merged["ViewPosition"].where(merged["ViewPosition"] != "", meaning)
    suffix = ".jpg" if layout.kind == JPG else ".dcm"
    patient, study = merged["subject_id"], merged["study_id"]
    path = "files/p" + patient.str[:2] + "/p" + patient + "/s" + study + "/" + merged["dicom_id"] + suffix
    frame = pd.DataFrame(
        {
            "image_id": merged["dicom_id"],
            "study_id": study,
            "patient_id": patient,
            "split": merged["split"].fillna(""),
            "view": view,
            "image_path": path,
        }
    )
    # a fixed order whatever the order of the table
    return frame.sort_values(["patient_id", "study_id", "image_id"], kind="stable").reset_index(drop=True)


def _note_rows(source: Source, name: str, table: Table) -> None:
    source.notes += [f"table {name}: {note}" for note in table.notes]
    expected = KNOWN_ROWS.get(name)
    if expected is not None and len(table) != expected:
        source.notes.append(f"table {name}: {len(table):,} rows; the full release has {expected:,}")


def _add_labels(source: Source, layout: Layout, labels: str) -> None:
    """Left-join the label tables: a study without a row stays, as "not mentioned"."""
    if labels == "none":
        return
    base = LABELS[labels][0]
    table = read_table(layout.tables[base], NEGBIO if base == "negbio" else CHEXPERT)
    _note_rows(source, base, table)
    frame = source.frame
    owners = table.frame.set_index("study_id")["subject_id"]
    owner = frame["study_id"].map(owners)
    clash = owner.notna() & (owner != frame["patient_id"])
    if clash.any():
        raise TableError(f"{layout.tables[base]}: {int(clash.sum())} images have another subject_id there")
    codes = table.frame.set_index("study_id")[_CODES]
    if labels == "test-2.1":
        extra = LABELS[labels][1]
        radiologist = read_table(layout.tables[extra], TEST_LABELED)
        _note_rows(source, extra, radiologist)
        marked = radiologist.frame.set_index("study_id")[_CODES]
        source.notes.append(f"table {extra}: {len(marked):,} studies labelled by radiologists")
        # test studies carry the radiologists' labels or none: the two kinds are never mixed within a split
        test = set(frame.loc[frame["split"] == "test", "study_id"])
        outside = len(set(marked.index) & (set(frame["study_id"]) - test))
        if outside:
            source.notes.append(f"table {extra}: {outside:,} labelled studies are not in the test split; ignored")
        codes = pd.concat([codes[~codes.index.isin(test)], marked[marked.index.isin(test)]])
    joined = codes.reindex(frame["study_id"])
    unlabelled = joined[_CODES[0]].isna().to_numpy()
    if unlabelled.any():
        count = frame.loc[unlabelled, "study_id"].nunique()
        source.notes.append(f"{count:,} studies have no row in the {labels} label table: kept as not mentioned")
    blank = (table.frame[_CODES] == NOT_MENTIONED).all(axis=1)
    if blank.any():
        source.notes.append(f"table {base}: {int(blank.sum()):,} studies with no label at all")
    values = joined.fillna(NOT_MENTIONED).astype("int8").to_numpy()
    source.frame = frame.assign(**{column: values[:, i] for i, column in enumerate(TABLE_COLUMNS)})


def _add_reports(source: Source, where: Path, policy: str, rules: StudyRules | None, progress: bool) -> None:
    """Sections and text of every study; studies without a report or without text by the policy are dropped."""
    names = report_names(source.frame)
    texts: dict[str, tuple[str, str, str]] = {}
    missing: set[str] = set()
    for study, report in read_reports(where, names, progress):
        if report is None:
            missing.add(study)
        elif isinstance(report, DataError):
            source.fault(study, report)
        else:
            texts[study] = report_parts(report, policy, official=True, study_id=study, rules=rules)
    if not texts and source.faults:
        raise DataError(f"none of {len(names):,} reports can be read; the first: {source.faults[0]}")
    if not texts:
        raise LayoutError(
            f"{where}: holds none of the {len(names):,} reports that belong to the images; is it of the same release?"
        )
    if missing:
        source.notes.append(f"{len(missing):,} studies have no report file; left out")
    source.keep(~source.frame["study_id"].isin(missing), "no report", "report file not found")
    for i, column in enumerate(("findings", "impression", "text")):
        source.frame[column] = [texts[study][i] for study in source.frame["study_id"]]
    source.count("with a report")
    source.keep_text(policy)
