"""Tiny hand-made downloads in the publishers' layouts, for tests that need one quirk each. All ids are invented."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from clinclip.findings import FINDINGS

ALPHABETICAL = sorted(FINDINGS)
#: as published: every line starts with a blank, empty lines are one blank, headers end with one
REPORT = "\n ".join(
    [
        "                                FINAL REPORT",
        "EXAMINATION:  CHEST (PA AND LAT)",
        "",
        "INDICATION:  ___-year-old with cough  // r/o pneumonia",
        "",
        "FINDINGS: ",
        "",
        "{findings}",
        "",
        "IMPRESSION: ",
        "",
        "{impression}",
        "",
    ]
)


def dicom_id(n: int) -> str:
    return f"{n:08x}-0badcafe-0badcafe-0badcafe-{n:08x}"


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (60, 50)) -> None:
    """A grey image of the kind that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 255, size, dtype=np.uint8), (9, 9), 3)
    assert cv2.imwrite(str(path), image)


def write_csv(path: Path, header: list[str], rows: list[list[object]], zipped: bool | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if (zipped if zipped is not None else path.suffix == ".gz") else data)
    return path


@dataclass
class Study:
    """One study of the tree."""

    subject: int
    study: int
    dicoms: list[int]
    split: str = "train"
    views: list[str] | None = None
    findings: str = "There is a small left pleural effusion. No pneumothorax."
    impression: str = "Small left pleural effusion."
    labels: dict[str, float] | None = field(default_factory=lambda: {"Pleural Effusion": 1.0, "Pneumothorax": 0.0})
    report: str | None = None

    @property
    def folder(self) -> str:
        return f"files/p{str(self.subject)[:2]}/p{self.subject}/s{self.study}"

    @property
    def text(self) -> str:
        return self.report or REPORT.format(findings=self.findings, impression=self.impression)


def studies(count: int = 6) -> list[Study]:
    """One study a patient, two images each (PA and LATERAL), the splits in turn."""
    wordings = [
        ("There is a small left pleural effusion. No pneumothorax.", "Small left pleural effusion."),
        ("The lungs are clear. No pleural effusion or pneumothorax.", "No acute cardiopulmonary process."),
        ("Mild cardiomegaly. No edema. There is consolidation in the right lower lobe.", "Right lower lobe pneumonia."),
        ("Bibasilar atelectasis. Heart size is normal.", "Bibasilar atelectasis."),
    ]
    splits = ["train", "train", "train", "validate", "test"]
    return [
        Study(
            subject=10000000 + 11 * i,
            study=50000000 + 7 * i,
            dicoms=[2 * i + 1, 2 * i + 2],
            split=splits[i % len(splits)],
            views=["PA", "LATERAL"],
            findings=wordings[i % len(wordings)][0],
            impression=wordings[i % len(wordings)][1],
        )
        for i in range(count)
    ]


@dataclass
class MimicTree:
    """Paths of a written tree."""

    jpg: Path
    reports: Path
    studies: list[Study]

    def image(self, study: Study, n: int = 0) -> Path:
        return self.jpg / study.folder / f"{dicom_id(study.dicoms[n])}.jpg"


def write_mimic(
    base: Path,
    content: list[Study] | None = None,
    jpg: str = "physionet.org/files/mimic-cxr-jpg/2.0.0",
    reports: str = "physionet.org/files/mimic-cxr/2.0.0",
    zipped_reports: bool = False,
    gz: bool = True,
    negbio: bool = True,
    test_labeled: bool = False,
    images: bool = True,
) -> MimicTree:
    """Both projects side by side, as ``wget -r`` leaves them."""
    content = studies() if content is None else content
    root, texts = base / jpg, base / reports
    suffix = ".csv.gz" if gz else ".csv"
    meta_columns = [
        "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
        "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
        "PatientOrientationCodeSequence_CodeMeaning",
    ]  # fmt: skip
    meaning = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}
    meta, split, labels, test_rows = [], [], [], []
    for s in content:
        views = s.views or ["PA"] * len(s.dicoms)
        for view, n in zip(views, s.dicoms, strict=True):
            meta.append(
                [dicom_id(n), s.subject, s.study, "CHEST (PA AND LAT)", view, 60, 50, 21800506, "213014.531",
                 "CHEST (PA AND LAT)", meaning.get(view, ""), "Erect"]
            )  # fmt: skip
            split.append([dicom_id(n), s.study, s.subject, s.split])
            if images:
                picture(root / s.folder / f"{dicom_id(n)}.jpg", seed=n)
        if s.labels is not None:
            labels.append([s.subject, s.study, *[s.labels.get(f, "") for f in ALPHABETICAL]])
        if s.split == "test":
            test_rows.append([s.study, *[1.0 if f == "Edema" else 0.0 for f in ALPHABETICAL]])
    write_csv(root / f"mimic-cxr-2.0.0-metadata{suffix}", meta_columns, meta)
    write_csv(root / f"mimic-cxr-2.0.0-split{suffix}", ["dicom_id", "study_id", "subject_id", "split"], split)
    write_csv(root / f"mimic-cxr-2.0.0-chexpert{suffix}", ["subject_id", "study_id", *ALPHABETICAL], labels)
    if negbio:
        write_csv(root / f"mimic-cxr-2.0.0-negbio{suffix}", ["subject_id", "study_id", *ALPHABETICAL], labels)
    if test_labeled:
        header = ["study_id", *[f if f != "Lung Opacity" else "Airspace Opacity" for f in ALPHABETICAL]]
        write_csv(root / "mimic-cxr-2.1.0-test-set-labeled.csv", header, test_rows)
    if zipped_reports:
        texts.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(texts / "mimic-cxr-reports.zip", "w") as archive:
            for s in content:
                archive.writestr(f"{s.folder}.txt", s.text)
    else:
        for s in content:
            path = texts / f"{s.folder}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(s.text)
    return MimicTree(root, texts, content)


