"""Going on from a checkpoint: which one, with which options, and whether what is built here fits it.

Lightning restores weights, loops and the optimiser's state. This module decides what it leaves open. Options that the
user gives win over those of the checkpoint; what does not fit is refused in one sentence before anything is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from clinclip.distributed import gather_objects, rank, world_size
from clinclip.errors import CheckpointError, ConfigError
from clinclip.export.checkpoint import RECORD, read_checkpoint
from clinclip.text.tokens import Tokenizer

if TYPE_CHECKING:
    from clinclip.training.module import ClinClipModule

#: words for --ckpt_path that are looked up below the root folder
NEWEST = ("last", "best")
#: more batches than an epoch can have; a multiple of any ``accumulate_grad_batches``
FINISHED = math.lcm(*range(1, 37))
#: values of an optimiser's options that a checkpoint keeps: those that load without pickle
PLAIN = (bool, int, float, str, tuple, type(None))


def newest(word: str, root: str | Path) -> Path:
    """The checkpoint that ``--ckpt_path last`` or ``best`` means: of the newest run below a folder.

    Args:
        word: ``last`` or ``best``. The newest run is the folder of the checkpoint that was written last; ``last.ckpt``
            and ``best.ckpt`` are looked up there, or a later version such as ``last-v1.ckpt``.
        root: ``trainer.default_root_dir``.

    Raises:
        CheckpointError: there is none.
    """
    written = sorted(Path(root).rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    here = [path for path in written if path.parent == written[-1].parent and path.stem.split("-v")[0] == word]
    if here:
        return here[-1]
    found = f"the newest run there, {written[-1].parent}, has no {word}.ckpt" if written else "there is no checkpoint"
    raise CheckpointError(
        f"--ckpt_path={word} is looked up below {root}, but {found}; set trainer.default_root_dir to the folder of "
        "your run, or give the path of a checkpoint"
    )


def options(path: str | Path) -> dict[str, Any]:
    """The options of the run that wrote a checkpoint, by dotted name: of the model, and of the data what it is used to.

    Raises:
        CheckpointError: the file cannot be loaded safely.
    """
    content = read_checkpoint(path)
    model = {k: v for k, v in content.get("hyper_parameters", {}).items() if k != "_instantiator"}
    used = content[RECORD].get("preprocessing") or {}
    data = {k: used[k] for k in ("image_size", "max_tokens") if k in used}
    return {**{f"model.{k}": v for k, v in model.items()}, **{f"data.{k}": v for k, v in data.items()}}


class Resumption:
    """What a module saves beyond Lightning's state, and what it does with it when a run goes on.

    Args:
        module: the module that trains.
    """

    def __init__(self, module: ClinClipModule) -> None:
        self._module = module
        self._record: dict[str, Any] = {}
        self._loaded = False
        #: options of the optimiser's parameter groups as the configuration gives them, without parameters
        self._groups: list[dict[str, Any]] = []
        self._optimizer = ""
        #: parameters in each group of the checkpoint's optimiser
        self._sizes: list[int] = []

    def state(self) -> dict[str, Any]:
        """Entries for the checkpoint's record. Collective."""
        # dropout draws from the process's own generator; saving is collective in Lightning, so gathering is safe
        state = {"torch": torch.get_rng_state()}
        if self._module.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._module.device)
        return {"rng": gather_objects(state), "optimizer": {"class": self._optimizer, "groups": self._groups}}

    def loaded(self, checkpoint: dict[str, Any]) -> None:
        """Look at a checkpoint before its weights are loaded, and remember its record until training starts.

        Raises:
            CheckpointError: the model that is built here is another one.
            ConfigError: the checkpoint stands at a place from which Lightning cannot go on here.
        """
        self._record, self._loaded = dict(checkpoint.get(RECORD) or {}), True
        module, trainer = self._module, self._module._trainer
        training = trainer is not None and trainer.state.fn == "fit"
        states = checkpoint.get("optimizer_states") or [{}]
        self._sizes = [len(group["params"]) for group in states[0].get("param_groups", ())]
        _check_model(module, checkpoint, training)
        size = module.data.batch_size
        # the other functions look at the weights; nothing is resumed
        if trainer is not None and training and size is not None:
            in_steps = trainer.max_steps is not None and trainer.max_steps >= 0
            check_position(checkpoint, size * trainer.world_size, in_steps)

    def configured(self, optimizer: Optimizer) -> None:
        """Remember the options of a new optimiser, and refuse one that the checkpoint's state does not fit."""
        kind = type(optimizer)
        self._optimizer = f"{kind.__module__}.{kind.__qualname__}"
        self._groups = [{k: v for k, v in g.items() if isinstance(v, PLAIN)} for g in optimizer.param_groups]
        before = (self._record.get("optimizer") or {}).get("class")
        if before and before != self._optimizer:
            raise CheckpointError(
                f"model.optimizer is {kind.__qualname__}, but the checkpoint holds the state of "
                f"{before.rpartition('.')[2]}, which does not fit it; keep that optimiser, or start anew without "
                "--ckpt_path"
            )
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if self._sizes and self._sizes != sizes:
            raise CheckpointError(
                f"model.optimizer moves {sum(sizes)} tensors in groups of {sizes}, but the checkpoint holds the state "
                f"of {sum(self._sizes)} in groups of {self._sizes}: another part of the model is frozen; train the "
                "same part, or start anew without --ckpt_path"
            )

    def data_restored(self) -> bool:
        """Whether a checkpoint was loaded since the last call: the data module may have changed with it."""
        loaded, self._loaded = self._loaded, False
        return loaded

    def check_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Refuse a checkpoint of another tokenizer than the data module's, which is restored after the model."""
        stored = self._record.pop("tokenizer", None)
        if tokenizer is not None and stored is not None and Tokenizer.from_json(stored).hash != tokenizer.hash:
            raise CheckpointError(
                f"the checkpoint was trained with another tokenizer than the data module's ({tokenizer.name}, "
                f"{tokenizer.vocab_size} tokens), so its token embeddings would not fit; use the same manifests and "
                "data.tokenizer"
            )

    def started(self, optimizer: Optimizer) -> None:
        """Training starts and everything is restored: options given here, and the random numbers of dropout."""
        before = self._record.pop("optimizer", None)
        for group, old, new in zip(
            optimizer.param_groups, (before or {}).get("groups", ()), self._groups, strict=False
        ):
            # Lightning has put the checkpoint's options above those of the configuration; only what the user changed
            # is changed back, because some optimisers keep running values among their options
            group.update({k: v for k, v in new.items() if k not in old or old[k] != v})
        # on another number of processes there is no state to go on from
        states = self._record.pop("rng", [])
        if len(states) == world_size():
            state = states[rank()]
            torch.set_rng_state(state["torch"])
            if "cuda" in state and self._module.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda"], self._module.device)


