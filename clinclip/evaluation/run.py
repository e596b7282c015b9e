"""Judge a model on a manifest by a task: choose items, check exposure, measure, compare."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinclip.errors import ConfigError
from clinclip.evaluation.exposure import Exposure, check_exposure
from clinclip.evaluation.protocols import decided
from clinclip.evaluation.result import ModelOutcome, Result
from clinclip.evaluation.tables import differences
from clinclip.evaluation.tasks import find_task
from clinclip.evaluation.tasks.base import Embedder, Task

if TYPE_CHECKING:
    from clinclip.data.manifest import Manifest
    from clinclip.export.model import Model

_LOG = logging.getLogger(__name__)


def make_task(
    kind: type[Task[Any]], manifest: Manifest, protocol: str | Path | None = None, **options: Any
) -> Task[Any]:
    """Choose the items of a task.

    Args:
        kind: the class of the task.
        manifest: where the items are.
        protocol: name or file; None is the task's default.
        options: fields of its protocol that differ, and the task's own options (``benchmark``). None keeps a value.

    Raises:
        ConfigError: an option that the task does not have, or a value that is not allowed.
        DataError: the manifest has no item for it.
    """
    fields = decided(kind.protocol_class)
    own = [name for name in (_dest(flag, spec) for flag, spec in kind.options.items()) if name not in fields]
    unknown = [name for name in options if name not in (*fields, *own)]
    if unknown:
        raise ConfigError(f"{kind.name} has no option {unknown[0]!r}; it has: {', '.join((*fields, *own))}")
    given = {name: value for name, value in options.items() if value is not None}
    chosen = kind.load_protocol(None if protocol is None else str(protocol))
    chosen = chosen.change(**{name: value for name, value in given.items() if name in fields})
    return kind(manifest, chosen, **{name: value for name, value in given.items() if name in own})


def _dest(flag: str, spec: Any) -> str:
    return spec.get("dest", flag.lstrip("-").replace("-", "_"))


def exposure(task: Task[Any], model: Model) -> Exposure:
    """Whether a model was trained on the task's items."""
    items = task.items
    data_sets = sorted(items.frame["dataset"].unique())
    return check_exposure(model.provenance, items.patient, data_sets, items.manifest.hash, task.protocol.split)


def evaluate(
    model: Model | str | os.PathLike[str],
    manifest: Manifest | str | os.PathLike[str],
    task: str | type[Task[Any]],
    *,
    compare: Model | str | os.PathLike[str] | None = None,
    protocol: str | Path | None = None,
    batch_size: int = 64,
    device: str = "auto",
    progress: bool = False,
    work: Path | None = None,
    allow_exposure: bool = False,
    allow_preprocessing_difference: bool = False,
    model_factory: str | None = None,
    examples: int = 0,
    **options: Any,
) -> Result:
    """Judge a model on a manifest.

    Args:
        model: what :func:`clinclip.load` gives, or the path of a checkpoint or of an exported folder.
        manifest: opened, or a folder written by ``clinclip prepare``.
        task: "zero-shot", "retrieval", "align" or "probe", or a class of your own.
        compare: a second model: paired intervals of the difference, first minus second.
        protocol: how to measure, a name or a file; None is the task's newest built-in protocol.
        batch_size: images, and texts, at once.
        device: "auto", "cpu", "cuda" ...
        progress: show progress bars.
        work: folder in which finished parts are kept, so that an interrupted call goes on; None keeps none.
        allow_exposure: go on though the model was trained on this test data.
        allow_preprocessing_difference: go on though the manifest was prepared otherwise than the training data (fit,
            window, equalisation); the difference then stands among the notes.
        model_factory: ``module:function`` that builds the dual encoder of a checkpoint with towers of your own.
        examples: items, with pictures and texts, that go into report.html; patient data.
        options: fields of the protocol that differ (``split``, ``views``, ``resamples``, ``seed`` ...), and the task's
            own (``benchmark``).

    Returns:
        The numbers (``headline``, ``tables``) with everything that must stand beside them; ``save(folder)`` writes it.

    Raises:
        ConfigError: an option that the task does not have, a value that is not allowed, or a manifest that was prepared
            otherwise than the training data.
        DataError: the manifest has no item for the task.
        LeakageError: the model was trained on the test items.
    """
    from clinclip.data.manifest import Manifest

    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size}: must be at least 1")
    kind = find_task(task) if isinstance(task, str) else task
    opened = manifest if isinstance(manifest, Manifest) else Manifest.load(Path(manifest))
    chosen = make_task(kind, opened, protocol, **options)
    loaded = [_load(m, device, model_factory) for m in (model, compare) if m is not None]
    unlike = [m.check_preprocessing(opened, allow_preprocessing_difference) for m in loaded]
    exposures = [exposure(chosen, m) for m in loaded]
    for found, m in zip(exposures, loaded, strict=True):
        if found.status != "clean":
            _LOG.warning("%s: exposure %s. %s", m.path, found.status, " ".join(found.reasons))
        found.enforce(allow_exposure)
    models = []
    for m, found, other in zip(loaded, exposures, unlike, strict=True):
        embed = Embedder(m, batch_size, device, progress, work)
        models.append(
            ModelOutcome(
                name=_name(m.path, [other.path for other in loaded]),
                sha256=m.sha256,
                logit_scale=embed.logit_scale,
                train={k: v for k, v in m.provenance.items() if k != "patients"},
                exposure=found,
                outcome=chosen.run(embed, 0 if models else examples),
                unlike=other,
            )
        )
        if other:
            chosen.notes.append(f"Prepared otherwise than the training data of {models[-1].name}: {'; '.join(other)}.")
    measured = [m.outcome.measured for m in models]
    return Result(
        task=kind,
        protocol=chosen.protocol,
        protocol_hash=chosen.protocol.hash(**chosen.resolved),
        data=chosen.facts,
        models=tuple(models),
        differences=differences(measured[0], measured[1], chosen.protocol.level) if len(measured) > 1 else (),
        notes=tuple(chosen.notes),
    )


def _load(model: Model | str | os.PathLike[str], device: str, factory: str | None) -> Model:
    from clinclip.export.checkpoint import load
    from clinclip.export.factory import find_factory

    if not isinstance(model, str | os.PathLike):
        return model
    return load(model, device, find_factory(factory) if factory else None)


def _name(path: str, all_paths: Sequence[str]) -> str:
    """File name of a checkpoint; as much of its folders as tells it from the other one."""
    if not path:
        return "model"
    parts = Path(path).resolve().parts
    for n in range(1, len(parts)):
        tail = "/".join(parts[-n:])
        if sum("/".join(Path(p).resolve().parts[-n:]) == tail for p in all_paths) <= 1:
            return tail
    return Path(path).name
