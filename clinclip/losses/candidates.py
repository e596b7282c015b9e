"""Extra columns for the image -> text direction: texts that the image must be told apart from.

Extra columns always have target 0 and take part in the denominator of their row alone; text -> image has none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clinclip.distributed import Shard
from clinclip.findings import ENCODINGS
from clinclip.losses.checks import check_choice
from clinclip.losses.engine.columns import ExtraColumns, OwnColumns, SharedColumns
from clinclip.losses.engine.dense import compute_dtype
from clinclip.losses.hooks import Hooked
from clinclip.losses.targets.label_vectors import (
    LABELS_FROM,
    Encoding,
    LabelsFrom,
    encode_labels,
    label_classes,
    label_states,
)
from clinclip.types import Batch, Embeddings


class CandidateSource(Hooked, ABC):
    """Base class of every source of extra columns. A subclass in a user's own file works by its class path.

    Example:
        >>> class NextReport(CandidateSource):
        ...     requires = frozenset({"embeddings.text"})
        ...
        ...     def columns(self, embeddings, batch, shard):
        ...         texts = embeddings.text.roll(-1, 0)[:, None]
        ...         return ExtraColumns(own=(OwnColumns(texts, torch.ones(len(texts), 1, dtype=torch.bool)),))

    Recommendations:
        1. Columns that only their own row sees are :class:`clinclip.losses.OwnColumns`; for columns of all rows
           (:class:`clinclip.losses.SharedColumns`) mask those that are true of a row's image.
    """

    citation: ClassVar[str] = ""

    @abstractmethod
    def columns(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> ExtraColumns:
        """The extra columns of this batch.

        Args:
            embeddings: of this process's rows.
            batch: of this process's rows.
            shard: which rows of the global batch these are; ``shard.gather_with_grad(t)`` collects embeddings of all.
        """


class EditedReports(CandidateSource):
    """Edited reports (twins) as hard negatives: the same report with one finding denied, left out or stated wrongly.

    An edited report of patient j can be a *true* description of patient i (a sole finding denied makes a normal study).
    With ``columns="all"`` such pairs are masked: those in which the labels re-derived from the edited report equal the
    labels of i's report. The own edited report always counts where there is one.

    Requirements:
        1. ``data.twins >= 1``; more than one gives several columns a report. ``data.edits`` says which kinds: a finding
           denied (the default), left out, or stated with the wrong side, severity or name.

    Example:
        >>> Contrastive(candidates=EditedReports(columns="own"))

        or ``--model.losses.contrastive.candidates=EditedReports``.

    Recommendations:
        1. ``columns="own"`` adds one column to a softmax of a whole batch: at batch size 64 the own twin starts with
           1/65 of it, so what it teaches is weak, and the weaker the larger the batch. A term of its own
           (:class:`clinclip.losses.NegationHardNegatives`) starts with 1/2.
        2. ``columns="all"`` adds every twin of the global batch and doubles (``data.twins`` = 1) the columns of the
           direction image -> text.

    Relations:
        - :class:`clinclip.losses.NegationHardNegatives` uses the same reports as a term of its own.
        - ``columns="all"`` without soft targets is NegCLIP's loss.

    Args:
        columns: "own" lets each image see the twins of its own report, "all" those of the whole global batch.
        encoding: labels are compared in this encoding, see :class:`clinclip.losses.ClinicalSimilarity`.
        labels: labels of the original report: "text" as read from it by the reader that also read the edited report,
            "batch" from the data module's label source.
    """

    citation = (
        "Yuksekgonul, M. et al. When and Why Vision-Language Models Behave like Bags-of-Words. ICLR 2023 (NegCLIP)."
    )

    def __init__(
        self,
        columns: Literal["own", "all"] = "own",
        encoding: Encoding = "positive",
        labels: LabelsFrom = "text",
    ) -> None:
        self.kind = check_choice(self, "columns", columns, ("own", "all"))
        self.encoding = check_choice(self, "encoding", encoding, tuple(ENCODINGS))
        self.labels = check_choice(self, "labels", labels, tuple(LABELS_FROM))
        requires = {"embeddings.twins", "batch.twins"}
        if columns == "all":
            requires.add(f"batch.{LABELS_FROM[labels]}")
        self.requires = frozenset(requires)

    def columns(self, embeddings: Embeddings, batch: Batch, shard: Shard) -> ExtraColumns:
        assert embeddings.twins is not None and batch.twins is not None  # checked through `requires`
        twins = embeddings.twins.to(compute_dtype(embeddings.image))
        valid = batch.twins.valid
        usable = shard.all_reduce(valid.any(1).sum())
        cosines = torch.einsum("nd,nkd->nk", embeddings.image.detach().to(twins.dtype), twins.detach())
        logs: dict[str, Tensor | float] = {"usable_twins": usable}
        if valid.any():
            logs["twin_similarity"] = cosines[valid].mean()
        if self.kind == "own":
            return ExtraColumns(own=(OwnColumns(twins, valid),), logs=logs)
        copies = valid.shape[1]
        everywhere = shard.gather(valid).flatten().nonzero()[:, 0]
        columns = shard.gather_with_grad(twins).flatten(0, 1)[everywhere]
        states = label_states(self.labels, batch, shard)
        edited = shard.gather(batch.twins.labels).flatten(0, 1)[everywhere]
        _, (rows, cols) = label_classes(encode_labels(states, self.encoding), encode_labels(edited, self.encoding))
        mask = LabelMask(rows[shard.here], cols, everywhere // copies, shard.offset)
        return ExtraColumns(shared=(SharedColumns(columns, mask),), logs=logs)


@dataclass(frozen=True)
class LabelMask:
    """Allows a column unless its labels equal the row's; the row's own columns are always allowed.

    Attributes:
        row_class: int64 (n,) label class of each local row.
        column_class: int64 (M,) label class of each column.
        owner: int64 (M,) global row whose report was edited.
        offset: global index of the first local row.
    """

    row_class: Tensor
    column_class: Tensor
    owner: Tensor
    offset: int

    def __call__(self, rows: slice, cols: slice) -> Tensor:
        differs = self.row_class[rows][:, None] != self.column_class[cols][None, :]
        mine = torch.arange(rows.start, rows.stop, device=self.owner.device) + self.offset
        return differs | (self.owner[cols][None, :] == mine[:, None])
