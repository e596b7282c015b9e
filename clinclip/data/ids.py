"""Identifiers of patients and studies: one spelling for one patient, whatever a spreadsheet made of it."""

from __future__ import annotations

import re

import pandas as pd

_FLOAT_ID = re.compile(r"([A-Za-z]*)(\d+)\.0*")
#: with a decimal point: "5e0" is no number that a program wrote, but an identifier beside "5"
_SCIENTIFIC = re.compile(r"(\d)\.(\d+)[eE]\+?(\d+)")


def normalise_id(cell: str) -> str:
    """An identifier as text: blanks stripped, ``"10000032.0"`` and exact ``"1.0000032e7"`` written out.

    A number in scientific notation that has lost digits is returned unchanged, so that the pattern refuses it.
    """
    cell = cell.strip()
    if match := _FLOAT_ID.fullmatch(cell):
        return match[1] + match[2]
    if match := _SCIENTIFIC.fullmatch(cell):
        digits, exponent = match[1] + match[2], int(match[3])
        if len(digits) - 1 == exponent:
            return digits
    return cell


def canonical_id(identifier: str) -> str:
    """An identifier without what number formats add: ``"00012"``, ``"12"`` and ``"12.0"`` are one patient."""
    value = normalise_id(identifier)
    return value.lstrip("0") or "0" if value.isdigit() else value


def patient_keys(frame: pd.DataFrame) -> pd.Series:
    """(data set, patient) of each row as one string, by :func:`canonical_id`."""
    known = {p: canonical_id(p) for p in frame["patient_id"].unique()}
    return frame["dataset"] + "\x1f" + frame["patient_id"].map(known)
