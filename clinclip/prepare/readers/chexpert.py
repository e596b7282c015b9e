"""CheXpert, full and small, with or without the reports of CheXpert Plus. Reads into a Source.

Sources: Irvin et al., "CheXpert", AAAI 2019; Chambon et al., "CheXpert Plus", 2024. The labels stay as published: four
states, and "No Finding" implies nothing about "Support Devices" (other loaders zero it; ask an encoding of
:mod:`clinclip.findings` for numbers).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clinclip.data.manifest import TABLE_COLUMNS
from clinclip.errors import ConfigError, DataError, LayoutError, TableError
from clinclip.findings import FINDINGS, LabelState, column_name
from clinclip.prepare.readers.chexpert_plus import add_reports, image_id, listed_images, path_parts
from clinclip.prepare.readers.csv_tables import STATE_OF_NUMBER, IdColumn, Table, TableFormat, read_table
from clinclip.prepare.readers.prompt_text import TEMPLATES, prompt_text
from clinclip.prepare.readers.source import Source, TextOptions, ViewOptions

NAME = "chexpert"
DOWNLOAD = "CheXpert-v1.0-small or CheXpert-v1.0 (stanfordaimi.azurewebsites.net, 'CheXpert')"
KNOWN_ROWS = {"train.csv": 223_414, "valid.csv": 234}
_BATCH = "CheXpert-v1.0 batch"
_CODES = [column_name(name) for name in FINDINGS]
_SEX = {"Male": "M", "Female": "F", "Unknown": "", "": ""}


LABEL_COLUMNS = {name: name for name in FINDINGS}
_VALUES = {
    "Frontal/Lateral": frozenset({"Frontal", "Lateral"}),
    "AP/PA": frozenset({"AP", "PA", "LL", "RL", ""}),
    "Sex": frozenset({"Male", "Female", "Unknown", ""}),
}
TRAIN = TableFormat(
    name="CheXpert train.csv",
    columns=("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABEL_COLUMNS),
    key=("Path",),
    ids={"Path": IdColumn()},
    labels=LABEL_COLUMNS,
    values=_VALUES,
    numbers=("Age",),
    source="Irvin et al., CheXpert, AAAI 2019; CheXpert-v1.0-small",
)
VALID = TableFormat(
    name="CheXpert valid.csv",
    columns=TRAIN.columns,
    key=("Path",),
    ids={"Path": IdColumn()},
    labels=LABEL_COLUMNS,
    # three radiologists decided: no blank, no uncertain
    states=frozenset({LabelState.PRESENT, LabelState.ABSENT}),
    values=_VALUES,
    numbers=("Age",),
    source=TRAIN.source,
)
TEST = TableFormat(
    name="CheXpert test groundtruth.csv",
    columns=("Study", *LABEL_COLUMNS),
    key=("Study",),
    ids={"Study": IdColumn()},
    labels=LABEL_COLUMNS,
    states=frozenset({LabelState.PRESENT, LabelState.ABSENT}),
    source="github.com/rajpurkarlab/cheXpert-test-set-labels",
)


@dataclass(frozen=True, kw_only=True)
class ChexpertOptions(ViewOptions, TextOptions):
    """CheXpert, full or small, with reports, prompts, or labels only.

    Attributes:
        images: folder of train.csv and valid.csv, or the folder above it; of train/ and valid/ for CheXpert Plus alone.
        plus_csv: reports of CheXpert Plus, df_chexpert_plus_240401.csv.
        prompts: text made from the labels instead of reports; present or statements.
        chexbert: CheXbert labels of CheXpert Plus instead, one JSON object a line.
        exclude: patients to leave out of training; a CSV with a Path column (5x200), or one patient a line.
    """

    images: Path
    plus_csv: Path | None = None
    prompts: str | None = None
    chexbert: Path | None = None
    exclude: Path | None = None


def find_tables(images: Path, plus: bool = False) -> Path:
    """The folder with ``train.csv`` or ``valid.csv``: the one given, or one below it.

    Args:
        images: where to look.
        plus: a folder with ``train/`` or ``valid/`` will do, where there are no tables.

    Raises:
        LayoutError: says what was found and what to download.
    """
    images = images.resolve()
    candidates = [images, *sorted(p for p in images.glob("[!.]*") if p.is_dir())] if images.is_dir() else []
    wanted = [("train.csv", "valid.csv"), *[("train", "valid")] * plus]
    for names in wanted:
        for folder in candidates:
            if any((folder / name).exists() for name in names):
                return folder
    found = ", ".join(sorted(p.name for p in images.iterdir())[:8]) if images.is_dir() else "no such folder"
    raise LayoutError(
        f"--images {images}: no {' and no '.join(' or '.join(names) for names in wanted)} there (found: "
        f"{found or 'nothing'}); download {DOWNLOAD}, or give the report table of CheXpert Plus: --plus-csv"
    )


def read(options: ChexpertOptions, progress: bool = True) -> Source:
    """Read a download without touching it.

    Args:
        options: where it is and what to keep.
        progress: show progress bars.

    Raises:
        LayoutError: something is missing.
        TableError: a table is damaged.
        ConfigError: two kinds of text at once, or an unknown template.
    """
    plus_csv, exclude, chexbert = options.plus_csv, options.exclude, options.chexbert
    policy = options.policy()
    if plus_csv is not None and options.prompts is not None:
        raise ConfigError("--plus-csv and --prompts exclude each other: text comes from reports or from labels")
    if options.prompts is not None and options.prompts not in TEMPLATES:
        raise ConfigError(f"--prompts {options.prompts!r}: not one of {', '.join(TEMPLATES)}")
    tables = find_tables(options.images, plus_csv is not None)
    # the full release comes in batches: "CheXpert-v1.0 batch 2 (train 1)" beside "... batch 1 (validate & csv)"
    batched = tables.name.startswith(_BATCH)
    root = tables.parent if batched else tables
    source = Source(
        dataset=NAME,
        root=root,
        frame=pd.DataFrame(),
        options={
            "dataset": NAME,
            "views": options.views,
            "text": policy,
            "prompts": options.prompts,
            "plus": plus_csv is not None,
            "chexbert": chexbert is not None,
            "excluded": exclude is not None,
        },
        layout={"images": str(root), "release": root.name, "tables": tables.name},
    )
    if plus_csv is not None and not any((tables / name).is_file() for name in KNOWN_ROWS):
        source.layout["tables"] = ""
        source.notes.append("CheXpert Plus alone: its own images and split; labels only with --chexbert")
        parts = [listed_images(plus_csv)]
    else:
        parts = [
            _table(source, tables / "train.csv", TRAIN, "train"),
            _table(source, tables / "valid.csv", VALID, "validate"),
            _test(source, root),
        ]
    frame = pd.concat([part for part in parts if part is not None], ignore_index=True)
    if batched:
        frame["image_path"] = _in_batches(root, frame)
    source.frame = frame.sort_values("image_id", kind="stable").reset_index(drop=True)
    source.count("listed in the tables")
    source.keep_views(options.views)
    if exclude is not None:
        _exclude(source, exclude)
    source.keep_downloaded(progress)
    _other_suffixes(source)
    if chexbert is not None:
        _chexbert(source, chexbert)
    if plus_csv is not None:
        add_reports(source, plus_csv, policy)
    elif options.prompts is not None:
        _prompts(source, options.prompts)
    else:
        source.has_text = False
        source.notes.append("no text: this manifest can be evaluated on, not trained on (--plus-csv, --prompts)")
    return source


def _other_suffixes(source: Source) -> None:
    """Take a file of the same name and another kind where the named one is not there (CheXpert Plus has PNG)."""
    paths = source.frame["image_path"].tolist()

    def there(path: str) -> str:
        stem = path.rsplit(".", 1)[0]
        choices = (path, *(stem + suffix for suffix in (".png", ".jpg", ".jpeg", ".dcm")))
        return next((choice for choice in choices if (source.root / choice).is_file()), path)

    step = max(1, len(paths) // 100)
    if all(there(path) == path for path in paths[::step]):  # as published: no need to ask for every file
        return
    found = [there(path) for path in paths]
    changed = sum(a != b for a, b in zip(found, paths, strict=True))
    source.notes.append(f"{changed:,} images have another suffix than the tables say")
    source.frame = source.frame.assign(image_path=found)


def _in_batches(root: Path, frame: pd.DataFrame) -> list[str]:
    """Paths below ``root`` for the full release's batches; images whose patient is in none keep their own path."""
    home: dict[str, str] = {}
    for folder in sorted(root.glob(f"{_BATCH}*")):
        for inside in (folder, folder / "train", folder / "valid"):
            if inside.is_dir():
                with os.scandir(inside) as entries:
                    home.update(
                        {e.name: inside.relative_to(root).as_posix() for e in entries if e.name.startswith("pat")}
                    )
    out = []
    for patient, path in zip(frame["patient_id"], frame["image_path"], strict=True):
        out.append(f"{home[patient]}/{path.split('/', 1)[1]}" if patient in home else path)
    return out


