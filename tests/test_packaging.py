"""Python versions and installed libraries: what is claimed, checked and needed are the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
VERSIONS = ["3.11", "3.12", "3.13"]


def test_versions_are_said_once_everywhere() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    named = [c.rpartition(" :: ")[2] for c in PROJECT["classifiers"] if c.startswith("Programming Language :: Python")]
    assert named == VERSIONS
    assert "clinclip is tested on Python 3.11, 3.12 and 3.13" in MAKEFILE
    assert "Python 3.11, 3.12 or 3.13" in (ROOT / "README.md").read_text()


def test_make_refuses_other_versions(tmp_path) -> None:
    check = re.search(r"\$\(PYTHON\) -c '(import sys; sys\.exit\([^']*\))'", MAKEFILE)
    assert check
    for version, status in ((10, 1), (11, 0), (12, 0), (13, 0), (14, 1)):
        code = check[1].replace("sys.version_info[:2]", f"(3, {version})")
        assert subprocess.run([sys.executable, "-c", code]).returncode == status


def test_no_test_is_left_out_for_want_of_a_library() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        called = [n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
        assert "importorskip" not in called, f"{path.name}: what it needs belongs into the dev extra"


def test_every_requirement_is_pinned() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.M)
    extras = [r for group in PROJECT["optional-dependencies"].values() for r in group]
    for requirement in [*PROJECT["dependencies"], *extras]:
        name = re.match(r"[\w-]+", requirement)
        assert name
        assert name[0] in {*pinned, "clinclip"}, f"constraints.txt has no tested version of {name[0]}"
