"""``clinclip fit | validate | test | predict``: LightningCLI with clinclip's classes, links and error messages."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import logging
import re
import sys
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

import clinclip.losses
import clinclip.models

# imported before parsing, so that their short class names resolve in YAML files and on the command line
import clinclip.training.callbacks
import clinclip.training.optim
from clinclip.data.datamodule import CXRDataModule
from clinclip.errors import ConfigError
from clinclip.export.checkpoint import RECORD, read_checkpoint
from clinclip.training.module import ClinClipModule

clinclip.losses.load_all()

#: what restores the module from the hyperparameters of a checkpoint (Lightning's own function)
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
IMAGE_ENCODER, TEXT_ENCODER = "model.model.init_args.image_encoder", "model.model.init_args.text_encoder"
SUBCOMMANDS = ("fit", "validate", "test", "predict")
#: what --ckpt_path may be besides a file: Lightning looks it up itself
CHECKPOINT_WORDS = ("last", "best", "hpc", "registry", "null")
#: lines of a parser error that say nothing to a user
NOISE = re.compile(
    r"\s*(- )?(Does not validate against any of the Union subtypes|Subtypes: .*|Errors:|Expected a <class 'NoneType'>|"
    r"Given value type: .*|Given value: (NestedArg|[{]).*|Expected a <class 'collections.abc.Iterable'>)?\s*"
)


class SaveTrainingConfig(SaveConfigCallback):
    """The configuration beside the checkpoints of a training; a validation leaves no file behind."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save at the start of ``fit`` only."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


