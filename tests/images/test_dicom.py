"""read_image on DICOM files, against pydicom and the published MIMIC-CXR-JPG recipe."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from clinclip.errors import ConfigError, DecoderMissingError, ImageDecodeError, ImageError, ImageTooLargeError
from clinclip.images import codecs, read_image
from clinclip.images.dicom import DEFLATED, EXPLICIT, IMPLICIT, read_stored
from clinclip.phantom.dicom import write_phantom_dicom
from tests.images.pictures import area, radiograph

SYNTAXES = [
    IMPLICIT,
    EXPLICIT,
    DEFLATED,
    codecs.RLE,
    codecs.JPEG_LOSSLESS,
    codecs.JPEG_LOSSLESS_SV1,
    codecs.JPEG_LS_LOSSLESS,
    codecs.JPEG_2000_LOSSLESS,
    codecs.HTJ2K_LOSSLESS,
]


def published_recipe(pixels: np.ndarray, photometric: str) -> np.ndarray:
    """MIMIC-CXR-JPG before equalisation and JPEG encoding: subtract the lowest, divide by the highest, truncate."""
    image = pixels - pixels.min()
    image = image / image.max()
    image = (image * 255).astype(np.uint8)
    return 255 - image if photometric == "MONOCHROME1" else image


def change(path, **tags):
    """Set or (None) delete elements of a file."""
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.fixture
def phantom(tmp_path):
    def write(pixels=None, **options):
        path = tmp_path / "phantom.dcm"
        write_phantom_dicom(path, radiograph() if pixels is None else pixels, **options)
        return path

    return write


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 12, 14, 16])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: codecs.NAMES.get(s, s))
def test_strict_minmax_is_the_published_recipe_bit_for_bit(phantom, syntax, bits, photometric):
    pixels = radiograph(61, 70, bits=bits)
    pixels[3, 5] = 2**bits - 1
    path = phantom(pixels, transfer_syntax=syntax, bits_stored=bits, photometric=photometric)
    assert np.array_equal(read_stored(path).pixels, pixels)
    assert np.array_equal(read_image(path), published_recipe(pixels, photometric))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, codecs.RLE, codecs.JPEG_2000_LOSSLESS])
def test_stored_values_equal_pydicom(phantom, syntax):
    path = phantom(radiograph(33, 47, bits=12), transfer_syntax=syntax)
    expected = pydicom.dcmread(path).pixel_array
    assert np.array_equal(read_stored(path).pixels, expected)
    assert read_stored(path).pixels.dtype == expected.dtype


def test_signed_values_and_unused_high_bits_equal_pydicom(phantom):
    pixels = radiograph(40, 40, bits=16)
    path = phantom(pixels, bits_stored=16)
    for tags in (
        {"BitsStored": 12, "HighBit": 11},
        {"PixelRepresentation": 1},
        {"PixelRepresentation": 1, "BitsStored": 12},
    ):
        change(path, **tags)
        expected = pydicom.dcmread(path).pixel_array
        got = read_stored(path).pixels
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)
        wide = expected.astype(np.int64)
        assert np.array_equal(read_image(path), published_recipe(wide, "MONOCHROME2"))


def test_monochrome1_twin_is_the_exact_inverse(phantom):
    for window in ("minmax", "voi"):
        options = {"window_center": 2000.0, "window_width": 1500.0}
        second = read_image(phantom(**options, photometric="MONOCHROME2"), window=window)
        first = read_image(phantom(**options, photometric="MONOCHROME1"), window=window)
        assert np.array_equal(first, 255 - second)


def test_presentation_lut_shape_inverts_once(phantom):
    plain = read_image(phantom(tags={"PresentationLUTShape": "IDENTITY"}))
    for shape, photometric in (("INVERSE", "MONOCHROME2"), ("INVERSE", "MONOCHROME1"), ("IDENTITY", "MONOCHROME1")):
        path = phantom(tags={"PresentationLUTShape": shape}, photometric=photometric)
        assert np.array_equal(read_image(path, window="voi"), 255 - plain)
        recipe = 255 - plain if photometric == "MONOCHROME1" else plain  # the published recipe knows no other inversion
        assert np.array_equal(read_image(path), recipe)


def test_constant_image_is_finite(phantom):
    flat = np.full((20, 30), 777, np.uint16)
    assert (read_image(phantom(flat)) == 0).all()
    assert (read_image(phantom(flat, photometric="MONOCHROME1")) == 255).all()
    assert read_image(phantom(flat, window_center=777, window_width=100), window="voi").std() == 0


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("0.5", "-100"), ("2.25", "-1024")])
def test_window_equals_pydicom(phantom, function, slope, intercept):
    tags = {"VOILUTFunction": function, "RescaleSlope": slope, "RescaleIntercept": intercept}
    centre = 1800 * float(slope) + float(intercept)
    path = phantom(window_center=centre, window_width=900, tags=tags)
    dataset = pydicom.dcmread(path)
    values = apply_modality_lut(dataset.pixel_array, dataset)
    shown = apply_voi_lut(values, dataset)
    low, high = float(intercept), 4095 * float(slope) + float(intercept)
    expected = np.rint((shown - low) / (high - low) * 255)
    assert np.abs(read_image(path, window="voi") - expected).max() <= 1  # a rounding of the output range
    assert (read_image(path, window="voi") == expected).mean() > 0.99


def test_voi_lut_modality_lut_and_several_windows(phantom):
    path = phantom(window_center=2000, window_width=1000)
    dataset = pydicom.dcmread(path)

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 10], [min(1023, i // 3) for i in range(4096)]
    dataset.VOILUTSequence = Sequence([table])
    dataset["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    dataset["VOILUTSequence"].value[0]["LUTData"].VR = "US"
    dataset.save_as(path)
    expected = np.rint(np.minimum(1023, radiograph() // 3) / 1023 * 255)
    assert np.array_equal(read_image(path, window="voi"), expected)

    modality = Dataset()
    modality.LUTDescriptor, modality.LUTData = [4096, 0, 16], [(4095 - i) * 7 for i in range(4096)]
    modality.ModalityLUTType = "US"
    for keyword in ("LUTDescriptor", "LUTData"):
        modality[keyword].VR = "US"
    del dataset.VOILUTSequence
    dataset.ModalityLUTSequence = Sequence([modality])
    dataset.save_as(path)
    assert np.array_equal(read_image(path), published_recipe((4095 - radiograph()) * np.uint16(7), "MONOCHROME2"))

    del dataset.ModalityLUTSequence
    dataset.WindowCenter, dataset.WindowWidth = [1000, 3000], [500, 700]
    dataset.save_as(path)
    several = read_image(path, window="voi")
    assert np.array_equal(several, read_image(phantom(window_center=1000, window_width=500), window="voi"))


def test_voi_without_window_takes_the_full_range(phantom):
    path = phantom()
    assert np.array_equal(read_image(path, window="voi"), read_image(path))


def test_negative_slope_inverts(phantom):
    assert np.array_equal(read_image(phantom(tags={"RescaleSlope": "-1"})), 255 - read_image(phantom()))


@pytest.mark.parametrize("window", ["minmax", "voi"])
def test_fast_is_within_a_grey_level(phantom, window):
    pixels = radiograph(900, 750)
    path = phantom(pixels, window_center=2000, window_width=1500, photometric="MONOCHROME1")
    strict = read_image(path, window=window, min_size=100)
    fast = read_image(path, mode="fast", window=window, min_size=100)
    assert np.array_equal(strict, area(read_image(path, window=window), (120, 100)))
    assert fast.shape == strict.shape
    assert np.abs(fast.astype(int) - strict).mean() <= 1


def test_jpeg_2000_without_imagecodecs(phantom, monkeypatch):
    for bits in (8, 12, 16):
        path = phantom(radiograph(bits=bits), bits_stored=bits, transfer_syntax=codecs.JPEG_2000_LOSSLESS)
        stream = path.read_bytes()
        frame = stream[stream.index(b"\xff\x4f\xff\x51") :]
        monkeypatch.setattr(codecs, "find_spec", lambda name: None)
        got = codecs.decode_frame(frame, path, codecs.JPEG_2000_LOSSLESS, (120, 100), np.dtype("<u2"))
        assert np.array_equal(got, radiograph(bits=bits))


def test_colour_palette_bits_big_endian_and_float(phantom, tmp_path):
    picture = (radiograph() >> 4).astype(np.uint8)
    path = phantom(picture.astype(np.uint16), bits_stored=8)
    grey = pydicom.dcmread(path)
    rgb = pydicom.dcmread(path)
    rgb.SamplesPerPixel, rgb.PhotometricInterpretation, rgb.PlanarConfiguration = 3, "RGB", 0
    rgb.PixelData = np.dstack([picture] * 3).tobytes()
    rgb.save_as(tmp_path / "rgb.dcm")
    assert np.array_equal(read_image(tmp_path / "rgb.dcm"), picture)

    grey.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    twelve = radiograph()
    grey.BitsAllocated, grey.BitsStored, grey.HighBit = 16, 12, 11
    grey.PixelData = twelve.astype(">u2").tobytes()
    grey["PixelData"].VR = "OW"
    pydicom.dcmwrite(tmp_path / "big.dcm", grey, implicit_vr=False, little_endian=False)
    big = read_image(tmp_path / "big.dcm")
    assert np.array_equal(big, published_recipe(twelve, "MONOCHROME2"))
    fast = read_image(tmp_path / "big.dcm", mode="fast", min_size=25)
    assert np.abs(fast.astype(int) - area(big, (30, 25))).mean() <= 1

    wide = pydicom.dcmread(path)
    values = twelve.astype(np.uint32) * 70_000
    wide.BitsAllocated, wide.BitsStored, wide.HighBit, wide.PixelData = 32, 32, 31, values.tobytes()
    wide["PixelData"].VR = "OW"
    wide.save_as(tmp_path / "wide.dcm")
    assert np.array_equal(read_image(tmp_path / "wide.dcm"), published_recipe(values.astype(np.int64), "MONOCHROME2"))

    floating = pydicom.dcmread(path)
    del floating.PixelData
    floating.BitsAllocated = 32
    floating.FloatPixelData = twelve.astype("<f4").tobytes()
    floating.save_as(tmp_path / "float.dcm")
    assert np.array_equal(read_image(tmp_path / "float.dcm"), published_recipe(twelve, "MONOCHROME2"))


def test_file_without_preamble(phantom, tmp_path):
    path = phantom(transfer_syntax=IMPLICIT)
    dataset = pydicom.dcmread(path)
    whole = path.read_bytes()
    (tmp_path / "naked.dcm").write_bytes(whole[132:])
    assert np.array_equal(read_image(tmp_path / "naked.dcm"), read_image(path))
    start = whole.index(b"\x08\0\x08\0", 132)
    (tmp_path / "bare.dcm").write_bytes(whole[start:])
    assert dataset.Rows == 120
    assert np.array_equal(read_image(tmp_path / "bare.dcm"), read_image(path))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": None}, "without an image"),
        ({"Columns": None}, "Columns is missing"),
        ({"Columns": 0}, "Columns is not positive"),
        ({"NumberOfFrames": 4}, "4 frames"),
        ({"Rows": 121}, "pixel data have"),
        ({"PixelData": None}, "no pixel data"),
        ({"BitsAllocated": 12}, "12 bits"),
        ({"NumberOfFrames": -2}, "no count"),
    ],
)
def test_faults_are_named(phantom, tags, reason):
    path = phantom()
    change(path, **tags)
    with pytest.raises(ImageDecodeError, match=reason) as caught:
        read_image(path, window="voi")
    assert str(path) in str(caught.value)


def test_huge_header_and_deflate_bomb(phantom, tmp_path):
    path = phantom()
    change(path, Rows=30_000, Columns=30_000)
    with pytest.raises(ImageTooLargeError, match="30,000 x 30,000"):
        read_image(path)

    import zlib

    path = phantom(transfer_syntax=DEFLATED)
    data = path.read_bytes()
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    unpacked = zlib.decompress(data[start:], -15)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    bomb = packer.compress(unpacked[:-8]) + b"".join(packer.compress(b"\0" * 2**24) for _ in range(18)) + packer.flush()
    (tmp_path / "bomb.dcm").write_bytes(data[:start] + bomb)
    with pytest.raises(ImageDecodeError, match="unpack to more than"):
        read_image(tmp_path / "bomb.dcm")


def test_a_header_of_endless_elements_is_refused(phantom):
    path = phantom(transfer_syntax=EXPLICIT)
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + b"\x09\x00\x01\x10LO\0\0" * 2_000_000 + data[at:])
    with pytest.raises(ImageTooLargeError, match="more than 66,666 elements"):
        read_image(path)


def test_frame_header_must_agree_with_the_dicom_header(phantom):
    for syntax in (codecs.JPEG_2000_LOSSLESS, codecs.JPEG_LOSSLESS_SV1, codecs.JPEG_LS_LOSSLESS, codecs.RLE):
        path = phantom(transfer_syntax=syntax)
        change(path, Rows=240)
        with pytest.raises(ImageDecodeError, match=r"120 x 100|ends after"):
            read_image(path)


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES if s not in {IMPLICIT, EXPLICIT, DEFLATED}])
def test_a_frame_cut_short_inside_a_sound_file_is_refused(phantom, tmp_path, syntax):
    dataset = pydicom.dcmread(phantom(transfer_syntax=syntax))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    for share in (0.3, 0.7, 0.98):
        dataset.PixelData = encapsulate([frame[: int(len(frame) * share)]])
        dataset.save_as(tmp_path / "cut.dcm")
        with pytest.raises(ImageDecodeError, match=r"cut-off|ends after|outside the frame"):
            read_image(tmp_path / "cut.dcm")


def test_rle_of_endless_packets_is_refused(phantom, tmp_path, monkeypatch):
    path = phantom(transfer_syntax=codecs.RLE)
    monkeypatch.setattr(codecs, "_MAX_RLE_PACKETS", 100)
    with pytest.raises(ImageDecodeError, match="tiny packets"):
        read_image(path)


def test_written_files_are_valid_and_repeatable(phantom):
    path = phantom(tags={"PatientID": "10000032", "ViewPosition": "AP"}, window_center=2048, window_width=4096)
    first = path.read_bytes()
    dataset = pydicom.dcmread(path)
    assert (dataset.PatientID, dataset.ViewPosition, dataset.Modality) == ("10000032", "AP", "DX")
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert (
        phantom(
            tags={"PatientID": "10000032", "ViewPosition": "AP"}, window_center=2048, window_width=4096
        ).read_bytes()
        == first
    )
    assert phantom(tags={"PatientID": "10000033"}).read_bytes() != first


def test_impossible_phantoms_are_refused(phantom):
    with pytest.raises(ConfigError, match="do not fit 8 bits"):
        phantom(bits_stored=8)
    with pytest.raises(ConfigError, match="'PatientNumber', which is no DICOM keyword"):
        phantom(tags={"PatientNumber": 1})
    with pytest.raises(ConfigError, match=r"no encoder for transfer syntax 1\.2\.3"):
        phantom(transfer_syntax="1.2.3")


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("1.2.840.10008.1.2.4.92", "no decoder is known for its transfer syntax JPEG 2000 Part 2"),
        ("1.2.840.10008.1.2.4.102", "no decoder is known for its transfer syntax MPEG-4"),
        ("1.2.840.10008.1.2.4.204", "no decoder is known for its transfer syntax JPIP HTJ2K Referenced"),
        ("1.2.840.113619.5.2", "none that the standard knows"),
    ],
)
def test_syntaxes_that_nothing_decodes_are_not_called_damaged(phantom, syntax, reason):
    path = phantom(transfer_syntax=codecs.RLE)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert isinstance(caught.value, DecoderMissingError) == ("decoder" in reason)


def test_missing_decoder_names_the_extra(phantom, monkeypatch):
    path = phantom(transfer_syntax=codecs.JPEG_LOSSLESS_SV1)
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    with pytest.raises(DecoderMissingError, match=r"JPEG Lossless SV1 .*pip install 'clinclip\[dicom\]'"):
        read_image(path)
