"""Reading the CSV tables of publishers and users: harmless differences vanish, harmful ones are refused.

Harmless, and accepted with the identical result: byte order mark, Windows line ends, gzip whatever the file is called,
columns in another order, blanks around names and cells, quoted newlines in columns that nobody asked for, ids that a
spreadsheet turned into ``10000032.0``, rows repeated word for word, wholly blank rows. Harmful, and refused with file,
column and line: a column missing or renamed, a value outside the vocabulary, the same key with two answers, ragged or
truncated rows, bytes that are not text, ids that have lost digits.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from clinclip.data.ids import normalise_id
from clinclip.errors import ConfigError, TableError
from clinclip.findings import STATE_CODE, LabelState, column_name

_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

#: the cell texts of a label table, after stripping; numbers are compared as numbers
_BLANK = frozenset({"", "nan"})
STATE_OF_NUMBER = {1.0: LabelState.PRESENT, 0.0: LabelState.ABSENT, -1.0: LabelState.UNCERTAIN}


@dataclass(frozen=True)
class IdColumn:
    """The form of an identifier.

    Attributes:
        pattern: regular expression that the whole cell must match after normalisation.
        meaning: the same in words, for the message.
        prefix: letter that some tables write in front ("s50414267") and that is removed.
    """

    pattern: str = r"\S.*"
    meaning: str = "a non-blank identifier"
    prefix: str = ""


@dataclass(frozen=True)
class TableFormat:
    """What a table must hold.

    Attributes:
        name: how messages call it.
        columns: required columns, in the publisher's order.
        key: columns that together identify a row; empty when rows may repeat.
        ids: identifier columns and their form.
        labels: label columns: file column -> CheXpert finding.
        states: label states that may occur.
        values: columns with a closed vocabulary.
        numbers: columns that hold a number or nothing.
        aliases: other spellings of a column that publishers used themselves -> the name in ``columns``.
        optional: columns that are kept where present and blank where not.
        source: where the layout is written down.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    ids: Mapping[str, IdColumn] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    states: frozenset[LabelState] = frozenset(LabelState)
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        frame: required and optional columns as stripped strings; each label column as an int8 code column named by
            :func:`clinclip.findings.column_name`. One row per key, in file order.
        notes: harmless deviations that were seen, in words, for the preparation report.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


