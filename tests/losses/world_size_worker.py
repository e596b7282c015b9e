"""One process of tests/losses/test_world_size.py: every case, on this process's rows of the global batch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor

from clinclip.losses.engine import affinity
from clinclip.losses.targets import gates, label_vectors
from clinclip.types import Batch
from tests.losses.world_size_cases import CASES, LAYOUTS, Case, Towers, global_batch, make_targets, sizes


def local_rows(case: Case, world: int, rank: int) -> tuple[Batch, slice]:
    """This process's part of the case's batch, and where it lies."""
    layout = LAYOUTS[case.layout]
    counts = sizes(layout, world)
    here = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    batch = global_batch(layout).rows(here)
    assert batch.graph is not None
    # graphs are padded to the largest of the process, as the data module does
    widest = max(1, int(batch.graph.mask.sum(1).max()))
    graph = replace(
        batch.graph, entity=batch.graph.entity[:, :widest].contiguous(), mask=batch.graph.mask[:, :widest].contiguous()
    )
    return replace(batch, graph=graph), here


def average(values: dict[str, Tensor], world: int) -> dict[str, Tensor]:
    """Means over processes: what DistributedDataParallel makes of gradients, and the convention of a loss's value."""
    flat = torch.cat([value.detach().flatten() for value in values.values()])
    if world > 1:
        dist.all_reduce(flat)
    parts = (flat / world).split([value.numel() for value in values.values()])
    return dict(zip(values, parts, strict=True))


def run(case: Case, world: int, rank: int) -> dict[str, Tensor]:
    """Every loss, every parameter gradient, and the diagnostics that are those of the global batch."""
    batch, here = local_rows(case, world, rank)
    towers, soft = Towers(case.scale), make_targets(case.targets)
    limit = 1 if case.few_classes else label_vectors.MAX_CLASSES
    embeddings = towers(batch, here)
    total = torch.zeros((), dtype=torch.float64)
    found: dict[str, Tensor] = {}
    logs: dict[str, Tensor] = {}
    with patch.object(label_vectors, "MAX_CLASSES", limit):
        prepared = None if soft is None else soft.prepare(embeddings, batch)
        for number, (name, make) in enumerate(case.terms.items()):
            output = make()(embeddings, batch, {"default": prepared})
            found[f"loss {name}"] = output.value
            total = total + (1 + number) ** 0.5 * output.value
            logs |= {f"log {name} {k}": torch.as_tensor(v).double() for k, v in output.logs.items() if is_global(k)}
    total.backward()
    for name, weight in towers.weights.items():
        found[f"gradient of {name}"] = torch.zeros_like(weight) if weight.grad is None else weight.grad
    # diagnostics are not averaged: each process must report the same
    return average(found, world) | logs


def is_global(key: str) -> bool:
    """Whether a diagnostic describes the global batch."""
    return key.startswith(("mix", "graphs", "usable_twins", "threshold"))


def main(out: str) -> None:
    """All cases; each process writes what it found."""
    world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    torch.set_num_threads(1)
    # walks over blocks end in ragged ones on 16 rows too
    affinity.TILE = gates.TILE = 5
    if world > 1:
        dist.init_process_group("gloo")
    results = {name: run(case, world, rank) for name, case in CASES.items()}
    torch.save(results, Path(out) / f"{world}-{rank}.pt")
    if world > 1:
        dist.destroy_process_group()
