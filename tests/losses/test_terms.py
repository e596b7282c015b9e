"""The contract of terms, targets and candidates: requirements, schedules, diagnostics, errors, classes of one's own."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clinclip import losses
from clinclip.distributed import Shard
from clinclip.errors import ConfigError, MissingFieldError
from clinclip.losses import (
    Affinity,
    CandidateSource,
    Constant,
    CosineRamp,
    ExtraColumns,
    LinearRamp,
    LossTerm,
    Matrix,
    OwnColumns,
    SoftTargets,
    TargetSource,
)
from clinclip.losses.hooks import PROVIDERS, check_requirements, set_up, start_batch, start_epoch
from clinclip.types import Batch, Embeddings, LossOutput
from tests.losses import reference
from tests.losses.problems import CANDIDATES, SOURCES, assert_close, gradients, loss_of, mixed, problem

# --- schedules --------------------------------------------------------------------------------------------------------


def test_schedules_by_hand() -> None:
    assert [Constant(0.3)(t) for t in (0.0, 9.5)] == [0.3, 0.3]
    ramp = LinearRamp(0.1, 0.5, epochs=2.0, delay=1.0)
    assert [round(ramp(t), 6) for t in (0.0, 1.0, 1.5, 2.0, 3.0, 100.0)] == [0.1, 0.1, 0.2, 0.3, 0.5, 0.5]
    cosine = CosineRamp(0.0, 1.0, epochs=2.0)
    # (1 - cos(pi / 4)) / 2 after a quarter
    assert [round(cosine(t), 6) for t in (0.0, 0.5, 1.0, 2.0, 3.0)] == [0.0, 0.146447, 0.5, 1.0, 1.0]
    step = LinearRamp(0.0, 1.0, epochs=0.0, delay=2.0)
    assert [step(t) for t in (0.0, 1.999, 2.0)] == [0.0, 0.0, 1.0]


def test_the_default_ramp_of_lambda() -> None:
    soft = mixed({"text": losses.TextSimilarity()})
    found = []
    for step in range(0, 30, 5):
        start_batch(soft, step, step / 10)
        found.append(round(soft.current_mix, 6))
    assert found == [0.0, 0.15, 0.3, 0.3, 0.3, 0.3]


def test_schedules_hold_no_state_so_a_resumed_run_continues_them() -> None:
    batch, e = problem(6)

    def objects() -> tuple[SoftTargets, LossTerm]:
        soft = mixed({"text": losses.TextSimilarity()}, LinearRamp(0.0, 0.6, epochs=2.0))
        return soft, losses.Contrastive(0.5, CosineRamp(0.2, 1.0, epochs=3.0), "default")

    def walk(soft: SoftTargets, term: LossTerm, steps: range) -> list[float]:
        found = []
        for step in steps:
            for hooked in (soft, term):
                start_batch(hooked, step, step / 4)
            value = term(e, batch, {"default": soft.prepare(e, batch)}).value
            found.append(float(value.detach()) * term.current_weight)
        return found

    whole = walk(*objects(), range(12))
    assert whole[:5] + walk(*objects(), range(5, 12)) == whole
    assert len(set(whole)) == 12


def test_the_weight_follows_its_schedule() -> None:
    term = losses.NegationHardNegatives(weight=2.0, schedule=LinearRamp(0.0, 1.0, epochs=2.0))
    assert term.current_weight == 0.0
    start_batch(term, 7, 1.0)
    assert term.current_weight == 1.0
    assert losses.GraphAlignment().current_weight == 0.5


def test_hooks_reach_sources_and_candidates() -> None:
    calls: list[tuple] = []

    class Spy(losses.Hooked):
        def setup(self, module, datamodule) -> None:
            calls.append(("setup", module, datamodule))

        def on_train_epoch_start(self, epoch: int) -> None:
            calls.append(("epoch", epoch))

        def on_train_batch_start(self, step: int, epoch: float) -> None:
            calls.append(("batch", step, epoch))

    class Source(Spy, losses.MultiPositive):
        pass

    class Columns(Spy, losses.EditedReports):
        pass

    for hooked in (mixed({"a": Source()}), losses.Contrastive(candidates=Columns())):
        calls.clear()
        set_up(hooked, "module", "data")
        start_epoch(hooked, 3)
        start_batch(hooked, 40, 3.5)
        assert calls == [("setup", "module", "data"), ("epoch", 3), ("batch", 40, 3.5)]


def test_overriding_every_hook_without_super_stops_no_schedule() -> None:
    """What the framework keeps (the place in a schedule, the parts' hooks) does not depend on a user's ``super()``."""
    seen: list[tuple] = []

    class Silent(losses.Hooked):
        def setup(self, module, datamodule) -> None:
            seen.append(("setup", type(self).__name__))

        def on_train_epoch_start(self, epoch: int) -> None:
            seen.append((epoch, type(self).__name__))

        def on_train_batch_start(self, step: int, epoch: float) -> None:
            seen.append((step, epoch, type(self).__name__))

    class Term(Silent, losses.Contrastive):
        pass

    class Soft(Silent, SoftTargets):
        pass

    class Source(Silent, losses.MultiPositive):
        pass

    class Columns(Silent, losses.EditedReports):
        pass

    term = Term(weight=2.0, schedule=LinearRamp(0.0, 1.0, epochs=2.0), candidates=Columns())
    soft = Soft(more=[Source()], mix=LinearRamp(0.0, 0.4, epochs=2.0))
    for hooked in (term, soft):
        set_up(hooked, None, None)
        start_epoch(hooked, 1)
        start_batch(hooked, 6, 1.5)
    assert (term.current_weight, round(soft.current_mix, 6)) == (1.5, 0.3)
    names = ("Term", "Columns"), ("Soft", "Source")
    assert seen == [(*c, n) for part in names for c in (("setup",), (1,), (6, 1.5)) for n in part]


# --- diagnostics ------------------------------------------------------------------------------------------------------


def test_diagnostics_of_the_contrastive_term() -> None:
    batch, e = problem(8)
    assert batch.twins is not None and e.twins is not None
    sources: dict[str, TargetSource | None] = {
        "text": SOURCES["text-online"],
        "clinical": SOURCES["clinical"],
        "graph": SOURCES["graph-overlap"],
    }
    soft = mixed(sources, 0.4)
    out = losses.Contrastive(candidates=CANDIDATES["own"]).compute(e, batch, soft.prepare(e, batch))
    q = reference.soft_targets(sources, e, batch, 0.4).rows  # type: ignore[arg-type]
    cosines, valid = (e.image @ e.text.T).detach(), batch.twins.valid
    twins = torch.einsum("nd,nkd->nk", e.image, e.twins).detach()
    wanted = {
        "scale": 7.0,
        "positive_similarity": float(cosines.diagonal().mean()),
        "negative_similarity": float(cosines[~torch.eye(8, dtype=torch.bool)].mean()),
        "twin_similarity": float(twins[valid].mean()),
        "usable_twins": float(valid.any(1).sum()),
        "mix": 0.4,
        "pair_share": sum(q[i][i] for i in range(8)) / 8,
        "target_entropy": -sum(v * math.log(v) for row in q for v in row if v) / 8,
        "threshold_text": reference.threshold(
            SOURCES["text-online"].gate,
            reference.matrix(e.text.tolist()),
            [True] * 8,  # type: ignore[attr-defined]
        )[0],
        "threshold_clinical": 0.5,
    }
    for key, number in wanted.items():
        assert float(out.logs[key]) == pytest.approx(number, rel=1e-6), key
    assert {"classes_clinical", "threshold_graph"} <= set(out.logs)
    assert not any(isinstance(v, Tensor) and v.requires_grad for v in out.logs.values())


def test_diagnostics_of_one_hot_targets() -> None:
    batch, e = problem(4)
    logs = losses.Contrastive().compute(e, batch, mixed({"text": SOURCES["text-online"]}, 0.0).prepare(e, batch)).logs
    assert (logs["mix"], logs["pair_share"], logs["target_entropy"]) == (0.0, 1.0, 0.0)


def test_diagnostics_of_the_graph_stream() -> None:
    batch, e = problem(8, seed=3)
    assert e.graph is not None and e.graph_valid is not None
    keep = e.graph_valid.nonzero()[:, 0].tolist()
    soft = mixed({"text": SOURCES["text-online"]}, 0.4)
    logs = losses.GraphAlignment().compute(e, batch, soft.prepare(e, batch)).logs
    q = reference.soft_targets({"text": SOURCES["text-online"]}, e, batch, 0.4, keep=keep).rows
    assert logs["graphs"] == len(keep) < 8
    assert float(logs["pair_share"]) == pytest.approx(sum(q[i][i] for i in keep) / len(keep))
    assert float(logs["scale"]) == 7.0
    cosines = (e.text @ e.graph.T).detach()[keep][:, keep]
    assert float(logs["text_positive_similarity"]) == pytest.approx(float(cosines.diagonal().mean()))
    off = cosines[~torch.eye(len(keep), dtype=torch.bool)].mean()
    assert float(logs["text_negative_similarity"]) == pytest.approx(float(off))
    assert {"image", "text", "image_positive_similarity", "target_entropy", "threshold_text"} <= set(logs)


def test_diagnostics_of_the_negation_term() -> None:
    batch, e = problem(8)
    assert batch.twins is not None and e.twins is not None
    logs = losses.NegationHardNegatives(temperature=0.1).compute(e, batch, None).logs
    valid = batch.twins.valid
    twins = torch.einsum("nd,nkd->nk", e.image, e.twins).detach()
    assert logs["usable_twins"] == float(valid.any(1).sum())
    assert float(logs["scale"]) == pytest.approx(10.0)
    assert float(logs["twin_similarity"]) == pytest.approx(float(twins[valid].mean()))
    pairs = (e.image * e.text).sum(1).detach()[valid.any(1)]
    assert float(logs["positive_similarity"]) == pytest.approx(float(pairs.mean()))


# --- requirements and errors ------------------------------------------------------------------------------------------


def test_every_requirement_has_a_provider() -> None:
    classes = [getattr(losses, name) for name in losses.__all__]
    made = [*SOURCES.values(), *(c for c in CANDIDATES.values() if c), losses.GraphAlignment()]
    made += [losses.NegationHardNegatives(), losses.CyclicConsistency(), losses.Contrastive(criterion="sigmoid")]
    for hooked in made:
        assert hooked.requires <= set(PROVIDERS), type(hooked)
    for term in [
        c for c in classes if isinstance(c, type) and issubclass(c, LossTerm | TargetSource | CandidateSource)
    ]:
        assert term.citation or term in (LossTerm, TargetSource, CandidateSource), term


@pytest.mark.parametrize(
    ("hooked", "missing", "provider"),
    [
        (losses.Contrastive(candidates=losses.EditedReports()), "embeddings.twins", "data.twins"),
        (losses.Contrastive(criterion="sigmoid"), "embeddings.logit_bias", "init_logit_bias"),
        (losses.GraphAlignment(), "embeddings.graph", "model.graph_encoder"),
        (mixed({"a": losses.TextSimilarity(source="frozen")}), "batch.frozen_text", "data.frozen_text"),
        (mixed({"a": losses.GraphSimilarity(form="overlap")}), "batch.graph", "data.graphs=true"),
    ],
)
def test_what_is_missing_is_named_with_its_provider(hooked, missing: str, provider: str) -> None:
    batch, e = problem(4)
    owner, _, field = missing.partition(".")
    if owner == "batch":
        batch = replace(batch, **{field: None})
    else:
        e = replace(e, **{field: None})
    with pytest.raises(MissingFieldError, match=provider):
        check_requirements("model.losses.x", hooked.requires, e, batch)
    if isinstance(hooked, SoftTargets):
        hooked.on_train_batch_start(5, 0.5)
        with pytest.raises(MissingFieldError, match=provider):
            hooked.prepare(e, batch)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.Contrastive(weight=-1.0), "weight=-1.0"),
        (lambda: losses.Contrastive(weight=float("nan")), "weight=nan"),
        (lambda: losses.Contrastive(criterion="hinge"), "'softmax', 'sigmoid'"),
        (lambda: losses.Contrastive(engine="fast"), "'auto', 'dense', 'tiled'"),
        (lambda: losses.Contrastive(tile=0), "tile=0"),
        (lambda: losses.Contrastive(i2t_weight=-0.1), "i2t_weight=-0.1"),
        (lambda: losses.Contrastive(temperature=0.0), "temperature=0.0"),
        (lambda: losses.GraphAlignment(streams=[]), "streams"),
        (lambda: losses.GraphAlignment(streams=["audio"]), "'image', 'text'"),
        (lambda: losses.GraphAlignment(temperature=-1), "temperature=-1"),
        (lambda: losses.NegationHardNegatives(temperature=0), "temperature=0"),
        (lambda: losses.CyclicConsistency(in_modal=-1), "in_modal=-1"),
        (lambda: losses.EditedReports(columns="some"), "'own', 'all'"),
        (lambda: losses.EditedReports(encoding="binary"), "'positive', 'signed', 'u_zeros', 'u_ones'"),
        (lambda: losses.EditedReports(labels="mine"), "'batch', 'text'"),
        (lambda: losses.TextSimilarity(source="cls"), "'online', 'features', 'frozen'"),
        (lambda: losses.TextSimilarity(weight=-2), "weight=-2"),
        (lambda: losses.ClinicalSimilarity(encoding="binary"), "'positive', 'signed'"),
        (lambda: losses.ClinicalSimilarity(labels="table"), "'batch', 'text'"),
        (lambda: losses.GraphSimilarity(form="edges"), "'learned', 'overlap'"),
        (lambda: losses.LabelEquality(labels="table"), "'batch', 'text'"),
        (lambda: losses.MultiPositive(by="site"), "'patient', 'study', 'text'"),
        (lambda: losses.LabelSoftmax(temperature=0), "temperature=0"),
        (lambda: losses.SelfSimilarity(of="graph"), "'image', 'text'"),
        (lambda: losses.CorrelationPrior(rate=0), "rate=0"),
        (lambda: losses.FixedGate(1.0), r"\[-1, 1\)"),
        (lambda: losses.QuantileGate(q=90), "q=90"),
        (lambda: losses.QuantileGate(ceiling=1.0), "ceiling=1.0"),
        (lambda: losses.QuantileGate(rows=1), "rows=1"),
        (lambda: losses.NeighboursGate(k=0), "k=0"),
        (lambda: losses.NeighboursGate(ceiling=0.0), "ceiling=0.0"),
        (lambda: LinearRamp(epochs=-1), "epochs=-1"),
        (lambda: SoftTargets(mix=1.5), "mix=1.5"),
        (lambda: SoftTargets(mix=-0.1), "mix=-0.1"),
        (lambda: SoftTargets(form="blended"), "'mixed', 'added'"),
        (lambda: losses.MultiPositive(weight=-1.0), "must be >= 0"),
    ],
)
def test_bad_options_are_named_with_what_is_allowed(make, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_schedule_may_not_leave_its_range() -> None:
    soft = mixed({"a": losses.MultiPositive()}, LinearRamp(0.0, 2.0, epochs=1.0))
    start_batch(soft, 10, 1.0)
    with pytest.raises(ConfigError, match=r"model.targets.<name>.mix"):
        _ = soft.current_mix
    added = mixed({"a": losses.MultiPositive()}, 2.0, form="added")
    assert added.current_mix == 2.0


def test_an_unknown_target_name_is_named() -> None:
    batch, e = problem(4)
    with pytest.raises(ConfigError, match="targets='dtcg'"):
        losses.Contrastive(targets="dtcg")(e, batch, {"default": None})
    assert losses.Contrastive(targets="default")(e, batch, {"default": None}).value.isfinite()


def test_public_names() -> None:
    assert losses.__all__ == sorted(losses.__all__)
    assert set(losses.__all__) <= set(dir(losses))
    with pytest.raises(AttributeError, match="Contrastive"):
        _ = losses.Contrastiv  # type: ignore[attr-defined]


PARTS = (LossTerm, TargetSource, CandidateSource, SoftTargets)


@pytest.mark.parametrize(
    "name", [n for n in losses.__all__ if isinstance(c := getattr(losses, n), type) and issubclass(c, PARTS)]
)
def test_a_docstring_shows_how_and_warns_where_it_matters(name: str) -> None:
    part = getattr(losses, name)
    text = inspect.cleandoc(part.__doc__)
    for section in ("Example:", "Recommendations:"):
        assert f"\n{section}\n" in text, section
    _, _, arguments = text.partition("\nArgs:\n")
    described = [line.strip().partition(":")[0] for line in arguments.splitlines() if re.match(r"    \w+: ", line)]
    if part is not CandidateSource:
        assert described == list(inspect.signature(part).parameters)
        assert part is SoftTargets or inspect.isabstract(part) or part.citation


def test_the_weakness_of_one_more_column_is_said_where_it_is_chosen() -> None:
    for part in (losses.EditedReports, losses.NegationHardNegatives):
        assert part.__doc__ is not None and "1/65" in part.__doc__ and "1/2" in part.__doc__


# --- a user's own classes ---------------------------------------------------------------------------------------------


class SameFirstToken(TargetSource):
    """A user's target source, as a plain matrix."""

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        first = shard.gather(batch.text.token_ids[:, 0]) % 3
        return Matrix((first[:, None] == first).double())


class Wording(TargetSource):
    """A user's target source from the public classes alone, which works in both engines and at any batch size."""

    requires = frozenset({"embeddings.text"})

    def affinity(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> Affinity:
        text = shard.gather(embeddings.text)
        return losses.Gated(losses.Cosine(text), torch.tensor(0.6, dtype=text.dtype))


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_a_source_of_public_classes_equals_the_built_in_one(engine: str) -> None:
    batch, e = problem(7)
    term = losses.Contrastive(engine=engine, tile=3)  # type: ignore[arg-type]
    built_in = losses.TextSimilarity(gate=losses.FixedGate(0.6))
    own, wanted = (loss_of(term, batch, e, SoftTargets(more=[s], mix=0.4)) for s in (Wording(), built_in))
    assert_close(own, wanted, 1e-12)
    assert float(own[0].detach()) != float(loss_of(term, batch, e)[0].detach())


class OtherReport(CandidateSource):
    """A user's candidates: each image also sees the report of the next study, once more."""

    requires = frozenset({"embeddings.text"})

    def columns(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> ExtraColumns:
        following = embeddings.text.roll(-1, 0)[:, None]
        return ExtraColumns(own=(OwnColumns(following, torch.ones(len(following), 1, dtype=torch.bool)),))


class Norms(LossTerm):
    """A user's term."""

    requires = frozenset({"embeddings.graph"})

    def compute(self, embeddings: Embeddings, batch: Batch, targets: losses.Targets | None) -> LossOutput:
        assert embeddings.graph is not None
        return LossOutput(embeddings.graph.square().sum(1).mean())


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_classes_of_ones_own(engine: str) -> None:
    batch, e = problem(7)
    soft = mixed({"mine": SameFirstToken()}, 0.5)
    first = (batch.text.token_ids[:, 0] % 3).tolist()
    counts = [first.count(v) for v in first]
    q = [[0.5 * (i == j) + 0.5 * (first[i] == first[j]) / counts[i] for j in range(7)] for i in range(7)]
    targets = reference.Soft(q, q, q)
    extra = [[e.text[(i + 1) % 7]] for i in range(7)]
    value = reference.softmax_loss(e.image, e.text, e.logit_scale, targets, extra)
    term = losses.Contrastive(candidates=OtherReport(), engine=engine, tile=3)  # type: ignore[arg-type]
    assert_close(loss_of(term, batch, e, soft), (value, gradients(value, e)))
    assert float(Norms(weight=3.0)(e, batch).value.detach()) == pytest.approx(1.0)
