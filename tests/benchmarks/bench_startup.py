"""``import clinclip`` and ``clinclip --help`` take at most half a second and never import torch.

Process CPU time of fresh interpreters, best of several, the two interleaved with a bare ``python -c pass``. The check
next to the clock: torch and its kind were not imported, and the help lists every command in a line of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from clinclip.__main__ import COMMANDS
from tests.benchmarks.harness import Row

REPEATS = int(os.environ.get("BENCH_REPEATS", "7"))
#: seconds
BUDGET = 0.5
HEAVY = ("torch", "numpy", "pandas", "lightning", "transformers", "timm", "matplotlib", "yaml", "jsonargparse")
LOADED = f"; import sys; print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))"
PROGRAMS = {
    "bare interpreter": "pass",
    "import clinclip": "import clinclip",
    "clinclip --help": "import clinclip.__main__ as m; m.main(['--help'])",
}


def seconds(program: str) -> tuple[float, str]:
    """Process CPU seconds of a fresh interpreter, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def check_help(text: str) -> None:
    """Every command stands in one line with its description, and each line starts with another command."""
    listed = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  ")]
    assert dict(listed) == {name: line for name, (_, line) in COMMANDS.items()}


def run() -> list[Row]:
    best = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(REPEATS):
        for name, program in PROGRAMS.items():
            best[name] = min(best[name], seconds(program)[0])
    for name in ("import clinclip", "clinclip --help"):
        text = seconds(PROGRAMS[name] + LOADED)[1]
        assert "LOADED []" in text, f"{name} imports {text.split('LOADED')[1]}"
    check_help(seconds(PROGRAMS["clinclip --help"])[1])
    note = f"a bare interpreter takes {best['bare interpreter']:.3f} s"
    return [
        Row(f"start-up: {name}, of a budget of {BUDGET} s", best[name], BUDGET, best[name] / BUDGET, 1.0,
            better="smaller", note=note)
        for name in ("import clinclip", "clinclip --help")
    ]  # fmt: skip
