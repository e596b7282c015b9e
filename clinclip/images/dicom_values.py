"""Header values as makers write them: decimal commas, blanks, wrong signs, either byte order.

Each function reads an element's bytes itself where the parser's conversion would raise or depend on another element,
and appends a remark for every value that was not taken as the standard asks. Remarks are fixed sentences: they never
quote a value, which may identify a patient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COMMA = "DICOM: a decimal comma was read as a point"

_TEXT = (None, "DS", "IS", "UN", "LO", "SH", "CS", "ST", "LT", "UT")


def numbers(header: Dataset, keyword: str, remarks: list[str]) -> list[float]:
    """All values of a numeric element, NaN for one that is no number; empty when absent or blank.

    Args:
        header: The data set.
        keyword: Of the element.
        remarks: Grows by what was tolerated.
    """
    element: Any = header.get_item(keyword) if keyword in header else None
    if element is None:
        return []
    value = element.value
    if getattr(element, "is_raw", False):
        if element.VR in _TEXT:
            cells = (value or b"").decode("latin-1").strip(" \0").split("\\")
            return [_number(cell, remarks) for cell in cells] if cells != [""] else []
        value = header[keyword].value
    if value is None or value == "":
        return []
    values = value if isinstance(value, list | tuple) or hasattr(value, "insert") else [value]
    return [_number(str(cell), remarks) for cell in values]


def _number(cell: str, remarks: list[str]) -> float:
    text = cell.strip(" \0\r\n\t")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
        remarks.append(COMMA)
    try:
        return float(text)
    except ValueError:
        return math.nan


def first_number(header: Dataset, keyword: str, default: float, remarks: list[str]) -> float:
    """The first value of an element; NaN when it is no number, ``default`` when it is absent."""
    found = numbers(header, keyword, remarks)
    return found[0] if found else default


def word_pattern(header: Dataset, keyword: str) -> tuple[list[int], bool]:
    """16-bit values as unsigned patterns, and whether they were written as signed. Empty when absent.

    Descriptors and padding values are "US or SS": which of the two is often written wrongly, so that the reader of the
    pattern decides by what it is compared with.
    """
    element: Any = header.get_item(keyword) if keyword in header else None
    if element is None:
        return [], False
    if getattr(element, "is_raw", False) and element.VR in (None, "US", "SS", "OW", "UN"):
        order = "<" if element.is_little_endian else ">"
        data = element.value or b""
        return np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").tolist(), element.VR == "SS"
    value = element.value if not getattr(element, "is_raw", False) else header[keyword].value
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], "<u2").tolist(), False
    if value is None or value == "":
        return [], False
    values = value if isinstance(value, list | tuple) or hasattr(value, "insert") else [value]
    numbers = [int(v) for v in values]
    return [v & 0xFFFF for v in numbers], any(v < 0 for v in numbers)


def name(header: Dataset, keyword: str) -> str:
    """A coded word in capitals, without surrounding blanks; empty when absent."""
    value = header.get(keyword)
    if isinstance(value, list | tuple) or hasattr(value, "insert"):
        value = value[0] if len(value) else ""
    return str(value or "").strip(" \0").upper()
