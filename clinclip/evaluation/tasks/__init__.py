"""The tasks of ``clinclip evaluate``, one file each. A new one is a file here, a protocol file, and a line in TASKS."""

from __future__ import annotations

from typing import Any

from clinclip.errors import ConfigError
from clinclip.evaluation.tasks.align import Align
from clinclip.evaluation.tasks.base import Task
from clinclip.evaluation.tasks.probe import Probe
from clinclip.evaluation.tasks.retrieval import Retrieval
from clinclip.evaluation.tasks.zero_shot import ZeroShot

TASKS: tuple[type[Task[Any]], ...] = (
    ZeroShot,
    Retrieval,
    Align,
    Probe,
)


def find_task(name: str) -> type[Task[Any]]:
    """The task of this name. Raises ConfigError."""
    for task in TASKS:
        if task.name == name:
            return task
    raise ConfigError(f"task {name!r} is not one of {', '.join(task.name for task in TASKS)}")
