from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinclip.errors import ConfigError
from clinclip.evaluation.protocols import DEFAULTS, load_protocol
from clinclip.text.prompts import FILES

BUILT_IN = sorted(p.stem.removeprefix("protocol-") for p in FILES.glob("protocol-*.json"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_protocols_load_under_their_own_name(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    assert protocol.resamples == 1000


def test_defaults_exist_for_every_task() -> None:
    for task, name in DEFAULTS.items():
        assert load_protocol(name).task == task


def test_hash_covers_what_decides_numbers_and_nothing_else() -> None:
    a = load_protocol("zero-shot-chexpert14-v1")
    assert a.hash(prompts="x") == load_protocol("zero-shot-chexpert14-v1").hash(prompts="x")
    assert a.hash(prompts="x") != a.hash(prompts="y")
    changed = a.change(label_policy="explicit", split=None)
    assert changed.hash() != a.hash()
    assert changed.name == "zero-shot-chexpert14-v1 (modified: label_policy)"
    again = changed.change(split="validate", views=["PA"])
    assert again.name == "zero-shot-chexpert14-v1 (modified: label_policy, split, views)"
    assert again.views == ("PA",)
    assert a.change(split="test") is a


def test_own_file_and_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine-v1", "task": "retrieval", "ks": [1, 3], "about": "x"}))
    protocol = load_protocol(str(path))
    assert protocol.ks == (1, 3)
    for record, message in (
        ({"name": "m", "task": "retrieval", "gallery": "all"}, "unknown keys gallery"),
        ({"name": "m", "task": "guess"}, "task='guess' is not one of zero-shot"),
        ({"name": "m", "task": "zero-shot", "findings": ["Oedema"]}, "'Oedema'"),
        ({"name": "m", "task": "retrieval", "resamples": "many"}, "wrong type"),
        ({"name": "m", "task": "retrieval", "resamples": -1}, "resamples=-1"),
        ({"name": "m"}, "at least name and task"),
    ):
        path.write_text(json.dumps(record))
        with pytest.raises(ConfigError, match=message):
            load_protocol(str(path))
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        load_protocol(str(path))
    with pytest.raises(ConfigError, match="align-v1"):
        load_protocol("nothing")
