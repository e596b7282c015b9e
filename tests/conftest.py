"""Manifests shared by tests of several stations, prepared once a session."""

from __future__ import annotations

from pathlib import Path

import pytest


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
