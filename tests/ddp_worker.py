"""One process of tests/test_ddp_training.py: the same global batch, trained for one step on 1 or 2 processes.

Run by torchrun for two processes, imported for one. Writes the parameters after a step of plain gradient descent at
rate one, so that the difference to the start is the gradient, and the validation metrics. Then it runs the command
line.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader

from clinclip import losses
from clinclip.distributed import gather
from clinclip.module import ClinClipModule
from clinclip.optim import WarmupConstant
from clinclip.testing import random_batch, tiny_model
from clinclip.types import Batch

SIZE = 8


def terms(case: str) -> tuple[dict, dict]:
    """Losses and targets of a case."""
    if case == "baseline":
        return {"contrastive": losses.Contrastive()}, {"default": None}
    sources = {
        "text": losses.TextSimilarity(),
        "clinical": losses.ClinicalSimilarity(),
        "graph": losses.GraphSimilarity(),
    }
    soft = {"default": losses.SoftTargets(sources, mix=0.3)}
    columns = losses.NegatedReports(columns="own" if case == "own" else "all")
    return {
        "contrastive": losses.Contrastive(targets="default", candidates=columns),
        "graph": losses.GraphAlignment(weight=0.5, targets="default"),
        "negation": losses.NegationHardNegatives(weight=0.25),
    }, soft


CASES = ("baseline", "own", "all")


def validation(world: int, rank: int) -> list[Batch]:
    """Nine samples; on two processes the tenth repeats the first, as distributed samplers do."""
    whole = random_batch(size=9, seed=5)
    whole = replace(whole, study=torch.arange(9))
    if world == 1:
        return [whole.rows(slice(0, 4)), whole.rows(slice(4, 9))]
    index = torch.tensor([0, 1, 2, 3, 4] if rank == 0 else [5, 6, 7, 8, 0])
    return [whole.rows(index[:3]), whole.rows(index[3:])]


def run(case: str, world: int, rank: int) -> dict[str, torch.Tensor]:
    """Parameters after one step, the loss, and the metrics of a case."""
    model = tiny_model(embed_dim=8, seed=1).double()
    own, soft = terms(case)
    module = ClinClipModule(
        model, own, soft, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0), schedule=WarmupConstant()
    )
    # unequal numbers of negatable reports and of empty graphs on the two processes
    batch = random_batch(size=SIZE, seed=3, negations=2, negatable=0.5, empty_graphs=0.3)
    here = batch.rows(slice(rank * SIZE // world, (rank + 1) * SIZE // world))
    trainer = L.Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, DataLoader([here], batch_size=None), DataLoader(validation(world, rank), batch_size=None))
    loss = gather(trainer.callback_metrics["train/loss/total"].reshape(1).double()).mean()
    numbers = {f"metric {k}": v for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    weights = {k: v.detach().clone() for k, v in model.named_parameters()}
    return {**weights, **numbers, "loss": loss}


def main(out: str, *fit: str) -> None:
    """Under torchrun: all cases, which process 0 writes; then ``clinclip fit`` with the further arguments."""
    import os

    from clinclip.cli import main as command_line

    torch.set_num_threads(1)
    world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    results = {case: run(case, world, rank) for case in CASES}
    if rank == 0:
        torch.save(results, Path(out))
    if fit and command_line(["fit", *fit]):
        raise SystemExit("clinclip fit failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
