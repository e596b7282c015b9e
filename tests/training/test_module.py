"""The training step: terms add up, hooks are called, wrong set-ups fail before training, metrics count images once."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from clinclip.data.spec import DataSpec
from clinclip.errors import ConfigError, MissingFieldError, NonFiniteLossError
from clinclip.losses import (
    ClinicalSimilarity,
    Constant,
    Contrastive,
    EditedReports,
    GraphAlignment,
    GraphSimilarity,
    LinearRamp,
    LossTerm,
    NegationHardNegatives,
    SoftTargets,
    TextSimilarity,
)
from clinclip.metrics.retrieval import retrieval_metrics
from clinclip.models import DualEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch, tiny_model
from clinclip.text.prompts import load_prompts
from clinclip.training.module import ClinClipModule
from clinclip.training.optim import WarmupConstant, WarmupCosine, parameter_groups
from clinclip.training.validation import SplitMetrics
from clinclip.types import Batch, LossOutput


def loader(count: int = 2, **kwargs) -> DataLoader:
    batches = [random_batch(size=6, seed=i, **kwargs) for i in range(count)]
    return DataLoader(batches, batch_size=None)


def trainer(tmp_path, **kwargs) -> L.Trainer:
    defaults = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "default_root_dir": tmp_path,
    }
    return L.Trainer(**{**defaults, **kwargs})


class Recorder(LossTerm):
    """Counts what happens to it."""

    requires = frozenset({"embeddings.text"})

    def __init__(self, value: float = 1.0, weight: float = 1.0, targets: str | None = None) -> None:
        super().__init__(weight, LinearRamp(0.0, 1.0, epochs=2.0), targets)
        self.value, self.calls, self.steps = value, [], []

    def setup(self, module, datamodule) -> None:
        self.calls.append("setup")

    def on_train_epoch_start(self, epoch: int) -> None:
        self.calls.append(f"epoch {epoch}")

    def on_train_batch_start(self, step: int, epoch: float) -> None:
        super().on_train_batch_start(step, epoch)
        self.steps.append((step, epoch))

    def compute(self, embeddings, batch, targets) -> LossOutput:
        return LossOutput(embeddings.text.square().sum() * 0 + self.value, {"seen": len(batch)})


def test_terms_add_up_and_hooks_are_called(tmp_path) -> None:
    one, two = Recorder(2.0), Recorder(3.0, weight=0.5)
    module = ClinClipModule(tiny_model(), {"one": one, "off": None, "two": two})
    run = trainer(tmp_path)
    run.fit(module, loader())
    assert one.calls == ["setup", "epoch 0", "epoch 1"]
    assert one.steps == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]
    # the last step: epoch 1.5 of a ramp over two epochs
    metrics = run.logged_metrics
    assert float(metrics["train/loss/total"]) == pytest.approx(0.75 * (2.0 + 0.5 * 3.0))
    assert float(metrics["train/loss/one"]) == 2.0
    assert float(metrics["train/loss/two/seen"]) == 6.0
    assert "train/loss/off" not in metrics


def test_targets_are_computed_once_a_batch_and_shared(tmp_path) -> None:
    class Counting(SoftTargets):
        count = 0

        def prepare(self, embeddings, batch):
            Counting.count += 1
            return super().prepare(embeddings, batch)

    seen = []

    class Reader(Recorder):
        def compute(self, embeddings, batch, targets) -> LossOutput:
            seen.append(targets)
            return super().compute(embeddings, batch, targets)

    module = ClinClipModule(
        tiny_model(),
        {"a": Reader(targets="soft"), "b": Reader(targets="soft"), "c": Reader(targets="none")},
        {"soft": Counting(clinical=ClinicalSimilarity(), mix=0.5), "none": None},
    )
    trainer(tmp_path, max_epochs=1).fit(module, loader())
    assert Counting.count == 2
    assert seen[0] is seen[1] and seen[0] is not None
    assert seen[2] is None


@pytest.mark.parametrize(
    ("losses", "targets", "message"),
    [
        ({"a": None}, None, "no active term"),
        ({"a": Contrastive(targets="soft")}, None, "asks|model.losses.a.targets='soft'"),
    ],
)
def test_wrong_names_fail_at_once(losses, targets, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ClinClipModule(tiny_model(), losses, targets)


def test_a_missing_field_names_its_provider(tmp_path) -> None:
    module = ClinClipModule(tiny_model(graphs=False), {"graph": GraphAlignment()})
    with pytest.raises(MissingFieldError, match=r"model\.losses\.graph needs .*graph.*graph_encoder"):
        trainer(tmp_path).fit(module, loader())
    module = ClinClipModule(tiny_model(), {"graph": GraphAlignment()})
    with pytest.raises(MissingFieldError, match=r"data\.graphs=true"):
        trainer(tmp_path).fit(module, loader(graphs=False))


def test_accumulation_is_warned_about(tmp_path) -> None:
    module = ClinClipModule(tiny_model())
    with pytest.warns(UserWarning, match="does not enlarge a contrastive batch"):
        trainer(tmp_path, accumulate_grad_batches=2, max_epochs=1).fit(module, loader())


@pytest.mark.parametrize(("normed", "synced"), [(True, False), (True, True), (False, False)])
def test_batch_norm_of_several_processes_is_warned_about(tmp_path, normed, synced) -> None:
    model = DualEncoder(ImageEncoder("tiny"), TextEncoder("tiny"), embed_dim=8) if normed else tiny_model()
    module = ClinClipModule(model)
    # never launched: Lightning converts the layers only after the set-up
    module.trainer = trainer(tmp_path, strategy="ddp", devices=2, sync_batchnorm=synced)
    assert module.trainer.world_size == 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.setup("fit")
    assert any("sync_batchnorm" in str(w.message) for w in caught) == (normed and not synced)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path) -> None:
    class Diverging(Recorder):
        def compute(self, embeddings, batch, targets) -> LossOutput:
            value = embeddings.text.sum()
            return LossOutput(value * (float("nan") if self.steps[-1][0] == 1 else 1.0))

    term = Diverging()
    term.schedule = Constant()
    module = ClinClipModule(tiny_model(), {"bad": term}, schedule=WarmupConstant())
    states = []
    module.on_train_batch_start = _spy(module.on_train_batch_start, lambda: states.append(_copy(module)))
    with pytest.raises(NonFiniteLossError, match=r"step 1 .*'bad': nan") as caught:
        trainer(tmp_path).fit(module, loader())
    after = _copy(module)
    assert all(torch.equal(after[k], states[-1][k]) for k in after)
    assert any(not torch.equal(states[0][k], states[1][k]) for k in after)  # the finite step did train
    assert "model.optimizer.lr" in str(caught.value)


def test_studies_with_bad_pixels_are_named_by_hash(tmp_path) -> None:
    bad = random_batch(size=4)
    module = ClinClipModule(tiny_model())
    third = torch.tensor([2])
    module.model.image_encoder.register_forward_hook(lambda tower, args, out: out.index_fill(0, third, float("nan")))
    with pytest.raises(NonFiniteLossError, match=r"image \(1 rows\)") as caught:
        trainer(tmp_path).fit(module, DataLoader([bad], batch_size=None))
    named = str(caught.value).split("hashed studies: ")[1].split(". ")[0]
    assert named == f"{int(bad.study[2]) & 0xFFFFFFFFFFFFFFFF:016x}"


def test_every_parameter_takes_part_in_every_step(tmp_path) -> None:
    # DDP raises when a parameter gets no gradient: the graph tower and the bias have no term here
    missing = []

    class Watched(ClinClipModule):
        def on_after_backward(self) -> None:
            missing.append([n for n, p in self.named_parameters() if p.grad is None])

    trainer(tmp_path, max_epochs=1).fit(Watched(tiny_model(bias=-10.0), {"contrastive": Contrastive()}), loader())
    assert missing == [[], []]


def test_the_data_module_is_asked_at_set_up_and_after_a_checkpoint(tmp_path) -> None:
    class Data(L.LightningDataModule):
        asked = 0

        @property
        def spec(self) -> DataSpec:
            self.asked += 1
            return DataSpec()

        def train_dataloader(self) -> DataLoader:
            return loader()

        val_dataloader = train_dataloader

    data = Data()
    run = trainer(tmp_path)
    run.fit(ClinClipModule(tiny_model()), data)
    assert data.asked == 1  # however often it is validated
    run.save_checkpoint(tmp_path / "a.ckpt")
    trainer(tmp_path).validate(ClinClipModule(tiny_model()), data, ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert data.asked == 3


def test_parameter_groups_decay_matrices_only() -> None:
    model = tiny_model(bias=0.0)
    decay, plain = parameter_groups(model)
    assert "weight_decay" not in decay and plain["weight_decay"] == 0.0
    named = {id(p): n for n, p in model.named_parameters()}
    assert len(decay["params"]) + len(plain["params"]) == len(named)
    names = {named[id(p)] for p in plain["params"]}
    assert {"log_logit_scale", "logit_bias", "image_encoder.trunk.pos_embed"} <= names
    assert all(p.ndim > 1 for p in decay["params"])
    model.image_encoder.requires_grad_(False)
    assert sum(len(g["params"]) for g in parameter_groups(model)) < len(named)
    with pytest.raises(ConfigError, match="nothing to train"):
        parameter_groups(model.requires_grad_(False))


def test_warmup_and_cosine_by_hand() -> None:
    schedule = WarmupCosine(warmup_epochs=2.0, final_factor=0.1)
    assert schedule(0.0, 10.0) == 0.0
    assert schedule(1.0, 10.0) == 0.5
    assert schedule(2.0, 10.0) == pytest.approx(1.0)
    assert schedule(6.0, 10.0) == pytest.approx(0.55)  # half way: (1 + 0.1) / 2
    assert schedule(10.0, 10.0) == pytest.approx(0.1)
    assert schedule(0.5, 2.0) == pytest.approx(0.5)  # a short run warms up over half of it
    assert WarmupConstant(2.0)(1.0, 5.0) == 0.5
    with pytest.raises(ConfigError, match="warmup_epochs=-1"):
        WarmupCosine(warmup_epochs=-1)


def test_the_learning_rate_follows_the_schedule(tmp_path) -> None:
    rates = []
    module = ClinClipModule(tiny_model(), schedule=WarmupCosine(1.0))
    module.on_train_batch_end = _spy(module.on_train_batch_end, lambda: rates.append(module._learning_rate))
    trainer(tmp_path, max_epochs=3).fit(module, loader())
    expected = [5e-5 * WarmupCosine(1.0)((s + 0.5) / 2, 3.0) for s in range(6)]
    assert rates == pytest.approx(expected)
    endless = ClinClipModule(tiny_model())
    with pytest.raises(ConfigError, match="max_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(endless, loader())


def test_max_steps_end_the_schedule(tmp_path) -> None:
    module = ClinClipModule(tiny_model())
    run = trainer(tmp_path, max_steps=3)
    run.fit(module, loader())
    assert module.total_epochs == 1.5


def test_metrics_count_each_image_once() -> None:
    model = tiny_model().eval()
    first, second = (random_batch(size=6, seed=i) for i in (0, 1))
    second = replace(second, sample=second.sample + 6, study=second.study + 6)
    metrics = SplitMetrics(load_prompts("plain-v1"))
    for batch in (first, second, first):  # a distributed sampler repeats images
        metrics.update(model, batch)
    numbers = metrics.compute(None)
    image = torch.cat([model.encode_image(b.image) for b in (first, second)])
    text = torch.cat([model.encode_text(b.text) for b in (first, second)])
    study, hashes = (torch.cat([getattr(b, k) for b in (first, second)]).numpy() for k in ("study", "text_hash"))
    expected = retrieval_metrics(image, text, study, hashes)
    assert numbers["retrieval/i2t_r1"] == pytest.approx(expected["i2t_r1"])
    assert numbers["retrieval/t2i_mrr"] == pytest.approx(expected["t2i_mrr"])
    assert numbers["align/items"] == float(sum(int(b.twins.valid.sum()) for b in (first, second)))
    assert metrics.compute(None) == {}  # emptied


def test_zero_shot_needs_the_right_order_of_prompts() -> None:
    prompts = load_prompts("plain-v1").select(("Cardiomegaly", "Edema"))
    metrics = SplitMetrics(prompts, policy="explicit")
    batch = random_batch(size=4)
    labels = torch.full((4, 14), -2, dtype=torch.int8)
    labels[:, 2] = torch.tensor([1, 1, 0, 0])  # Cardiomegaly
    labels[:, 5] = torch.tensor([0, 1, 0, 1])  # Edema
    axes = torch.eye(4)
    # images: cardiomegaly along axis 0, oedema along axis 1
    image = torch.stack([axes[0], axes[0] + axes[1], axes[2], axes[1]])
    model = SimpleNamespace(
        encode_image=lambda x: torch.nn.functional.normalize(image, dim=-1),
        encode_text=lambda x: torch.nn.functional.normalize(image, dim=-1),
    )
    metrics.update(model, replace(batch, labels=labels, twins=None))  # type: ignore[arg-type]

    def encode(texts: list[str]) -> torch.Tensor:
        negative = torch.tensor([0.0, 0.0, 0.0, 1.0])
        return torch.stack([negative if t.startswith("no ") else axes[int("edema" in t)] for t in texts])

    assert metrics.compute(encode)["zero_shot/auroc_macro"] == 1.0


def test_a_diverged_model_has_no_score() -> None:
    model = SimpleNamespace(
        encode_image=lambda x: torch.full((len(x), 4), math.nan), encode_text=lambda x: torch.ones(4, 4)
    )
    metrics = SplitMetrics(load_prompts("plain-v1"))
    metrics.update(model, random_batch(size=4, twins=0))  # type: ignore[arg-type]
    numbers = metrics.compute(lambda texts: torch.ones(len(texts), 4))
    assert np.isnan(numbers["retrieval/i2t_r1"])
    assert "zero_shot/auroc_macro" not in numbers


def test_unknown_policies_fail_before_training() -> None:
    with pytest.raises(ConfigError, match="policy 'mostly'"):
        ClinClipModule(tiny_model(), zero_shot_policy="mostly")


def test_half_precision_training_runs(tmp_path) -> None:
    module = ClinClipModule(tiny_model(), {"contrastive": Contrastive(), "graph": GraphAlignment()})
    run = trainer(tmp_path, precision="bf16-mixed", max_epochs=1)
    run.fit(module, loader(), loader())
    assert math.isfinite(float(run.logged_metrics["train/loss/total"]))
    assert "val/retrieval/i2t_r1" in run.callback_metrics


def test_every_term_says_what_it_does(tmp_path) -> None:
    # each name is a curve that someone will look for when a run goes wrong
    sources = {"text": TextSimilarity(), "clinical": ClinicalSimilarity(), "graph": GraphSimilarity()}
    module = ClinClipModule(
        tiny_model(),
        {
            "clip": Contrastive(targets="default", candidates=EditedReports(columns="all")),
            "negation": NegationHardNegatives(),
            "graph": GraphAlignment(targets="default"),
        },
        {"default": SoftTargets(**sources, mix=0.3)},
        schedule=WarmupConstant(),
    )
    run = trainer(tmp_path, max_epochs=1)
    batch = random_batch(size=8, seed=4)
    # the rate is zero: after the only step the model still gives what the step saw
    module.optimizer = lambda params: torch.optim.SGD(params, lr=0.0)
    run.fit(module, DataLoader([batch], batch_size=None))
    found = {k.removeprefix("train/loss/"): float(v) for k, v in run.logged_metrics.items()}
    embeddings = module.model.train()(batch)
    assert batch.twins is not None and embeddings.twins is not None and embeddings.graph_valid is not None
    assert embeddings.graph is not None
    some, kept = batch.twins.valid.any(1), embeddings.graph_valid
    cosines, size = embeddings.image @ embeddings.text.T, len(batch)
    pairs, twins = cosines.diagonal(), (embeddings.image * embeddings.twins[:, 0]).sum(1)
    aligned = embeddings.image[kept] @ embeddings.graph[kept].T
    targets = module.targets["default"].prepare(embeddings, batch)  # type: ignore[union-attr]
    soft = targets.matrix().double()
    count = int(kept.sum())
    expected = {
        "clip/pair_share": soft.diagonal().mean(),
        "clip/target_entropy": torch.special.entr(soft).sum(1).mean(),
        "clip/mix": 0.3,
        "clip/threshold_text": targets.affinities["text"][1].logs()["threshold"],
        "clip/threshold_clinical": 0.5,
        "clip/threshold_graph": targets.affinities["graph"][1].logs()["threshold"],
        "clip/scale": module.model.logit_scale,
        "clip/positive_similarity": pairs.mean(),
        "clip/negative_similarity": (cosines.sum() - pairs.sum()) / (size * (size - 1)),
        "clip/twin_similarity": twins[some].mean(),
        "clip/usable_twins": some.sum(),
        "negation/scale": module.model.logit_scale,
        "negation/positive_similarity": pairs[some].mean(),
        "negation/twin_similarity": twins[some].mean(),
        "negation/usable_twins": some.sum(),
        "graph/scale": module.model.logit_scale,
        "graph/graphs": count,
        "graph/image_positive_similarity": aligned.diagonal().mean(),
        "graph/image_negative_similarity": (aligned.sum() - aligned.diagonal().sum()) / (count * (count - 1)),
    }
    assert 0 < int(some.sum()) < size and 1 < count < size  # otherwise the masks are not tested
    # over the studies with a graph, the target is another: it has its own curve
    assert 0 < found["graph/pair_share"] < 1 and found["graph/target_entropy"] > 0
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4, abs=1e-5), name


def _copy(module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def _spy(method, before):
    def wrapped(*args):
        before()
        return method(*args)

    return wrapped


def test_batches_are_typed() -> None:
    assert isinstance(random_batch(), Batch)
