"""The LightningDataModule: manifests in, typed batches out. The only importer of lightning in ``clinclip.data``."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader

from clinclip.data import plan as plans
from clinclip.data.dataset import StudyDataset, View
from clinclip.data.frozen import read_frozen_text
from clinclip.data.labels import label_source
from clinclip.data.leakage import check_shared_patients
from clinclip.data.loader import ResumableLoader
from clinclip.data.manifest import Manifest
from clinclip.data.options import DataOptions
from clinclip.data.plan import Plan, PlanOptions
from clinclip.data.records import Records, refuse_absent
from clinclip.data.sampler import EvalSampler, TrainSampler
from clinclip.data.spec import DataSpec, Provenance
from clinclip.distributed import rank, world_size
from clinclip.errors import CheckpointError, ConfigError, ManifestError
from clinclip.files import compact_json, write_text
from clinclip.images import ImageTransform, Preprocessing
from clinclip.images.preprocessing import View as ImageView
from clinclip.text.editing import EditKind

if TYPE_CHECKING:
    from clinclip.text.tokens import Tokenizer

_LOG = logging.getLogger(__name__)
_SPLITS_OF_STAGE = {
    "fit": ("train", "validate"),
    "validate": ("validate",),
    "test": ("test",),
    "predict": ("test",),
    None: ("train", "validate", "test"),
}


class CXRDataModule(pl.LightningDataModule):
    """Chest X-ray and report pairs from prepared manifests.

    Args:
        manifests: folders written by ``clinclip prepare``; several are mixed.
        weights: passes over each manifest's training studies an epoch: 1 shows each study once, 0.5 a random half, 2
            twice. None is 1 for all.
        batch_size: samples of one process.
        eval_batch_size: the same for validation, test and predict; None is ``batch_size``.
        num_workers: worker processes of each loader; None is the number of cores less one, at most 8.
        image_size: side of the images in a batch, in pixels.
        augment: of training images: "full", "crop" or "none", see :class:`clinclip.images.ImageTransform`.
        augmentation: other arguments of :class:`clinclip.images.ImageTransform` by name (``scale``, ``rotation``, ...).
        tokenizer: "tiny" (WordPiece built from the training text), or name or folder of a Hugging Face tokenizer; the
            text encoder must be the matching one. None is "tiny"; the command line fills in the text encoder's name.
        vocab_size: size of the "tiny" vocabulary.
        max_tokens: longer texts are cut there.
        twins: K, edited reports a sample in training batches: each study's report with one thing changed.
        edits: kinds of the twins, of :data:`clinclip.text.EDITS`: "negate" (a finding denied), "omit" (left out),
            "swap_side" (stated wrongly), ... Of several, K are drawn every epoch, each kind that a report has with the
            same chance. None is negate alone.
        graphs: add report graphs.
        max_nodes: nodes of a graph beyond this many are dropped and counted.
        labels: source of ``Batch.labels``: "table" (the publisher's), "read" (by clinclip from the report), or "auto":
            table where every manifest has one, else read.
        sections: what a text batch holds: "text" (by the manifest's own policy), "findings", "impression", or "sample"
            (findings or impression, drawn anew every epoch). All but "text" exclude twins and graphs, which belong
            to the whole text.
        sampling: "study" (one random image a study an epoch, so that a study is never its own negative) or "image".
        views: view policy or list, see :func:`clinclip.data.views.parse_views`.
        seed: of order, augmentation and every other draw.
        predict_split: the split that ``predict`` embeds.
        frozen_text: file of precomputed report embeddings (:func:`clinclip.data.frozen.write_frozen_text`).
        cache_tokens: keep token ids in the first manifest's folder (``tokens/``), so that the next run and the other
            processes need not tokenise; a folder that cannot be written is no error.

    Attributes:
        tokenizer_: the :class:`clinclip.text.tokens.Tokenizer`, after set-up.
        preprocessing: what validation, test and predict see of images and texts, after set-up.
        train_manifest_hash: hash of the manifest, of several joined by "+", after set-up.
    """

    def __init__(
        self,
        manifests: list[str],
        weights: list[float] | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        image_size: int = 224,
        augment: Literal["full", "crop", "none"] = "full",
        augmentation: dict[str, Any] | None = None,
        tokenizer: str | None = None,
        vocab_size: int = 2048,
        max_tokens: int = 256,
        twins: int = 0,
        edits: list[EditKind] | None = None,
        graphs: bool = False,
        max_nodes: int = 64,
        labels: str = "auto",
        sections: str = "text",
        sampling: str = "study",
        views: str = "all",
        seed: int = 0,
        predict_split: str = "test",
        frozen_text: str | None = None,
        cache_tokens: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(manifests, str):
            raise ConfigError(f"data.manifests={manifests!r}: give a list of at least one manifest folder")
        self.options = DataOptions(
            manifests=tuple(str(path) for path in manifests),
            weights=None if weights is None else tuple(weights),
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            image_size=image_size,
            augment=augment,
            augmentation=dict(augmentation or {}),
            tokenizer=tokenizer or "tiny",
            vocab_size=vocab_size,
            max_tokens=max_tokens,
            twins=twins,
            edits=None if edits is None else tuple(edits),
            graphs=graphs,
            max_nodes=max_nodes,
            labels=labels,
            sections=sections,
            sampling=sampling,
            views=views,
            seed=seed,
            predict_split=predict_split,
            frozen_text=frozen_text,
            cache_tokens=cache_tokens,
        )
        self.manifests: list[Manifest] = []
        self.tokenizer_: Tokenizer | None = None
        self.train_manifest_hash = ""
        self._datasets: dict[str, StudyDataset] = {}
        self._train_loader: ResumableLoader | None = None
        self._resume: dict[str, int] | None = None
        self._restored_tokenizer: str | None = None
        self.preprocessing: Preprocessing | None = None
        self._restored_preprocessing: Preprocessing | None = None
        self._stage: str | None = None

    def prepare_data(self) -> None:
        """On one process: tokenise once, so that the others find the result."""
        if self.options.cache_tokens:
            self._build("fit" if self._has_training() else "test")

    def _has_training(self) -> bool:
        self._load_manifests()
        return any((m.index["split"] == "train").any() for m in self.manifests) and all(
            m.has_text for m in self.manifests
        )

    def _load_manifests(self) -> None:
        if not self.manifests:
            self.manifests = [Manifest.load(path) for path in self.options.manifests]
            self.train_manifest_hash = "+".join(m.hash for m in self.manifests)

    def setup(self, stage: str | None = None) -> None:
        """Load manifests, tokenise, and build the data sets of a stage ("fit", "validate", "test", "predict").

        Raises:
            ManifestError: a manifest is missing or damaged, has no rows for the stage, or ``fit`` asks for twins that
                no report has.
            LeakageError: a patient trains in one manifest and is evaluated in another.
            ConfigError: ``fit`` on a manifest without text, or labels that no manifest has.
        """
        stage = getattr(stage, "value", stage)
        self._build(stage)
        if stage == "fit":
            where = ", ".join(self.options.manifests)
            refuse_absent(self._datasets["train"].records.train_edits, self.options.kinds, where)

    def _build(self, stage: str | None) -> None:
        if stage not in _SPLITS_OF_STAGE:
            raise ConfigError(f"stage {stage!r}: not one of {', '.join(str(s) for s in _SPLITS_OF_STAGE)}")
        splits = (self.options.predict_split,) if stage == "predict" else _SPLITS_OF_STAGE[stage]
        self._load_manifests()
        # "predict" may look at the training images without augmentation
        roles = ("predict",) if stage == "predict" else splits
        if all(role in self._datasets for role in roles):
            return
        check_shared_patients(self.manifests)
        named = f"data.manifests={list(self.options.manifests)}"
        if stage == "fit":
            self._refuse_without_text()
        labels = label_source(self.manifests, self.options.labels, "data.labels=")
        self.tokenizer_ = self._make_tokenizer()
        self.preprocessing = self._make_preprocessing()
        self._warn_of_unlike_pictures()
        plan = self._plan(tuple(zip(roles, splits, strict=True)))
        if stage == "fit" and not len(plan.records["train"]):
            raise ManifestError(f"{named}: no image in the train split; fit needs some")
        if stage in ("validate", "test", "predict") and not len(plan.records[roles[0]]):
            raise ManifestError(f"{named}: no image in the {splits[0]} split, which {stage} looks at")
        for role, rows in plan.records.items():
            training = role == "train"
            sections = self.options.sections
            view = View(
                role=role,
                pictures=self._augmentation() if training else self.preprocessing,
                sections=sections if training or sections != "sample" else "text",
                twins=self.options.twins if training else 0,
                evaluation=not training,
                labels=labels,
                seed=self.options.seed,
            )
            caches = [m.cache for m in self.manifests]
            self._datasets[role] = StudyDataset(plan, view, caches, self._frozen(rows, plan.hashes))

    def _plan(self, roles: tuple[tuple[str, str], ...]) -> Plan:
        """The plan of these roles, from the first manifest's folder where an earlier run or process left it."""
        tokenizer = self.tokenizer_
        assert tokenizer is not None
        given = self.options
        options = PlanOptions(
            roles=roles,
            views=None if given.kept_views is None else tuple(sorted(given.kept_views)),
            sections=given.sections,
            edits=given.kinds,
            graphs=given.graphs,
            max_nodes=given.max_nodes,
            max_tokens=given.max_tokens,
        )
        if not self.options.cache_tokens:
            return plans.make(self.manifests, options, tokenizer)
        path = plans.path_of(self._kept, self.manifests, options, tokenizer)
        found = plans.load(path, options)
        if found is None:
            found = plans.make(self.manifests, options, tokenizer)
            try:
                plans.save(found, path)
            except OSError as error:
                _LOG.info("token ids are not kept in %s: %s", path.parent, error.strerror or error)
        return found

    @property
    def _kept(self) -> Path:
        return Path(self.options.manifests[0]) / "tokens"

    def _refuse_without_text(self) -> None:
        for manifest in self.manifests:
            if not manifest.has_text:
                raise ConfigError(
                    f"{manifest.path} was prepared for evaluation only: it has images and labels but no report text, "
                    "and contrastive training needs text. Prepare it with text (CheXpert: --plus-csv with the reports "
                    "of CheXpert Plus, or --prompts with label-to-prompt templates), or take it out of data.manifests"
                )

    def _warn_of_unlike_pictures(self) -> None:
        """A model can tell manifests apart whose pictures were squared or windowed otherwise."""
        made = self.preprocessing
        assert made is not None
        for manifest in self.manifests:
            found = made.differences(manifest.cache.options, manifest.published_equalised)
            if found:
                _LOG.warning(
                    "%s was prepared unlike %s: %s; prepare them alike",
                    manifest.path,
                    self.manifests[0].path if self._restored_preprocessing is None else "the checkpoint's manifests",
                    "; ".join(found),
                )

    def _make_tokenizer(self) -> Tokenizer:
        from clinclip.text.tokens import Tokenizer

        if self._restored_tokenizer is not None:
            return Tokenizer.from_json(self._restored_tokenizer)
        if self.tokenizer_ is not None:
            return self.tokenizer_
        if self.options.tokenizer != "tiny":
            return Tokenizer.from_pretrained(self.options.tokenizer)
        named = compact_json([[m.hash for m in self.manifests], self.options.vocab_size])
        path = self._kept / f"tiny-{hashlib.sha256(named.encode()).hexdigest()[:32]}.json"
        if self.options.cache_tokens and path.is_file():
            try:
                return Tokenizer.from_json(path.read_text(encoding="utf-8"))
            except (CheckpointError, OSError, UnicodeDecodeError):
                _LOG.info("the kept tokenizer %s is damaged: built again", path)
        training = {t for m in self.manifests for t in m.frame.loc[m.frame["split"] == "train", "text"] if t}
        everything = training or {t for m in self.manifests for t in m.frame["text"] if t}
        built = Tokenizer.train(sorted(everything), vocab_size=self.options.vocab_size)
        if self.options.cache_tokens:
            try:
                write_text(path, built.to_json())
            except OSError as error:
                _LOG.info("the tokenizer is not kept in %s: %s", path.parent, error.strerror or error)
        return built

    def _make_preprocessing(self) -> Preprocessing:
        """How the checkpoint's, or the first manifest's, pictures were made, and how the options look at them."""
        first = self.manifests[0]
        made = self._restored_preprocessing or Preprocessing.of(first.cache.options, first.published_equalised)
        view: ImageView = "centre" if self.options.augment == "crop" else "whole"
        return replace(made, image_size=self.options.image_size, view=view, max_tokens=self.options.max_tokens)

    def _augmentation(self) -> ImageTransform:
        given = self.options
        try:
            return ImageTransform(given.image_size, train=True, augment=given.augment, **given.augmentation)
        except TypeError as error:
            raise ConfigError(f"data.augmentation={given.augmentation!r}: {error}") from error

    def _frozen(self, rows: Records, hashes: np.ndarray) -> np.ndarray | None:
        if self.options.frozen_text is None or not len(rows):
            return None
        return read_frozen_text(Path(self.options.frozen_text), hashes[rows.text])

    def dataset(self, role: str) -> StudyDataset:
        """The data set of "train", "validate", "test" or "predict", once set up. Raises ConfigError otherwise."""
        if role not in self._datasets:
            raise ConfigError(f"no {role!r} data set is set up; call setup() with a stage that uses it")
        return self._datasets[role]

    def _loader_options(self) -> dict[str, Any]:
        workers = self.options.workers
        return {
            "num_workers": workers,
            "collate_fn": _as_is,
            "pin_memory": torch.cuda.is_available(),
            "persistent_workers": workers > 0,
            "prefetch_factor": 4 if workers > 0 else None,
        }

    def train_dataloader(self) -> DataLoader:
        """Shuffled, one image a study by default, ragged end dropped, resumable."""
        dataset = self.dataset("train")
        sampler = TrainSampler(
            dataset.records.study,
            dataset.records.source,
            self.options.passes,
            self.options.batch_size,
            self.options.sampling,
            self.options.seed,
            rank(),
            world_size(),
        )
        loader = ResumableLoader(
            dataset, batch_size=self.options.batch_size, sampler=sampler, drop_last=True, **self._loader_options()
        )
        loader.epoch_length = lambda: min(len(loader), getattr(self.trainer, "num_training_batches", len(loader)))
        if self._resume is not None:
            loader.load_state_dict(self._resume)
            self._resume = None
        self._train_loader = loader
        return loader

    def _eval_loader(self, split: str) -> DataLoader:
        dataset = self.dataset(split)
        sampler = EvalSampler(len(dataset), rank(), world_size())
        size = self.options.eval_batch_size or self.options.batch_size
        return DataLoader(dataset, batch_size=size, sampler=sampler, **self._loader_options())

    def val_dataloader(self) -> DataLoader:
        """Every image of the validate split once, over all processes."""
        return self._eval_loader("validate")

    def test_dataloader(self) -> DataLoader:
        """Every image of the test split once, over all processes."""
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Every image of ``predict_split`` once, over all processes."""
        return self._eval_loader("predict")

    @property
    def spec(self) -> DataSpec:
        """What the module needs to know, once set up."""
        self._load_manifests()
        train = self._datasets.get("train")
        given = self.options
        there = {"twins": bool(given.twins), "graph": given.graphs, "frozen_text": given.frozen_text is not None}
        return DataSpec(
            tokenizer=self.tokenizer_,
            preprocessing=self.preprocessing,
            absent=frozenset(name for name, given in there.items() if not given),
            provenance=Provenance(
                manifests=tuple(m.hash for m in self.manifests),
                datasets=tuple(sorted({str(name) for m in self.manifests for name in m.index["dataset"].unique()})),
                patients=None if train is None else np.unique(train.records.patient),
            ),
            batch_size=self.options.batch_size,
            fixed_batch=None if train is None else train.spread,
        )

    def state_dict(self) -> dict[str, Any]:
        """Tokenizer, preprocessing, manifest hash, and the position within the epoch."""
        loader = self._train_loader
        return {
            "tokenizer": None if self.tokenizer_ is None else self.tokenizer_.to_json(),
            "preprocessing": None if self.preprocessing is None else self.preprocessing.as_dict(),
            "train_manifest_hash": self.train_manifest_hash,
            "loader": None if loader is None else loader.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read with the checkpoint's tokenizer, look at pictures as it was trained to; go on where its epoch stood."""
        self._resume = state_dict.get("loader")
        saved, before = state_dict.get("tokenizer"), self.preprocessing
        stale = saved is not None and (self.tokenizer_ is None or self.tokenizer_.to_json() != saved)
        if stale:
            _LOG.warning(
                "using the tokenizer of the checkpoint; it differs from data.tokenizer=%s here", self.options.tokenizer
            )
            self._restored_tokenizer = saved
        # a training that goes on has its own manifests; others are only looked at
        if state_dict.get("preprocessing") is not None and "train" not in self._datasets:
            self._restored_preprocessing = Preprocessing.from_dict(state_dict["preprocessing"])
            stale |= before is not None and self._make_preprocessing() != before
        if stale:
            ready, self._datasets = list(self._datasets), {}
            for role in ready:
                self.setup("fit" if role == "train" else role)


def _as_is(batch: Any) -> Any:
    """The data set returns finished batches."""
    return batch
