"""The tables of MIMIC-CXR-JPG as :class:`clinclip.prepare.readers.csv_tables.TableFormat`.

Names and orders are the publisher's; ``source`` says where each was read. Columns are always found by name.
"""

from __future__ import annotations

from clinclip.findings import FINDINGS
from clinclip.prepare.readers.csv_tables import IdColumn, TableFormat

SUBJECT_ID = IdColumn(r"1\d{7}", "8 digits starting with 1", prefix="p")
STUDY_ID = IdColumn(r"5\d{7}", "8 digits starting with 5", prefix="s")
DICOM_ID = IdColumn(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", "5 groups of 8 hexadecimal digits")

#: MIMIC-CXR-JPG's label tables are alphabetical.
LABEL_COLUMNS = {name: name for name in sorted(FINDINGS)}

METADATA = TableFormat(
    name="MIMIC-CXR-JPG metadata table",
    columns=("dicom_id", "subject_id", "study_id", "ViewPosition"),
    optional=("Rows", "Columns", "StudyDate", "StudyTime", "ViewCodeSequence_CodeMeaning"),
    key=("dicom_id",),
    ids={"dicom_id": DICOM_ID, "subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    numbers=("Rows", "Columns", "StudyDate", "StudyTime"),
    source="physionet.org/content/mimic-cxr-jpg/2.0.0",
)
SPLIT = TableFormat(
    name="MIMIC-CXR-JPG split table",
    columns=("dicom_id", "study_id", "subject_id", "split"),
    key=("dicom_id",),
    ids={"dicom_id": DICOM_ID, "subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    values={"split": frozenset({"train", "validate", "test"})},
    source="physionet.org/content/mimic-cxr-jpg/2.0.0",
)


def _label_table(labeler: str) -> TableFormat:
    return TableFormat(
        name=f"MIMIC-CXR-JPG {labeler} label table",
        columns=("subject_id", "study_id", *LABEL_COLUMNS),
        key=("study_id",),
        ids={"subject_id": SUBJECT_ID, "study_id": STUDY_ID},
        labels=LABEL_COLUMNS,
        source="physionet.org/content/mimic-cxr-jpg/2.0.0",
    )


CHEXPERT = _label_table("CheXpert")
NEGBIO = _label_table("NegBio")
TEST_LABELED = TableFormat(
    name="MIMIC-CXR-JPG 2.1 radiologist-labelled test table",
    columns=("study_id", *LABEL_COLUMNS),
    key=("study_id",),
    ids={"study_id": STUDY_ID},
    labels=LABEL_COLUMNS,
    # the publisher's own other name for the same observation
    aliases={"Airspace Opacity": "Lung Opacity"},
    source="physionet.org/content/mimic-cxr-jpg/2.1.0",
)
