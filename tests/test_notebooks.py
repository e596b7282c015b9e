"""The notebooks run as they are, and each .ipynb is what its percent-format source generates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))


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
    import jupytext

    made = jupytext.read(source)
    found = json.loads(source.with_suffix(".ipynb").read_text())
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in found["cells"]]
    assert cells == [(cell.cell_type, cell.source) for cell in made.cells], (
        f"jupytext --to ipynb notebooks/{source.name}"
    )
    assert not any(cell.get("outputs") for cell in found["cells"])


def test_there_are_notebooks() -> None:
    assert SOURCES
