"""Two real processes under the Trainer: global batches as with one, every evaluation image once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clinclip.data.datamodule import CXRDataModule
from clinclip.data.manifest import Manifest
from tests.processes import check_ranks


@pytest.mark.ddp
def test_two_processes(manifest_dir: Path, tmp_path: Path) -> None:
    check_ranks("tests.data.ddp_ledger:main", (2,), str(manifest_dir), str(tmp_path), "3")
    parts = [json.loads((tmp_path / f"{r}.json").read_text()) for r in (0, 1)]
    frame = Manifest.load(manifest_dir).frame
    # the global batch of two processes is the batch of one
    alone = CXRDataModule([str(manifest_dir)], batch_size=6, num_workers=0, image_size=32, cache_tokens=False)
    alone.setup("fit")
    loader = alone.train_dataloader()
    expected = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        expected += [b.sample.tolist() for b in loader]
    assert [a + b for a, b in zip(parts[0][0], parts[1][0], strict=True)] == expected
    # 9 or 10 evaluation images on 2 processes, twice: each exactly once an epoch
    wanted = np.flatnonzero(frame["split"] == "validate").tolist()
    seen = sorted(s for _, val in parts for batch in val for s in batch)
    assert seen == sorted(wanted * 2)