def _table(source: Source, path: Path, form: TableFormat, split: str) -> pd.DataFrame | None:
    if not path.is_file():
        source.notes.append(f"{path.name} is not there: no {split} split")
        return None
    table: Table = read_table(path, form)
    source.notes += [f"{path.name}: {note}" for note in table.notes]
    if len(table) != KNOWN_ROWS[path.name]:
        source.notes.append(f"{path.name}: {len(table):,} rows; the release has {KNOWN_ROWS[path.name]:,}")
    rows = table.frame
    parts = [path_parts(cell) for cell in rows["Path"]]
    wrong = [i for i, part in enumerate(parts) if part is None]
    if wrong:
        raise TableError(f"{path}: column 'Path', row {wrong[0] + 1}: not .../patientNNNNN/studyN/viewN_frontal.jpg")
    known = [part for part in parts if part is not None]
    view = rows["AP/PA"].where(rows["AP/PA"] != "", rows["Frontal/Lateral"].str.upper())
    # 17 frontal images say LL or RL, which elsewhere name laterals
    decubitus = (rows["Frontal/Lateral"] == "Frontal") & rows["AP/PA"].isin(["LL", "RL"])
    view = view.where(~decubitus, "FRONTAL " + rows["AP/PA"])
    return pd.DataFrame(
        {
            "image_id": [part[2].rsplit(".", 1)[0] for part in known],
            "study_id": [part[1] for part in known],
            "patient_id": [part[0] for part in known],
            "split": split,
            "view": view,
            "sex": rows["Sex"].map(_SEX),
            "age": pd.to_numeric(rows["Age"], errors="coerce"),
            "image_path": [part[2] for part in known],
            "findings": "",
            "impression": "",
            "text": "",
            **{column: rows[code] for column, code in zip(TABLE_COLUMNS, _CODES, strict=True)},
        }
    )


