"""Any CSV with one row per image -> :class:`clinclip.prepare.readers.source.Source`: the way in for a user's own data.

What people's tables do, and what happens here:

* Two rows name the same image file. Both stay (their notes or patients may differ), with ids of their own, and their
  patients are kept in one split, because one image in training and in test is a leak.
* Two rows say the same about the same image of the same patient: one stays.
* Rows of one patient with the same text are one study, unless a study column says otherwise.
* U+FFFD (a character lost in an earlier conversion) stays as it is and is counted: nothing can restore it.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from clinclip.data.manifest import TABLE_COLUMNS
from clinclip.data.splits import SPLIT_ALIASES, assert_disjoint
from clinclip.errors import LayoutError, TableError
from clinclip.findings import FINDINGS, column_name
from clinclip.prepare.readers.csv_tables import IdColumn, TableFormat, age_in_years, read_rows, read_table
from clinclip.prepare.readers.image_files import find_images
from clinclip.prepare.readers.report_text import WHOLE, has_words, report_parts, unwrap
from clinclip.prepare.readers.source import Source, SplitOptions, TextOptions, ViewOptions

NAME = "table"
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


@dataclass(frozen=True, kw_only=True)
class TableOptions(ViewOptions, TextOptions, SplitOptions):
    """Any CSV with one row per image.

    Attributes:
        csv: the table.
        image_column: paths of the images, relative to the image root or absolute.
        patient_column: patient ids, by which the split is made.
        text_column: reports; leave out to prepare for evaluation only.
        image_root: folder that the paths count from (default: the CSV's).
        study_column: study ids (default: one patient's rows with the same text are a study).
        split_column: train, validate, test (default: split by patient).
        view_column: views.
        sex_column: sex.
        age_column: age in years.
        no_labels: ignore columns that bear CheXpert's 14 names.
        name: name of the data set (default: the CSV's).
        encoding: of the CSV (default: UTF-8, or UTF-16 by its mark).
        delimiter: of the CSV.
    """

    csv: Path
    image_column: str
    patient_column: str
    text_column: str | None = None
    image_root: Path | None = None
    study_column: str | None = None
    split_column: str | None = None
    view_column: str | None = None
    sex_column: str | None = None
    age_column: str | None = None
    no_labels: bool = False
    name: str | None = None
    encoding: str | None = None
    delimiter: str = ","
    views: str = "all"
    text: str = WHOLE


def _column(name: str | None, frame: pd.DataFrame) -> list[str]:
    return [""] * len(frame) if name is None else frame[name].tolist()


def _format(options: TableOptions, header: list[str]) -> TableFormat:
    ids = [options.image_column, options.patient_column, options.study_column]
    others = [options.text_column, options.split_column, options.view_column, options.sex_column, options.age_column]
    columns = tuple(dict.fromkeys(c for c in [*ids, *others] if c is not None))
    labels = {} if options.no_labels else {f: f for f in FINDINGS if f in header}
    return TableFormat(
        name=f"table {options.csv.name}",
        columns=(*columns, *labels),
        ids={c: IdColumn() for c in ids if c is not None},
        labels=labels,
    )


def read(options: TableOptions, progress: bool = True) -> Source:
    """Read a user's table; see :mod:`clinclip.prepare.readers.csv_tables` for what is accepted and refused.

    Args:
        options: the table, and which column is what.
        progress: unused; a table is one file.

    Raises:
        TableError: names file, column and line of what is wrong.
        LayoutError: no image is where the table says.
        DataError: no row has a text.
    """
    csv, dataset = options.csv, options.name or options.csv.stem
    policy, fractions = options.policy(), options.fractions()
    header, _, _ = read_rows(csv, options.encoding, options.delimiter)
    form = _format(options, header)
    table = read_table(csv, form, options.encoding, options.delimiter)
    rows = table.frame
    texts = [_text(cell, policy) for cell in _column(options.text_column, rows)]
    root, paths = _paths(csv, rows[options.image_column].tolist(), options.image_root)
    paths, notes = find_images(root, paths)
    ages = [age_in_years(cell) for cell in _column(options.age_column, rows)]
    given = sum(has_words(cell) or cell.isdigit() for cell in _column(options.age_column, rows))
    if unread := given - sum(not math.isnan(age) for age in ages):
        notes.append(f"column {options.age_column!r}: {unread:,} cells are no age in years: kept as unknown")
    patients = rows[options.patient_column].tolist()
    frame = pd.DataFrame(
        {
            "patient_id": patients,
            "split": _splits(csv, options.split_column, rows),
            "view": _column(options.view_column, rows),
            "sex": [_SEX.get(cell.lower(), cell) for cell in _column(options.sex_column, rows)],
            "age": ages,
            "image_path": paths,
            "findings": [parts[0] for parts in texts],
            "impression": [parts[1] for parts in texts],
            "text": [parts[2] for parts in texts],
        }
    )
    if options.study_column is None:
        frame["study_id"] = _study_ids(frame)
    else:
        # study numbers often count within a patient
        frame["study_id"] = frame["patient_id"] + "/" + rows[options.study_column]
    for finding, column in zip(FINDINGS, TABLE_COLUMNS, strict=True):
        if finding in form.labels:
            frame[column] = rows[column_name(finding)]
    order = ["patient_id", "study_id", "image_path", "text"]
    frame = frame.sort_values(order, kind="stable").reset_index(drop=True)
    frame["image_id"] = _image_ids(frame["image_path"].tolist())
    source = Source(
        dataset=dataset,
        root=root,
        frame=frame,
        options={
            "dataset": dataset,
            "kind": NAME,
            "views": options.views,
            "text": policy,
            # which column is what; the paths and the shares of the split stand elsewhere
            **{name: value for name, value in vars(options).items() if name.endswith("_column")},
            "labels": not options.no_labels,
            "encoding": options.encoding,
            "delimiter": options.delimiter,
        },
        layout={"table": str(csv.resolve()), "images": str(root)},
        notes=[*table.notes, *notes],
        has_text=options.text_column is not None,
        fractions=fractions,
        refuse_shared_images=not options.allow_shared_images,
    )
    source.count("rows of the table")
    repeated = frame.duplicated(["image_path", "patient_id", "study_id", "text", "split"])
    source.keep(~repeated, "repeated row", "same image, patient, study and text as another row")
    _note_oddities(source)
    if options.split_column is not None:
        assert_disjoint(source.frame.assign(dataset=dataset), str(csv))
    source.keep_views(options.views)
    if options.text_column is not None:
        source.keep_text(policy, "" if policy != WHOLE else f"column {options.text_column!r} is blank")
    if not any((root / path).exists() for path in source.frame["image_path"]):
        raise LayoutError(
            f"none of the {len(frame)} images of column {options.image_column!r} exists below {root}, in no folder "
            "there and with no extension; give the folder that the paths count from: --image-root DIR"
        )
    return source


def _text(cell: str, policy: str) -> tuple[str, str, str]:
    """(findings, impression, text) of a cell; sections are looked for only where the policy asks for them."""
    if policy != WHOLE:
        return report_parts(cell, policy)
    text = unwrap(cell)
    return "", "", text if has_words(text) else ""


def _paths(csv: Path, cells: list[str], image_root: Path | None) -> tuple[Path, list[str]]:
    """The root and the paths below it, with forward slashes."""
    absolute = [os.path.isabs(cell) for cell in cells]
    if image_root is None and cells and all(absolute):
        folder = os.path.commonpath([os.path.dirname(cell) for cell in cells])
        image_root = Path(folder)
    root = (image_root or csv.parent).resolve()
    if not root.is_dir():
        raise LayoutError(f"--image-root {root}: no such folder")
    out = []
    for cell in cells:
        path = PurePosixPath(os.path.normpath(root / cell.replace("\\", "/")))
        if not path.is_relative_to(root):
            raise TableError(
                f"{csv}: an image path leads out of the image root {root}; give a --image-root above all images"
            )
        out.append(path.relative_to(root).as_posix())
    return root, out


def _splits(csv: Path, column: str | None, rows: pd.DataFrame) -> list[str]:
    if column is None:
        return [""] * len(rows)
    out = []
    for i, cell in enumerate(rows[column]):
        if cell.lower() not in SPLIT_ALIASES:
            raise TableError(
                f"{csv}: column {column!r}, row {i + 1}: split {cell!r} is not one of "
                f"{', '.join(sorted(SPLIT_ALIASES))} (validation and test are never merged)"
            )
        out.append(SPLIT_ALIASES[cell.lower()])
    return out


def _study_ids(frame: pd.DataFrame) -> list[str]:
    """One study for all rows of a patient with the same words; without any text every row is a study."""
    ids = []
    for patient, text, path in zip(frame["patient_id"], frame["text"], frame["image_path"], strict=True):
        key = " ".join(text.split()) or path
        ids.append(f"{patient}/{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}")
    return ids


def _image_ids(paths: list[str]) -> list[str]:
    """Paths without their suffix where that is unique; rows that share a file are numbered in row order."""
    stems = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    owners: dict[str, set[str]] = {}
    for path, stem in zip(paths, stems, strict=True):
        owners.setdefault(stem, set()).add(path)
    seen: dict[str, int] = {}
    out = []
    for path, stem in zip(paths, stems, strict=True):
        # a.png and a.jpg are two images: both keep their suffix
        name = path if len(owners[stem]) > 1 else stem
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return out


def _note_oddities(source: Source) -> None:
    frame = source.frame
    files = frame["image_path"].value_counts()
    if (files > 1).any():
        both = int((frame.groupby("image_path")["patient_id"].nunique() > 1).sum())
        source.notes.append(
            f"{int((files > 1).sum())} image files are named by more than one row ({both} of them by more than one "
            "patient): all rows kept, their patients share a split"
        )
    broken = int(frame["text"].str.contains("\ufffd").sum())
    if broken:
        source.notes.append(f"{broken} texts hold U+FFFD, a character lost before clinclip saw it: kept as they are")
    texts = [" ".join(text.split()) for text in frame["text"] if text]
    if len(set(texts)) < len(texts):
        source.notes.append(f"{len(texts)} rows have {len(set(texts))} distinct texts")
    missing = np.asarray([not (source.root / path).exists() for path in files.index])
    if missing.any():
        source.notes.append(f"{int(missing.sum())} of {len(files)} image files do not exist")
