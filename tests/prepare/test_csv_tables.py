"""Battery 3: formats of the public data sets x mutations. Harmless ones read identically, harmful ones are refused."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.data.ids import normalise_id
from clinclip.errors import ConfigError, TableError
from clinclip.findings import LabelState
from clinclip.prepare.readers import chexpert, chexpert_plus, mimic_tables
from clinclip.prepare.readers.csv_tables import IdColumn, TableFormat, age_in_years, label_codes, read_rows, read_table

Rows = list[list[str]]

#: every table that a reader reads
FORMATS: dict[str, TableFormat] = {
    "mimic-metadata": mimic_tables.METADATA,
    "mimic-split": mimic_tables.SPLIT,
    "mimic-chexpert": mimic_tables.CHEXPERT,
    "mimic-negbio": mimic_tables.NEGBIO,
    "mimic-test-labeled": mimic_tables.TEST_LABELED,
    "chexpert-train": chexpert.TRAIN,
    "chexpert-valid": chexpert.VALID,
    "chexpert-test": chexpert.TEST,
    "chexpert-plus": chexpert_plus.REPORTS,
}

#: column -> three values that the format allows
_VALUES: dict[str, list[str]] = {
    "subject_id": ["10000032", "10000764", "19999987"],
    "study_id": ["50414267", "57375967", "58723455"],
    "dicom_id": [f"{i}2aa4c99-b6bcd0d7-b0f3a8f1-2d5f8a40-c3d4e5f{i}" for i in (0, 1, 2)],
    "split": ["train", "validate", "test"],
    "ViewPosition": ["PA", "LATERAL", ""],
    "Rows": ["3056", "2544", "2022"],
    "Columns": ["2544", "3056", "1736"],
    "StudyDate": ["21800506", "21800626", "21800723"],
    "StudyTime": ["213014.531", "093015.0", "80556.875"],
    "Path": [f"CheXpert-v1.0-small/train/patient0000{i}/study1/view1_frontal.jpg" for i in (1, 2, 3)],
    "Study": [f"CheXpert-v1.0/test/patient6474{i}/study1" for i in (1, 2, 3)],
    "path_to_image": [f"train/patient0000{i}/study1/view1_frontal.jpg" for i in (1, 2, 3)],
    "deid_patient_id": ["patient00001", "patient00002", "patient00003"],
    "Sex": ["Female", "Male", "Unknown"],
    "Age": ["68", "87", "0"],
    "Frontal/Lateral": ["Frontal", "Frontal", "Lateral"],
    "AP/PA": ["AP", "PA", ""],
    "report": ["FINDINGS: clear.", 'He said "cough", twice.', "IMPRESSION: effusion, left."],
}
#: what the publishers have besides, so that unused columns are there too
_EXTRA = ("PerformedProcedureStepDescription", "accents")


def table_of(form: TableFormat) -> tuple[list[str], Rows]:
    """A header and three rows that the format accepts."""
    header = [*form.columns, *form.optional, *_EXTRA]
    states = [s for s in ("1.0", "0.0", "-1.0", "") if _state(s) in form.states]
    rows = []
    for i in range(3):
        row = []
        for j, name in enumerate(header):
            if name in form.labels:
                row.append(states[(i + j) % len(states)])
            elif name in _VALUES:
                row.append(_VALUES[name][i])
            elif name in form.numbers:
                row.append(str(10 * i + j))
            else:
                row.append(f"{name} {i}")
        rows.append(row)
    return header, rows


def _state(cell: str) -> LabelState:
    return {"1.0": LabelState.PRESENT, "0.0": LabelState.ABSENT, "-1.0": LabelState.UNCERTAIN}.get(
        cell, LabelState.NOT_MENTIONED
    )


def encode(header: list[str], rows: Rows, newline: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=newline)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


# each mutation: (header, rows, format) -> bytes, or None where it does not apply to the format
def bom(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return b"\xef\xbb\xbf" + encode(h, r)


def crlf(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, r, "\r\n")


def gz(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return gzip.compress(encode(h, r))


def utf16(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, r).decode().encode("utf-16")


def reordered(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h[::-1], [row[::-1] for row in r])


def leading_blank(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode([f" {name}" for name in h], [[f" {cell} " for cell in row] for row in r])


def quoted_newline(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, [[*row[:-1], "two\nlines, one cell"] for row in r])


def not_utf8_elsewhere(h: list[str], r: Rows, f: TableFormat) -> bytes:
    """Latin-1 in a column that is not used."""
    data = encode(h, [[*row[:-1], "cafe"] for row in r])
    return data.replace(b"cafe", b"caf\xe9")


def float_ids(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    at = [i for i, name in enumerate(h) if name in f.ids and all(row[i].isdigit() for row in r)]
    if not at:
        return None
    return encode(h, [[f"{cell}.0" if i in at else cell for i, cell in enumerate(row)] for row in r])


def repeated_rows(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    return encode(h, [*r, r[0]]) if f.key else None


def blank_row(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, [r[0], [""] * len(h), *r[1:]]) + b"\n"


def integer_labels(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    if not f.labels:
        return None
    at = {i for i, name in enumerate(h) if name in f.labels}
    short = {"1.0": "1", "0.0": "0", "-1.0": "-1", "": "nan"}
    return encode(h, [[short[c] if i in at else c for i, c in enumerate(row)] for row in r])


HARMLESS = [bom, crlf, gz, utf16, reordered, leading_blank, quoted_newline, not_utf8_elsewhere, float_ids,
            repeated_rows, blank_row, integer_labels]  # fmt: skip


def missing_column(h: list[str], r: Rows, f: TableFormat) -> bytes:
    at = h.index(f.columns[-1])
    return encode(h[:at] + h[at + 1 :], [row[:at] + row[at + 1 :] for row in r])


def renamed_column(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode([name + "s" if name == f.columns[-1] else name for name in h], r)


def doubled_column(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode([*h, f.columns[0]], [[*row, row[0]] for row in r])


def not_utf8(h: list[str], r: Rows, f: TableFormat) -> bytes:
    first = f.columns[0]
    data = encode(h, [["x\u00e9x" if n == first else c for n, c in zip(h, row, strict=True)] for row in r])
    return data.replace("\u00e9".encode(), b"\xe9")


def cut_off(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, r)[: -len(",".join(r[-1][-2:])) - 2]


def cut_gzip(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return gzip.compress(encode(h, r))[:-12]


def shifted_row(h: list[str], r: Rows, f: TableFormat) -> bytes:
    """An unquoted comma pushes the cells of a row to the right."""
    lines = encode(h, r).split(b"\n")
    lines[2] = b"extra," + lines[2]
    return b"\n".join(lines)


def zero_bytes(h: list[str], r: Rows, f: TableFormat) -> bytes:
    return encode(h, r)[:40] + b"\x00" * 8 + encode(h, r)[48:]


def contradiction(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    """The same key with another answer."""
    free = [i for i, name in enumerate(h) if name in f.columns and name not in f.key and name not in f.ids]
    if not f.key or not free:
        return None
    swapped = next(row for row in r[1:] if row[free[-1]] != r[0][free[-1]])
    twin = [*r[0]]
    twin[free[-1]] = swapped[free[-1]]
    return encode(h, [*r, twin])


def lossy_ids(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    """A spreadsheet wrote 1e+07."""
    at = [i for i, name in enumerate(h) if name in f.ids and f.ids[name].pattern != r"\S.*"]
    if not at:
        return None
    return encode(h, [["1.0E+07" if i == at[0] else c for i, c in enumerate(row)] for row in r])


def wrong_label(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    at = [i for i, name in enumerate(h) if name in f.labels]
    if not at:
        return None
    return encode(h, [["2" if i == at[0] else c for i, c in enumerate(row)] for row in r])


def uncertain_where_none_may_be(h: list[str], r: Rows, f: TableFormat) -> bytes | None:
    """-1 in a test file."""
    at = [i for i, name in enumerate(h) if name in f.labels]
    if not at or LabelState.UNCERTAIN in f.states:
        return None
    return encode(h, [["-1" if i == at[0] else c for i, c in enumerate(row)] for row in r])


HARMFUL = [missing_column, renamed_column, doubled_column, not_utf8, cut_off, cut_gzip, shifted_row, zero_bytes,
           contradiction, lossy_ids, wrong_label, uncertain_where_none_may_be]  # fmt: skip

Mutation = Callable[[list[str], Rows, TableFormat], bytes | None]


def outcome(path: Path, form: TableFormat, mutation: Mutation, expected: pd.DataFrame | None) -> bool | None:
    """True where the mutation is handled as it must be; None where it does not apply."""
    header, rows = table_of(form)
    data = mutation(header, rows, form)
    if data is None:
        return None
    path.write_bytes(data)
    if expected is not None:
        return read_table(path, form).frame.equals(expected)
    try:
        read_table(path, form)
    except TableError as error:
        return str(path) in str(error)
    return False


def test_battery_of_label_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.csv"
    failures, cases = [], 0
    for name, form in FORMATS.items():
        path.write_bytes(encode(*table_of(form)))
        expected = read_table(path, form).frame
        assert len(expected) == 3
        for harmless, mutations in ((True, HARMLESS), (False, HARMFUL)):
            for mutation in mutations:
                passed = outcome(path, form, mutation, expected if harmless else None)
                if passed is not None:
                    cases += 1
                    if not passed:
                        failures.append(f"{name} x {mutation.__name__}")
    with capsys.disabled():
        print(f"\nbattery 3, label tables: {cases - len(failures)} / {cases}")
    assert not failures
    assert cases > 170


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (missing_column, "lacks column 'Support Devices'"),
        (renamed_column, "did you mean 'Support Devicess'"),
        (wrong_label, "line 2: '2' is not a label; allowed: 1, 0, -1 or blank"),
        (contradiction, "share their study_id but differ"),
        (cut_gzip, "cut off"),
        (shifted_row, "line 3 has 19 cells, the header has 18"),
        (lossy_ids, "column 'subject_id', line 2: 7 characters; expected 8 digits"),
        (not_utf8, "not UTF-8 text; say which encoding"),
    ],
)
def test_messages_name_file_column_and_line(tmp_path: Path, mutation: Mutation, words: str) -> None:
    form = FORMATS["mimic-chexpert"]
    path = tmp_path / "labels.csv"
    path.write_bytes(mutation(*table_of(form), form) or b"")
    with pytest.raises(TableError) as caught:
        read_table(path, form)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_patient_ids_do_not_leak_into_messages(tmp_path: Path) -> None:
    form = FORMATS["mimic-chexpert"]
    header, rows = table_of(form)
    rows[1][0] = "20000764"
    path = tmp_path / "labels.csv"
    path.write_bytes(encode(header, rows))
    with pytest.raises(TableError, match="8 digits starting with 1") as caught:
        read_table(path, form)
    assert "20000764" not in str(caught.value)


def test_another_separator_is_guessed_in_the_message(tmp_path: Path) -> None:
    form = FORMATS["mimic-split"]
    header, rows = table_of(form)
    path = tmp_path / "t.csv"
    path.write_text("\n".join(";".join(row) for row in [header, *rows]))
    with pytest.raises(TableError, match="separated by ';'"):
        read_table(path, form)
    assert len(read_table(path, form, delimiter=";")) == 3


def test_a_given_encoding_is_used(tmp_path: Path) -> None:
    form = TableFormat("t", ("a", "b"))
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n1,Barthélémy\n".encode("cp1252"))
    assert read_table(path, form, encoding="cp1252").frame["b"].tolist() == ["Barthélémy"]
    with pytest.raises(TableError, match="encoding='utf-8'"):
        read_table(path, form, encoding="utf-8")
    with pytest.raises(TableError, match="encoding='klingon'"):
        read_table(path, form, encoding="klingon")


def test_quirks_of_single_publishers(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    # a blank in front of the second name, and several rows an image (SIIM)
    path.write_text("ImageId, EncodedPixels\n1.2.3, -1\n1.2.4, 5 6\n1.2.4, 9 9\n")
    form = TableFormat("t", ("ImageId", "EncodedPixels"), ids={"ImageId": IdColumn()})
    assert read_table(path, form).frame["EncodedPixels"].tolist() == ["-1", "5 6", "9 9"]
    # rows repeat (RSNA): as a key they become one each
    path.write_text("patientId,class\na,Lung Opacity\na,Lung Opacity\nb,Normal\n")
    assert len(read_table(path, TableFormat("t", ("patientId", "class"), key=("patientId",)))) == 2
    # commas inside the names of columns that are not used, a comma at the end of every line (NIH)
    path.write_text("Image,Patient,OriginalImage[Width,Height],\n00000001_000.png,1,2682,2749,\n")
    assert read_table(path, TableFormat("t", ("Image", "Patient"))).frame["Patient"].tolist() == ["1"]
    # the first column has no name (PadChest)
    path.write_text(",ImageID\n0,a.png\n1,b.png\n")
    assert read_table(path, TableFormat("t", ("ImageID",))).frame["ImageID"].tolist() == ["a.png", "b.png"]
    # another name for Lung Opacity (MIMIC 2.1)
    form = FORMATS["mimic-test-labeled"]
    columns, rows = table_of(form)
    path.write_bytes(encode([c.replace("Lung Opacity", "Airspace Opacity") for c in columns], rows))
    plain = tmp_path / "plain.csv"
    plain.write_bytes(encode(columns, rows))
    assert read_table(path, form).frame.equals(read_table(plain, form).frame)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [("10000032", "10000032"), ("10000032.0", "10000032"), (" 10000032.000 ", "10000032"), ("1.0000032e7", "10000032"),
     ("1.0000032E+07", "10000032"), ("s50414267.0", "s50414267"), ("1e7", "1e7"), ("5e0", "5e0"),
     ("5E00", "5E00"), ("00012", "00012"), ("a.b", "a.b"),
     ("1.5", "1.5")],
)  # fmt: skip
def test_ids_are_normalised_without_guessing(cell: str, wanted: str) -> None:
    assert normalise_id(cell) == wanted


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["1", "1.0", "0", "0.00", "-1", "-1.0", "", " ", "NaN", "+1"]), max_size=20))
def test_label_codes_by_number(cells: list[str]) -> None:
    codes = label_codes(cells, Path("t"), "c", list(range(len(cells))))
    for cell, code in zip(cells, codes, strict=True):
        text = cell.strip()
        assert code == (-2 if text in ("", "NaN") else int(float(text)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(data)
    # no accident of 300 bytes is a split table: anything but a named refusal is a crash
    with pytest.raises(TableError, match=r"fuzz\.csv"):
        read_table(path, FORMATS["mimic-split"])


@pytest.mark.parametrize(
    ("cell", "years"),
    [("58", 58), ("58.0", 58), ("058Y", 58), ("58y", 58), ("58 years", 58), ("58-year-old", 58), ("006M", 0.5),
     ("052W", 52 * 7 / 365.25), ("010D", 10 / 365.25), ("0", 0), ("62,5", 62.5), (" 058Y ", 58)],
)  # fmt: skip
def test_ages(cell: str, years: float) -> None:
    assert age_in_years(cell) == pytest.approx(years)


@pytest.mark.parametrize("cell", ["", "unknown", "2058", "58X", "-3", "Y"])
def test_what_is_no_age(cell: str) -> None:
    assert math.isnan(age_in_years(cell))


@pytest.mark.parametrize("delimiter", ["\t", "\\t", "tab", "TAB"])
def test_tabs_by_any_name(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1\tx, y\n")
    assert read_rows(path, delimiter=delimiter)[:2] == (["a", "b"], [(2, ["1", "x, y"])])


def test_delimiters_that_cannot_be_and_the_hint_for_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1\tx, y\n")
    for delimiter in ("", ";;", "\n", '"'):
        with pytest.raises(ConfigError, match=r"--delimiter .*: give one character"):
            read_rows(path, delimiter=delimiter)
    with pytest.raises(TableError, match=r"line 2 has 2 cells, the header has 1.*--delimiter '\\t'"):
        read_rows(path)
    path.write_text("a;b\n1;2\n")
    with pytest.raises(TableError, match=r"lacks columns 'a', 'b'.*--delimiter ';'"):
        read_table(path, TableFormat("t", ("a", "b")))