def _test(source: Source, root: Path) -> pd.DataFrame | None:
    """The test set: labels by study, images as they lie in ``test/``."""
    # beside the images or one folder down: a search through 187,641 study folders takes minutes on a network drive
    found = [path for path in (root / "groundtruth.csv", *sorted(root.glob("*/groundtruth.csv"))) if path.is_file()]
    if not found or not (root / "test").is_dir():
        return None
    rows = read_table(found[0], TEST).frame
    out = []
    for _, row in rows.iterrows():
        part = path_parts(f"{row['Study']}/view")
        if part is None:
            raise TableError(f"{found[0]}: column 'Study': {row['Study']!r} is not .../patientNNNNN/studyN")
        folder = root / "test" / part[1]
        for path in sorted(folder.glob("view*")):
            relative = f"test/{part[1]}/{path.name}"
            out.append(
                {
                    "image_id": relative.rsplit(".", 1)[0],
                    "study_id": part[1],
                    "patient_id": part[0],
                    "split": "test",
                    "view": "LATERAL" if "lateral" in path.name else "FRONTAL",
                    "image_path": relative,
                    "findings": "",
                    "impression": "",
                    "text": "",
                    **{column: row[code] for column, code in zip(TABLE_COLUMNS, _CODES, strict=True)},
                }
            )
    source.notes.append(f"test set: {len(rows):,} studies with radiologists' labels")
    return pd.DataFrame(out) if out else None


