"""The notebooks run as they are, and each .ipynb is what its percent-format source generates."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))


def code_cells(source: str) -> list[str]:
    """The code cells of a percent-format script."""
    cells = re.split(r"^# %%", source, flags=re.MULTILINE)[1:]
    bodies = [cell.partition("\n") for cell in cells]
    return [body.strip() for head, _, body in bodies if "[markdown]" not in head]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebook_runs(source: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(source)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_ipynb_is_generated_from_the_source_and_holds_no_output(source: Path) -> None:
    notebook = json.loads(source.with_suffix(".ipynb").read_text())
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert ["".join(c["source"]).strip() for c in cells] == code_cells(source.read_text())
    assert all(not c["outputs"] for c in cells)


def test_there_are_notebooks() -> None:
    assert SOURCES
