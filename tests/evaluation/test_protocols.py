from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinclip.errors import ConfigError
from clinclip.evaluation.tasks import TASKS, Probe, Retrieval, ZeroShot, find_task
from clinclip.files import shipped_configs

BUILT_IN = sorted((shipped_configs() / "protocols").glob("*.json"))
#: numbers that were published under a protocol's name and hash stay comparable
HASHES = {
    "align-v1": "87bb0977f409",
    "probe-v1": "44e5e673e17b",
    "retrieval-v1": "dc46e1374c58",
    "zero-shot-chexpert14-v1": "c167335e777e",
    "zero-shot-chexpert5-v1": "5d375addf485",
}


def test_built_in_protocols_load_under_their_own_name_and_keep_their_hash() -> None:
    assert {p.stem for p in BUILT_IN} == set(HASHES)
    for path in BUILT_IN:
        protocol = find_task(json.loads(path.read_text())["task"]).load_protocol(path.stem)
        assert protocol.name == path.stem
        assert protocol.resamples == 1000
        assert protocol.hash() == HASHES[path.stem]


def test_defaults_exist_for_every_task() -> None:
    assert [task.name for task in TASKS] == ["zero-shot", "retrieval", "align", "probe"]
    for task in TASKS:
        assert task.load_protocol().task == task.name


def test_hash_covers_what_decides_numbers_and_nothing_else() -> None:
    a = ZeroShot.load_protocol("zero-shot-chexpert14-v1")
    assert a.hash(prompts="x") == ZeroShot.load_protocol("zero-shot-chexpert14-v1").hash(prompts="x")
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
    protocol = Retrieval.load_protocol(str(path))
    assert protocol.ks == (1, 3)
    for task, record, message in (
        (Retrieval, {"name": "m", "task": "retrieval", "gallery": "all"}, "unknown keys gallery"),
        (Retrieval, {"name": "m", "task": "guess"}, "is for guess, not for retrieval"),
        (Retrieval, {"name": "m", "task": "retrieval", "gallery_texts": "all"}, "gallery_texts='all' is not one of"),
        (Retrieval, {"name": "m", "task": "retrieval", "split": "all"}, "split='all' is not one of train"),
        (Probe, {"name": "m", "task": "probe", "fractions": [2]}, "fractions must lie in"),
        (ZeroShot, {"name": "m", "task": "zero-shot", "label_source": "csv"}, "'csv' is not one of auto, table, read"),
        (ZeroShot, {"name": "m", "task": "zero-shot", "findings": ["Oedema"]}, "'Oedema'"),
        (Retrieval, {"name": "m", "task": "retrieval", "resamples": "many"}, "wrong type"),
        (Retrieval, {"name": "m", "task": "retrieval", "resamples": -1}, "resamples=-1"),
        (Retrieval, {"name": "m"}, "at least name and task"),
    ):
        path.write_text(json.dumps(record))
        with pytest.raises(ConfigError, match=message):
            task.load_protocol(str(path))
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        Retrieval.load_protocol(str(path))
    with pytest.raises(ConfigError, match="align-v1"):
        Retrieval.load_protocol("nothing")
