"""A Lightning step of clinclip costs at most 1.03 times a bare loop over the same towers and terms.

One thread, process CPU time, interleaved. Both train the default phantom model (image, text and graph tower; three
sources of soft labels, negated reports, graph alignment) from the same weights on the same batches. The bare loop is
what one would write by hand: learning rate, forward, targets, terms, backward, optimiser. The check next to the clock:
both end with the same weights, bit by bit.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from clinclip.losses import (
    ClinicalSimilarity,
    Contrastive,
    EditedReports,
    GraphAlignment,
    GraphSimilarity,
    SoftTargets,
    TextSimilarity,
)
from clinclip.models import DualEncoder, GraphEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupCosine, parameter_groups
from clinclip.types import Batch
from tests.benchmarks.harness import Row

REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
STEPS = int(os.environ.get("BENCH_STEPS", "6"))
#: as configs/default.yaml
LOG_EVERY, BATCH, IMAGE, WIDTH, LENGTH = 5, 64, 96, 128, 96


def module() -> ClinClipModule:
    torch.manual_seed(0)
    model = DualEncoder(
        ImageEncoder("tiny", image_size=IMAGE),
        TextEncoder("tiny", pooling="mean", model_kwargs={"vocab_size": 2048}),
        GraphEncoder(hidden_size=WIDTH),
        embed_dim=WIDTH,
    )
    sources = {"text": TextSimilarity(), "clinical": ClinicalSimilarity(), "graph": GraphSimilarity()}
    losses = {
        "contrastive": Contrastive(targets="default", candidates=EditedReports()),
        "graph": GraphAlignment(weight=0.5, targets="default"),
    }
    return ClinClipModule(
        model,
        losses,  # type: ignore[arg-type]
        {"default": SoftTargets(**sources)},
        optimizer=lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=1e-4, fused=True),
        schedule=WarmupCosine(1.0),
    )


class Clock(L.Callback):
    """Process CPU seconds of an epoch: all its steps, with fetching and logging, without the set-up."""

    seconds = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.seconds = time.process_time()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds = time.process_time() - self.seconds


def lightning_loop(batches: list[Batch]) -> tuple[float, ClinClipModule]:
    """Seconds of one epoch through the Trainer, logging to TensorBoard as the default configuration does."""
    net, clock = module().train(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=1, logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[clock], log_every_n_steps=LOG_EVERY, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, limit_val_batches=0,
        )  # fmt: skip
        torch.manual_seed(1)
        trainer.fit(net, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return clock.seconds, net


def bare_loop(batches: list[Batch]) -> tuple[float, ClinClipModule]:
    """Seconds of the same epoch in a loop by hand."""
    net = module().train()
    model, losses, targets = net.model, net.losses, net.targets
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=1e-3, weight_decay=1e-4, fused=True)
    schedule = WarmupCosine(1.0)
    torch.manual_seed(1)
    start = time.process_time()
    for step, batch in enumerate(DataLoader(batches, batch_size=None)):  # type: ignore[arg-type]
        for hooked in (*losses.values(), *(t for t in targets.values() if t is not None)):
            hooked.on_train_batch_start(step, step / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * schedule((step + 0.5) / len(batches), 1.0)
        optimizer.zero_grad()
        embeddings = model(batch)
        soft = {k: None if t is None else t.prepare(embeddings, batch) for k, t in targets.items()}
        total = torch.zeros(())
        for term in losses.values():
            total = total + term.current_weight * term(embeddings, batch, soft).value
        total.backward()
        optimizer.step()
        model.clamp_logit_scale_()
    return time.process_time() - start, net


def measure(batches: list[Batch], repeats: int) -> tuple[float, float]:
    """Best seconds of an epoch through Lightning and by hand, interleaved; their weights must agree."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        (ours, net), (theirs, bare) = lightning_loop(batches), bare_loop(batches)
        for (name, one), other in zip(net.state_dict().items(), bare.state_dict().values(), strict=True):
            assert torch.equal(one, other), f"{name} differs between the loops"
        best = [min(best[0], ours), min(best[1], theirs)]
    return best[0], best[1]


def run() -> list[Row]:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    shape: dict[str, Any] = {"image_size": IMAGE, "tokens": LENGTH, "vocabulary": 2048}
    batches = [random_batch(BATCH, seed=i, **shape) for i in range(STEPS)]
    ours, theirs = measure(batches, REPEATS)
    # on four studies the towers cost next to nothing: what is left is what Lightning and the module add
    few = [random_batch(4, seed=i, **(shape | {"image_size": 32, "tokens": 8})) for i in range(4 * STEPS)]
    small_ours, small_theirs = measure(few, REPEATS)
    added = 1000 * (small_ours - small_theirs) / len(few)
    note = f"batch {BATCH}, {IMAGE} px; about {added:.1f} ms are added to a step of any size"
    return [
        Row("training step through Lightning, over a bare loop", ours / STEPS, theirs / STEPS, ours / theirs, 1.03,
            better="smaller", note=note)
    ]  # fmt: skip