def _exclude(source: Source, path: Path) -> None:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"--exclude {path}: cannot read it: {error}") from error
    patients = set()
    for line in lines:
        for cell in line.split(","):
            part = path_parts(cell.strip() + "/")
            if part is not None:
                patients.add(part[0])
    if not patients:
        raise TableError(f"--exclude {path}: names no patient (patientNNNNN), neither alone nor in a Path column")
    lost = source.frame["patient_id"].isin(patients) & (source.frame["split"] == "train")
    source.notes.append(f"excluded from training: {int(lost.sum()):,} images of {len(patients):,} listed patients")
    source.keep(~lost, "excluded patient", "listed in --exclude")
    source.count("without excluded patients")


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        with path.open("rb") as stream:
            lines = stream.readlines()
    except OSError as error:
        raise TableError(
            f"--chexbert {path}: cannot read it: {error.strerror or error}; download a labels file of CheXpert Plus, "
            "for example report_fixed.json"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:  # bytes that are no UTF-8 among them
            reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise TableError(f"{path}: line {number} is not JSON ({reason})") from error
        if not isinstance(record, dict):
            raise TableError(f"{path}: line {number} holds {type(record).__name__}, not one object with labels")
        yield number, record


def _chexbert(source: Source, path: Path) -> None:
    """Replace the labels by those of a CheXbert file; images that it lacks become "not mentioned"."""
    states: dict[str, list[int]] = {}
    for number, record in _json_lines(path):
        missing = [name for name in ("path_to_image", *FINDINGS) if name not in record]
        if missing:
            raise TableError(f"{path}: line {number} lacks {', '.join(missing)}")
        codes = []
        for name in FINDINGS:
            value = record[name]
            state = LabelState.NOT_MENTIONED if value is None else STATE_OF_NUMBER.get(value)  # type: ignore[arg-type]
            if state is None:
                raise TableError(f"{path}: line {number}: {name} is {value!r}; allowed: 1, 0, -1 or null")
            codes.append(state.code)
        states[image_id(str(record["path_to_image"]))] = codes
    nothing = [LabelState.NOT_MENTIONED.code] * len(FINDINGS)
    known = source.frame["image_id"].isin(states)
    if not known.any():
        raise TableError(f"{path}: holds none of the images; is it the CheXbert file of CheXpert Plus?")
    if not known.all():
        source.notes.append(f"{int((~known).sum()):,} images have no CheXbert labels: kept as not mentioned")
    values = np.asarray([states.get(image, nothing) for image in source.frame["image_id"]], dtype=np.int8)
    source.frame = source.frame.assign(**{column: values[:, i] for i, column in enumerate(TABLE_COLUMNS)})


def _prompts(source: Source, template: str) -> None:
    codes = source.frame[list(TABLE_COLUMNS)].to_numpy()
    texts = [prompt_text([LabelState.from_code(code) for code in row], template) for row in codes]
    source.frame = source.frame.assign(text=texts)
    source.notes.append(f"text made from labels by the template {template!r}: it says no more than the labels")
    there = source.frame["text"] != ""
    if not there.any():
        raise DataError(f"the labels of none of {len(there):,} images say anything to --prompts {template}")
    source.keep(there, "no text", f"labels say nothing to --prompts {template}")
    source.count(f"prompts: {template}")
