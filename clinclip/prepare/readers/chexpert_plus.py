"""Reports of CheXpert Plus, joined to CheXpert's images by path.

Its table writes paths without the release's prefix (``train/patient42142/study5/view1_frontal.jpg``) and has the
sections in columns of their own: about 27 % of the rows have findings. ``patient_report_date_order`` is not used: it is
reported not to follow dates.
"""

from __future__ import annotations

from pathlib import Path

from clinclip.errors import ConfigError, LayoutError, TableError
from clinclip.prepare.readers.csv_tables import IdColumn, TableFormat, read_table
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
    if not path.is_file():
        raise LayoutError(
            f"--plus-csv {path}: no such file; download df_chexpert_plus_240401.csv of CheXpert Plus "
            "(aimi.stanford.edu, 'CheXpert Plus')"
        )
    table = read_table(path, REPORTS)
    source.notes += [f"{path.name}: {note}" for note in table.notes]
    if len(table) != KNOWN_ROWS:
        source.notes.append(f"{path.name}: {len(table):,} rows; the release has {KNOWN_ROWS:,}")
    texts: dict[str, tuple[str, str, str]] = {}
    wanted = set(source.frame["image_id"])
    for row in table.frame.to_dict("records"):
        image = str(row["path_to_image"]).rsplit(".", 1)[0]
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
