"""The table layouts of the public chest X-ray data sets, as :class:`clinclip.prepare.readers.csv_tables.TableFormat`.

Names and orders are the publishers'; ``source`` says where each was read. Two positions are unverified and therefore
never relied upon: columns are always found by name.
"""

from __future__ import annotations

from clinclip.findings import FINDINGS, LabelState
from clinclip.prepare.readers.csv_tables import IdColumn, TableFormat

SUBJECT_ID = IdColumn(r"1\d{7}", "8 digits starting with 1", prefix="p")
STUDY_ID = IdColumn(r"5\d{7}", "8 digits starting with 5", prefix="s")
DICOM_ID = IdColumn(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", "5 groups of 8 hexadecimal digits")
ANY_ID = IdColumn()

#: MIMIC-CXR-JPG's label tables are alphabetical.
MIMIC_LABELS = {name: name for name in sorted(FINDINGS)}
_CERTAIN = frozenset({LabelState.PRESENT, LabelState.ABSENT})
_SPLITS = frozenset({"train", "validate", "test"})

MIMIC_METADATA = TableFormat(
    name="MIMIC-CXR-JPG metadata table",
    columns=("dicom_id", "subject_id", "study_id", "ViewPosition"),
    optional=("Rows", "Columns", "StudyDate", "StudyTime", "ViewCodeSequence_CodeMeaning"),
    key=("dicom_id",),
    ids={"dicom_id": DICOM_ID, "subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    numbers=("Rows", "Columns", "StudyDate", "StudyTime"),
    source="physionet.org/content/mimic-cxr-jpg/2.0.0",
)
MIMIC_SPLIT = TableFormat(
    name="MIMIC-CXR-JPG split table",
    columns=("dicom_id", "study_id", "subject_id", "split"),
    key=("dicom_id",),
    ids={"dicom_id": DICOM_ID, "subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    values={"split": _SPLITS},
    source="physionet.org/content/mimic-cxr-jpg/2.0.0",
)


def _mimic_labels(labeler: str) -> TableFormat:
    return TableFormat(
        name=f"MIMIC-CXR-JPG {labeler} label table",
        columns=("subject_id", "study_id", *MIMIC_LABELS),
        key=("study_id",),
        ids={"subject_id": SUBJECT_ID, "study_id": STUDY_ID},
        labels=MIMIC_LABELS,
        source="physionet.org/content/mimic-cxr-jpg/2.0.0",
    )


MIMIC_CHEXPERT = _mimic_labels("CheXpert")
MIMIC_NEGBIO = _mimic_labels("NegBio")
MIMIC_TEST_LABELED = TableFormat(
    name="MIMIC-CXR-JPG 2.1 radiologist-labelled test table",
    columns=("study_id", *MIMIC_LABELS),
    key=("study_id",),
    ids={"study_id": STUDY_ID},
    labels=MIMIC_LABELS,
    # the publisher's own other name for the same observation
    aliases={"Airspace Opacity": "Lung Opacity"},
    source="physionet.org/content/mimic-cxr-jpg/2.1.0",
)
MIMIC_SECTIONED = TableFormat(
    name="MIMIC-CXR section table",
    columns=("study", "impression", "findings", "last_paragraph", "comparison"),
    key=("study",),
    ids={"study": STUDY_ID},
    source="github.com/MIT-LCP/mimic-cxr, txt/create_section_files.py",
)
MIMIC_RECORDS = TableFormat(
    name="MIMIC-CXR record list",
    columns=("subject_id", "study_id", "dicom_id", "path"),
    key=("dicom_id",),
    ids={"dicom_id": DICOM_ID, "subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    source="physionet.org/content/mimic-cxr/2.0.0",
)
MIMIC_STUDIES = TableFormat(
    name="MIMIC-CXR study list",
    columns=("subject_id", "study_id", "path"),
    key=("study_id",),
    ids={"subject_id": SUBJECT_ID, "study_id": STUDY_ID},
    source="physionet.org/content/mimic-cxr/2.0.0",
)

CHEXPERT_LABELS = {name: name for name in FINDINGS}
_CHEXPERT_VALUES = {
    "Frontal/Lateral": frozenset({"Frontal", "Lateral"}),
    "AP/PA": frozenset({"AP", "PA", "LL", "RL", ""}),
    "Sex": frozenset({"Male", "Female", "Unknown", ""}),
}
CHEXPERT_TRAIN = TableFormat(
    name="CheXpert train.csv",
    columns=("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_LABELS),
    key=("Path",),
    ids={"Path": ANY_ID},
    labels=CHEXPERT_LABELS,
    values=_CHEXPERT_VALUES,
    numbers=("Age",),
    source="Irvin et al., CheXpert, AAAI 2019; CheXpert-v1.0-small",
)
CHEXPERT_VALID = TableFormat(
    name="CheXpert valid.csv",
    columns=CHEXPERT_TRAIN.columns,
    key=("Path",),
    ids={"Path": ANY_ID},
    labels=CHEXPERT_LABELS,
    # three radiologists decided: no blank, no uncertain
    states=_CERTAIN,
    values=_CHEXPERT_VALUES,
    numbers=("Age",),
    source=CHEXPERT_TRAIN.source,
)
CHEXPERT_TEST = TableFormat(
    name="CheXpert test groundtruth.csv",
    columns=("Study", *CHEXPERT_LABELS),
    key=("Study",),
    ids={"Study": ANY_ID},
    labels=CHEXPERT_LABELS,
    states=_CERTAIN,
    source="github.com/rajpurkarlab/cheXpert-test-set-labels",
)
CHEXPERT_PLUS = TableFormat(
    name="CheXpert Plus report table",
    columns=("path_to_image", "deid_patient_id", "report", "section_findings", "section_impression"),
    optional=("frontal_lateral", "ap_pa", "section_narrative", "section_summary", "age", "sex", "split"),
    key=("path_to_image",),
    ids={"path_to_image": ANY_ID, "deid_patient_id": ANY_ID},
    source="Chambon et al., CheXpert Plus, df_chexpert_plus_240401.csv",
)

NIH = TableFormat(
    name="NIH ChestX-ray14 Data_Entry_2017.csv",
    columns=("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position"),
    key=("Image Index",),
    ids={"Image Index": ANY_ID, "Patient ID": IdColumn(r"\d{1,5}", "a patient number of at most 5 digits")},
    values={"View Position": frozenset({"AP", "PA"})},
    source="nihcc.app.box.com/v/ChestXray-NIHCC",
)
VINDR_READERS = TableFormat(
    name="VinDr-CXR image_labels_train.csv",
    columns=("image_id", "rad_id", "Pleural effusion", "Pneumothorax", "Other diseases", "No finding"),
    key=("image_id", "rad_id"),
    ids={"image_id": IdColumn(r"[0-9a-f]{32}", "32 hexadecimal digits"), "rad_id": ANY_ID},
    labels={"Pleural effusion": "Pleural Effusion", "Pneumothorax": "Pneumothorax", "No finding": "No Finding"},
    states=_CERTAIN,
    # the test file's spelling
    aliases={"Other disease": "Other diseases"},
    source="physionet.org/content/vindr-cxr/1.0.0",
)
RSNA_BOXES = TableFormat(
    name="RSNA stage_2_train_labels.csv",
    columns=("patientId", "x", "y", "width", "height", "Target"),
    key=("patientId", "x", "y", "width", "height"),
    ids={"patientId": ANY_ID},
    values={"Target": frozenset({"0", "1"})},
    numbers=("x", "y", "width", "height"),
    source="RSNA Pneumonia Detection Challenge 2018",
)
RSNA_CLASSES = TableFormat(
    name="RSNA stage_2_detailed_class_info.csv",
    columns=("patientId", "class"),
    # patients repeat, once a box: as a key they become one row each, so that a join multiplies nothing
    key=("patientId",),
    ids={"patientId": ANY_ID},
    values={"class": frozenset({"Normal", "No Lung Opacity / Not Normal", "Lung Opacity"})},
    source="RSNA Pneumonia Detection Challenge 2018",
)
SIIM = TableFormat(
    name="SIIM-ACR train-rle table",
    # the file writes a blank in front of the second name
    columns=("ImageId", "EncodedPixels"),
    ids={"ImageId": ANY_ID},
    source="SIIM-ACR Pneumothorax Segmentation 2019",
)
MS_CXR = TableFormat(
    name="MS-CXR table",
    columns=("dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height"),
    optional=("split",),
    ids={"dicom_id": DICOM_ID},
    numbers=("x", "y", "w", "h", "image_width", "image_height"),
    source="physionet.org/content/ms-cxr/1.1.0",
)
PADCHEST = TableFormat(
    name="PadChest table",
    columns=("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "Labels"),
    key=("ImageID",),
    ids={"ImageID": ANY_ID, "StudyID": ANY_ID, "PatientID": ANY_ID},
    source="Bustos et al., PadChest, Medical Image Analysis 2020",
)

#: every format by a short name, for tests and messages
FORMATS: dict[str, TableFormat] = {
    "mimic-metadata": MIMIC_METADATA,
    "mimic-split": MIMIC_SPLIT,
    "mimic-chexpert": MIMIC_CHEXPERT,
    "mimic-negbio": MIMIC_NEGBIO,
    "mimic-test-labeled": MIMIC_TEST_LABELED,
    "mimic-sectioned": MIMIC_SECTIONED,
    "mimic-records": MIMIC_RECORDS,
    "mimic-studies": MIMIC_STUDIES,
    "chexpert-train": CHEXPERT_TRAIN,
    "chexpert-valid": CHEXPERT_VALID,
    "chexpert-test": CHEXPERT_TEST,
    "chexpert-plus": CHEXPERT_PLUS,
    "nih": NIH,
    "vindr": VINDR_READERS,
    "rsna": RSNA_BOXES,
    "rsna-classes": RSNA_CLASSES,
    "siim": SIIM,
    "ms-cxr": MS_CXR,
    "padchest": PADCHEST,
}
