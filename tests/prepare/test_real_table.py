"""Real input, where it is available: 99 radiographs with notes, as people really keep them.

CLINCLIP_REAL_NOTES names its folder (``metadata.csv`` and ``images/``); none of it belongs to this repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clinclip.__main__ import main
from clinclip.data.datamodule import CXRDataModule
from clinclip.data.manifest import Manifest

REAL = Path(os.environ.get("CLINCLIP_REAL_NOTES", "no-such-folder"))
pytestmark = pytest.mark.skipif(
    not (REAL / "metadata.csv").is_file(), reason="CLINCLIP_REAL_NOTES names no radiographs"
)


def test_prepared_without_a_hand_made_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--image-column", "filename", "--text-column", "clinical_notes", "--patient-column", "patientid"]
    places = ["--csv", str(REAL / "metadata.csv"), "--image-root", str(REAL / "images"), "--out", str(tmp_path / "m")]
    assert main(["prepare", "table", *places, *columns, "--view-column", "view", "--image-size", "64", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "5 image files are named by more than one row" in out
    assert "18 texts hold U+FFFD" in out
    manifest = Manifest.load(tmp_path / "m")
    frame = manifest.frame
    assert len(frame) == 99
    assert frame["image_path"].nunique() == 94
    assert frame["patient_id"].nunique() == 47
    assert frame["view"].value_counts().to_dict() == {"PA": 62, "L": 17, "AP": 12, "AP Supine": 8}
    # PNGs named .jpg and RGBA files are read, none of them blank
    pixels = manifest.cache.gather(frame["cache_index"].to_numpy())
    assert pixels.reshape(99, -1).std(axis=1).min() > 20
    # one image under two patient ids: two rows, one split
    assert manifest.header["duplicates"]["cross_patient_images"] == 5
    assert manifest.header["duplicates"]["cross_split_images"] == 0
    data = CXRDataModule([str(tmp_path / "m")], batch_size=8, num_workers=0, image_size=48, twins=1, graphs=True)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (8, 1, 48, 48)
    assert batch.text.mask.any(dim=1).all()
