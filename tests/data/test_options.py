"""The data module's options: what is wrong is named by its key."""

from __future__ import annotations

from typing import Any

import pytest

from clinclip.data.datamodule import CXRDataModule
from clinclip.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"manifests": []}, r"data\.manifests=\[\]"),
        ({"manifests": "runs/phantom"}, r"data\.manifests='runs/phantom': give a list"),
        ({"weights": [1.0, 2.0]}, r"data\.weights=\[1\.0, 2\.0\]: one number >= 0 for each of the 1"),
        ({"labels": "chexpert"}, r"data\.labels='chexpert': allowed are auto, table, read"),
        ({"sampling": "patient"}, r"data\.sampling='patient': allowed are study, image"),
        ({"predict_split": "val"}, r"data\.predict_split='val': allowed are train, validate, test"),
        ({"batch_size": 0}, r"data\.batch_size=0: must be at least 1"),
        ({"twins": -1}, r"data\.twins=-1"),
        ({"edits": ["negate"]}, r"data\.edits=\['negate'\] with data\.twins=0"),
        ({"edits": ["invert"], "twins": 1}, r"data\.edits='invert': allowed are negate, omit"),
        ({"views": ","}, "--views ','"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CXRDataModule(**{"manifests": ["m"], **given})


def test_derived_values() -> None:
    options = CXRDataModule(["a", "b"], twins=2, edits=["omit", "negate", "omit"], views="PA,AP").options
    assert options.kinds == ("negate", "omit")
    assert options.passes == [1.0, 1.0]
    assert options.kept_views == {"PA", "AP"}
    assert 0 <= options.workers <= 8
    lateral = CXRDataModule(["a"], views="lateral").options.kept_views
    assert lateral is not None
    assert lateral >= {"LL", "L", "SWIMMERS"}
    assert CXRDataModule(["a"]).options.kinds == ()
    assert CXRDataModule(["a"], num_workers=3).options.workers == 3
