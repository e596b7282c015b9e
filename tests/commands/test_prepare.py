"""The command line of `clinclip prepare`: options are the fields of dataclasses, a data set is a file and a line."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from clinclip.__main__ import main
from clinclip.commands import prepare
from clinclip.commands.options import add_options, make, new_parser
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError
from clinclip.prepare.build import BuildOptions
from tests.prepare.trees import picture, write_csv

#: all that a data set needs
DUMMY = '''
"""Shoebox: pictures whose file names are their reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clinclip.errors import LayoutError
from clinclip.prepare.readers.source import Source, SplitOptions

NAME = "shoebox"


@dataclass(frozen=True, kw_only=True)
class ShoeboxOptions(SplitOptions):
    """Pictures in a shoebox.

    Attributes:
        images: the box.
        shout: reports in capitals.
    """

    images: Path
    shout: bool = False


def read(options: ShoeboxOptions, progress: bool = True) -> Source:
    paths = sorted(options.images.glob("*.png"))
    if not paths:
        raise LayoutError(f"--images {options.images}: no box of pictures")
    texts = [path.stem.upper() if options.shout else path.stem for path in paths]
    rows = {name: [path.stem for path in paths] for name in ("image_id", "study_id", "patient_id")}
    blank = {name: "" for name in ("split", "view", "findings", "impression")}
    frame = pd.DataFrame({**rows, "image_path": [path.name for path in paths], "text": texts, **blank})
    choices = {"dataset": NAME, "shout": options.shout}
    return Source(NAME, options.images.resolve(), frame, choices, fractions=options.fractions())
'''


@pytest.fixture
def shoebox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shoebox.py").write_text(DUMMY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import shoebox  # type: ignore[import-not-found]

    monkeypatch.setattr(prepare, "READERS", [*prepare.READERS, shoebox])
    for i, name in enumerate(("No effusion", "Edema", "Large effusion", "Clear lungs")):
        picture(tmp_path / "box" / f"{name}.png", seed=i)
    return tmp_path / "box"


def test_a_new_data_set_is_one_file_and_one_line(
    shoebox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["prepare", "shoebox", "--images", str(shoebox), "--out", str(tmp_path / "m"), "--split", "0.5,0.25,0.25"]
    assert main([*argv, "--shout", "--image-size", "32", "--quiet"]) == 0
    assert "4 images" in capsys.readouterr().out
    manifest = Manifest.load(tmp_path / "m")
    assert set(manifest.frame["text"]) == {"NO EFFUSION", "EDEMA", "LARGE EFFUSION", "CLEAR LUNGS"}
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 2, "validate": 1, "test": 1}
    assert manifest.header["options"]["shout"] is True
    assert manifest.header["options"]["fractions"] == [0.5, 0.25, 0.25]
    argv[3] = str(tmp_path / "nowhere")
    assert main(argv) == 1
    assert capsys.readouterr().err == f"clinclip prepare: --images {tmp_path / 'nowhere'}: no box of pictures\n"
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    assert "shoebox    Pictures in a shoebox\n" in capsys.readouterr().out


@pytest.mark.parametrize("reader", prepare.READERS, ids=lambda r: r.NAME)
def test_help_shows_every_field_with_its_documentation(reader, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", reader.NAME, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    shown = set(re.findall(r"^  --([a-z-]+)", out, re.M))
    named = {f.name.replace("_", "-") for cls in (prepare.options_of(reader), BuildOptions) for f in fields(cls)}
    assert shown == {*named, "out", "quiet"}
    assert "(default: 512)" in out
    assert "--policy {strict,skip}" in out


def test_the_options_of_the_readers_keep_their_names() -> None:
    mimic, chexpert, openi, table = ({f.name for f in fields(prepare.options_of(r))} for r in prepare.READERS)
    assert mimic == {"images", "reports", "tables", "image_type", "labels", "section_rules", "views", "text"}
    assert chexpert == {"images", "plus_csv", "prompts", "chexbert", "exclude", "views", "text"}
    assert openi == {"images", "reports", "text", "split", "allow_shared_images"}
    columns = {f"{name}_column" for name in ("image", "patient", "text", "study", "split", "view", "sex", "age")}
    others = {"csv", "image_root", "no_labels", "name", "encoding", "delimiter", "views", "text", "split"}
    assert table == {*columns, *others, "allow_shared_images"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mimic-cxr"], "required: images, out"),
        (["mimic-cxr", "--images", "a", "--out", "b", "--image-type", "png"], "choose from 'jpg', 'dicom'"),
        (["openi", "--images", "a", "--out", "b", "--image-size", "large"], "large"),
        (["openi", "--images", "a", "--out", "b", "--views", "frontal"], "--views"),
        (["merge", "a"], "required: out"),
    ],
)
def test_wrong_usage(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", *argv])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_an_unknown_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "mimic"]) == 2
    assert "no data set 'mimic'; there are mimic-cxr, chexpert, openi, table, and merge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--split", "0.5,0.5", "give three numbers"),
        ("--split", "0.5,0.5,0.5", "summing to 1"),
        ("--text", "poem", "--text 'poem': not one of"),
        ("--image-size", "1", "allowed: 16 to 4096"),
        ("--workers", "-1", "--workers -1"),
    ],
)
def test_wrong_values_end_in_one_sentence(
    option: str, value: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "a.png")
    csv = write_csv(tmp_path / "t.csv", ["file", "note", "patient"], [["a.png", "Clear.", "p"]])
    columns = ["--image-column", "file", "--text-column", "note", "--patient-column", "patient"]
    argv = ["prepare", "table", "--csv", str(csv), *columns, "--out", str(tmp_path / "m"), f"{option}={value}"]
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_fields_must_be_documented_and_flags_off() -> None:
    @dataclass(frozen=True)
    class Bare:
        """Nothing."""

        size: int = 3

    @dataclass(frozen=True)
    class On:
        """A flag.

        Attributes:
            loud: is on.
        """

        loud: bool = True

    with pytest.raises(TypeError, match=r"Bare\.size is not documented"):
        add_options(new_parser("p", "d"), Bare)
    with pytest.raises(TypeError, match="off by default"):
        add_options(new_parser("p", "d"), On)


def test_values_arrive_with_their_types() -> None:
    parser = new_parser("p", "d")
    add_options(parser, BuildOptions)
    given = parser.parse_args(["--image-size", "64", "--equalize", "--shard", "2/3", "--fit", "crop"])
    options = make(BuildOptions, given)
    assert options == BuildOptions(image_size=64, equalize=True, shard="2/3", fit="crop")
    assert (options.cache.size, options.cache.fit, options.part) == (64, "crop", (2, 3))
    with pytest.raises(ConfigError, match="--shard '4/3'"):
        make(BuildOptions, parser.parse_args(["--shard", "4/3"]))
