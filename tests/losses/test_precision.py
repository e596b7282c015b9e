"""Mixed precision does not enter softmax, log-sum-exp or the products before them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from clinclip import losses
from clinclip.distributed import Shard
from clinclip.losses import LossTerm
from clinclip.losses.engine.dense import dense_sigmoid, dense_softmax
from clinclip.losses.engine.tiled import tiled_sigmoid, tiled_softmax
from tests.losses.problems import CANDIDATES, assert_close, gradients, mixed, problem
from tests.losses.test_hard_cases import SOURCES as EVERY_SOURCE
from tests.losses.test_hard_cases import leaf

#: one source of each kind of affinity: gate, table, softmax, exponential, ids
SOURCES = {k: EVERY_SOURCE[k] for k in ("text", "clinical", "graph", "self", "prior", "same")}
HALVES = [torch.bfloat16, torch.float16]
#: what half precision may be used for: being converted, moved, compared, added to a gradient
HARMLESS = {"_to_copy", "new_zeros", "detach", "clone", "view", "slice", "slice_backward", "alias", "expand", "select"}
HARMLESS |= {"zeros_like", "add"}


class HalfOperations(TorchDispatchMode):
    """Collects the names of operations that read or write half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        flat = [a for group in (*args, *(out if isinstance(out, tuple | list) else (out,))) for a in _flat(group)]
        if any(t.dtype in HALVES for t in flat):
            self.names.add(func.overloadpacket.__name__)
        return out


def _flat(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for t in value if isinstance(t, Tensor)] if isinstance(value, list | tuple) else []


def terms(engine: str) -> dict[str, LossTerm]:
    return {
        "softmax": losses.Contrastive(candidates=list(CANDIDATES.values())[1:], engine=engine, tile=4),  # type: ignore[arg-type]
        "sigmoid": losses.Contrastive(criterion="sigmoid", candidates=CANDIDATES["all"], engine=engine, tile=4),  # type: ignore[arg-type]
        "graph": losses.GraphAlignment(engine=engine, tile=4),  # type: ignore[arg-type]
        "negation": losses.NegationHardNegatives(),
        "cyclic": losses.CyclicConsistency(),
    }


@pytest.mark.parametrize("half", HALVES, ids=["bf16", "fp16"])
@pytest.mark.parametrize("engine", ["dense", "tiled"])
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "graph", "negation", "cyclic"])
def test_autocast_changes_nothing(name: str, engine: str, half: torch.dtype) -> None:
    batch, full = problem(9, dim=12, dtype=torch.float32)
    # embeddings as a half-precision tower returns them; the scale is a float32 parameter
    e = full.apply(lambda t: leaf(t.to(half)) if t.is_floating_point() and t.ndim else t)
    exact = e.apply(lambda t: leaf(t.float()) if t.is_floating_point() else t)
    term, soft = terms(engine)[name], mixed(SOURCES, 0.4)  # type: ignore[arg-type]
    value = term.compute(exact, batch, soft.prepare(exact, batch)).value
    wanted = (value, gradients(value, exact))
    with HalfOperations() as seen:
        with torch.autocast("cpu", dtype=half):
            ours = term.compute(e, batch, soft.prepare(e, batch)).value
        # as in training, the backward pass runs outside autocast
        grads = gradients(ours, e)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, value)
    # only the gradient that leaves the loss is rounded to the precision of its embedding
    assert_close((ours, grads), wanted, 1e-2)
    assert seen.names <= HARMLESS, seen.names - HARMLESS
    assert "_to_copy" in seen.names  # the mode does see half precision


@pytest.mark.parametrize("half", HALVES, ids=["bf16", "fp16"])
def test_engines_alone_promote_their_inputs(half: torch.dtype) -> None:
    batch, e = problem(9, dim=12, dtype=torch.float32)
    x, y = (t.detach().to(half) for t in (e.image, e.text))
    scale, bias = torch.tensor(100.0, dtype=half), torch.tensor(-10.0, dtype=half)
    soft = mixed(SOURCES, 0.4).prepare(replace(e, text=y.float()), batch)  # type: ignore[arg-type]
    mixture, shard = soft.mixture(), Shard.local(9)
    columns = losses.EditedReports("all").columns(e, batch, shard)
    halved = columns.to(half)
    rounded = halved.to(torch.float32)
    with torch.autocast("cpu", dtype=half):
        for softmax in (dense_softmax, tiled_softmax):
            ours = softmax(x, y, scale, mixture, halved)
            assert torch.equal(ours, softmax(x.float(), y.float(), scale.float(), mixture, rounded))
        for sigmoid in (dense_sigmoid, tiled_sigmoid):
            ours = sigmoid(x, y, scale, bias, mixture, halved)
            assert torch.equal(ours, sigmoid(x.float(), y.float(), scale.float(), bias.float(), mixture, rounded))


def test_double_precision_stays_double() -> None:
    batch, e = problem(9)
    for engine in ("dense", "tiled"):
        for term in terms(engine).values():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = term.compute(e, batch, mixed(SOURCES, 0.4).prepare(e, batch)).value  # type: ignore[arg-type]
            assert value.dtype == torch.float64
