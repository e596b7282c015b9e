"""Shards of the global batch, and collectives on parts of different sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clinclip import distributed as cd
from clinclip.distributed import Shard
from tests.processes import check_ranks, run_ranks


def test_a_shard_knows_its_place() -> None:
    shard = Shard((3, 0, 2), rank=2)
    assert (shard.world, shard.count, shard.total, shard.offset, shard.here) == (3, 2, 5, 3, slice(3, 5))
    # a sum over local rows, times the factor, averaged over the processes, is the mean over all rows
    assert shard.value_factor == 3 / 5
    assert Shard((0, 0)).value_factor == 0.0
    assert shard.keep(torch.tensor([True, False, True, False, True])) == Shard((2, 0, 1), rank=2)


def test_without_other_processes_nothing_is_copied_or_changed() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert (cd.rank(), cd.world_size(), cd.is_distributed()) == (0, 1, False)
    assert Shard.of(3) == Shard.local(3) == Shard((3,))
    assert Shard.of(3).gather_with_grad(x) is x
    assert Shard.of(3).reduce_scatter(x) is x
    assert torch.equal(Shard.of(3).gather(x), x.detach())
    assert torch.equal(Shard.of(3).logsumexp(x), x)
    assert cd.gather_objects("a") == ["a"]
    reduced = cd.all_reduce(x)
    assert torch.equal(reduced, x.detach())
    assert not reduced.requires_grad


@pytest.mark.ddp
def test_collectives_on_three_processes_of_which_one_has_no_rows(tmp_path) -> None:
    check_ranks("tests.distributed_worker:main", (3,), str(tmp_path))
    assert sorted(p.name for p in Path(tmp_path).iterdir()) == ["0", "1", "2"]


def test_the_launcher_reports_a_process_that_fails() -> None:
    # something that fails without the cost of importing torch
    done = run_ranks("builtins:int", (2,), "no number")
    assert done.returncode != 0
    assert "ValueError: invalid literal for int()" in done.stderr
    assert "[rank" in done.stderr
    assert "exit codes of the 2 processes" in done.stderr
