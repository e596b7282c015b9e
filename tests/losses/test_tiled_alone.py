"""The tiled engine: usable without the rest of clinclip, flat in memory, few products, the default above a size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import clinclip
from clinclip import losses
from clinclip.distributed import Shard
from clinclip.losses.engine import choice as engine
from clinclip.losses.engine.affinity import Gated, Softmax
from clinclip.losses.engine.closed import Equal
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.engine.tiled import tiled_sigmoid, tiled_softmax
from tests.losses.problems import problem

PACKAGE = Path(clinclip.__file__).parent
#: every file that the engine consists of
PARTS = (
    "distributed",
    *(
        f"losses.engine.{m}"
        for m in ("affinity", "closed", "columns", "dense", "mixture", "similarity", "tiled", "tiles")
    ),
)
EXAMPLE = """
import sys
import torch
from torch.nn import functional as F
from clinclip.distributed import Shard
from clinclip.losses.engine.mixture import Mixture
from clinclip.losses.engine.affinity import Gated
from clinclip.losses.engine.similarity import Cosine
from clinclip.losses.engine.tiled import tiled_softmax
n = 9
images, texts, reports = (F.normalize(torch.randn(n, 5), dim=-1).requires_grad_() for _ in range(3))
mixture = Mixture([(1.0, Gated(Cosine(reports.detach()), torch.tensor(0.8)))], 0.3, "mixed", True, Shard.local(n))
tiled_softmax(images, texts, torch.tensor(14.0), mixture, tile=4).backward()
assert images.grad.isfinite().all() and images.grad.any()
print(sorted(m for m in sys.modules if m.startswith("clinclip")))
print(sorted({"lightning", "transformers", "timm", "pandas", "sklearn"} & set(sys.modules)))
"""


def test_it_loads_nothing_else_of_clinclip() -> None:
    out = subprocess.run(
        [sys.executable, "-c", EXAMPLE], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert out[0] == str(
        sorted(["clinclip", "clinclip.losses", "clinclip.losses.engine", *(f"clinclip.{part}" for part in PARTS)])
    )
    assert out[1] == "[]"


def test_its_files_work_in_another_place(tmp_path: Path) -> None:
    for part in PARTS:
        file = Path(*part.split(".")).with_suffix(".py")
        target = tmp_path / "clinclip" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((PACKAGE / file).read_text())
        # nothing comes from the packages' own __init__
        (target.parent / "__init__.py").touch()
    program = EXAMPLE + "\nimport clinclip.losses.engine.tiled as t; print(t.__file__)"
    # the copies come first in the search path
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(str(tmp_path))


# --- memory and products ----------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """The largest number of entries of any tensor that an operation returns."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else (out,):
            if isinstance(t, Tensor):
                # a view onto a broadcast vector occupies what it is a view of
                self.entries = max(self.entries, t.untyped_storage().nbytes() // t.element_size())
        return out


N, D, R, TILE = 320, 16, 8, 40


def unit(width: int, seed: int, grad: bool = False) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(N, width, generator=g), dim=-1).requires_grad_(grad)


def mixture(kind: str) -> Mixture | None:
    affinities = {
        "gated": Gated(Cosine(unit(R, 2)), torch.tensor(0.3)),
        "teacher": Softmax(Cosine(unit(R, 3)), 0.1),
        "same": Equal(torch.arange(N) // 3),
    }
    if kind == "hard":
        return None
    chosen = list(affinities.values()) if kind == "mixture" else [affinities[kind]]
    return Mixture([(1.0, f) for f in chosen], 0.3, "mixed", True, Shard.local(N))


@pytest.mark.parametrize(("kind", "criterion"), [("hard", "softmax"), ("mixture", "softmax"), ("mixture", "sigmoid")])
def test_nothing_grows_with_the_square_of_the_batch(kind: str, criterion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinclip.losses.engine.affinity.TILE", TILE)
    x, y, scale, bias = unit(D, 0, True), unit(D, 1, True), torch.tensor(14.0, requires_grad=True), torch.tensor(-5.0)
    saved: list[int] = []
    with (
        Largest() as seen,
        torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t),
    ):
        soft = mixture(kind)
        if criterion == "softmax":
            value = tiled_softmax(x, y, scale, soft, tile=TILE)
        else:
            value = tiled_sigmoid(x, y, scale, bias, soft, tile=TILE)
        value.backward()
    widest = max(D, TILE, R)
    assert seen.entries <= N * widest, f"{seen.entries} entries; N x N has {N * N}"
    assert sum(saved) <= 3 * N * D


def added_product(total: torch.Size, a: torch.Size, b: torch.Size, **kwargs: object) -> int:
    return 2 * a[0] * a[1] * b[1]


def test_products_are_as_many_as_the_derivation_says() -> None:
    x, y, scale = unit(D, 0, True), unit(D, 1, True), torch.tensor(14.0, requires_grad=True)

    def flops(kind: str) -> int:
        soft = mixture(kind)
        # out of the box the counter does not know products that are added in place
        with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: added_product}) as counter:
            tiled_softmax(x, y, scale, soft, tile=2 * TILE).backward()
        return counter.get_total_flops()

    product = 2 * N * N * D
    assert flops("hard") == 4 * product
    # closed forms add nothing that grows with N x N
    assert flops("same") == 4 * product
    # symmetric: row sums and second pass walk over half of the mixture each, diagonal tiles included
    assert 4 * product < flops("gated") <= 4 * product + 2 * (2 * N * N * R)
    assert 4 * product < flops("teacher") <= 4 * product + 2 * (2 * N * N * R) + 2 * N * 64 * R


# --- which engine runs ------------------------------------------------------------------------------------------------


def test_large_batches_are_tiled_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not engine.is_tiled("auto", Shard.local(2048))
    assert engine.is_tiled("auto", Shard.local(2049))
    # four processes with 1,100 rows: each would hold 1,100 x 4,400 logits
    assert engine.is_tiled("auto", Shard((1100,) * 4, 1))
    assert not engine.is_tiled("dense", Shard.local(10**6))
    assert engine.is_tiled("tiled", Shard.local(2))
    used: list[str] = []
    for name in ("tiled_softmax", "dense_softmax", "tiled_sigmoid", "dense_sigmoid"):
        whole = getattr(engine, name)
        monkeypatch.setattr(engine, name, lambda *a, f=whole, n=name: used.append(n) or f(*a))
    monkeypatch.setattr(engine, "AUTO_LOGITS", 36)
    for size in (6, 7):
        batch, e = problem(size)
        losses.Contrastive().compute(e, batch, None)
        losses.Contrastive(criterion="sigmoid").compute(e, batch, None)
        losses.GraphAlignment().compute(e, batch, None)
    assert used[:4] == ["dense_softmax", "dense_sigmoid", "dense_softmax", "dense_softmax"]
    # the graph stream has fewer rows, those with a graph: still below the bound
    assert used[4:] == ["tiled_softmax", "tiled_sigmoid", "dense_softmax", "dense_softmax"]


def test_value_without_gradient() -> None:
    batch, e = problem(7)
    term = losses.Contrastive(engine="tiled", tile=3)
    with torch.no_grad():
        value = term.compute(e, batch, None).value
    assert not value.requires_grad
    torch.testing.assert_close(value, term.compute(e, batch, None).value.detach())
