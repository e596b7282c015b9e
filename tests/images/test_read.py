"""read_image on JPEG and PNG: every mode and depth, recognised by content, at full size and reduced."""

from __future__ import annotations

import io
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from clinclip.errors import ConfigError, ImageDecodeError, ImageError, ImageMissingError, ImageTooLargeError
from clinclip.images import read_image
from tests.images.pictures import area, grey8, jpeg_bytes, png_bytes, radiograph


def read(tmp_path, data: bytes, name: str = "image.bin", **options) -> np.ndarray:
    path = tmp_path / name
    path.write_bytes(data)
    return read_image(path, **options)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.dcm", "a", "a.txt"])
def test_content_decides_not_the_name(tmp_path, name):
    picture = grey8()
    assert np.array_equal(read(tmp_path, png_bytes(picture), name), picture)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "LA"])
def test_png_modes(tmp_path, mode):
    picture = grey8()
    image = Image.fromarray(picture).convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG")
    got = read(tmp_path, out.getvalue())
    expected = np.asarray(image.convert("L"))
    assert got.dtype == np.uint8
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_spans_the_range(tmp_path, bits):
    levels = np.arange(2**bits, dtype=np.uint8).repeat(3)[None].repeat(4, 0)
    out = io.BytesIO()
    image = Image.fromarray(levels, "P")
    image.putpalette([v for level in range(2**bits) for v in [level * 255 // (2**bits - 1)] * 3])
    image.save(out, "PNG", bits=bits)
    got = read(tmp_path, out.getvalue())
    assert np.array_equal(np.unique(got), np.arange(2**bits) * 255 // (2**bits - 1))


def test_png_16_bit_is_stretched_by_the_published_recipe(tmp_path):
    picture = radiograph(bits=14)
    shifted = picture - picture.min()
    expected = ((shifted / shifted.max()) * 255).astype(np.uint8)
    assert np.array_equal(read(tmp_path, png_bytes(picture)), expected)


def test_png_16_bit_colour(tmp_path):
    picture = radiograph(bits=16)
    ok, data = cv2.imencode(".png", np.dstack([picture] * 3))
    assert ok
    assert np.array_equal(read(tmp_path, data.tobytes()), read(tmp_path, png_bytes(picture)))


def test_transparency_is_composited_over_black(tmp_path):
    picture = np.full((10, 10, 4), 200, np.uint8)
    picture[:5, :, 3], picture[5:, :, 3] = 255, 51
    got = read(tmp_path, png_bytes(picture))
    assert (got[:5] == 200).all()
    assert (got[5:] == 40).all()


def test_alpha_of_zero_everywhere_is_ignored(tmp_path):
    picture = grey8()
    rgba = np.dstack([picture] * 3 + [np.zeros_like(picture)])
    assert np.array_equal(read(tmp_path, png_bytes(rgba)), picture)


def test_colour_is_luma(tmp_path):
    colours = np.zeros((3, 4, 3), np.uint8)
    colours[0, :, 0] = colours[1, :, 1] = colours[2, :, 2] = 255
    got = read(tmp_path, png_bytes(colours))
    assert np.array_equal(got[:, 0], [76, 150, 29])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
def test_grey_jpeg_equals_pillow(tmp_path, options):
    data = jpeg_bytes(grey8(), **options)
    assert np.array_equal(read(tmp_path, data), np.asarray(Image.open(io.BytesIO(data))))


def test_colour_jpeg_gives_its_luma_plane(tmp_path):
    data = jpeg_bytes(np.dstack([grey8()] * 3))
    image = Image.open(io.BytesIO(data))
    image.draft("L", image.size)
    assert np.array_equal(read(tmp_path, data), np.asarray(image))


def test_cmyk_jpeg(tmp_path):
    picture = grey8()
    out = io.BytesIO()
    Image.fromarray(picture).convert("RGB").convert("CMYK").save(out, "JPEG", quality=98)
    assert np.abs(read(tmp_path, out.getvalue()).astype(int) - picture).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("older", [False, True], ids=["chunk", "text"])
def test_png_orientation(tmp_path, orientation, older):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict = {"exif": exif}
    if older:  # as ImageMagick wrote it before there was a chunk for it
        block = exif.tobytes()
        text = f"\nexif\n{len(block):8d}\n{block.hex()}\n"
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_text("Raw profile type exif", text, zip=True)
    data = png_bytes(grey8(480, 400), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert upright.shape == ((480, 400) if orientation < 5 else (400, 480))
    assert np.array_equal(read(tmp_path, data), upright)
    assert read(tmp_path, data, min_size=50).shape == ((60, 50) if orientation < 5 else (50, 60))


def test_a_damaged_exif_block_hides_no_png(tmp_path):
    data = png_bytes(grey8(), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read(tmp_path, data), grey8())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_exif_orientation(tmp_path, orientation, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg_bytes(grey8(480, 400), exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(read(tmp_path, data, mode=mode), upright)
    small = read(tmp_path, data, mode=mode, min_size=50)
    assert small.shape == ((60, 50) if orientation < 5 else (50, 60))
    assert np.abs(small.astype(int) - area(upright, small.shape)).mean() < 1


def test_lossless_and_12_bit_jpeg_files(tmp_path):
    import imagecodecs

    picture = radiograph()
    shifted = picture - picture.min()
    expected = ((shifted / shifted.max()) * 255).astype(np.uint8)
    assert np.array_equal(read(tmp_path, imagecodecs.ljpeg_encode(picture, bitspersample=12)), expected)
    lossy = read(tmp_path, imagecodecs.jpeg_encode(picture, level=100, bitspersample=12))
    assert np.abs(lossy.astype(int) - expected).mean() < 1


@pytest.mark.parametrize("encode", [jpeg_bytes, png_bytes])
@pytest.mark.parametrize(
    ("height", "width", "size"), [(610, 500, 96), (500, 613, 224), (1800, 1500, 256), (90, 80, 96)]
)
def test_fast_is_within_a_grey_level_of_strict(tmp_path, encode, height, width, size):
    data = encode(grey8(height, width))
    full = read(tmp_path, data)
    strict = read(tmp_path, data, min_size=size)
    fast = read(tmp_path, data, mode="fast", min_size=size)
    assert min(strict.shape) == min(size, height, width)
    assert strict.shape == fast.shape
    assert np.array_equal(strict, area(full, strict.shape))
    assert np.abs(strict.astype(int) - fast).mean() <= 1


def test_equalize_is_opencv_s_at_full_resolution(tmp_path):
    data = png_bytes(grey8(300, 260))
    expected = cv2.equalizeHist(grey8(300, 260))
    assert np.array_equal(read(tmp_path, data, equalize=True), expected)
    assert np.array_equal(
        read(tmp_path, data, equalize=True, mode="fast", min_size=100),
        read(tmp_path, data, equalize=True, mode="fast", min_size=100),
    )
    assert np.array_equal(read(tmp_path, data, equalize=True, min_size=100), area(expected, (115, 100)))


def test_unknown_arguments_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="mode is 'quick'; allowed: strict, fast"):
        read(tmp_path, png_bytes(grey8()), mode="quick")
    with pytest.raises(ConfigError, match="window is 'lung'"):
        read(tmp_path, png_bytes(grey8()), window="lung")
    with pytest.raises(ConfigError, match="min_size is 0"):
        read(tmp_path, png_bytes(grey8()), min_size=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 500, "zeros only"),
        (b"II*\0" + b"\0" * 100, "TIFF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"hello world, this is a text", "none of JPEG, PNG, DICOM"),
        (b"\xff\xd8\xff\xe0", "no frame header"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut-off PNG"),
    ],
)
def test_other_content_is_named(tmp_path, data, reason):
    with pytest.raises(ImageDecodeError, match=reason) as caught:
        read(tmp_path, data)
    assert str(tmp_path / "image.bin") in str(caught.value)


def test_missing_folder_and_loop(tmp_path):
    with pytest.raises(ImageMissingError, match="no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageMissingError, match="it is a folder"):
        read_image(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageMissingError, match="cannot be opened"):
        read_image(tmp_path / "loop")
    with pytest.raises(ImageMissingError, match="cannot be opened"):
        read_image("nul\0byte.png")


def test_huge_headers_are_refused_before_allocation(tmp_path):
    png = bytearray(png_bytes(grey8()))
    png[16:24] = (30_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageTooLargeError, match="30,000 x 30,000"):
        read(tmp_path, bytes(png))
    jpeg = bytearray(jpeg_bytes(grey8()))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = (30_000).to_bytes(2, "big") * 2
    with pytest.raises(ImageTooLargeError, match="30,000 x 30,000"):
        read(tmp_path, bytes(jpeg))


@pytest.mark.parametrize("kind", [b"IDAT", b"PLTE"])
def test_a_png_with_a_wrong_checksum_is_refused(tmp_path, kind):
    out = io.BytesIO()
    Image.fromarray(grey8()).convert("P").save(out, "PNG")
    png = bytearray(out.getvalue())
    at = png.index(kind)
    png[at + 4 + int.from_bytes(png[at - 4 : at], "big")] ^= 1
    with pytest.raises(ImageDecodeError, match=f"checksum in b'{kind.decode()}'"):
        read(tmp_path, bytes(png))


@pytest.mark.parametrize("lost", [b"IHDR", b"IDAT", b"IEND"])
def test_a_png_without_a_needed_chunk_is_refused(tmp_path, lost):
    png = png_bytes(grey8())
    while lost in png:
        at = png.index(lost) - 4
        png = png[:at] + png[at + 12 + int.from_bytes(png[at : at + 4], "big") :]
    with pytest.raises(ImageDecodeError, match="no picture data" if lost == b"IDAT" else "damaged or cut-off PNG"):
        read(tmp_path, png)


def test_progressive_bomb_is_refused(tmp_path):
    data = jpeg_bytes(np.zeros((4000, 4000), np.uint8), progressive=True)
    end = data.rindex(b"\xff\xd9")
    last = data.rindex(b"\xff\xda")
    bomb = data[:end] + data[last:end] * 5000 + data[end:]
    with pytest.raises(ImageTooLargeError, match="scans"):
        read(tmp_path, bomb)


def test_files_of_nothing_but_parts_are_refused_in_seconds(tmp_path):
    jpeg, png = jpeg_bytes(grey8()), png_bytes(grey8())
    start = time.process_time()
    with pytest.raises(ImageTooLargeError, match="segments"):
        read(tmp_path, jpeg[:2] + b"\xff\xfe\0\x02" * 2_000_000 + jpeg[2:])
    chunk = b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4, "big")
    with pytest.raises(ImageTooLargeError, match="chunks"):
        read(tmp_path, png[:33] + chunk * 2_000_000 + png[33:])
    assert time.process_time() - start < 3


def test_harmless_padding_is_read(tmp_path):
    data = jpeg_bytes(grey8())
    picture = read(tmp_path, data)
    assert np.array_equal(read(tmp_path, data + b"trailing bytes"), picture)
    assert np.array_equal(read(tmp_path, data[:-2] + b"\0\0" + data[-2:]), picture)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_every_byte_mutation_reads_or_raises_an_image_error(tmp_path, kind):
    data = jpeg_bytes(grey8(), progressive=True) if kind == "jpeg" else png_bytes(radiograph())
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(200):
        mutant = bytearray(data)
        for at in rng.integers(3, len(data), rng.integers(1, 6)):
            mutant[at] = rng.integers(256)
        if rng.random() < 0.2:
            del mutant[int(rng.integers(10, len(mutant))) :]
        try:
            assert read(tmp_path, bytes(mutant)).dtype == np.uint8
            outcomes["read"] += 1
        except ImageError as error:
            outcomes["refused"] += str(tmp_path) in str(error)
    assert outcomes["refused"] > 20
    assert sum(outcomes.values()) == 200
