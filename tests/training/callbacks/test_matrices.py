"""Pictures of targets and similarities: right numbers, sorted rows, the same training with and without them."""

from __future__ import annotations

import logging

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from clinclip.data import dataset
from clinclip.data.datamodule import CXRDataModule
from clinclip.errors import ConfigError
from clinclip.losses import ClinicalSimilarity, Contrastive, EditedReports, SoftTargets
from clinclip.models import DualEncoder, ImageEncoder, TextEncoder
from clinclip.testing import random_batch, random_embeddings, tiny_manifest, tiny_model
from clinclip.training.callbacks import BatchMatrices, matrices
from clinclip.training.callbacks.figures import Panel, picture
from clinclip.training.callbacks.matrices import by_findings, similarity_panels, target_panels
from clinclip.training.module import ClinClipModule


def module(dropout: float = 0.0) -> ClinClipModule:
    # BatchNorm and dropout: what an additional forward pass could disturb
    torch.manual_seed(0)
    text = TextEncoder("tiny", model_kwargs={"hidden_size": 32, "intermediate_size": 32, "vocab_size": 2048})
    model = DualEncoder(ImageEncoder("test_resnet", image_size=32), text, embed_dim=8)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = dropout
    terms = {"contrastive": Contrastive(targets="default", candidates=EditedReports())}
    return ClinClipModule(model, terms, {"default": SoftTargets(clinical=ClinicalSimilarity(), mix=0.4)})


def fit(folder, callbacks, logger, data, epochs: int = 2, dropout: float = 0.3) -> ClinClipModule:
    net = module(dropout)
    torch.manual_seed(1)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=logger, callbacks=callbacks, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        log_every_n_steps=1, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(net, data) if isinstance(data, DataLoader) else trainer.fit(net, datamodule=data)
    return net


def batches(count: int = 2) -> DataLoader:
    return DataLoader([random_batch(6, seed=i) for i in range(count)], batch_size=None)


def images(folder) -> list:
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return events.Images("matrices") if "matrices" in events.Tags()["images"] else []


