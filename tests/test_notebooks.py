"""The notebooks run as they are, and each .ipynb is what its percent-format source generates."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebook_runs(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"  # a notebook runs in its own folder, beside the configurations
    shutil.copytree(NOTEBOOKS / "results", folder / "results")
    shutil.copytree(NOTEBOOKS.parent / "configs", tmp_path / "configs")
    done = subprocess.run(
        [sys.executable, str(source)],
        cwd=folder,
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


def known_numbers() -> set[str]:
    """Every number of the results' files with three decimals."""
    ablation, variations = (
        json.loads((NOTEBOOKS / "results" / name).read_text()) for name in ("ablation.json", "variations.json")
    )
    cells = [cell for row in ablation["rows"].values() for cell in row.values()]
    found = [cell[key] for cell in cells for key in ("mean", "low", "high")]
    found += [value for table in variations.values() for row in table["rows"].values() for value in row.values()]
    return {f"{value:.3f}" for value in found}


@pytest.mark.parametrize("name", ["notebooks/03_ablation.py", "README.md"])
def test_numbers_in_prose_are_those_of_the_results(name: str) -> None:
    quoted = re.findall(r"(?<![\d.])[01]\.\d{3}(?!\d)", (NOTEBOOKS.parent / name).read_text())
    assert quoted
    assert set(quoted) <= known_numbers()


def test_further_experiments_repeat_the_rows_of_the_ablation() -> None:
    ablation = json.loads((NOTEBOOKS / "results" / "ablation.json").read_text())
    titles = {metric["title"]: key for key, metric in ablation["metrics"].items()}
    streams = json.loads((NOTEBOOKS / "results" / "variations.json").read_text())["graph_streams"]["rows"]
    for row in ("baseline", "graph_onehot"):
        assert streams[row] == {title: ablation["rows"][row][titles[title]]["mean"] for title in streams[row]}
