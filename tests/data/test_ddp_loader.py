"""Two real processes under the Trainer: global batches as with one, every evaluation image once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clinclip.data.datamodule import CXRDataModule
from clinclip.data.manifest import Manifest

SCRIPT = """
import json, sys
from pathlib import Path
import lightning.pytorch as pl
import torch
from clinclip.data.datamodule import CXRDataModule

class Ledger(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.train_seen, self.val_seen = [], []
    def training_step(self, batch, index):
        self.train_seen.append(batch.sample.tolist())
        return self.weight * batch.image.float().mean()
    def validation_step(self, batch, index):
        self.val_seen.append(batch.sample.tolist())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

manifest, out, batch = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
data = CXRDataModule([manifest], batch_size=batch, num_workers=0, image_size=32, eval_batch_size=2)
model = Ledger()
trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False, num_sanity_val_steps=0,
                     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, datamodule=data)
(out / f"{trainer.global_rank}.json").write_text(json.dumps([model.train_seen, model.val_seen]))
"""


@pytest.mark.ddp
def test_two_processes(manifest_dir: Path, tmp_path: Path) -> None:
    script = tmp_path / "ledger.py"
    script.write_text(SCRIPT)
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29517",
        str(script),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*run, str(manifest_dir), str(tmp_path), "3"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
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
