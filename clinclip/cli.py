"""``clinclip fit | validate | test | predict``: LightningCLI with clinclip's classes, links and error messages."""

from __future__ import annotations

import argparse
import copy
import difflib
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, Namespace  # pyright: ignore[reportPrivateImportUsage]
from lightning.fabric.utilities import rank_zero_only
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
from clinclip.errors import ClinClipError, ConfigError
from clinclip.training.module import ClinClipModule
from clinclip.training.resume import NEWEST, newest
from clinclip.training.resume import options as options_of

clinclip.losses.load_all()

#: what restores the module from the hyperparameters of a checkpoint (Lightning's own function)
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
IMAGE_ENCODER, TEXT_ENCODER = "model.model.init_args.image_encoder", "model.model.init_args.text_encoder"
SUBCOMMANDS = ("fit", "validate", "test", "predict")
#: what --ckpt_path may be besides a file and the newest run's: Lightning looks these up itself
LIGHTNING_WORDS = ("hpc", "registry")
#: the opt-in to look at a model that was not trained
UNTRAINED = "untrained"


#: what a first look at the options needs, while the checkpoint that says the rest is not known yet
PLACEHOLDERS: dict[str, Any] = {
    "model.model": {
        "class_path": "clinclip.models.DualEncoder",
        "init_args": {"image_encoder": {"class_path": "ImageEncoder"}, "text_encoder": {"class_path": "TextEncoder"}},
    },
    "data.manifests": [],
}
#: folder of runs whose configuration names none
DEFAULT_ROOT = "runs"


class ConfigFile(ActionConfigFile):
    """``--config FILE``: an error names the file, and terms of earlier files that this one drops are named."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Merge one file."""
        before = _parts(cfg)
        try:
            super().__call__(parser, cfg, values, option_string)
        except (ArgumentError, TypeError) as error:
            if not Path(values).is_file():
                raise
            raise TypeError(f"{values}: {error}") from error
        gone = before - _parts(cfg, named=True)
        if dropped := sorted(n for n in gone if not any(n.startswith(f"{other}.") for other in gone)):
            _note(f"--config {values} replaces what stood before: {', '.join(dropped)} dropped")


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

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """As LightningCLI, with our own ``--config``."""
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=ConfigFile, help="Path to a configuration file in YAML.")
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, with the options of a checkpoint as defaults: everything that the user says overrides them."""
        if isinstance(args, (dict, Namespace)):
            self.config = parser.parse_object(args)
            return
        args = list(sys.argv[1:] if args is None else args)
        name = args[0] if args and args[0] in SUBCOMMANDS else None
        try:
            self.config = parser.parse_args(args) if name is None else self._parse_with_checkpoint(parser, args, name)
        except ArgumentError as error:
            known = () if name is None else self._subcommand_parsers[name].get_defaults(skip_validation=True).keys()
            raise ArgumentError(None, readable(error, args, known)) from error

    def _parse_with_checkpoint(self, parser: LightningArgumentParser, args: list[str], name: str) -> Namespace:
        scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        scan.add_argument("--ckpt_path")
        given = found = scan.parse_known_args(args)[0].ckpt_path
        options = self._subcommand_parsers[name]
        if given in NEWEST:
            # the model may be known from the checkpoint alone: here only the folder counts
            options.set_defaults(PLACEHOLDERS)
            root = parser.parse_args(args)[name]["trainer.default_root_dir"] or DEFAULT_ROOT
            options.set_defaults(dict.fromkeys(PLACEHOLDERS))
            found = str(newest(given, root))
            _note(f"--ckpt_path={given}: {found}")
        if found is not None and Path(found).is_file():
            options.set_defaults(options_of(found))
        config = parser.parse_args(args)
        path = found if given in NEWEST else config[name].get("ckpt_path")
        if path is None and name != "fit":
            raise ArgumentError(
                None,
                f"--ckpt_path is missing: the model would have random weights. Give a checkpoint, or last or best of "
                f"the newest run; --ckpt_path={UNTRAINED} looks at them on purpose",
            )
        words = (None, UNTRAINED, *LIGHTNING_WORDS)
        if path not in words and "://" not in path and not Path(path).exists():
            raise ArgumentError(
                None,
                f"--ckpt_path={path}: no such file. Allowed: a checkpoint written by clinclip fit (*.ckpt below "
                "trainer.default_root_dir), or one of last, best, hpc",
            )
        config[name]["ckpt_path"] = None if path == UNTRAINED and name != "fit" else path
        return config

    def _parse_ckpt_path(self) -> None:
        """Not as LightningCLI, which puts the checkpoint's options above the user's."""

    def before_instantiate_classes(self) -> None:
        """Fill what is said once into both places, and refuse contradictions."""
        config = self.config[self.subcommand] if self.subcommand else self.config
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

    def instantiate_classes(self) -> None:
        """As LightningCLI; what our own classes say is wrong arrives as they said it, not among the parser's types."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, ClinClipError):
                cause = cause.__cause__
            if cause is None:
                raise
            raise cause from cause.__cause__

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """As LightningCLI; the default logger is TensorBoard, a run is the folder ``default_root_dir/version_N``."""
        config: Any = self.config_init[self.subcommand] if self.subcommand else self.config_init
        if config.trainer.logger in (None, True) and not config.trainer.fast_dev_run:
            kwargs["logger"] = TensorBoardLogger(
                config.trainer.default_root_dir or DEFAULT_ROOT, name="", default_hp_metric=False
            )
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
        ArgumentError: the configuration cannot be parsed (its message is one sentence).
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
        print(f"clinclip {argv[0] if argv else ''}: {error}", file=sys.stderr)
        return 2
    except MisconfigurationException as error:
        # Lightning's own word for a wrong option; no bug, so no traceback
        hint = " Without a GPU: --trainer.accelerator=cpu" if "backend" in str(error) else ""
        print(f"clinclip {argv[0] if argv else ''}: {error}{hint}", file=sys.stderr)
        return 2
    return 0


