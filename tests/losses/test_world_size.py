"""The loss and every gradient do not depend on how the global batch is spread over processes."""

from __future__ import annotations

import pytest
import torch

from tests.losses.world_size_cases import CASES
from tests.processes import check_ranks

WORLDS = (2, 4)
Results = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[tuple[int, int], Results]:
    """(world, rank) -> case -> numbers. One launch for all cases, because starting processes costs the most."""
    out = tmp_path_factory.mktemp("worlds")
    check_ranks("tests.losses.world_size_worker:main", (1, *WORLDS), str(out))
    places = [(1, 0), *((world, rank) for world in WORLDS for rank in range(world))]
    return {(w, r): torch.load(out / f"{w}-{r}.pt", weights_only=True) for w, r in places}


@pytest.mark.ddp
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_do_not_depend_on_the_number_of_processes(results, case) -> None:
    alone = results[1, 0][case]
    for (world, rank), found in results.items():
        assert found[case].keys() == alone.keys(), (world, rank)
        for name, wanted in alone.items():
            assert torch.isfinite(wanted).all(), name
            gap = float((found[case][name] - wanted).norm())
            assert gap <= 1e-5 * float(wanted.norm()) + 1e-12, (world, rank, name, gap)
