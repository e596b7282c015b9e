"""`clinclip inspect`: right numbers, one self-contained page, no patient unless asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clinclip.__main__ import main
from clinclip.data.manifest import Manifest
from clinclip.findings import FINDINGS, LabelState
from clinclip.prepare.summary import STATES, summarise
from clinclip.text import EDITS


def test_numbers(manifest_dir: Path) -> None:
    manifest = Manifest.load(manifest_dir)
    summary = summarise(manifest)
    frame = manifest.frame
    assert summary.splits["train"] == (30, 15, 15)
    assert sum(images for images, _, _ in summary.splits.values()) == len(frame) == 48
    assert summary.views == {"PA": 24, "LATERAL": 24}
    assert summary.images_per_study == {2: 24}
    assert [table.source for table in summary.labels] == ["table", "read"]
    for table in summary.labels:
        assert (table.counts.sum(axis=1) == 24).all()
    studies = frame.drop_duplicates("study_id")
    present = summary.labels[0].counts[FINDINGS.index("Pleural Effusion"), STATES.index(LabelState.PRESENT)]
    assert present == (studies["table_pleural_effusion"] == 1).sum()
    # four wordings for 24 studies
    assert summary.largest == [6, 6, 6, 6]
    assert summary.duplicates.texts == 4
    assert summary.duplicates.text_studies == 24
    assert summary.reports == 24
    assert summary.graphs == 24
    for kind, count in summary.twins.items():
        assert count == sum(f'"kind":"{kind}"' in column for column in studies["twins"])
    assert list(summary.twins) == list(EDITS)
    assert np.array_equal(np.sort(summary.words), np.sort([len(t.split()) for t in studies["text"]]))
    effusion = summary.agreement[FINDINGS.index("Pleural Effusion")]
    assert effusion.both >= effusion.same > 0


def test_command_shows_counts_only(manifest_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, with_patients = tmp_path / "page.html", tmp_path / "patients.html"
    assert main(["inspect", "--manifest", str(manifest_dir), "--out", str(page)]) == 0
    text, html = capsys.readouterr().out, page.read_text()
    frame = Manifest.load(manifest_dir).frame
    for shown in (text, html):
        assert "Pleural Effusion" in shown
        assert not any(path in shown for path in frame["image_path"])
        for column in ("patient_id", "study_id", "image_id", "text"):
            assert not any(value in shown for value in frame[column])
    assert "data:image" not in html
    assert "<svg" in html
    # nothing is fetched: the only addresses are the names of XML's vocabularies
    assert not any(word in html for word in ("<script", "@import", "<link", 'href="http', 'src="http', "url(http"))
    assert main(["inspect", "--manifest", str(manifest_dir), "--out", str(with_patients), "--show-patients"]) == 0
    assert "do not pass it on" in capsys.readouterr().out
    assert with_patients.read_text().count("data:image/png") == 48


def test_against_other_manifests(
    manifest_dir: Path, frontal_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second tree has the first twelve studies of the first one, frontal images only."""
    page = ["--out", str(tmp_path / "p.html")]
    assert main(["inspect", "--manifest", str(manifest_dir), "--against", str(frontal_dir), *page]) == 0
    out = capsys.readouterr().out
    frame = Manifest.load(frontal_dir).frame
    for split, count in frame["split"].value_counts().items():
        assert f"{count} images: {split} here, {split} there" in out
        assert f"{count} patients: {split} here, {split} there" in out


def test_evaluation_only_manifests_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from clinclip.prepare.build import BuildOptions, build
    from clinclip.prepare.readers.chexpert import ChexpertOptions, read
    from tests.prepare.trees import write_chexpert

    source = read(ChexpertOptions(images=write_chexpert(tmp_path / "c")), progress=False)
    build(source, tmp_path / "m", BuildOptions(image_size=24, workers=1), progress=False)
    assert main(["inspect", "--manifest", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert "none: for evaluation only" in out
    assert (tmp_path / "m" / "inspect.html").is_file()
    assert main(["inspect", "--manifest", str(tmp_path)]) == 1
    assert "not a prepared manifest" in capsys.readouterr().err
