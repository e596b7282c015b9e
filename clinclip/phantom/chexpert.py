"""Writes phantom studies as CheXpert (small or full) lies on disk, with the reports of CheXpert Plus beside it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from clinclip.errors import ConfigError
from clinclip.files import write_bytes
from clinclip.findings import FINDINGS, PARENT
from clinclip.phantom.jobs import Member, PhantomSummary, finish, plan, run
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.records import image_record, study_truth
from clinclip.phantom.tables import cells, csv_text, noisy_labels, special_rows
from clinclip.phantom.truth import StudyTruth
from clinclip.phantom.world import Patient, Study, make_patient

RELEASES = {"small": "CheXpert-v1.0-small", "full": "CheXpert-v1.0"}
PLUS_FILE = "chexpert-plus/df_chexpert_plus_240401.csv"
#: First patient number of each part, as released: 64,540 patients train, 200 validate, then the test set.
_FIRST = {"train": 1, "validate": 64_541, "test": 64_741}
_FOLDER = {"train": "train", "validate": "valid", "test": "test"}
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
PLUS_COLUMNS = (
    "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
    "report", "section_narrative", "section_clinical_history", "section_history", "section_comparison",
    "section_technique", "section_procedure_comments", "section_findings", "section_impression",
    "section_end_of_impression", "section_summary", "section_accession_number", "age", "sex", "race", "ethnicity",
    "interpreter_needed", "insurance_type", "recent_bmi", "deceased", "split",
)  # fmt: skip
#: CheXpert Plus section -> section of our page.
_PLUS_SECTIONS = {
    "section_clinical_history": "history",
    "section_history": "indication",
    "section_comparison": "comparison",
    "section_procedure_comments": "technique",
    "section_findings": "findings",
    "section_impression": "impression",
    "section_summary": "summary",
    "section_accession_number": "accession_number",
}


def generate_chexpert(
    out: str | Path,
    studies: int,
    seed: int = 0,
    knobs: PhantomKnobs | None = None,
    workers: int | None = None,
    image_size: int = 320,
    release: Literal["small", "full"] = "small",
    plus: bool = True,
    progress: bool = True,
) -> PhantomSummary:
    """Generate phantom studies in the layout of CheXpert, and of CheXpert Plus for the reports.

    Training labels come from the reports with a labeler's errors; ``valid.csv`` and ``groundtruth.csv`` say what is on
    the images, without blanks. Resumes and repeats as ``generate_mimic_cxr`` does.

    Args:
        out: Root folder; new, empty, or of an earlier call with the same options.
        studies: How many studies.
        seed: Seed of everything.
        knobs: Difficulty.
        workers: Processes; None takes one a core, at most 8.
        image_size: Shorter side of the images in pixels.
        release: "small" or "full": the name of the folder and the prefix of the paths.
        plus: Write the CheXpert Plus table.
        progress: Show a progress bar.

    Raises:
        ConfigError: An option is out of range, or ``out`` holds a generation with other options.
        DataError: ``out`` holds something else.
    """
    knobs = knobs or PhantomKnobs()
    if release not in RELEASES:
        raise ConfigError(f"--release {release!r} must be one of {', '.join(RELEASES)}")
    if not 64 <= image_size <= 4096:
        raise ConfigError(f"--image-size {image_size} must be from 64 to 4096 pixels")
    out = Path(out)
    members = plan(studies, seed, knobs)
    options: dict[str, Any] = {
        "seed": seed,
        "studies": studies,
        "image_size": image_size,
        "release": release,
        "plus": plus,
        "knobs": knobs.to_dict(),
    }
    names = _patient_names(members)
    make = partial(_make, out, seed, knobs, image_size, RELEASES[release], names)
    truths, written = run(out, "chexpert", members, options, make, _files, workers, progress)
    _write_tables(out, RELEASES[release], truths, seed, knobs)
    if plus:
        _write_plus(out, truths, seed)
    finish(out, "chexpert", options, truths, members)
    splits = {s: sum(t.split == s for t in truths) for s in ("train", "validate", "test")}
    return PhantomSummary(out, len(members), len(truths), sum(len(t.images) for t in truths), splits, written)


def _files(truth: StudyTruth) -> Iterable[str]:
    for image in truth.images:
        yield from image["paths"]


def _patient_names(members: list[Member]) -> dict[int, str]:
    """Numbers run on within each part."""
    following = dict(_FIRST)
    names = {}
    for m in members:
        names[m.index] = f"patient{following[m.split]:05d}"
        following[m.split] += 1
    return names


def _make(
    out: Path, seed: int, knobs: PhantomKnobs, size: int, root: str, names: dict[int, str], members: list[Member]
) -> list[StudyTruth]:
    import cv2

    cv2.setNumThreads(1)
    truths = []
    for m in members:
        patient = make_patient(m.index, m.first_study, m.studies, seed, knobs)
        name = names[m.index]
        truths += [_make_study(out, seed, knobs, size, root, name, patient, s, m.split) for s in patient.studies]
    return truths


def _make_study(
    out: Path,
    seed: int,
    knobs: PhantomKnobs,
    size: int,
    root: str,
    name: str,
    patient: Patient,
    study: Study,
    split: str,
) -> StudyTruth:
    from clinclip.phantom.chexpert_report import write_plus_report
    from clinclip.phantom.encode import write_jpg
    from clinclip.phantom.render import render
    from clinclip.phantom.report import report_labels

    page = write_plus_report(patient, study, seed, knobs)
    images = []
    for number, image in enumerate(study.images, 1):
        exposure = render(patient, study, image, size, seed, knobs)
        view = "lateral" if image.view == "LATERAL" else "frontal"
        path = f"{root}/{_FOLDER[split]}/{name}/study{study.number + 1}/view{number}_{view}.jpg"
        write_jpg(out / path, exposure.pixels, equalise=False)
        images.append(image_record(image, exposure, path, [path]))
    # the labels of CheXpert were read from the impression
    sections = {"impression"} if "impression" in page.sections else {"findings"}
    labels = report_labels(page, sections)
    return study_truth(patient, study, split, page, images, None, labels, name, f"{name}/study{study.number + 1}")


def image_labels(truth: StudyTruth) -> dict[str, str]:
    """What an expert reading the images would mark: present or absent, parents from their children."""
    labels = dict.fromkeys(FINDINGS, "absent")
    for f in truth.findings:
        if f["on_image"] and f["finding"]:
            labels[f["finding"]] = "present"
    for child, parent in reversed(PARENT.items()):
        if labels[child] == "present":
            labels[parent] = "present"
    for child, parent in PARENT.items():
        if labels[child] == "present":
            labels[parent] = "present"
    if all(s == "absent" for f, s in labels.items() if f != "Support Devices"):
        labels["No Finding"] = "present"
    return labels


def _write_tables(out: Path, root: str, truths: list[StudyTruth], seed: int, knobs: PhantomKnobs) -> None:
    rows: dict[str, list[list[str]]] = {"train": [], "validate": []}
    patients = list(dict.fromkeys(t.patient_id for t in truths if t.split == "train"))
    newborn = {patients[i] for i in special_rows(len(patients), 3e-5, seed, "age", 5)}
    unknown = {patients[i] for i in special_rows(len(patients), 1e-5, seed, "sex", 5)}
    for i, t in enumerate(truths):
        if t.split == "test":
            continue
        labels = (
            noisy_labels(t.labels, seed, "chexpert", i, knobs.label_noise) if t.split == "train" else image_labels(t)
        )
        sex = "Unknown" if t.patient_id in unknown else "Male" if t.sex == "M" else "Female"
        age = "0" if t.patient_id in newborn else str(min(t.age, 90))
        for image in t.images:
            lateral = image["view"] == "LATERAL"
            position = "" if lateral else image["view"]
            rows[t.split].append(
                [image["path"], sex, age, "Lateral" if lateral else "Frontal", position, *cells(labels, FINDINGS)]
            )
    for split, name in (("train", "train.csv"), ("validate", "valid.csv")):
        ordered = sorted(rows[split], key=lambda r: r[0])
        write_bytes(out / root / name, csv_text(list(COLUMNS), ordered).encode())
    test = [
        [f"{root}/test/{t.study_id}", *[str(int(s == "present")) for s in image_labels(t).values()]]
        for t in sorted(truths, key=lambda t: t.study_id)
        if t.split == "test"
    ]
    write_bytes(out / root / "groundtruth.csv", csv_text(["Study", *FINDINGS], test).encode())


def _write_plus(out: Path, truths: list[StudyTruth], seed: int) -> None:
    """The CheXpert Plus table: one row an image, reports repeated; the test set is not in it."""
    from clinclip.draws import stream

    rows = []
    for t in truths:
        if t.split == "test":
            continue
        rng = stream(seed, "demographics", t.patient_id)
        person = [
            rng.choice(("White", "Asian", "Black", "Other", "Unknown", "Pacific Islander")),
            rng.choice(("Non-Hispanic/Non-Latino", "Hispanic/Latino", "Unknown")),
            rng.choice(("No", "No", "Yes")),
            rng.choice(("Medicare", "Private Insurance", "Medicaid", "Unknown")),
            f"{rng.uniform(18, 42):.1f}",
            rng.choice(("No", "No", "Yes")),
        ]
        texts = {c: t.text[slice(*t.sections[s])] for c, s in _PLUS_SECTIONS.items() if s in t.sections}
        texts["section_narrative"] = t.text[
            : t.text.find("FINDINGS:") if "findings" in t.sections else t.text.find("IMPRESSION:")
        ]
        for image in t.images:
            path = image["path"].split("/", 1)[1]
            lateral = image["view"] == "LATERAL"
            values = {
                "path_to_image": path,
                "path_to_dcm": path.removesuffix(".jpg") + ".dcm",
                "frontal_lateral": "Lateral" if lateral else "Frontal",
                "ap_pa": "" if lateral else image["view"],
                "deid_patient_id": t.patient_id,
                "patient_report_date_order": str(t.number + 1),
                "report": t.text,
                "age": str(min(t.age, 90)),
                "sex": "Male" if t.sex == "M" else "Female",
                "split": _FOLDER[t.split],
                **dict(zip(PLUS_COLUMNS[20:26], person, strict=True)),
                **texts,
            }
            rows.append([values.get(c, "") for c in PLUS_COLUMNS])
    rows.sort(key=lambda r: r[0])
    write_bytes(out / PLUS_FILE, csv_text(list(PLUS_COLUMNS), rows).encode())
