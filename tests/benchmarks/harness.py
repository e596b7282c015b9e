"""How clinclip measures on a shared, noisy machine: ratios, interleaved in one process, best of several.

Absolute times mean nothing where the same product runs at 27 and at 141 GFLOP/s minutes apart. So A and B alternate in
one process on one thread, process CPU time is read, and the best of each is compared. Each clock has an equality check
next to it: a benchmark returns rows only after it has asserted that both sides compute the same thing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured ratio.

    ``ratio`` is theirs / ours for times and memory (bigger is better) unless ``better`` is "smaller".
    ``goal`` is the bound the ratio is held against; ``unit`` describes ``ours`` and ``theirs``.
    """

    name: str
    ours: float
    theirs: float
    ratio: float
    goal: float
    unit: str = "s"
    better: str = "larger"
    note: str = ""

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal if self.better == "larger" else self.ratio <= self.goal


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 5, warmup: int = 1
) -> tuple[float, float]:
    """Best process CPU seconds of each, alternating."""
    for _ in range(warmup):
        ours()
        theirs()
    best_ours = best_theirs = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        ours()
        best_ours = min(best_ours, time.process_time() - start)
        start = time.process_time()
        theirs()
        best_theirs = min(best_theirs, time.process_time() - start)
    return best_ours, best_theirs


def peak_rss_above_baseline(code: str, setup: str = "") -> int:
    """Bytes by which ``code`` raises the high-water mark of a fresh process in which ``setup`` has run (Linux)."""
    program = "\n".join(
        [
            "import re, sys",
            "def status(key):",
            "    return int(re.search(key + r':\\s+(\\d+)', open('/proc/self/status').read()).group(1)) * 1024",
            setup,
            "open('/proc/self/clear_refs', 'w').write('5')",
            "baseline = status('VmRSS')",
            code,
            "print('PEAK', status('VmHWM') - baseline)",
        ]
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, cwd=Path.cwd())
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(done.stdout.split("PEAK")[1])


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| measure | clinclip | alternative | ratio | goal | met |", "|---|---|---|---|---|---|"]
    for r in rows:
        sign = ">=" if r.better == "larger" else "<="
        lines.append(
            f"| {r.name}{' (' + r.note + ')' if r.note else ''} | {r.ours:.4g} {r.unit} | {r.theirs:.4g} {r.unit} "
            f"| {r.ratio:.2f} | {sign} {r.goal:g} | {'yes' if r.met else 'NO'} |"
        )
    return "\n".join(lines)
