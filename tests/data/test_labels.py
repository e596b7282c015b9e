from __future__ import annotations

from pathlib import Path

import pytest

from clinclip.data.labels import label_source
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError
from clinclip.findings import LABEL_SOURCES


def manifest(name: str, table: bool, text: bool) -> Manifest:
    return Manifest(Path(name), {"labels": {"table": table}, "text": {"available": text}})


BOTH, READ, TABLE = manifest("both", True, True), manifest("reports", False, True), manifest("images", True, False)


@pytest.mark.parametrize(
    ("manifests", "want"),
    [
        ([BOTH], {"auto": "table", "table": "table", "read": "read"}),
        ([READ], {"auto": "read", "table": None, "read": "read"}),
        ([TABLE], {"auto": "table", "table": "table", "read": None}),
        ([BOTH, READ], {"auto": "read", "table": None, "read": "read"}),
        ([BOTH, TABLE], {"auto": "table", "table": "table", "read": None}),
        ([TABLE, READ], {"auto": None, "table": None, "read": None}),  # no source that both have: never silence
    ],
)
def test_a_source_is_what_all_manifests_have(manifests: list[Manifest], want: dict[str, str | None]) -> None:
    assert set(want) == set(LABEL_SOURCES)
    for wanted, found in want.items():
        if found:
            assert label_source(manifests, wanted, "data.labels=") == found
        else:
            with pytest.raises(ConfigError, match=r"data\.labels=(table|read): (reports|images) has no"):
                label_source(manifests, wanted, "data.labels=")


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="--labels csv is not one of auto, table, read"):
        label_source([BOTH], "csv", "--labels ")
