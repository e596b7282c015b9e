"""Hooks and requirements of everything a loss is made of: terms, targets, target sources, candidate sources.

The public hooks are empty, so overriding one never needs ``super()``: what the framework itself keeps (the place in a
schedule, the hooks of the parts inside an object) is kept by the functions below, which the module calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clinclip.errors import MissingFieldError
from clinclip.types import Batch, Embeddings

#: requirement -> how a user provides it. Names starting with "batch." are batch fields, "embeddings." model outputs.
PROVIDERS: dict[str, str] = {
    "embeddings.image": "the image encoder (model.image_encoder)",
    "embeddings.text": "the text encoder (model.text_encoder)",
    "embeddings.twins": "data.twins >= 1 together with a text encoder",
    "embeddings.graph": "a graph encoder (model.graph_encoder) together with data.graphs=true",
    "embeddings.text_features": "a text encoder (model.text_encoder)",
    "embeddings.logit_bias": "model.init_logit_bias (a number, e.g. -10)",
    "batch.labels": "data.labels ('table' or 'read')",
    "batch.text_labels": "a manifest prepared with reading switched on (clinclip prepare, the default)",
    "batch.twins": "data.twins >= 1",
    "batch.graph": "data.graphs=true",
    "batch.frozen_text": "data.frozen_text (an embedding file written by clinclip embed)",
    "batch.patient": "any manifest",
    "batch.study": "any manifest",
    "batch.text_hash": "any manifest",
}


class Hooked:
    """Optional hooks that the module calls, as Lightning calls callbacks. They do nothing unless overridden."""

    #: keys of PROVIDERS that this object needs; checked at set-up.
    requires: frozenset[str] = frozenset()
    # where training stands, in epochs; written by start_batch
    _epoch: float = 0.0

    @property
    def parts(self) -> tuple[Hooked, ...]:
        """Objects inside this one (candidates, sources), whose hooks are called after its own."""
        return ()

    def setup(self, module: Any, datamodule: Any) -> None:
        """Called once before training, on every process."""

    def on_train_epoch_start(self, epoch: int) -> None:
        """Called at the start of every training epoch."""

    def on_train_batch_start(self, step: int, epoch: float) -> None:
        """Called before every optimiser step.

        Args:
            step: global optimiser step, restored on resume.
            epoch: fractional epoch, ``step / steps_per_epoch``.
        """


def walk(hooked: Hooked) -> Iterator[Hooked]:
    """The object itself, then everything inside it."""
    yield hooked
    for part in hooked.parts:
        yield from walk(part)


def set_up(hooked: Hooked, module: Any, datamodule: Any) -> None:
    """Call ``setup`` of an object and of its parts."""
    for part in walk(hooked):
        part.setup(module, datamodule)


def start_epoch(hooked: Hooked, epoch: int) -> None:
    """Call ``on_train_epoch_start`` of an object and of its parts."""
    for part in walk(hooked):
        part.on_train_epoch_start(epoch)


def start_batch(hooked: Hooked, step: int, epoch: float) -> None:
    """Keep the place of every schedule, and call ``on_train_batch_start`` of an object and of its parts."""
    for part in walk(hooked):
        part._epoch = epoch
        part.on_train_batch_start(step, epoch)


def check_requirements(name: str, requires: frozenset[str], embeddings: Embeddings, batch: Batch) -> None:
    """Raise MissingFieldError naming the option that provides what a term needs and the batch lacks."""
    for key in sorted(requires):
        owner, _, attribute = key.partition(".")
        record = embeddings if owner == "embeddings" else batch
        if getattr(record, attribute) is None:
            raise MissingFieldError(
                f"{name} needs {key}, which this run does not have; provide it with {PROVIDERS[key]}"
            )
