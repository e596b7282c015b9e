"""Soft targets and similarities of one fixed batch as pictures in TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor, nn

from clinclip.distributed import rank
from clinclip.errors import ConfigError
from clinclip.findings import FINDINGS, LabelState
from clinclip.losses import Targets
from clinclip.training.callbacks.figures import Panel, picture
from clinclip.training.module import ClinClipModule
from clinclip.types import Batch, Embeddings

_LOG = logging.getLogger(__name__)
PRESENT = LabelState.PRESENT.code


class BatchMatrices(Callback):
    """Draws what the losses see: target distributions and cosines of one fixed training batch, as ``matrices``.

    Panels: the image -> report targets of every entry of ``model.targets``; cosines of image x report, image x twin,
    report x report and image x graph, as far as the run has them. Rows are sorted by their findings, so that
    soft labels that follow the findings show as blocks; the diagonal is the pair. The model is in evaluation mode
    while it embeds the batch, and no random number is drawn: training is the same with and without this callback.

    The batch: studies at equal distances in the training split, in the view of epoch 0, so that it is the same in every
    epoch, after a resume and in other runs on these data; the first training batch where the data module's ``spec`` has
    no ``fixed_batch``. Several processes share the work, and process 0 draws its part. Pictures hold no image, no
    report and no identifier; findings name groups of rows.

    Args:
        every_n_epochs: draw after every so many epochs.
        max_rows: studies drawn.

    Raises:
        ConfigError: an argument is not at least 1 (``max_rows``: 2).
    """

    def __init__(self, every_n_epochs: int = 1, max_rows: int = 64) -> None:
        if every_n_epochs < 1 or max_rows < 2:
            raise ConfigError(
                f"BatchMatrices(every_n_epochs={every_n_epochs}, max_rows={max_rows}): every_n_epochs must be at least "
                "1, max_rows at least 2"
            )
        self.every_n_epochs, self.max_rows = every_n_epochs, max_rows
        self._batch: Batch | None = None
        self._draws = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See whether there is anywhere to draw to, and fetch the batch."""
        self._batch = None
        # decided from the configuration, so that all processes decide alike
        self._draws = isinstance(pl_module, ClinClipModule) and any(map(_takes_images, trainer.loggers))
        if not self._draws:
            if not rank():
                _LOG.warning(
                    "BatchMatrices draws nothing: it needs clinclip's module and a TensorBoard logger (trainer.logger)"
                )
            return
        assert isinstance(pl_module, ClinClipModule)
        if pl_module.data.fixed_batch is not None:
            self._batch = pl_module.data.fixed_batch(self.max_rows)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the first batch where the data module has no fixed one."""
        if self._draws and self._batch is None:
            self._batch = batch.rows(slice(0, self.max_rows)).to("cpu")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw."""
        if not self._draws or self._batch is None or (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        assert isinstance(pl_module, ClinClipModule)
        order, groups = by_findings(self._batch.labels.numpy())
        batch = self._batch.rows(torch.from_numpy(order)).to(pl_module.device)
        # targets are those of the global batch, so every process takes part up to here
        with _evaluation(pl_module), torch.no_grad(), trainer.precision_plugin.forward_context():
            embeddings = pl_module.model(batch)
            targets = {k: v.prepare(embeddings, batch) for k, v in pl_module.targets.items() if v is not None}
            panels = [*target_panels(targets), *similarity_panels(embeddings, batch)]
        if rank():
            return
        title = f"epoch {trainer.current_epoch + 1}, {len(batch)} studies sorted by their findings"
        image = picture(panels, groups, title)
        for logger in filter(_takes_images, trainer.loggers):
            logger.experiment.add_image("matrices", image, trainer.global_step, dataformats="HWC")


def by_findings(labels: np.ndarray) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """An order in which studies with the same findings stand together.

    Args:
        labels: int8 (n, 14) label states.

    Returns:
        int64 (n,) row numbers, and (finding, number of rows) of consecutive rows that share their commonest finding.
    """
    present = labels == PRESENT
    # the commonest finding of the batch decides first
    columns = np.argsort(-present.sum(0), kind="stable")
    order = np.lexsort((~present[:, columns[::-1]]).T)
    groups: list[tuple[str, int]] = []
    for row in present[order][:, columns]:
        name = FINDINGS[columns[row.argmax()]] if row.any() else "none present"
        if groups and groups[-1][0] == name:
            groups[-1] = (name, groups[-1][1] + 1)
        else:
            groups.append((name, 1))
    return order, groups


def target_panels(targets: dict[str, Targets]) -> list[Panel]:
    """One panel for each entry of ``model.targets``: image -> report, rows of this process."""
    panels = []
    for name, target in targets.items():
        mixture = target.mixture(local=True)
        matrix = _array(torch.eye(target.shard.count) if mixture is None else mixture.dense()[0])
        share = np.diagonal(matrix) / matrix.sum(1)
        caption = f"lambda {target.mix:.2f}, {share.mean():.2f} of the target on the pair"
        panels.append(Panel(f"targets: {name}", matrix, target=True, caption=caption))
    return panels


def similarity_panels(embeddings: Embeddings, batch: Batch) -> list[Panel]:
    """Cosines between what the model embeds of the batch, as far as it does."""
    image, text = _array(embeddings.image), _array(embeddings.text)
    panels = [_cosines("image x report", image @ text.T, scale="image")]
    if embeddings.twins is not None and batch.twins is not None:
        # one twin a study: the first that there is
        valid = _array(batch.twins.valid).astype(bool)
        twin = _array(embeddings.twins)[np.arange(len(valid)), valid.argmax(1)]
        panels.append(_cosines("image x twin", np.where(valid.any(1), image @ twin.T, np.nan), "image"))
    panels.append(_cosines("report x report", text @ text.T))
    if embeddings.graph is not None and embeddings.graph_valid is not None:
        some = _array(embeddings.graph_valid).astype(bool)
        panels.append(_cosines("image x graph", np.where(some, image @ _array(embeddings.graph).T, np.nan)))
    return panels


def _cosines(title: str, matrix: np.ndarray, scale: str = "") -> Panel:
    own = np.diagonal(matrix)
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    numbers = [f"{name} {np.nanmean(v):.2f}" for name, v in (("own", own), ("others", others)) if np.isfinite(v).any()]
    return Panel(title, matrix, scale=scale, caption=", ".join(numbers))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _takes_images(logger: Logger) -> TypeGuard[TensorBoardLogger]:
    return isinstance(logger, TensorBoardLogger)


@contextmanager
def _evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every part is in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