def read_text_file(path: Path, encoding: str | None = None) -> tuple[str, list[str]]:
    """The text of a possibly gzipped file, and notes about its encoding.

    Args:
        path: the file; gzip is recognised by content.
        encoding: what to decode with; None tries UTF-8 and UTF-16 (by its mark) and then marks undecodable bytes with
            surrogates, which :func:`read_table` refuses in every column that is used.

    Raises:
        TableError: the file is missing, truncated or binary.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path}: cannot read the table: {error.strerror or error}") from error
    notes = []
    if data[:2] == _GZIP_MAGIC:
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise TableError(f"{path}: the gzip file is damaged or cut off ({error}); download it again") from error
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff"), notes
        except (UnicodeDecodeError, LookupError) as error:
            raise TableError(f"{path}: cannot decode as encoding={encoding!r}: {error}") from error
    if data[:2] in _UTF16_MARKS:
        notes.append("encoded as UTF-16")
        try:
            return data.decode("utf-16"), notes
        except UnicodeDecodeError as error:
            raise TableError(f"{path}: starts like UTF-16 but is not: {error}") from error
    if b"\x00" in data:
        raise TableError(f"{path}: holds zero bytes: not a text table (or a damaged download)")
    if data[:3] == b"\xef\xbb\xbf":
        notes.append("byte order mark")
        data = data[3:]
    text = data.decode("utf-8", errors="surrogateescape")
    return text, notes


_AGE = re.compile(
    r"(\d{1,3}(?:[.,]\d+)?)[\s-]*(?:(y|yr|m|mo|w|wk|d)s?|(year|month|week|day)s?(?:[ -]old)?)?\.?", re.IGNORECASE
)
_A_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}


def age_in_years(cell: str) -> float:
    """An age as DICOM ("058Y", "006M"), spreadsheets ("58.0") and people ("58 years") write it; NaN for others."""
    match = _AGE.fullmatch(cell.strip())
    if match is None:
        return math.nan
    unit = (match[2] or match[3] or "y")[0].lower()
    return float(match[1].replace(",", ".")) / _A_YEAR[unit]


def _separator(delimiter: str) -> str:
    r"""The one character that a delimiter option means: shells pass ``\t`` as two."""
    named = {"\\t": "\t", "tab": "\t", "\\x09": "\t"}.get(delimiter.lower(), delimiter)
    if len(named) != 1 or named in '"\r\n':
        raise ConfigError(rf"--delimiter {delimiter!r}: give one character, such as ',' or ';', or \t")
    return named


def _other_separator(header: list[str]) -> str:
    """The hint for a header of one cell that holds another separator."""
    found = next((s for s in ("\t", ";", "|", ",") if len(header) == 1 and s in header[0]), None)
    return "" if found is None else f"; it seems to be separated by {found!r}: --delimiter {found!r}"


def read_rows(path: Path, encoding: str | None = None, delimiter: str = ",") -> tuple[list[str], list, list[str]]:
    """Header names, rows as (line number, cells), and notes. Blank lines vanish; ragged rows are refused."""
    delimiter = _separator(delimiter)
    text, notes = read_text_file(path, encoding)
    csv.field_size_limit(2**31 - 1)
    # StringIO with newline="" leaves quoted newlines as they are; csv handles \r\n itself
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: list[tuple[int, list[str]]] = []
    blank = 0
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                blank += bool(cells)
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                continue
            if len(cells) != len(header):
                raise TableError(
                    f"{path}: line {line} has {len(cells)} cells, the header has {len(header)}: "
                    f"a cut-off download, or an unquoted separator or quote inside a cell{_other_separator(header)}"
                )
            rows.append((line, cells))
    except csv.Error as error:
        raise TableError(f"{path}: line {start}: {error}; a cut-off download or an unbalanced quote") from error
    if header is None:
        raise TableError(f"{path}: the table is empty")
    if not text.endswith(("\n", "\r")):
        notes.append("no line end after the last row; compare the file's size with the publisher's")
    if blank:
        notes.append(f"{blank} blank rows left out")
    return header, rows, notes


def _positions(path: Path, header: list[str], table: TableFormat, delimiter: str) -> dict[str, int]:
    """Column name -> position, aliases resolved. Raises TableError for a missing or ambiguous column."""
    found: dict[str, int] = {}
    wanted = {*table.columns, *table.optional}
    for position, name in enumerate(header):
        name = name if name in wanted else table.aliases.get(name, name)
        if name not in wanted:
            continue
        if name in found:
            raise TableError(f"{path}: column {name!r} occurs twice in the {table.name}; remove or rename one")
        found[name] = position
    missing = [name for name in table.columns if name not in found]
    if missing:
        hints = []
        for name in missing:
            close = difflib.get_close_matches(name, [h for h in header if h not in found], n=1, cutoff=0.7)
            hints.append(repr(name) + (f" (did you mean {close[0]!r}?)" if close else ""))
        raise TableError(
            f"{path}: the {table.name} lacks column{'s' if len(missing) > 1 else ''} {', '.join(hints)}; "
            f"found: {', '.join(header[:40])}{_other_separator(header)}"
        )
    return found


def _ids(path: Path, name: str, form: IdColumn, cells: list[str], lines: list[int]) -> list[str]:
    pattern = re.compile(form.pattern)
    out = []
    for cell, line in zip(cells, lines, strict=True):
        value = normalise_id(cell)
        if form.prefix and value.startswith(form.prefix):
            value = value[len(form.prefix) :]
        if not pattern.fullmatch(value):
            # the value itself may identify a patient: the line is enough to find it
            shape = f"{len(value)} characters" if value else "blank"
            raise TableError(f"{path}: column {name!r}, line {line}: {shape}; expected {form.meaning}")
        out.append(value)
    return out


def label_codes(
    cells: list[str], path: Path, name: str, lines: list[int], states: frozenset[LabelState] = frozenset(LabelState)
) -> np.ndarray:
    """int8 codes (n,) of label cells: 1, 0, -1 and blank in any number format. Raises TableError for anything else."""
    known: dict[str, int] = {}
    out = np.empty(len(cells), dtype=np.int8)
    for i, cell in enumerate(cells):
        if cell not in known:
            known[cell] = _code(cell, path, name, lines[i], states)
        out[i] = known[cell]
    return out


def _code(cell: str, path: Path, name: str, line: int, states: frozenset[LabelState]) -> int:
    text = cell.strip()
    if text.lower() in _BLANK:
        state = LabelState.NOT_MENTIONED
    else:
        try:
            state = STATE_OF_NUMBER[float(text)]
        except (ValueError, KeyError):
            raise TableError(
                f"{path}: column {name!r}, line {line}: {text!r} is not a label; allowed: 1, 0, -1 or blank"
            ) from None
    if state not in states:
        raise TableError(
            f"{path}: column {name!r}, line {line}: {text or 'a blank'} ({state}) must not occur in this table; "
            f"allowed states: {', '.join(sorted(states))}"
        )
    return STATE_CODE[state]


def _check_decoded(path: Path, name: str, cells: list[str], lines: list[int]) -> None:
    for cell, line in zip(cells, lines, strict=True):
        if any("\ud800" <= ch <= "\udfff" for ch in cell):
            raise TableError(
                f"{path}: column {name!r}, line {line}: not UTF-8 text; say which encoding it is (--encoding latin-1, "
                "cp1252, ...) or convert the file"
            )


def read_table(path: str | Path, table: TableFormat, encoding: str | None = None, delimiter: str = ",") -> Table:
    """Read and check a table.

    Args:
        path: CSV, plain or gzipped.
        table: what it must hold.
        encoding: see :func:`read_text_file`.
        delimiter: the separator.

    Raises:
        TableError: names file, column and line of what is wrong.
    """
    path = Path(path)
    header, rows, notes = read_rows(path, encoding, delimiter)
    position = _positions(path, header, table, delimiter)
    lines = [line for line, _ in rows]
    columns: dict[str, list[str] | np.ndarray] = {}
    for name in (*table.columns, *table.optional):
        if name not in position:
            columns[name] = [""] * len(rows)
            continue
        at = position[name]
        cells = [cells[at].strip() for _, cells in rows]
        _check_decoded(path, name, cells, lines)
        if name in table.labels:
            columns[column_name(table.labels[name])] = label_codes(cells, path, name, lines, table.states)
            continue
        if name in table.ids:
            cells = _ids(path, name, table.ids[name], cells, lines)
        if name in table.values:
            _check_values(path, name, cells, lines, table.values[name])
        if name in table.numbers:
            _check_numbers(path, name, cells, lines)
        columns[name] = cells
    frame = pd.DataFrame(columns)
    repeated = frame.duplicated() if table.key else pd.Series(False, index=frame.index)
    if repeated.any():
        notes.append(f"{int(repeated.sum())} rows repeated word for word left out")
        frame = frame[~repeated]
    if table.key:
        clash = frame.duplicated(list(table.key), keep=False)
        if clash.any():
            at = [lines[i] for i in frame.index[clash][:2]]
            raise TableError(
                f"{path}: {int(clash.sum())} rows of the {table.name} share their {', '.join(table.key)} but differ "
                f"elsewhere (first: lines {at[0]} and {at[1]}); keep the right one"
            )
    return Table(frame.reset_index(drop=True), tuple(notes))


def _check_values(path: Path, name: str, cells: list[str], lines: list[int], allowed: frozenset[str]) -> None:
    for cell, line in zip(cells, lines, strict=True):
        if cell not in allowed:
            raise TableError(
                f"{path}: column {name!r}, line {line}: {cell!r} is not one of "
                f"{', '.join(repr(v) for v in sorted(allowed))}"
            )


def _check_numbers(path: Path, name: str, cells: list[str], lines: list[int]) -> None:
    for cell, line in zip(cells, lines, strict=True):
        try:
            float(cell or "0")
        except ValueError:
            raise TableError(f"{path}: column {name!r}, line {line}: {cell!r} is not a number") from None
