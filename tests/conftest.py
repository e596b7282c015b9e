"""Manifests shared by tests of several stations, prepared once a session."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out on purpose, so that green does not look like everything."""
    if config.option.markexpr == "not slow":
        terminalreporter.write_line(
            f"Left out: the tests marked slow, {', '.join(_slow())}. They run by: make test-slow"
        )


def _slow() -> list[str]:
    """Files with tests that are marked slow."""
    here = Path(__file__).parent
    return sorted(
        str(p.relative_to(here.parent)) for p in here.rglob("test_*.py") if "\n@pytest.mark.slow\n" in p.read_text()
    )


def prepare(base: Path, out: Path, count: int = 24, views: str = "all", size: int = 40) -> Path:
    """A MIMIC-CXR tree with two images a study, prepared."""
    from clinclip.prepare.build import BuildOptions, build
    from clinclip.prepare.readers.mimic_cxr import MimicOptions, read
    from tests.prepare.trees import studies, write_mimic

    tree = write_mimic(base, studies(count))
    source = read(MimicOptions(images=tree.jpg, views=views), progress=False)
    build(source, out, BuildOptions(image_size=size, workers=1), progress=False)
    return out


@pytest.fixture(scope="session")
def manifest_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("manifest")
    return prepare(base / "tree", base / "m")


@pytest.fixture(scope="session")
def frontal_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("frontal")
    return prepare(base / "tree", base / "m", count=12, views="frontal", size=24)
