"""What a data module says of itself, once, as a value: nobody has to look inside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clinclip.errors import ConfigError

if TYPE_CHECKING:
    from clinclip.images.preprocessing import Preprocessing
    from clinclip.text.tokens import Tokenizer
    from clinclip.types import Batch

#: fields of :class:`clinclip.types.Batch` that training batches may lack
OPTIONAL_FIELDS = frozenset({"twins", "graph", "frozen_text"})


@dataclass(frozen=True)
class Provenance:
    """What a model was trained on.

    Attributes:
        manifests: hashes of the manifests, in their order.
        datasets: names of the data sets, sorted.
        patients: int64 (n,) hashes of the training patients, sorted; None where they are not known.
    """

    manifests: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    patients: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DataSpec:
    """What :class:`clinclip.training.module.ClinClipModule` needs to know of a data module.

    A data module of your own has it as an attribute ``spec`` once it is set up. Without one training works; but prompts
    cannot be encoded, so that there is no zero-shot metric, and the checkpoint does not say how to use the model.

    Attributes:
        tokenizer: of the texts, or None.
        preprocessing: of images and texts, or None.
        absent: those of :data:`OPTIONAL_FIELDS` that training batches are known to lack.
        provenance: what training sees.
        batch_size: samples a step of one process, or None.
        fixed_batch: gives this process's part of n training studies a process, the same whenever it is called; or None.
    """

    tokenizer: Tokenizer | None = None
    preprocessing: Preprocessing | None = None
    absent: frozenset[str] = frozenset()
    provenance: Provenance = field(default_factory=Provenance)
    batch_size: int | None = None
    fixed_batch: Callable[[int], Batch] | None = field(default=None, repr=False, compare=False)


def spec_of(datamodule: object) -> DataSpec:
    """The ``spec`` of a data module; an empty one for none, and for one that has none.

    Raises:
        ConfigError: its ``spec`` is something else.
    """
    spec = getattr(datamodule, "spec", None)
    if spec is None:
        return DataSpec()
    if not isinstance(spec, DataSpec):
        raise ConfigError(f"{type(datamodule).__name__}.spec is {type(spec).__name__}; it must be a clinclip DataSpec")
    return spec