class ClinClipCLI(LightningCLI):
    """LightningCLI for clinclip's module and data module.

    Links: the tokenizer and the image size are said once. ``data.tokenizer`` follows the text encoder's name, and the
    image encoder's ``image_size`` follows ``data.image_size``.
    """

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, with the options of a checkpoint below the user's."""
        if not isinstance(args, list):
            self.config = parser.parse_object(args) if args is not None else parser.parse_args()
            self._parsed = self.config
            return
        with tempfile.TemporaryDirectory() as folder:
            self.config = parser.parse_args(_with_checkpoint(args, Path(folder) / "checkpoint.yaml"))
        self._parsed = self.config

    def before_instantiate_classes(self) -> None:
        """Fill what is said once into both places, and refuse contradictions."""
        # LightningCLI has meanwhile put the checkpoint's model options above the user's; here the user's win
        seed = (self.config[self.subcommand] if self.subcommand else self.config)["seed_everything"]
        self.config = self._parsed
        config = self.config[self.subcommand] if self.subcommand else self.config
        config["seed_everything"] = seed
        self._link_tokenizer(config)
        self._link_image_size(config)

    @staticmethod
    def _link_tokenizer(config: Any) -> None:
        name = config.get(f"{TEXT_ENCODER}.init_args.name")
        if name is None:  # a text tower of the user's own
            return
        chosen = config.get("data.tokenizer")
        # a vocabulary made from the training text never fits weights made elsewhere
        if chosen in (None, "tiny"):
            config["data.tokenizer"] = name
        elif chosen != name:
            raise ConfigError(
                f"data.tokenizer={chosen!r}, but the text encoder is {name!r}: token ids would not fit its embeddings. "
                f"Leave data.tokenizer out, or set both ({TEXT_ENCODER.replace('init_args.', '')}.name)"
            )

    @staticmethod
    def _link_image_size(config: Any) -> None:
        key = f"{IMAGE_ENCODER}.init_args"
        init = config.get(key)
        if init is None or "image_size" not in init:
            return
        size = config.get("data.image_size")
        if init["image_size"] is None:
            config[f"{key}.image_size"] = size
        elif size is not None and init["image_size"] != size:
            raise ConfigError(
                f"data.image_size={size}, but the image encoder is built for {init['image_size']}; leave "
                f"{IMAGE_ENCODER.replace('init_args.', '')}.image_size out"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """As LightningCLI; without a logger in the configuration, TensorBoard without its placeholder metric."""
        config: Any = self.config_init[self.subcommand] if self.subcommand else self.config_init
        if config.trainer.logger in (None, True) and not config.trainer.fast_dev_run:
            kwargs["logger"] = TensorBoardLogger(config.trainer.default_root_dir or "runs", default_hp_metric=False)
        return super().instantiate_trainer(**kwargs)

    def after_instantiate_classes(self) -> None:
        """Keep the parsed configuration as hyperparameters: plain values, so that checkpoints load without pickle."""
        self._dump_config()
        self.model.save_hyperparameters({**self.config_dump["model"], "_instantiator": INSTANTIATOR})


def build(args: ArgsType = None, run: bool = True) -> ClinClipCLI:
    """Parse and instantiate; with ``run`` also carry out the subcommand.

    Args:
        args: command line as a list, or a configuration as a dict (notebooks: ``run=False``). None: ``sys.argv``.
        run: False gives ``.model``, ``.datamodule`` and ``.trainer`` without running anything (no subcommand in args).

    Raises:
        ArgumentError: the configuration cannot be parsed (:func:`explain` shortens its message).
        ConfigError: it can be parsed, but contradicts itself.
    """
    options: dict[str, Any] = {
        "default_env": True,
        "env_prefix": "CLINCLIP",
        "exit_on_error": False,
        # an abbreviation that fits today names another option tomorrow
        "allow_abbrev": False,
    }
    parser_kwargs = {**options, **{name: dict(options) for name in SUBCOMMANDS}} if run else options
    if isinstance(args, dict):
        # the parser works on the caller's own dictionaries otherwise, and leaves its types in them
        args = copy.deepcopy(args)
    return ClinClipCLI(
        ClinClipModule,
        CXRDataModule,
        args=args,
        run=run,
        seed_everything_default=0,
        save_config_callback=SaveTrainingConfig,
        # a requeued job with a fixed version directory would die otherwise
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        parser_kwargs=parser_kwargs,
    )


def _with_checkpoint(args: list[str], file: Path) -> list[str]:
    """With ``--ckpt_path FILE`` the options of that run come first, so that everything else overrides them.

    ``clinclip validate --ckpt_path FILE --data.manifests=[DIR]`` needs no configuration then.
    """
    given = [a.partition("=")[2] for a in args if a.startswith("--ckpt_path=")]
    given += [b for a, b in pairwise(args) if a == "--ckpt_path"]
    if given and given[-1] not in CHECKPOINT_WORDS and "://" not in given[-1] and not Path(given[-1]).exists():
        raise ConfigError(
            f"--ckpt_path={given[-1]}: no such file. Allowed: a checkpoint written by clinclip fit (*.ckpt below "
            "trainer.default_root_dir), or one of last, best, hpc"
        )
    if not given or not Path(given[-1]).is_file() or args[0] not in SUBCOMMANDS:
        return args
    content = read_checkpoint(given[-1])
    options = {"model": {k: v for k, v in content.get("hyper_parameters", {}).items() if k != "_instantiator"}}
    seen = content[RECORD].get("preprocessing") or {}
    options["data"] = {k: seen[k] for k in ("image_size", "max_tokens") if k in seen}
    if seen.get("view") == "centre":
        options["data"]["augment"] = "crop"
    file.write_text(yaml.safe_dump(options), encoding="utf-8")
    return [args[0], f"--config={file}", *args[1:]]


def main(argv: list[str] | None = None) -> int:
    """Run ``fit``, ``validate``, ``test`` or ``predict``; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # Lightning's advertisement, and its own use of a deprecated function of torch
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
    # only frozen towers are: the module puts everything else into training mode
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda r: "Tip:" not in r.getMessage())
    try:
        build(argv)
    except ArgumentError as error:
        print(f"clinclip {argv[0] if argv else ''}: {_unreadable(argv) or explain(str(error))}", file=sys.stderr)
        return 2
    except MisconfigurationException as error:
        # Lightning's own word for a wrong option; no bug, so no traceback
        hint = " Without a GPU: --trainer.accelerator=cpu" if "backend" in str(error) else ""
        print(f"clinclip {argv[0] if argv else ''}: {error}{hint}", file=sys.stderr)
        return 2
    return 0


def _unreadable(argv: list[str]) -> str:
    """Which of the ``--config`` files is no YAML, and where: the parser's own message names no file. Empty: none."""
    files = [a.partition("=")[2] for a in argv if a.startswith("--config=")]
    files += [b for a, b in pairwise(argv) if a == "--config"]
    for file in filter(lambda name: Path(name).is_file(), files):
        try:
            yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            return f"{file}{place} is no valid YAML: {getattr(error, 'problem', None) or error}"
    return ""


def explain(message: str) -> str:
    """A parser's message without its noise, with the nearest existing name where one was misspelled."""
    kept = [line for line in message.splitlines() if not NOISE.fullmatch(line)] or message.splitlines()
    text = "\n".join(kept)
    option = re.search(r"class_path '([\w.]+)':\s+(?:Group|Option|Key) '([\w.]+)' is not (?:accepted|expected)", text)
    if option:
        names = _parameters(option[1])
        return f"{text}{_closest(option[2], names)} Allowed: {', '.join(names)}"
    unknown = re.search(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)", text)
    if unknown:
        return f"{text}{_closest(unknown[1], _option_names())} Every option: clinclip fit --print_config"
    if "arguments are required" in text:
        names = re.sub(rf"\b(?:{'|'.join(SUBCOMMANDS)})\.", "", text)
        return f"{names}. Give a configuration, e.g. --config configs/default.yaml, or these options"
    single = re.search(r"key \"([\w.]+)\":\s+Expected a <class 'list'>\. Got value: (\S+)", text)
    if single:
        return f"{text}. A list needs brackets: --{single[1]}='[{single[2]}]'"
    if "No module named" in text:
        return f"{text}\nA file of your own must be where Python looks: PYTHONPATH=FOLDER clinclip ..."
    wrong_class = re.search(r"import path string: (\w+)", text)
    if wrong_class:
        return f"{text}{_closest(wrong_class[1], _class_names())} Give a short name of clinclip or a class path"
    return text


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f". Did you mean {close[0]!r}?" if close else "."


def _parameters(class_path: str) -> list[str]:
    """Constructor arguments of a class that the parser has already imported."""
    module, _, name = class_path.rpartition(".")
    return [p for p in inspect.signature(getattr(importlib.import_module(module), name)).parameters if p != "self"]


def _option_names() -> list[str]:
    """Dotted names of the options that every run has."""
    parser = LightningArgumentParser()
    for cls, key in ((ClinClipModule, "model"), (CXRDataModule, "data")):
        parser.add_lightning_class_args(cls, key)
    trainer = [f"trainer.{n}" for n in _parameters("lightning.pytorch.Trainer")]
    model = [f"model.model.{n}" for n in _parameters("clinclip.models.DualEncoder")]
    return [
        *parser.get_defaults(skip_validation=True).keys(),
        *trainer,
        *model,
        "seed_everything",
        "config",
        "ckpt_path",
    ]


def _class_names() -> list[str]:
    modules = (clinclip.losses, clinclip.models, clinclip.training.callbacks, clinclip.training.optim)
    return [name for module in modules for name, value in vars(module).items() if inspect.isclass(value)]
