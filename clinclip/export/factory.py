"""The user's own code that builds a model, named on the command line: ``--model-factory my_towers:build``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from clinclip.errors import ConfigError


def find_factory(name: str, option: str = "--model-factory") -> Callable[[], Any]:
    """The function that ``module:function`` names.

    Args:
        name: as on the command line; the module must be where Python looks.
        option: named in errors.

    Raises:
        ConfigError: no such module or function.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise ConfigError(f"{option} {name!r}: give MODULE:FUNCTION, e.g. my_towers:build")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise ConfigError(
            f"{option} {name}: cannot import {module!r} ({error}). A file of your own must be where Python looks: "
            "PYTHONPATH=FOLDER clinclip ..."
        ) from error
    if not callable(found):
        raise ConfigError(f"{option} {name}: {module} has no function {function!r}")
    return found
