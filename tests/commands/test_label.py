"""clinclip label and clinclip explain, from files to files."""

import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from clinclip.commands import explain, label
from clinclip.errors import ConfigError, ReportTextError, TableError
from clinclip.findings import FINDINGS

REPORTS = [
    "No effusion.",
    "Left effusion, cannot exclude pneumonia.",
    "",
    "FINDINGS: Clear.\nIMPRESSION: Heart is enlarged.",
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "text"])
        writer.writerows([f"s{i}", report] for i, report in enumerate(REPORTS))
    return path


def read(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_label_in_chexpert_codes(table: Path, tmp_path: Path, workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "labels.csv"
    assert label.main(["--csv", str(table), "--text-column", "text", "--out", str(out), "--workers", workers]) == 0
    got = read(out)
    assert list(got[0]) == list(FINDINGS), "neither text nor ids are copied"
    assert [r["Pleural Effusion"] for r in got] == ["0.0", "1.0", "", ""]
    assert [r["Pneumonia"] for r in got] == ["", "-1.0", "", ""]
    assert got[3]["Cardiomegaly"] == "1.0"
    assert got[3]["Enlarged Cardiomediastinum"] == "1.0"
    printed = capsys.readouterr().out
    assert "4 reports labelled, 1 of them without text" in printed
    assert "effusion." not in printed
    assert [p.name for p in out.parent.iterdir()] == ["labels.csv"], "no partial file stays"


def test_label_states_kept_columns_and_gzip(table: Path, tmp_path: Path) -> None:
    packed = tmp_path / "reports.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    out = tmp_path / "labels.csv.gz"
    argv = [
        "--csv",
        str(packed),
        "--text-column",
        "text",
        "--out",
        str(out),
        "--keep",
        "study",
        "--values",
        "states",
        "--no-parents",
    ]
    assert label.main(argv) == 0
    got = read(out)
    assert [r["study"] for r in got] == ["s0", "s1", "s2", "s3"]
    assert got[1]["Pneumonia"] == "uncertain"
    assert got[3]["Enlarged Cardiomediastinum"] == "not_mentioned"


def test_label_an_empty_table(tmp_path: Path) -> None:
    path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    path.write_text("text\n")
    assert label.main(["--csv", str(path), "--text-column", "text", "--out", str(out)]) == 0
    assert out.read_text().strip() == ",".join(FINDINGS)


def test_label_errors_name_what_is_wrong(table: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "labels.csv")
    with pytest.raises(TableError, match=r"no column 'report'; available: 'study', 'text'.*--text-column"):
        label.main(["--csv", str(table), "--text-column", "report", "--out", out])
    with pytest.raises(TableError, match="no such file"):
        label.main(["--csv", "none.csv", "--text-column", "text", "--out", out])
    with pytest.raises(ConfigError, match="is the input"):
        label.main(["--csv", str(table), "--text-column", "text", "--out", str(table)])
    with pytest.raises(ConfigError, match="--workers=0"):
        label.main(["--csv", str(table), "--text-column", "text", "--out", out, "--workers", "0"])
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(TableError, match=r"empty\.csv is not a readable table"):
        label.main(["--csv", str(empty), "--text-column", "text", "--out", out])


def test_label_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    path.write_text("text\n" + "No effusion.\n" * 10 + 'a,b,c,"d\n')
    with pytest.raises(TableError, match=r"reports\.csv, after row"):
        label.main(["--csv", str(path), "--text-column", "text", "--out", str(out)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reports.csv"]


def test_explain_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain.main(["No effusion, but a small left pneumothorax."]) == 0
    out = capsys.readouterr().out
    assert "<No> [-effusion], but a small left [+pneumothorax]." in out
    assert "cue 'No' (absent, negated-before) reaches: effusion" in out
    assert "Pneumothorax (left; mild)" in out
    assert "\x1b" not in out


def test_explain_in_colour_and_not(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    explain.main(["--color", "always", "No effusion."])
    assert "\x1b[31;1meffusion\x1b[0m" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    explain.main(["No effusion."])
    assert "\x1b" not in capsys.readouterr().out


def test_explain_a_phrase_a_file_and_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note.txt"
    path.write_text("He denies chest pain.")
    assert explain.main(["--text", str(path), "--phrase", "chest pain"]) == 0
    assert "absent    chest pain" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO("No fever."))
    assert explain.main(["--phrase", "migraine"]) == 0
    assert "'migraine' does not occur" in capsys.readouterr().out


def test_explain_json(capsys: pytest.CaptureFixture[str]) -> None:
    explain.main(["--json", "No effusion."])
    answer = json.loads(capsys.readouterr().out)
    assert answer["labels"]["Pleural Effusion"] == "absent"
    assert answer["sentences"][0]["assertions"][0]["cue"] == "No"
    assert answer["sentences"][0]["cues"][0]["reach"] == [3, 11]


def test_explain_errors(tmp_path: Path) -> None:
    with pytest.raises(ReportTextError, match=r"none\.txt"):
        explain.main(["--text", str(tmp_path / "none.txt")])
    with pytest.raises(ConfigError, match="not both"):
        explain.main(["No effusion.", "--text", str(tmp_path)])
