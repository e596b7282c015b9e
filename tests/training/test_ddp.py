"""Two gloo processes train exactly what one process trains on the same global batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clinclip.export.checkpoint import load
from clinclip.testing import tiny_manifest, tiny_model
from tests.processes import ROOT, check_ranks
from tests.training.ddp_worker import CASES, run, terms

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def fit_options(root: Path) -> list[str]:
    """A tiny run of the full method on toy studies."""
    manifest = tiny_manifest(root / "toy", studies=18)
    return [
        f"--config={ROOT / 'configs/site/phantom.yaml'}",
        f"--config={ROOT / 'configs/rows/full.yaml'}",
        f"--data.manifests=[{manifest}]",
        "--data.image_size=32",
        "--data.batch_size=2",
        "--data.num_workers=0",
        "--model.model.image_encoder.name=test_vit",
        "--model.model.embed_dim=8",
        "--trainer.devices=2",
        "--trainer.max_epochs=1",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={root / 'run'}",
    ]


def launch(*command: str) -> None:
    done = subprocess.run([*TORCHRUN, "-m", *command], capture_output=True, text=True, cwd=ROOT, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The folder in which two processes have left their results: one launch, because starting costs the most."""
    root = tmp_path_factory.mktemp("ddp")
    check_ranks("tests.training.ddp_worker:main", (2,), str(root / "two.pt"), *fit_options(root))
    return root


@pytest.fixture(scope="module")
def two(root) -> dict[str, dict[str, torch.Tensor]]:
    return torch.load(root / "two.pt", weights_only=True)


@pytest.mark.ddp
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_equal_those_of_one_process(two, case) -> None:
    one = run(case, world=1, rank=0)
    start = dict(tiny_model(embed_dim=8, seed=1).double().named_parameters())
    # what process 0 logs is the loss of the global batch, term by term
    logged = [k for k in one if k.startswith("metric train/loss/") and k.count("/") == 2]
    assert len(logged) == len(terms(case)[0]) + 1
    for name in logged:
        assert float(two[case][name]) == pytest.approx(float(one[name]), rel=1e-6), name
    assert {k for k in one if k.startswith("metric ")} == {k for k in two[case] if k.startswith("metric ")}
    moved = 0
    for name, before in start.items():
        ours, theirs = two[case][name] - before.detach(), one[name] - before.detach()
        difference = float((ours - theirs).norm())
        assert difference <= 1e-5 * float(theirs.norm()) + 1e-14, name
        moved += bool(theirs.norm() > 0)
    assert moved > len(start) // 2


@pytest.mark.ddp
def test_validation_counts_each_image_once_on_two_processes(two) -> None:
    one = run("baseline", world=1, rank=0)
    names = [k for k in one if k.startswith("metric val/")]
    assert "metric val/align/report_vs_negation" in names
    for name in names:
        assert float(two["baseline"][name]) == pytest.approx(float(one[name]), abs=1e-6), name


def check_run(root: Path) -> None:
    (last,) = (root / "run").rglob("last.ckpt")
    assert load(last).towers.embed_dim == 8
    states = torch.load(last, weights_only=True)["clinclip"]["rng"]
    assert len(states) == 2  # of both processes, so that dropout can go on


@pytest.mark.ddp
def test_the_command_line_trains_on_two_processes(root) -> None:
    check_run(root)


@pytest.mark.ddp
def test_a_fault_on_one_process_ends_all_with_the_cause(root) -> None:
    seconds, errors = zip(*((root / f"fault-{rank}").read_text().split("\n", 1) for rank in (0, 1)), strict=True)
    assert max(map(float, seconds)) < 120
    assert errors[1] == "OSError: the disk of process 1 is gone"
    assert "peer" in errors[0]  # the other one does not wait for ever: its connection was closed


@pytest.mark.ddp
@pytest.mark.slow
def test_the_documented_torchrun_command(tmp_path) -> None:
    launch("clinclip", "fit", *fit_options(tmp_path))
    check_run(tmp_path)