CHEXPERT_HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS]


def write_chexpert(
    base: Path, release: str = "CheXpert-v1.0-small", prefix: str | None = None, test: bool = False
) -> Path:
    """Four training patients (one with a lateral), one validation patient, optionally one test patient."""
    root = base / release
    prefix = release if prefix is None else prefix
    train, valid = [], []
    for n in range(1, 5):
        path = f"train/patient{n:05d}/study1/view1_frontal.jpg"
        sick = {"Edema": 1.0, "Pneumonia": -1.0, "Pneumothorax": 0.0}
        labels = {"No Finding": 1.0} if n == 1 else sick
        cells = [labels.get(f, "") for f in FINDINGS]
        train.append([f"{prefix}/{path}", "Female" if n % 2 else "Male", 40 + n, "Frontal", "AP", *cells])
        picture(root / path, seed=n)
    lateral = "train/patient00002/study1/view2_lateral.jpg"
    train.append([f"{prefix}/{lateral}", "Male", 42, "Lateral", "", *train[1][5:]])
    picture(root / lateral, seed=9)
    path = "valid/patient64541/study1/view1_frontal.jpg"
    valid.append([f"{prefix}/{path}", "Male", 73, "Frontal", "AP", *[1.0 if f == "Edema" else 0.0 for f in FINDINGS]])
    picture(root / path, seed=10)
    write_csv(root / "train.csv", CHEXPERT_HEADER, train)
    write_csv(root / "valid.csv", CHEXPERT_HEADER, valid)
    if test:
        truth = [1 if f == "Fracture" else 0 for f in FINDINGS]
        write_csv(root / "groundtruth.csv", ["Study", *FINDINGS], [[f"{prefix}/test/patient64741/study1", *truth]])
        picture(root / "test/patient64741/study1/view1_frontal.jpg", seed=11)
    return root


PLUS_HEADER = [
    "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
    "report", "section_narrative", "section_clinical_history",
    "section_history", "section_comparison", "section_technique",
    "section_procedure_comments", "section_findings", "section_impression", "section_end_of_impression",
    "section_summary", "section_accession_number", "age", "sex", "race", "ethnicity", "interpreter_needed",
    "insurance_type", "recent_bmi", "deceased", "split",
]  # fmt: skip


def write_plus(path: Path, reports: dict[str, tuple[str, str]]) -> Path:
    """CheXpert Plus: image path -> (findings, impression)."""
    rows = []
    for image, (findings, impression) in reports.items():
        row = dict.fromkeys(PLUS_HEADER, "")
        row |= {
            "path_to_image": image,
            "deid_patient_id": image.split("/")[1],
            "report": f"NARRATIVE:\n\nFINDINGS: {findings}\n\nIMPRESSION:\n{impression}\n",
            "section_findings": findings,
            "section_impression": impression,
            "split": image.split("/")[0],
        }
        rows.append([row[name] for name in PLUS_HEADER])
    return write_csv(path, PLUS_HEADER, rows)


OPENI_REPORT = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
  <meta type="rr"/>
  <uId id="CXR{n}"/>
  <pmcId id="{n}"/>
  <MedlineCitation Owner="Indiana University" Status="supplied by publisher">
    <Article PubModel="Electronic">
      <Abstract>
        {sections}
      </Abstract>
    </Article>
  </MedlineCitation>
  <MeSH><major>normal</major></MeSH>
  {images}
</eCitation>
"""


def write_openi(base: Path, count: int = 4) -> Path:
    """``ecgen-radiology/<n>.xml`` and ``NLMCXR_png/CXR<n>_...png``; every second report has its sections reversed."""
    for n in range(1, count + 1):
        sections = [
            '<AbstractText Label="COMPARISON">None.</AbstractText>',
            '<AbstractText Label="INDICATION">XXXX-year-old with cough</AbstractText>',
            '<AbstractText Label="FINDINGS">Heart size is normal. No pneumothorax. Small left effusion.</AbstractText>',
            f'<AbstractText Label="IMPRESSION">Small left pleural effusion in patient number {n}.</AbstractText>',
        ]
        if n % 2:
            sections.reverse()
        ids = [f"CXR{n}_1_IM-0001-{v}001" for v in (3, 4)]
        images = "\n".join(f'<parentImage id="{i}"><caption>PA and lateral</caption></parentImage>' for i in ids)
        path = base / "ecgen-radiology" / f"{n}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OPENI_REPORT.format(n=n, sections="\n".join(sections), images=images))
        for k, image in enumerate(ids):
            picture(base / "NLMCXR_png" / f"{image}.png", seed=2 * n + k)
    return base