def _check_model(module: ClinClipModule, checkpoint: dict[str, Any], training: bool) -> None:
    """Refuse weights of another architecture, and in training another set of trained towers or another image size."""
    record, weights, here = checkpoint.get(RECORD) or {}, checkpoint.get("state_dict") or {}, module.state_dict()
    odd = [k for k in {**weights, **here} if k not in weights or k not in here or weights[k].shape != here[k].shape]
    fits = not weights or not odd
    try:
        found = list(_differences(record.get("model") or {}, module.model.spec(), "model.model"))
    except CheckpointError:  # towers of the user's own
        found = []
    if fits:
        found = [row for row in found if training and row[0].endswith(".frozen")]
    stored, here_too = record.get("preprocessing") or {}, module.data.preprocessing
    if stored and here_too and stored["image_size"] != here_too.image_size and (training or not fits):
        found.insert(0, ("data.image_size", stored["image_size"], here_too.image_size))
    if found:
        shown = "; ".join(f"{key} is {_short(new)} here and {_short(old)} in the checkpoint" for key, old, new in found)
        raise CheckpointError(
            f"the checkpoint does not fit this configuration: {shown}. Leave the option out to keep the checkpoint's, "
            "or start anew without --ckpt_path"
        )
    if not fits:
        raise CheckpointError(f"the weights of the checkpoint do not fit the model that is built here, e.g. {odd[0]}")


def _differences(before: dict[str, Any], after: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Options whose values differ: (dotted name, before, after)."""
    # the insides of another network differ everywhere: its name says enough
    for key in ("name",) if before.get("name") != after.get("name") else {**before, **after}:
        old, new = before.get(key), after.get(key)
        # what a text tower's description calls so is set by this option
        option = f"{prefix}.{'model_kwargs' if key == 'config' else key}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, option)
        elif old != new:
            yield option, old, new


def _short(value: Any) -> str:
    return "given" if isinstance(value, dict) else repr(value)


def check_position(checkpoint: dict[str, Any], global_batch: int, in_steps: bool) -> None:
    """An epoch whose last batch was taken is over, also when an epoch has more batches now.

    Lightning compares the number of batches taken with the present length of an epoch, so with smaller batches or fewer
    processes it would go on within the old epoch. Nothing is changed when the global batch is the same.

    Args:
        checkpoint: as loaded; its loops are changed in place.
        global_batch: samples of a step over all processes, now.
        in_steps: whether ``trainer.max_steps`` ends the run.

    Raises:
        ConfigError: the checkpoint stands within an epoch of another global batch, or Lightning cannot go on from it.
    """
    data = next((v for v in checkpoint.values() if isinstance(v, dict) and isinstance(v.get("loader"), dict)), None)
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if data is None or loop is None:
        return
    loader, epochs, batches = data["loader"], loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    before = loader.get("global_batch", global_batch)
    if before == global_batch:
        return
    if loader["batches"] < loader["of"]:
        raise ConfigError(
            f"the checkpoint stands within epoch {loader.get('epoch', epochs['processed'])}, after {loader['batches']} "
            f"of {loader['of']} batches of {before} samples over all processes; here a global batch has "
            f"{global_batch}, so the rest of the epoch cannot be told. Resume with the same data.batch_size x "
            "processes, or from a checkpoint of an epoch's end"
        )
    if in_steps and epochs["processed"] >= epochs["ready"]:
        raise ConfigError(
            f"the checkpoint was written at an epoch's end with a global batch of {before}; a run that ends by "
            f"trainer.max_steps cannot go on from there with {global_batch}. Use trainer.max_epochs, or the same "
            "data.batch_size x processes"
        )
    batches["current"] = dict.fromkeys(batches["current"], FINISHED)
