"""Stored values that contradict their header: alignment, sign, padding, frames, colour, mislabelled compression."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from clinclip.errors import ImageDecodeError
from clinclip.images import codecs, dicom, read_image
from clinclip.images.dicom_grey import PRESENTATION
from clinclip.images.dicom_luts import ABSENT
from clinclip.images.read import load
from clinclip.phantom.dicom import encode_frame
from tests.images.dicom_files import BIG_ENDIAN, EXPLICIT, FULL, RAMP, dataset, save, windowed

SIGNED = (RAMP.astype(int) - 2048).astype("<i2")


def picture(ds, tmp_path, window="minmax", **options):
    found = load(save(ds, tmp_path / "a.dcm", **options), window=window)
    return found.pixels.astype(float), found.remarks


@pytest.mark.parametrize("shift", [1, 4])
def test_high_bit_above_bits_stored_is_honoured(tmp_path, shift):
    left = (RAMP.astype(int) << shift).astype("u2")
    noise = left | np.uint16(1 << shift - 1)  # an overlay plane below the value
    for pixels, options in (
        (left, {}),
        (noise, {}),
        (left.astype(">u2"), {"syntax": BIG_ENDIAN}),
        ((SIGNED.astype(int) << shift).astype("<i2"), {}),
    ):
        grey, remarks = picture(dataset(pixels, HighBit=11 + shift), tmp_path, **options)
        assert np.abs(grey - FULL).max() <= 1
        assert remarks == ()
    encoded = encode_frame(left, codecs.RLE, 16)
    grey, _ = picture(dataset(left, HighBit=11 + shift), tmp_path, syntax=codecs.RLE, frame=encoded)
    assert np.abs(grey - FULL).max() <= 1


def test_a_high_bit_that_the_pixels_contradict_is_ignored(tmp_path):
    grey, remarks = picture(dataset(RAMP, HighBit=15), tmp_path)
    assert np.abs(grey - FULL).max() <= 1
    assert remarks == (dicom.LEFT_ALIGNED,)
    assert picture(dataset(RAMP, HighBit=7), tmp_path)[1] == ()  # impossible: as if it were absent
    assert np.abs(picture(dataset(RAMP, HighBit=7), tmp_path)[0] - FULL).max() <= 1


@pytest.mark.parametrize("signed", [True, False])
def test_the_sign_comes_from_the_code_stream(tmp_path, signed):
    pixels = SIGNED if signed else RAMP
    frame = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="J2K", bitspersample=12)
    ds = dataset(pixels, PixelRepresentation=0)
    grey, remarks = picture(ds, tmp_path, syntax=codecs.JPEG_2000_LOSSLESS, frame=frame)
    assert np.abs(grey - FULL).max() <= 1
    assert remarks == ((dicom.SIGNED,) if signed else ())


@pytest.mark.parametrize(("frames", "remarks"), [("0", (dicom.NO_FRAMES,)), ("1", ()), ("", ())])
def test_no_frames_are_one(tmp_path, frames, remarks):
    grey, found = picture(dataset(NumberOfFrames=frames), tmp_path)
    assert np.abs(grey - FULL).max() <= 1
    assert found == remarks


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("sign", ["u2", "i2"])
def test_padding_is_no_part_of_the_range_and_black(tmp_path, photometric, sign):
    inside = (SIGNED if sign == "i2" else RAMP).astype("i4")
    value = -30000 if sign == "i2" else 65535
    padded = inside.copy()
    padded[:, :6] = value
    ds = dataset(padded.astype(f"<{sign}"), 16, PhotometricInterpretation=photometric, PixelPaddingValue=value)
    ds["PixelPaddingValue"].VR = "SS" if sign == "i2" else "US"
    expected = 255 - FULL if photometric == "MONOCHROME1" else FULL.copy()
    low, high = inside[:, 6:].min(), inside[:, 6:].max()
    grey, remarks = picture(ds, tmp_path, "voi")
    assert remarks == (ABSENT,)
    assert (grey[:, :6] == 0).all()
    scaled = (inside - low) / (high - low) * 255
    assert np.abs(grey - (255 - scaled if photometric == "MONOCHROME1" else scaled))[:, 6:].max() <= 1
    assert expected.shape == grey.shape
    recipe = (padded - padded.min()) / (padded.max() - padded.min()) * 255
    recipe = 255 - recipe if photometric == "MONOCHROME1" else recipe
    assert np.abs(picture(ds, tmp_path)[0] - recipe).max() <= 1  # the published recipe knows no padding


def test_padding_ranges_windows_and_values_beyond_bits_stored(tmp_path):
    padded = RAMP.copy()
    padded[:, :3], padded[:, 3:6] = 0, 100
    inside = RAMP.copy()
    inside[inside <= 100] = 0
    ds = dataset(np.where(np.arange(48) < 6, padded, inside + 1).astype("u2"), 16, PixelPaddingValue=0)
    ds.PixelPaddingRangeLimit = 100
    ds["PixelPaddingRangeLimit"].VR = "US"
    assert (picture(ds, tmp_path, "voi")[0][:, :6] == 0).all()

    beyond = RAMP.copy()
    beyond[:, :6] = 65535
    ds = dataset(beyond, 12, PixelPaddingValue=65535, WindowCenter="2000", WindowWidth="1000")
    grey, _ = picture(ds, tmp_path, "voi")
    assert (grey[:, :6] == 0).all()
    assert np.abs(grey - windowed(RAMP, 2000, 1000))[:, 6:].max() <= 1
    assert (grey[-8:, 6:] == 255).all()  # 4095 is what 65535 is cut to, and picture all the same


def test_padding_leaves_no_bright_seam_in_fast_mode(tmp_path):
    wide = np.kron(RAMP, np.ones((8, 8), "u2"))
    wide[:, :100] = 65535
    path = save(dataset(wide, 16, PixelPaddingValue=65535), tmp_path / "a.dcm")
    strict = read_image(path, window="voi", min_size=24).astype(float)
    assert np.abs(read_image(path, mode="fast", window="voi", min_size=24) - strict).mean() <= 1


def test_the_recipe_ignores_a_presentation_lut_and_says_so(tmp_path):
    ds = dataset(PresentationLUTShape="INVERSE")
    grey, remarks = picture(ds, tmp_path)
    assert np.array_equal(grey, np.floor(FULL))
    assert remarks == (PRESENTATION,)
    assert np.abs(picture(ds, tmp_path, "voi")[0] - (255 - FULL)).max() <= 1


def test_colour_without_planar_configuration_and_in_any_case(tmp_path):
    ds = dataset((RAMP >> 4).astype("u1"), 8, PhotometricInterpretation="rgb", SamplesPerPixel=3, NumberOfFrames="0")
    ds.PixelData = np.dstack([(RAMP >> 4).astype("u1")] * 3).tobytes()
    grey, remarks = picture(ds, tmp_path)
    assert np.abs(grey - FULL).max() <= 1.5
    assert remarks == (dicom.NO_FRAMES, dicom.PLANAR)


def test_compressed_pixels_under_a_native_syntax_are_called_that(tmp_path):
    frame = encode_frame(RAMP, codecs.JPEG_2000_LOSSLESS, 12)
    with pytest.raises(ImageDecodeError, match=r"pixels are compressed, but .*Explicit VR Little Endian"):
        read_image(save(dataset(), tmp_path / "a.dcm", EXPLICIT, frame))
    ds = dataset()
    ds.PixelData = frame + b"\0" * (len(frame) % 2)
    with pytest.raises(ImageDecodeError, match="pixels are compressed"):
        read_image(save(ds, tmp_path / "b.dcm"))
