"""Look-up tables and windows of a DICOM file: which of them can be used, and what they show.

By the standard (PS3.3 C.11.2) all of a file's tables and windows are equally valid, the first is what viewers show. One
that cannot be used counts as absent: cut off by more than half, the same value everywhere, without width, or not a
number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clinclip.images.dicom_values import name, numbers, word_pattern

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Float64 values to shares of the output range, 0 to 1.
Shares = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SHORT = "DICOM: a look-up table that is too short was filled with its last value"
DEPTH = "DICOM: a look-up table was scaled by the range that it uses, which contradicts its declared depth"
MODULO = "DICOM: the first mapped value of a look-up table was read with the other sign"
NEXT = "DICOM: an unusable window or look-up table was passed over for the next one"
NONE_LEFT = "DICOM: no usable window or look-up table among those it has, full range shown"
ABSENT = "DICOM: neither window nor look-up table, full range shown"


@dataclass(frozen=True)
class LookUp:
    """One usable item of a LUT sequence.

    Attributes:
        table: uint16 entries, as many as declared.
        first: The value that the first entry maps.
        top: The highest output: that of the declared depth, or the highest entry where that contradicts the depth.
    """

    table: NDArray[np.uint16]
    first: int
    top: int

    def __call__(self, values: NDArray) -> NDArray[np.uint16]:
        """Entries for whole values; values beyond the ends take the first or last entry."""
        return self.table[np.clip(values.astype(np.int64) - self.first, 0, len(self.table) - 1)]


def look_up(item: Dataset, low: float, high: float, remarks: list[str]) -> LookUp | None:
    """An item of a LUT sequence, or None when it cannot be used.

    Args:
        item: With LUT Descriptor and LUT Data.
        low: Smallest value that will be looked up.
        high: Largest.
        remarks: Grows by what was tolerated.
    """
    descriptor, signed = word_pattern(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    entries, first, depth = descriptor[0] or 65536, descriptor[1], descriptor[2]
    table = _entries(item, entries, depth)[:entries]
    if 2 * len(table) < entries or not len(table):
        return None
    found: list[str] = []
    if len(table) < entries:
        table = np.concatenate([table, np.full(entries - len(table), table[-1])])
        found.append(SHORT)
    top = (1 << depth) - 1 if 1 <= depth <= 16 else 0
    if (highest := int(table.max())).bit_length() != depth:
        top = highest
        found.append(DEPTH)
    if table.min() == table.max():
        return None

    def covered(start: int) -> float:
        return min(high, start + entries - 1) - max(low, start)

    written = first - 65536 if signed and first > 32767 else first
    other = written - 65536 if written >= 32768 else written + 65536 if written < 0 else written
    if covered(other) > max(covered(written), -1):
        if signed or other >= 0:  # an unsigned pattern is how a negative value looks where the sign was not stated
            found.append(MODULO)
        written = other
    remarks += found
    return LookUp(table, written, top)


def _entries(item: Dataset, entries: int, depth: int) -> NDArray[np.uint16]:
    """LUT Data, of 8 or 16 bits an entry, in the file's byte order."""
    element: Any = item.get_item("LUTData") if "LUTData" in item else None
    if element is None:
        return np.empty(0, np.uint16)
    raw = getattr(element, "is_raw", False)
    data = element.value
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data if data is not None else [], np.int64)).astype(np.uint16)
    order = ">" if raw and not element.is_little_endian else "<"
    words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype("<u2")
    # A byte an entry, or half of the words? Bytes read as words exceed the declared depth.
    as_many = len(data) in (entries, entries + 1) and (not 8 < depth < 16 or int(words.max(initial=0)) >> depth > 0)
    if not as_many and not (depth <= 8 and len(data) < entries):
        return words
    as_words = raw and element.VR != "OB" and len(data) % 2 == 0
    return words.view(np.uint8).astype(np.uint16) if as_words else np.frombuffer(data, np.uint8).astype(np.uint16)


def modality_table(header: Dataset, low: float, high: float, remarks: list[str]) -> LookUp | None:
    """The Modality LUT, or None when there is none that can be used."""
    for item in _items(header, "ModalityLUTSequence"):
        if (found := look_up(item, low, high, remarks)) is not None:
            return found
    return None


def voi_shares(header: Dataset, low: float, high: float, remarks: list[str]) -> Shares | None:
    """The first VOI LUT, else the first window, that can be used; None when there is none.

    Args:
        header: With VOI LUT Sequence, Window Center and Window Width.
        low: Smallest value of the image after the modality transform.
        high: Largest.
        remarks: Grows by what was tolerated.
    """
    passed = 0
    for item in _items(header, "VOILUTSequence"):
        table = look_up(item, low, high, found := [])
        if table is not None:
            remarks += [*found, *[NEXT] * (passed > 0)]
            return _by_table(table)
        passed += 1
    centers, widths = numbers(header, "WindowCenter", found := []), numbers(header, "WindowWidth", found)
    function = name(header, "VOILUTFunction").replace(" ", "_") or "LINEAR"
    for center, width in zip(centers, widths, strict=False):
        shown = _by_window(center, width, function)
        if shown is not None:
            remarks += [*found[:1], *[NEXT] * (passed > 0)]
            return shown
        passed += 1
    remarks.append(NONE_LEFT if passed or centers or widths else ABSENT)
    return None


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    return list(header.get(keyword) or ())


def _by_table(table: LookUp) -> Shares:
    def shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return table(np.rint(np.clip(values, -(2**31), 2**31 - 1))) / table.top

    return shown


def _by_window(center: float, width: float, function: str) -> Shares | None:
    """A window by the function that the file names (PS3.3 C.11.2.1.2 and .3), or None when it cannot be used.

    A width below 1 has no meaning in LINEAR, which counts whole values; files with a rescale slope far below 1 have
    such windows and mean them exactly.
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not np.isfinite([center, width]).all() or width <= 0:
        return None

    def shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        if function == "LINEAR_EXACT" or width < 1:
            return (values - center) / width + 0.5
        if width == 1:  # the limit of the formula: a threshold
            return (values > center - 0.5).astype(np.float64)
        return (values - (center - 0.5)) / (width - 1) + 0.5

    return shown
