"""The LightningModule: towers plus named loss terms make one training step; metrics, checkpoints, learning rate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities.enums import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Optimizer

from clinclip.data.spec import DataSpec, spec_of
from clinclip.distributed import all_reduce, mean_of_processes
from clinclip.errors import ConfigError, MissingFieldError, NonFiniteLossError
from clinclip.export.checkpoint import RECORD, training_record
from clinclip.images import Preprocessing
from clinclip.losses.base import LossTerm
from clinclip.losses.contrastive import Contrastive
from clinclip.losses.hooks import PROVIDERS, Hooked, check_requirements, set_up, start_batch, start_epoch
from clinclip.losses.targets.soft import SoftTargets
from clinclip.models.dual_encoder import DualEncoder
from clinclip.text.prompts import load_prompts
from clinclip.training.optim import LearningRateSchedule, WarmupCosine, parameter_groups
from clinclip.training.resume import Resumption
from clinclip.training.validation import SplitMetrics
from clinclip.types import Batch, Embeddings, TextBatch

#: builds an optimiser from parameter groups
OptimizerCallable = Callable[[Iterable], Optimizer]
#: prompts encoded at once
PROMPT_BATCH = 64


class ClinClipModule(L.LightningModule):
    """Dual encoder, loss terms and soft targets by name, optimiser, schedule, validation metrics.

    Args:
        model: the towers, their projections and the logit scale.
        losses: name -> term. ``null`` switches a term off. A name may be anything; it appears in logs and on the
            command line (``--model.losses.negation.weight=0.5``). None: plain CLIP, ``{"contrastive": Contrastive()}``.
        targets: name -> soft targets, computed once a batch; a term names the entry it uses. None: no soft targets,
            ``{"default": null}``.
        optimizer: makes the optimiser from parameter groups (norms, biases and scalars without weight decay).
        schedule: factor of the learning rate over training. None: one warm-up epoch, then cosine to zero.
        prompts: zero-shot prompts of the validation: ``plain-v1``, ``report-v1`` or a JSON file.
        zero_shot_policy: how label states become truth in validation, a key of
            :data:`clinclip.findings.EVALUATION_POLICIES`.
        check_finite: stop before the weights are touched when the loss is not finite.
    """

    def __init__(
        self,
        model: DualEncoder,
        losses: dict[str, LossTerm | None] | None = None,
        targets: dict[str, SoftTargets | None] | None = None,
        optimizer: OptimizerCallable = lambda params: torch.optim.AdamW(params, lr=5e-5, weight_decay=1e-4, fused=True),
        schedule: LearningRateSchedule | None = None,
        prompts: str = "report-v1",
        zero_shot_policy: str = "mentioned",
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        chosen = {"contrastive": Contrastive()} if losses is None else losses
        self.losses: dict[str, LossTerm] = {k: v for k, v in chosen.items() if v is not None}
        if not self.losses:
            raise ConfigError("model.losses has no active term; add one, e.g. --model.losses.contrastive=Contrastive")
        self.targets: dict[str, SoftTargets | None] = {"default": None} if targets is None else dict(targets)
        for name, term in self.losses.items():
            if term.targets is not None and term.targets not in self.targets:
                raise ConfigError(
                    f"model.losses.{name}.targets={term.targets!r}, but model.targets has {sorted(self.targets)}; add "
                    "that entry (null for one-hot targets) or set the term's targets to null"
                )
        self.optimizer, self.check_finite = optimizer, check_finite
        self.schedule: LearningRateSchedule = schedule if schedule is not None else WarmupCosine()
        self.metrics = SplitMetrics(load_prompts(prompts), zero_shot_policy)
        self._checked = False
        # steps by position in the epochs less steps taken; not 0 after resuming with other steps per epoch
        self._lead = 0
        self._resumption = Resumption(self)
        #: what the data module says of itself, after set-up
        self.data = DataSpec()
        self._datamodule: object = None

    # ------------------------------------------------------------------ set-up

    @property
    def hooked(self) -> list[tuple[str, Hooked]]:
        """Every active term and target with its configuration key."""
        terms: list[tuple[str, Hooked]] = [(f"model.losses.{k}", v) for k, v in self.losses.items()]
        return terms + [(f"model.targets.{k}", v) for k, v in self.targets.items() if v is not None]

    def setup(self, stage: str) -> None:
        """Check that towers, data and terms fit together, then call the terms' own set-up."""
        self._datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.data = spec_of(self._datamodule)
        self._check_text()
        if stage == "fit":
            self._check_training()
            for _, hooked in self.hooked:
                set_up(hooked, self, self._datamodule)

    def _check_text(self) -> None:
        tower, tokenizer, preprocessing = self.model.text_encoder, self.data.tokenizer, self.data.preprocessing
        name, length = type(tower).__name__, None if preprocessing is None else preprocessing.max_tokens
        limit, size = getattr(tower, "max_positions", None), getattr(tower, "vocab_size", None)
        if length is not None and limit is not None and length > limit:
            raise ConfigError(f"data.max_tokens={length}, but the text encoder ({name}) has {limit} positions")
        if tokenizer is not None and size is not None and tokenizer.vocab_size > size:
            raise ConfigError(
                f"the tokenizer ({tokenizer.name}) has {tokenizer.vocab_size} tokens, but the text encoder ({name}) "
                f"has {size}; leave data.tokenizer out, or lower data.vocab_size"
            )

    def _check_training(self) -> None:
        """Contradictions that would waste a run: missing fields, useless towers, batches smaller than they seem."""
        absent = _absent(self.model, self.data)
        for key, hooked in self.hooked:
            for need in sorted(hooked.requires):
                if need in absent:
                    raise MissingFieldError(f"{key} needs {need}, which this run does not have; provide it with "
                                            f"{PROVIDERS[need]}")  # fmt: skip
        if self.model.graph_encoder is not None and "batch.graph" in absent:
            raise ConfigError(
                "the model has a graph encoder, but data.graphs=false; set data.graphs=true, or "
                "model.model.graph_encoder=null"
            )
        if self.trainer.accumulate_grad_batches != 1:
            warnings.warn(
                f"trainer.accumulate_grad_batches={self.trainer.accumulate_grad_batches} averages gradients, but does "
                "not enlarge a contrastive batch: negatives still come from one batch. Use more or larger devices, a "
                "larger data.batch_size with gradient checkpointing, or accept it",
                stacklevel=2,
            )
        norms = [m for m in self.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        # Lightning converts the layers after this hook, when trainer.sync_batchnorm is set
        synced = getattr(getattr(self.trainer, "strategy", None), "_layer_sync", None) is not None
        apart = not synced and any(not isinstance(m, nn.SyncBatchNorm) and m.training for m in norms)
        if self.trainer.world_size > 1 and apart:
            warnings.warn(
                f"{len(norms)} BatchNorm layers see only their own process's images, so {self.trainer.world_size} "
                "processes train another model than one; set trainer.sync_batchnorm=true (GPUs) or choose a tower with "
                "GroupNorm or LayerNorm",
                stacklevel=2,
            )

    # ---------------------------------------------------------------- training

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        batches = self.trainer.num_training_batches
        if math.isinf(batches):
            raise ConfigError("the training data has no length; schedules in epochs need one")
        return max(math.ceil(batches / self.trainer.accumulate_grad_batches), 1)

    @property
    def total_epochs(self) -> float:
        """Fractional length of the whole training."""
        epochs, steps = self.trainer.max_epochs, self.trainer.max_steps
        limits = [float(epochs)] if epochs is not None and epochs >= 0 else []
        if steps is not None and steps >= 0:
            limits.append((steps + self._lead) / self.steps_per_epoch)
        if not limits:
            raise ConfigError("a learning-rate schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        return min(limits)

    def on_train_epoch_start(self) -> None:
        """Tell terms and targets."""
        for _, hooked in self.hooked:
            start_epoch(hooked, self.current_epoch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tell terms and targets where training stands, and set the learning rate for this step."""
        # counted in epochs, so that a run that goes on with another batch size or number of processes stays in place
        per_epoch = self.steps_per_epoch
        position = self.current_epoch * per_epoch + batch_idx // self.trainer.accumulate_grad_batches
        self._lead = position - self.global_step
        for _, hooked in self.hooked:
            start_batch(hooked, self.global_step, position / per_epoch)
        factor = self.schedule((position + 0.5) / per_epoch, self.total_epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Embed, compute targets once, add up the weighted terms, log each."""
        embeddings = self.model(batch)
        if not self._checked:
            for key, hooked in self.hooked:
                check_requirements(key, hooked.requires, embeddings, batch)
            self._checked = True
        targets = {k: None if v is None else v.prepare(embeddings, batch) for k, v in self.targets.items()}
        total = embeddings.image.new_zeros(())
        logs: dict[str, Tensor | float] = {}
        for name, term in self.losses.items():
            output = term(embeddings, batch, targets)
            total = total + term.current_weight * output.value
            logs[f"train/loss/{name}"] = output.value.detach()
            logs.update({f"train/loss/{name}/{k}": _float(v) for k, v in output.logs.items()})
        if self.check_finite:
            self._assert_finite(total, logs, embeddings, batch)
        shown: Tensor | float = total.detach()
        if self._should_log:
            logs |= {"train/logit_scale": embeddings.logit_scale.detach(), "train/lr": self._learning_rate}
            logs["train/loss/total"] = shown
            # what is written is the mean over processes, for losses the value of the global batch; between those steps
            # the progress bar shows this process's part
            logs = mean_of_processes(logs)
            shown = logs.pop("train/loss/total")
            self.log_dict(logs, batch_size=len(batch))
        self.log("train/loss/total", shown, prog_bar=True, batch_size=len(batch))
        return total

    @property
    def _learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def _should_log(self) -> bool:
        """Diagnostics only on the steps that are written: collecting them costs more than writing them."""
        every = int(getattr(self.trainer, "log_every_n_steps", 1))
        return bool(every) and (self.global_step + 1) % every == 0

    def _assert_finite(self, total: Tensor, logs: dict[str, Any], embeddings: Embeddings, batch: Batch) -> None:
        """Stop on every process at once, before the weights are touched, and say where to look."""
        if not float(all_reduce((~torch.isfinite(total.detach())).float(), "max")):
            return
        terms = {k.removeprefix("train/loss/"): float(v) for k, v in logs.items() if k.count("/") == 2}
        bad = [
            f"{k} ({int((~torch.isfinite(v)).any(-1).sum())} rows)"
            for k, v in (("image", embeddings.image), ("text", embeddings.text), ("graph", embeddings.graph))
            if v is not None and not bool(torch.isfinite(v).all())
        ]
        rows = (~torch.isfinite(embeddings.image).all(-1)) | (~torch.isfinite(embeddings.text).all(-1))
        studies = [f"{s & 0xFFFFFFFFFFFFFFFF:016x}" for s in batch.study[rows][:8].tolist()]
        raise NonFiniteLossError(
            f"the loss is not finite at step {self.global_step} (epoch {self.current_epoch}): terms {terms}, logit "
            f"scale {float(embeddings.logit_scale.detach()):.4g}, learning rate {self._learning_rate:.3g}. Non-finite "
            f"embeddings: {', '.join(bad) or 'none'}; hashed studies: {', '.join(studies) or 'none'}. The weights "
            "were not changed by this step. Lower the learning rate (model.optimizer.lr), clip gradients "
            "(trainer.gradient_clip_val=1), or train in another precision (trainer.precision)"
        )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Keep the logit scale within its bound."""
        self.model.clamp_logit_scale_()

    def configure_optimizers(self) -> Optimizer:
        """The optimiser over two parameter groups; the learning rate is set at every step by the schedule."""
        optimizer = self.optimizer(parameter_groups(self.model))
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._refuse_clipping_of_scaled(optimizer)
        self._resumption.configured(optimizer)
        self._optimizer = optimizer
        return optimizer

    def _refuse_clipping_of_scaled(self, optimizer: Optimizer) -> None:
        trainer = self._trainer
        if trainer is None or getattr(trainer.precision_plugin, "scaler", None) is None:
            return
        if trainer.gradient_clip_val and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ConfigError(
                f"trainer.gradient_clip_val={trainer.gradient_clip_val} with trainer.precision=16-mixed and a fused "
                "optimiser: gradients are unscaled within its step, too late to clip them. Set "
                "model.optimizer.init_args.fused=false, or trainer.precision=bf16-mixed"
            )

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As Lightning, and also for a fused optimiser where gradients are not scaled.

        Lightning refuses to clip for every optimiser that could unscale gradients itself, under mixed precision with a
        scaler (16-mixed) or without one (bf16-mixed); without one the gradients are as they should be.
        """
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            kind = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, kind)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    # -------------------------------------------------------------- evaluation

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings."""
        self.metrics.update(self.model, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings."""
        self.metrics.update(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Compute and log ``val/...``."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Compute and log ``test/...``."""
        self._log_metrics("test")

    def _log_metrics(self, prefix: str) -> None:
        # the numbers are equal on all processes, so nothing has to be reduced
        numbers = self.metrics.compute(self.encode_prompts if self.data.tokenizer is not None else None)
        self.log_dict({f"{prefix}/{k}": v for k, v in numbers.items()}, rank_zero_only=False)

    @torch.no_grad()
    def encode_prompts(self, texts: list[str]) -> Tensor:
        """Unit vectors (P, D) of prompt texts, on the CPU."""
        tokenizer = self.data.tokenizer
        if tokenizer is None:
            raise ConfigError("prompts need a data module with a tokenizer (clinclip.data.spec.DataSpec)")
        limit = (self.data.preprocessing or Preprocessing()).max_tokens
        parts = []
        for start in range(0, len(texts), PROMPT_BATCH):
            encodings = tokenizer.encode(texts[start : start + PROMPT_BATCH], limit)
            length = max(len(e) for e in encodings)
            ids = torch.tensor([e.ids + [tokenizer.pad_id] * (length - len(e)) for e in encodings])
            mask = torch.tensor([[i < len(e) for i in range(length)] for e in encodings])
            parts.append(self.model.encode_text(TextBatch(ids, mask).to(self.device)).float().cpu())
        return torch.cat(parts)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Embeddings of a batch: ``sample`` (B,), ``study`` (B,), ``image`` (B, D), ``text`` (B, D)."""
        return {
            "sample": batch.sample,
            "study": batch.study,
            "image": self.model.encode_image(batch.image),
            "text": self.model.encode_text(batch.text),
        }

    # ------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the file usable on its own: architecture, tokenizer, preprocessing, training data."""
        record = training_record(self.model, self.data)
        checkpoint[RECORD] = {**record, **self._resumption.state()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse what does not fit, before the weights are loaded."""
        self._resumption.loaded(checkpoint)

    def on_fit_start(self) -> None:
        """Refuse a checkpoint of another tokenizer; put what is trained into training mode, whoever built it how."""
        self._check_tokenizer()
        self.model.train()

    def on_validation_start(self) -> None:
        """Refuse a checkpoint of another tokenizer."""
        self._check_tokenizer()

    def on_test_start(self) -> None:
        """Refuse a checkpoint of another tokenizer."""
        self._check_tokenizer()

    def on_predict_start(self) -> None:
        """Refuse a checkpoint of another tokenizer."""
        self._check_tokenizer()

    def _check_tokenizer(self) -> None:
        # Lightning restores the data module after the model, and it may take over the checkpoint's tokenizer
        if self._resumption.data_restored():
            self.data = spec_of(self._datamodule)
            self._resumption.check_tokenizer(self.data.tokenizer)

    def on_train_start(self) -> None:
        """Options of the configuration and the random numbers of dropout, after everything was restored."""
        self._resumption.started(self._optimizer)


def _float(value: Tensor | float) -> Tensor | float:
    return value.float() if isinstance(value, Tensor) else float(value)


def _absent(model: DualEncoder, data: DataSpec) -> set[str]:
    """Requirements that are known at set-up not to be met; what nobody says is checked on the first batch."""
    absent = {f"batch.{name}" for name in data.absent}
    if "batch.twins" in absent:
        absent.add("embeddings.twins")
    if model.graph_encoder is None or "batch.graph" in absent:
        absent.add("embeddings.graph")
    if model.logit_bias is None:
        absent.add("embeddings.logit_bias")
    return absent
