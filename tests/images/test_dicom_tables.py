"""Look-up tables, windows and rescales as makers write them: each fault with its right picture and its remark."""

from __future__ import annotations

import numpy as np
import pytest

from clinclip.images import dicom_luts, dicom_values
from clinclip.images.dicom_grey import MODALITY, RESCALE
from clinclip.images.read import load
from tests.images.dicom_files import BIG_ENDIAN, EXPLICIT, FULL, RAMP, dataset, lut, luts, save, set_raw, windowed

IDENTITY = np.arange(4096)
SIGNED = (RAMP.astype(int) - 2048).astype("<i2")


def check(ds, tmp_path, expected, *remarks, window="voi", syntax=EXPLICIT):
    found = load(save(ds, tmp_path / "a.dcm", syntax), window=window)
    assert np.abs(found.pixels - expected).max() <= 1
    assert found.remarks == remarks


@pytest.mark.parametrize(
    ("item", "remarks"),
    [
        (lut(4096, 0, 12, IDENTITY), ()),
        (lut(4096, 0, 16, IDENTITY), (dicom_luts.DEPTH,)),
        (lut(4096, 0, 8, IDENTITY), (dicom_luts.DEPTH,)),
        (lut(4096, 0, 0, IDENTITY), (dicom_luts.DEPTH,)),
        (lut(4096, 0, 16, IDENTITY >> 4, data_type="u1"), (dicom_luts.DEPTH,)),
        (lut(4096, 0, 8, IDENTITY >> 4, data_type="u1"), ()),
        (lut(4096, 0, 8, IDENTITY >> 4), ()),  # 8 bits an entry, each in a word of its own
        (lut(4096, 0, 12, IDENTITY[:4095]), (dicom_luts.SHORT,)),
        (lut(0, 0, 12, np.minimum(np.arange(65536), 4095)), ()),  # 0 entries are 65536
    ],
)  # fmt: skip
def test_voi_tables(tmp_path, item, remarks):
    check(dataset(VOILUTSequence=luts(item)), tmp_path, FULL, *remarks)


def test_half_a_table_is_filled_and_less_is_absent(tmp_path):
    steep = np.minimum(IDENTITY * 2, 4095)
    half, less = lut(4096, 0, 12, steep[:2048]), lut(4096, 0, 12, steep[:2047])
    check(dataset(VOILUTSequence=luts(half)), tmp_path, np.minimum(FULL * 2, 255), dicom_luts.SHORT)
    check(dataset(VOILUTSequence=luts(less)), tmp_path, FULL, dicom_luts.NONE_LEFT)


def test_tables_are_read_in_the_files_byte_order(tmp_path):
    table = lut(4096, 0, 12, IDENTITY, data_type=">u2")
    check(dataset(RAMP.astype(">u2"), VOILUTSequence=luts(table)), tmp_path, FULL, syntax=BIG_ENDIAN)
    falling = lut(4096, 0, 12, IDENTITY[::-1], data_type=">u2")
    ds = dataset(RAMP.astype(">u2"), ModalityLUTSequence=luts(falling))
    check(ds, tmp_path, 255 - FULL, window="minmax", syntax=BIG_ENDIAN)
    words = (IDENTITY >> 4).astype("u1").reshape(-1, 2)[:, ::-1]  # 8-bit entries in big-endian words
    ds = dataset(RAMP.astype(">u2"), VOILUTSequence=luts(lut(4096, 0, 8, words, data_type="u1")))
    check(ds, tmp_path, FULL, syntax=BIG_ENDIAN)


@pytest.mark.parametrize(
    ("pixels", "first", "vr", "remarks"),
    [
        ((RAMP.astype(int) + 40000).astype("u2"), 40000 - 65536, "SS", (dicom_luts.MODULO,)),
        ((RAMP.astype(int) + 40000).astype("u2"), 40000, "US", ()),
        (SIGNED, 65536 - 2048, "US", ()),  # how the sign looks where the VR does not tell it
        (SIGNED, -2048, "SS", ()),
    ],
)
def test_first_mapped_value_by_modulo(tmp_path, pixels, first, vr, remarks):
    stored = 16 if pixels.dtype.kind == "u" else 12
    for sequence in ("VOILUTSequence", "ModalityLUTSequence"):
        ds = dataset(pixels, stored, **{sequence: luts(lut(4096, first, 12, IDENTITY, vr))})
        absent = (dicom_luts.ABSENT,) if sequence == "ModalityLUTSequence" else ()
        check(ds, tmp_path, FULL, *remarks, *absent)


