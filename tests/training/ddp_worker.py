"""One process of tests/training/test_ddp.py: the same global batch, trained for one step on 1 or 2 processes.

Forked for two processes (tests/processes.py), imported for one. Writes the parameters after a step of plain gradient
descent at rate one, so that the difference to the start is the gradient, and the validation metrics. Then it runs the
command line, and ends in a fault of one process.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader

from clinclip import losses
from clinclip.distributed import rank as get_rank
from clinclip.testing import random_batch, tiny_model
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupConstant
from clinclip.types import Batch, Embeddings, LossOutput

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
    soft = {"default": losses.SoftTargets(**sources, mix=0.3)}
    columns = losses.EditedReports(columns="own" if case == "own" else "all")
    return {
        "contrastive": losses.Contrastive(targets="default", candidates=columns),
        "graph": losses.GraphAlignment(weight=0.5, targets="default"),
        "negation": losses.NegationHardNegatives(weight=0.25),
    }, soft


CASES = ("baseline", "own", "all", "one-sided", "uneven")


def cut(case: str) -> int:
    """Rows of the first of two processes."""
    return 5 if case == "uneven" else SIZE // 2


def training(case: str) -> Batch:
    """The global batch: unequal numbers of editable reports and of empty graphs on the two processes."""
    batch = random_batch(size=SIZE, seed=3, twins=2, editable=0.5, empty_graphs=0.3)
    if case == "one-sided":
        # the second process has nothing to negate and no graph at all
        assert batch.twins is not None and batch.graph is not None
        first = torch.arange(SIZE) < cut(case)
        batch = replace(
            batch,
            twins=replace(batch.twins, valid=first[:, None].expand(-1, 2).clone()),
            graph=replace(batch.graph, mask=batch.graph.mask & first[:, None]),
        )
    return batch


def validation(world: int, rank: int) -> list[Batch]:
    """Nine samples; on two processes the tenth repeats the first, as distributed samplers do."""
    whole = random_batch(size=9, seed=5)
    whole = replace(whole, study=torch.arange(9))
    if world == 1:
        return [whole.rows(slice(0, 4)), whole.rows(slice(4, 9))]
    index = torch.tensor([0, 1, 2, 3, 4] if rank == 0 else [5, 6, 7, 8, 0])
    return [whole.rows(index[:3]), whole.rows(index[3:])]


def make_trainer(world: int) -> L.Trainer:
    """One step, nothing written."""
    return L.Trainer(
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


def run(case: str, world: int, rank: int) -> dict[str, torch.Tensor]:
    """Parameters after one step, the loss, and the metrics of a case."""
    model = tiny_model(embed_dim=8, seed=1).double()
    own, soft = terms(case)
    module = ClinClipModule(
        model, own, soft, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0), schedule=WarmupConstant()
    )
    start, stop = (0, SIZE) if world == 1 else ((0, cut(case)), (cut(case), SIZE))[rank]
    here = training(case).rows(slice(start, stop))
    trainer = make_trainer(world)
    trainer.fit(module, DataLoader([here], batch_size=None), DataLoader(validation(world, rank), batch_size=None))
    numbers = {f"metric {k}": v for k, v in trainer.callback_metrics.items()}
    weights = {k: v.detach().clone() for k, v in model.named_parameters()}
    return {**weights, **numbers}


class Failing(losses.Contrastive):
    """Raises on the second process, while the first one waits for it in a collective."""

    def compute(self, embeddings: Embeddings, batch: Batch, targets: losses.Targets | None) -> LossOutput:
        if get_rank() == 1:
            raise OSError("the disk of process 1 is gone")
        return super().compute(embeddings, batch, targets)


def fail(world: int, note: Path) -> None:
    """Train with a term that fails on one process; write down how it ended here, and end."""
    start = time.monotonic()
    module = ClinClipModule(tiny_model(embed_dim=8, seed=1), {"failing": Failing()}, schedule=WarmupConstant())
    try:
        make_trainer(world).fit(module, DataLoader([training("own").rows(slice(0, 4))], batch_size=None))
    except BaseException as error:
        note.write_text(f"{time.monotonic() - start}\n{type(error).__name__}: {error}")
    # the connections close with the process: that is what the others notice
    os._exit(0)


def main(out: str, *fit: str) -> None:
    """All cases, which process 0 writes; then ``clinclip fit`` with the further arguments; then a fault."""
    from clinclip.cli import main as command_line

    torch.set_num_threads(1)
    world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    results = {case: run(case, world, rank) for case in CASES}
    if rank == 0:
        torch.save(results, Path(out))
    if fit and command_line(["fit", *fit]):
        raise SystemExit("clinclip fit failed")
    fail(world, Path(out).with_name(f"fault-{rank}"))
