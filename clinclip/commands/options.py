"""An options dataclass as a command line: its fields are the options, its docstring is their help."""

from __future__ import annotations

import argparse
import dataclasses
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser, Namespace

T = TypeVar("T")
REQUIRED = dataclasses.MISSING


def new_parser(prog: str, description: str) -> ArgumentParser:
    """A parser whose mistakes end the program with one sentence and status 2, as argparse's do."""
    return ArgumentParser(prog=prog, description=description, formatter_class=argparse.HelpFormatter)  # type: ignore[arg-type]  # any formatter serves where no configuration files are read


def summary(options: type) -> str:
    """The first line of a dataclass's docstring."""
    return (options.__doc__ or "").partition("\n")[0].removesuffix(".")


def add_options(parser: ArgumentParser, options: type) -> None:
    """Give a parser an option for every field of a dataclass.

    A field ``image_type: Literal["jpg", "dicom"] | None = None`` becomes ``--image-type {jpg,dicom}``; a field without
    a default is required; a ``bool`` that is False by default is a flag.

    Args:
        parser: gets the options.
        options: a dataclass that documents its fields under ``Attributes``; fields of its bases are among them.

    Raises:
        TypeError: a field is not documented, or a flag is on by default.
    """
    texts, hints = dict(_documented(options)), get_type_hints(options)
    own = vars(options).get("__annotations__", {})
    # required ones first, then the class's own, then those of its bases
    for field in sorted(dataclasses.fields(options), key=lambda f: (f.default is not REQUIRED, f.name not in own)):
        if field.name not in texts:
            raise TypeError(f"{options.__qualname__}.{field.name} is not documented")
        text, kind = texts[field.name].replace("%", "%%"), _without_none(hints[field.name])
        arguments: dict[str, Any] = {"type": kind, "metavar": {Path: "PATH", int: "N"}.get(kind, "VALUE")}
        if get_origin(kind) is Literal:
            arguments = {"choices": list(get_args(kind))}
        if field.default is REQUIRED:
            arguments["required"] = True
        elif kind is bool:
            if field.default:
                raise TypeError(f"{options.__qualname__}.{field.name}: a flag is off by default")
            arguments = {"action": "store_true"}
        else:
            arguments["default"] = field.default
            text += "" if field.default is None or "(default: " in text else " (default: %(default)s)"
        parser.add_argument(f"--{field.name.replace('_', '-')}", help=text, **arguments)


def make(options: type[T], given: Namespace) -> T:
    """The dataclass of what was given on the command line. Raises ConfigError as its own checks do."""
    return options(**{field.name: given[field.name] for field in dataclasses.fields(options)})  # type: ignore[arg-type]  # a TypeVar is no dataclass to the checker


def _documented(options: type) -> Iterator[tuple[str, str]]:
    """(field, text) of the docstrings of a class and its bases; the class itself has the last word."""
    for base in reversed(options.__mro__):
        for entry in docstring_parser.parse(base.__doc__ or "").params:
            yield entry.arg_name, " ".join((entry.description or "").split()).removesuffix(".")


def _without_none(hint: Any) -> Any:
    """``X`` of ``X | None``: None is what an option that is left out stands for, nobody types it."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return hint