def readable(error: ArgumentError, args: list[str], known: Iterable[str] = ()) -> str:
    """One sentence of a parser's error, with the nearest name that exists and what to do.

    The error is a tree by indentation. The sentence is its first line, what the lines above the innermost ones name in
    quotes, and the innermost lines: they say what is wrong, the others what else would have been allowed.

    Args:
        error: as raised by the parser.
        args: the command line.
        known: dotted names of all options.
    """
    message = str(error).replace(f" {args[0] if args else ''}.", " ")  # options of a command carry its name there
    lines = [(len(x) - len(x.lstrip()), x.strip().removeprefix("- ")) for x in message.splitlines() if x.strip()]
    depth = max(indent for indent, _ in lines)
    start = next(i for i, (indent, _) in enumerate(lines) if indent == depth)
    above: list[str] = []
    for indent, text in reversed(lines[:start]):
        if indent < depth:
            above, depth = [text, *above], indent
    above = [text for i, text in enumerate(above) if i == 0 or re.search(r"[\'\"]", text)]
    inner = list(dict.fromkeys(text for indent, text in lines if indent == lines[start][0]))
    sentence, hints = " ".join([*above, "; ".join(inner)]), []
    key = re.search(r"\"([\w.]+)\"", sentence)
    causes: list[BaseException | None] = [error]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__ or causes[-1].__context__)
    if close := _nearest(" ".join(inner), message, known):
        hints.append(f"Did you mean {close!r}?")
    elif inner[0].startswith(f"Expected a {list}.") and key:
        value = next((a.partition("=")[2] for a in args if a.startswith(f"--{key[1]}=")), "value")
        hints.append(f"A list needs brackets: --{key[1]}='[{value}]'")
    elif any(isinstance(cause, ModuleNotFoundError) for cause in causes):
        hints.append("A file of your own must be where Python looks: PYTHONPATH=FOLDER clinclip ...")
    if not any(a.startswith(("--config", "-c", "--ckpt_path")) for a in args):
        hints.append("Give a configuration, e.g. --config configs/default.yaml")
    return ". ".join([sentence, " ".join(hints)]) if hints else sentence


def _nearest(text: str, message: str, known: Iterable[str]) -> str | None:
    """The existing name that a word of ``text`` nearly is: an option, or what the classes in the message offer."""
    names = set(known)
    for module, name in re.findall(r"([\w.]+)\.(\w+)", message):
        found = getattr(sys.modules.get(module), name, None)
        if inspect.isclass(found):
            names |= {*_parameters(found), *_subclasses(found)}
    words = [w for w in re.findall(r"[A-Za-z_][\w.]*\w", text) if w not in names]
    close = [match for w in words for match in difflib.get_close_matches(w, names, n=1, cutoff=0.8)]
    return close[0] if close else None


def _parameters(found: type) -> Iterable[str]:
    try:
        return inspect.signature(found).parameters
    except ValueError:  # some classes written in C have none
        return ()


def _subclasses(base: type) -> set[str]:
    # type.__subclasses__ of type itself needs an argument
    return set() if base is type else {n for c in base.__subclasses__() for n in {c.__name__, *_subclasses(c)}}


def _parts(config: Any, named: bool = False) -> set[str]:
    """Dotted names of the terms, targets and their parts in a configuration; ``named``: also of those set to null."""

    def walk(value: Any, name: str) -> Iterator[str]:
        value = value.as_dict() if isinstance(value, Namespace) else value
        if isinstance(value, dict):
            if "class_path" in value:
                yield name
            for key, inner in (value.get("init_args") or {} if "class_path" in value else value).items():
                yield from walk(inner, f"{name}.{key}")
        elif named:
            yield name

    return {part for block in ("model.losses", "model.targets") for part in walk(config.get(block), block)}


@rank_zero_only
def _note(line: str) -> None:
    print(line, file=sys.stderr)