def test_an_unusable_table_or_window_counts_as_absent(tmp_path):
    good, flat, cut = (lut(4096, 0, 12, d) for d in (IDENTITY[::-1], np.full(4096, 7), IDENTITY[:2000]))
    check(dataset(VOILUTSequence=luts(cut, good)), tmp_path, 255 - FULL, dicom_luts.NEXT)
    check(dataset(VOILUTSequence=luts(flat)), tmp_path, FULL, dicom_luts.NONE_LEFT)
    two = {"WindowCenter": ["0", "2000"], "WindowWidth": ["0", "1000"]}
    check(dataset(**two), tmp_path, windowed(RAMP, 2000, 1000), dicom_luts.NEXT)
    check(dataset(**two, VOILUTSequence=luts(flat)), tmp_path, windowed(RAMP, 2000, 1000), dicom_luts.NEXT)
    check(dataset(WindowCenter="2000"), tmp_path, FULL, dicom_luts.NONE_LEFT)
    check(dataset(), tmp_path, FULL, dicom_luts.ABSENT)
    broken = lut(4096, 0, 12, IDENTITY)
    del broken.LUTDescriptor
    check(dataset(ModalityLUTSequence=luts(broken)), tmp_path, FULL, MODALITY, window="minmax")


@pytest.mark.parametrize("width", [b"0", b"-5", b"nan", b"inf", b"wide", b"1.000,5", b""])
def test_windows_without_a_width(tmp_path, width):
    ds = set_raw(dataset(), WindowCenter=b"2000", WindowWidth=width)
    check(ds, tmp_path, FULL, dicom_luts.NONE_LEFT)


def test_widths_below_one_are_exact(tmp_path):
    slope = 1 / 4095
    ds = dataset(WindowCenter="0.5", WindowWidth="0.8", RescaleSlope=f"{slope:.10f}", RescaleIntercept="0")
    check(ds, tmp_path, np.clip((RAMP * slope - 0.5) / 0.8 + 0.5, 0, 1) * 255)
    ds = dataset(WindowCenter="2000", WindowWidth="1")  # the limit of the formula, not below it
    check(ds, tmp_path, (RAMP > 1999.5) * 255)


def test_a_comma_is_a_decimal_point(tmp_path):
    comma = dicom_values.COMMA
    ds = set_raw(dataset(), WindowCenter=b"2048,5 ", WindowWidth=b"1000,0")
    check(ds, tmp_path, windowed(RAMP, 2048.5, 1000), comma)
    ds = set_raw(dataset(), RescaleSlope=b"0,5", RescaleIntercept=b"-100,0", WindowCenter=b"900", WindowWidth=b"500")
    check(ds, tmp_path, windowed(RAMP * 0.5 - 100, 900, 500), comma)
    check(set_raw(dataset(), RescaleSlope=b"1,0 "), tmp_path, FULL, comma, window="minmax")
    ds = set_raw(dataset(), WindowCenter=b"100,5\\2000", WindowWidth=b"0\\1000,0")
    check(ds, tmp_path, windowed(RAMP, 2000, 1000), comma, dicom_luts.NEXT)


@pytest.mark.parametrize("slope", [b"0", b"one", b"nan"])
def test_an_unusable_rescale_counts_as_absent(tmp_path, slope):
    check(set_raw(dataset(), RescaleSlope=slope), tmp_path, FULL, RESCALE, window="minmax")


def test_function_and_photometric_names_in_any_case(tmp_path):
    ds = dataset(WindowCenter="2000", WindowWidth="1000", VOILUTFunction="linear_exact")
    check(ds, tmp_path, np.clip((RAMP - 2000.0) / 1000 + 0.5, 0, 1) * 255)
    ds = dataset(WindowCenter="2000", WindowWidth="1000", VOILUTFunction="ROUND")
    check(ds, tmp_path, FULL, dicom_luts.NONE_LEFT)
    for name in ("monochrome1", " Monochrome1 "):
        check(dataset(PhotometricInterpretation=name), tmp_path, 255 - FULL, window="minmax")