def test_pictures_reach_tensorboard_and_change_nothing(tmp_path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="drawn")
    drawn = fit(tmp_path, [BatchMatrices(every_n_epochs=2, max_rows=5)], logger, batches(), epochs=4)
    plain = fit(tmp_path, [], False, batches(), epochs=4)
    found = images(tmp_path / "drawn")
    assert [image.step for image in found] == [4, 8]  # two steps an epoch, every second epoch
    assert found[0].width > 500 and found[0].encoded_image_string != found[1].encoded_image_string
    for (name, one), other in zip(drawn.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert all(part.training for part in drawn.modules())


def test_the_batch_is_the_same_in_every_epoch_and_after_a_resume(tmp_path, monkeypatch) -> None:
    data = {"manifests": [str(tiny_manifest(tmp_path / "toy"))], "batch_size": 4, "image_size": 32, "num_workers": 0}
    seen: list[torch.Tensor] = []

    class Watching(BatchMatrices):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            assert self._batch is not None
            seen.append(self._batch.image)
            super().on_train_epoch_end(trainer, pl_module)

    shown = []
    monkeypatch.setattr(matrices, "picture", lambda *a: shown.append(a) or np.zeros((4, 4, 3), np.uint8))
    for seed in (0, 1):  # another order of the training data
        logger = TensorBoardLogger(tmp_path, name="", version=seed)
        fit(tmp_path, [Watching(max_rows=7)], logger, CXRDataModule(**data, twins=1, seed=0), epochs=2)
    assert len(seen) == len(shown) == 4
    assert all(len(s) == 7 and torch.equal(s, seen[0]) for s in seen)
    panels, groups, title = shown[0]
    assert sum(size for _, size in groups) == 7
    assert title == "epoch 1, 7 studies sorted by their findings"
    titles = ["targets: default", "image x report", "image x twin", "report x report"]
    assert [panel.title for panel in panels] == titles


def test_rows_are_sorted_by_findings() -> None:
    labels = np.full((6, 14), -2, np.int8)
    labels[[0, 3, 4], 10] = 1  # Pleural Effusion is the commonest
    labels[[1, 3], 2] = 1  # Cardiomegaly
    labels[5, 2] = -1  # uncertain is not present
    order, groups = by_findings(labels)
    assert order.tolist() == [3, 0, 4, 1, 2, 5]
    assert groups == [("Pleural Effusion", 3), ("Cardiomegaly", 1), ("none present", 2)]


def test_panels_show_the_targets_and_cosines_themselves() -> None:
    batch = random_batch(6, seed=3)
    embeddings = random_embeddings(batch)
    soft = SoftTargets(clinical=ClinicalSimilarity(), mix=0.5)
    (panel,) = target_panels({"soft": soft.prepare(embeddings, batch)})
    np.testing.assert_allclose(panel.values, soft.prepare(embeddings, batch).matrix(), rtol=1e-6)
    share = np.diagonal(panel.values).mean()
    assert panel.target and f"lambda 0.50, {share:.2f} of the target" in panel.caption
    (hard,) = target_panels({"hard": SoftTargets(mix=0.5).prepare(embeddings, batch)})
    np.testing.assert_array_equal(hard.values, np.eye(6))
    pairs, twins, reports, graphs = similarity_panels(embeddings, batch)
    assert pairs.values[1, 4] == pytest.approx(float(embeddings.image[1] @ embeddings.text[4]), rel=1e-5)
    np.testing.assert_allclose(np.diagonal(reports.values), 1, rtol=1e-5)
    assert batch.twins is not None and embeddings.twins is not None and embeddings.graph_valid is not None
    np.testing.assert_array_equal(np.isfinite(twins.values).all(0), batch.twins.valid.any(1).numpy())
    assert not batch.twins.valid.all()  # so that the line above means something
    np.testing.assert_array_equal(np.isfinite(graphs.values).all(0), embeddings.graph_valid.numpy())
    # without twins and graphs there is nothing to show of them
    assert len(similarity_panels(random_embeddings(b := random_batch(4, twins=0, graphs=False)), b)) == 2


def test_a_picture_shows_blocks_where_the_matrix_has_them() -> None:
    block = np.kron(np.eye(2), np.ones((8, 8))) / 8
    image = picture([Panel("t", block, target=True), Panel("c", np.full((16, 16), np.nan))], [("a", 8), ("b", 8)], "x")
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    blue = (image[:, :, 2].astype(int) - image[:, :, 0] > 40) & (image[:, :, 2] > 120)
    where = np.argwhere(blue[:, : image.shape[1] // 2])
    middle = where.mean(0)
    upper_left = (where < middle).all(1).mean()
    lower_right = (where >= middle).all(1).mean()
    assert upper_left > 0.4 and lower_right > 0.4  # the two blocks on the diagonal, hardly anything beside them


@pytest.mark.parametrize("logger", [False, "csv"])
def test_without_tensorboard_it_says_so_once(tmp_path, caplog, logger) -> None:
    with caplog.at_level(logging.WARNING, logger="clinclip"):
        fit(tmp_path, [BatchMatrices()], CSVLogger(tmp_path) if logger else False, batches(), epochs=3)
    said = [r.getMessage() for r in caplog.records if r.name.startswith("clinclip.training.callbacks")]
    assert len(said) == 1 and "BatchMatrices draws nothing" in said[0] and "TensorBoard" in said[0]


def test_other_processes_take_part_but_do_not_draw(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(matrices, "rank", lambda: 1)
    monkeypatch.setattr(matrices, "picture", lambda *a: pytest.fail("drawn on process 1"))
    asked = []
    monkeypatch.setattr(SoftTargets, "prepare", _counted(SoftTargets.prepare, asked))
    fit(tmp_path, [BatchMatrices(max_rows=3)], TensorBoardLogger(tmp_path), batches(), epochs=1)
    assert asked == [6, 6, 3]  # two steps, then the batch to draw: its collectives need every process


def test_processes_share_the_training_split(tmp_path, monkeypatch) -> None:
    data = CXRDataModule([str(tiny_manifest(tmp_path / "toy"))], batch_size=4, image_size=32, num_workers=0)
    data.setup("fit")
    fixed_batch = data.spec.fixed_batch
    assert fixed_batch is not None
    monkeypatch.setattr(dataset, "world_size", lambda: 2)
    parts = []
    for process in (0, 1):
        monkeypatch.setattr(dataset, "rank", lambda process=process: process)
        parts.append(fixed_batch(5).study)
    assert len(torch.cat(parts).unique()) == 10
    assert len(fixed_batch(500)) == 8  # half of the 16 studies that there are


@pytest.mark.parametrize("arguments", [{"every_n_epochs": 0}, {"max_rows": 1}])
def test_wrong_arguments_are_named(arguments) -> None:
    (name,) = arguments
    with pytest.raises(ConfigError, match=f"{name}={arguments[name]}"):
        BatchMatrices(**arguments)


def test_graph_runs_have_a_graph_panel() -> None:
    net = tiny_model()
    batch = random_batch(4)
    titles = [panel.title for panel in similarity_panels(net(batch), batch)]
    assert titles[-1] == "image x graph"


def _counted(method, sizes):
    def wrapped(self, embeddings, batch):
        sizes.append(len(batch))
        return method(self, embeddings, batch)

    return wrapped
