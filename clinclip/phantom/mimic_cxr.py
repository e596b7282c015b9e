"""Writes phantom studies as the two PhysioNet downloads MIMIC-CXR and MIMIC-CXR-JPG lie on disk, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from clinclip.errors import ConfigError
from clinclip.files import write_bytes
from clinclip.phantom.jobs import Member, PhantomSummary, finish, gzipped, plan, run
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.records import image_record, study_truth
from clinclip.phantom.tables import MIMIC_LABELS, cells, csv_text, noisy_labels, special_rows
from clinclip.phantom.truth import StudyTruth
from clinclip.phantom.world import Patient, Study, make_patient

PROJECTS = "physionet.org/files"
RELEASES = ("2.0.0", "2.1.0")
FORMATS = ("jpg", "dicom", "both")


@dataclass(frozen=True, slots=True)
class Target:
    """What is written where.

    Attributes:
        out: root folder.
        size: shorter side of the images.
        image_format: "jpg", "dicom" or "both".
        reports: "tree", "zip" or "both".
        release: "2.0.0" or "2.1.0".
    """

    out: Path
    size: int
    image_format: str
    reports: str
    release: str

    @property
    def reports_root(self) -> str:
        """Folder of MIMIC-CXR, relative to ``out``."""
        return f"{PROJECTS}/mimic-cxr/{self.release}"

    @property
    def jpg_root(self) -> str:
        """Folder of MIMIC-CXR-JPG, relative to ``out``."""
        return f"{PROJECTS}/mimic-cxr-jpg/{self.release}"


_VIEW_CODE = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral", "LL": "left lateral"}


def generate_mimic_cxr(
    out: str | Path,
    studies: int,
    seed: int = 0,
    knobs: PhantomKnobs | None = None,
    workers: int | None = None,
    image_size: int = 320,
    image_format: Literal["jpg", "dicom", "both"] = "jpg",
    reports: Literal["tree", "zip", "both"] = "tree",
    release: Literal["2.0.0", "2.1.0"] = "2.1.0",
    progress: bool = True,
) -> PhantomSummary:
    """Generate phantom studies in the layout of MIMIC-CXR and MIMIC-CXR-JPG.

    The same arguments give the same bytes, at any number of workers and after any interruption: a second call goes on
    where the first stopped, and restores files that have gone since.

    Args:
        out: Root folder; new, empty, or of an earlier call with the same options.
        studies: How many studies.
        seed: Seed of everything.
        knobs: Difficulty; defaults are realistic.
        workers: Processes; None takes one a core, at most 8.
        image_size: Shorter side of the images in pixels.
        image_format: What to write: JPGs, DICOMs (into the report tree, as PhysioNet does), or both.
        reports: Text files in the tree, ``mimic-cxr-reports.zip``, or both.
        release: Which release to imitate; 2.0.0 has no radiologists' labels of the test set.
        progress: Show a progress bar.

    Returns:
        What was made.

    Raises:
        ConfigError: An option is out of range, or ``out`` holds a generation with other options.
        DataError: ``out`` holds something else.
    """
    knobs = knobs or PhantomKnobs()
    if not 64 <= image_size <= 4096:
        raise ConfigError(f"--image-size {image_size} must be from 64 to 4096 pixels")
    if image_format not in FORMATS:
        raise ConfigError(f"--format {image_format!r} must be one of {', '.join(FORMATS)}")
    if reports not in {"tree", "zip", "both"}:
        raise ConfigError(f"--reports {reports!r} must be one of tree, zip, both")
    if release not in RELEASES:
        raise ConfigError(f"--release {release!r} must be one of {', '.join(RELEASES)}")
    out = Path(out)
    target = Target(out, image_size, image_format, reports, release)
    members = plan(studies, seed, knobs)
    options: dict[str, Any] = {
        "seed": seed,
        "studies": studies,
        "image_size": image_size,
        "image_format": image_format,
        "reports": reports,
        "release": release,
        "knobs": knobs.to_dict(),
    }
    make = partial(_make, target, seed, knobs)
    truths, written = run(out, "mimic-cxr", members, options, make, partial(_files, reports), workers, progress)
    _write_tables(target, truths, seed, knobs)
    if reports != "tree":
        _write_zip(target, truths)
    finish(out, "mimic-cxr", options, truths, members)
    splits = {s: sum(t.split == s for t in truths) for s in ("train", "validate", "test")}
    return PhantomSummary(out, len(members), len(truths), sum(len(t.images) for t in truths), splits, written)


def _files(reports: str, truth: StudyTruth) -> Iterable[str]:
    """Files that the study must have left."""
    if reports != "zip" and truth.report:
        yield truth.report
    for image in truth.images:
        yield from image["paths"]


def _make(target: Target, seed: int, knobs: PhantomKnobs, members: list[Member]) -> list[StudyTruth]:
    """Write the files of one chunk (in a worker process)."""
    import cv2

    cv2.setNumThreads(1)
    truths = []
    for m in members:
        patient = make_patient(m.index, m.first_study, m.studies, seed, knobs)
        truths += [_make_study(target, seed, knobs, patient, study, m.split) for study in patient.studies]
    return truths


def _make_study(
    target: Target, seed: int, knobs: PhantomKnobs, patient: Patient, study: Study, split: str
) -> StudyTruth:
    from clinclip.phantom.encode import write_dicom, write_jpg
    from clinclip.phantom.render import render
    from clinclip.phantom.report import report_labels, write_report

    page = write_report(patient, study, seed, knobs)
    folder = f"files/p{patient.subject_id[:2]}/p{patient.subject_id}"
    report = f"{target.reports_root}/{folder}/s{study.study_id}.txt"
    if target.reports != "zip":
        write_bytes(target.out / report, page.text.encode())
    images = []
    for image in study.images:
        exposure = render(patient, study, image, target.size, seed, knobs)
        stem = f"{folder}/s{study.study_id}/{image.image_id}"
        paths = []
        if target.image_format != "dicom":
            paths.append(f"{target.jpg_root}/{stem}.jpg")
            write_jpg(target.out / paths[-1], exposure.pixels, equalise=True)
        if target.image_format != "jpg":
            paths.append(f"{target.reports_root}/{stem}.dcm")
            write_dicom(target.out / paths[-1], exposure.pixels, patient, study, image, seed)
        images.append(image_record(image, exposure, f"{stem}.jpg", paths))
    return study_truth(
        patient, study, split, page, images, report if target.reports != "zip" else None, report_labels(page)
    )


def _write_tables(target: Target, truths: list[StudyTruth], seed: int, knobs: PhantomKnobs) -> None:
    """All tables of both downloads, sorted by patient and study as PhysioNet ships them."""
    ordered = sorted(truths, key=lambda t: (t.patient_id, t.study_id))
    records, study_list, metadata, split, names = [], [], [], [], []
    for t in ordered:
        folder = f"files/p{t.patient_id[:2]}/p{t.patient_id}"
        study_list.append([t.patient_id, t.study_id, f"{folder}/s{t.study_id}.txt"])
        for i in sorted(t.images, key=lambda i: i["image_id"]):
            records.append([t.patient_id, t.study_id, i["image_id"], i["path"].removesuffix(".jpg") + ".dcm"])
            metadata.append(_metadata_row(t, i))
            split.append([i["image_id"], t.study_id, t.patient_id, t.split])
            names.append(i["path"])
    reports, jpg = target.out / target.reports_root, target.out / target.jpg_root
    _gz(reports / "cxr-record-list.csv.gz", ["subject_id", "study_id", "dicom_id", "path"], records)
    _gz(reports / "cxr-study-list.csv.gz", ["subject_id", "study_id", "path"], study_list)
    _gz(jpg / "mimic-cxr-2.0.0-metadata.csv.gz", list(_METADATA), metadata)
    _gz(jpg / "mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], split)
    write_bytes(jpg / "IMAGE_FILENAMES", "".join(f"{n}\n" for n in names).encode())
    number = {t.study_id: i for i, t in enumerate(truths)}
    missing = special_rows(len(truths), knobs.missing_label_rows, seed, "missing")
    blank = special_rows(len(truths), knobs.blank_label_rows, seed, "blank")
    for tool in ("chexpert", "negbio"):
        rows = []
        for t in ordered:
            i = number[t.study_id]
            if i in missing:
                continue
            labels = noisy_labels(t.labels, seed, tool, i, knobs.label_noise)
            values = [""] * len(MIMIC_LABELS) if i in blank else cells(labels, MIMIC_LABELS)
            rows.append([t.patient_id, t.study_id, *values])
        _gz(jpg / f"mimic-cxr-2.0.0-{tool}.csv.gz", ["subject_id", "study_id", *MIMIC_LABELS], rows)
    if target.release == "2.0.0":
        return
    # radiologists' labels of the test set: no noise, another name for lung opacity, no subject
    columns = ["Airspace Opacity" if c == "Lung Opacity" else c for c in MIMIC_LABELS]
    order = sorted(range(len(columns)), key=lambda i: columns[i])
    rows = [[t.study_id, *[cells(t.labels, MIMIC_LABELS)[i] for i in order]] for t in ordered if t.split == "test"]
    text = csv_text(["study_id", *[columns[i] for i in order]], rows)
    write_bytes(jpg / "mimic-cxr-2.1.0-test-set-labeled.csv", text.encode())


_METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip


def _metadata_row(t: StudyTruth, i: dict[str, Any]) -> list[str]:
    portable = t.setting in {"icu", "ward"} and i["view"] == "AP"
    step = "CHEST (PORTABLE AP)" if portable else "CHEST (PA AND LAT)" if len(t.images) > 1 else "CHEST (SINGLE VIEW)"
    date, time = t.when.split("T")
    # written as a number, so leading zeros have gone: 00:12:05.125 is 1205.125
    clock = float(time.replace(":", ""))
    posture = "Recumbent" if portable and t.setting == "icu" else "Erect"
    size = [str(i["rows"]), str(i["columns"])]
    code = _VIEW_CODE.get(i["position"], "")
    day = date.replace("-", "")
    return [i["image_id"], t.patient_id, t.study_id, step, i["position"], *size, day, repr(clock), step, code, posture]


def _gz(path: Path, header: list[str], rows: list[list[str]]) -> None:
    write_bytes(path, gzipped(csv_text(header, rows)))


def _write_zip(target: Target, truths: list[StudyTruth]) -> None:
    """``mimic-cxr-reports.zip`` with the reports' tree inside."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for t in sorted(truths, key=lambda t: (t.patient_id, t.study_id)):
            name = f"files/p{t.patient_id[:2]}/p{t.patient_id}/s{t.study_id}.txt"
            archive.writestr(zipfile.ZipInfo(name, (2019, 9, 19, 0, 0, 0)), t.text)
    write_bytes(target.out / target.reports_root / "mimic-cxr-reports.zip", buffer.getvalue())
