"""A task of one's own: one class, one protocol file, one line in TASKS; the machinery does the rest. And the API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clinclip
from clinclip.__main__ import main
from clinclip.data.manifest import Manifest
from clinclip.errors import ConfigError, LeakageError
from clinclip.evaluation import items as items_of
from clinclip.evaluation import tasks
from clinclip.evaluation.protocols import Protocol
from clinclip.evaluation.result import Drawing, Example, Headline
from clinclip.evaluation.tables import Measured, RowSpec, TableSpec
from clinclip.evaluation.tasks.base import Embedder, Task
from clinclip.export.checkpoint import save_model
from clinclip.export.model import Model
from clinclip.images import Preprocessing
from clinclip.metrics.intervals import weighted_means
from clinclip.testing import tiny_manifest, tiny_model
from clinclip.text.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True)
class FirstProtocol(Protocol):
    axis: int = 0


class First(Task[np.ndarray]):
    """The value of one coordinate of the image embedding."""

    name = "first"
    title = "One coordinate"
    about = "How large one coordinate is."
    protocol_class = FirstProtocol
    options = {  # noqa: RUF012
        "--axis": {"type": int, "help": "which coordinate"},
        "--scale": {"type": float, "help": "a factor, no part of the protocol"},
    }

    def __init__(self, manifest: Manifest, protocol: FirstProtocol, scale: float = 1.0) -> None:
        super().__init__(manifest, protocol)
        self.scale = scale
        self.facts = items_of.data_facts(self.items, scale=scale)

    def score(self, embed: Embedder) -> np.ndarray:
        return embed.images(self.items)[:, self.protocol.axis] * self.scale

    def tables(self, scores: np.ndarray) -> list[TableSpec]:
        def mean(weights: np.ndarray) -> np.ndarray:
            return weighted_means(scores[:, None], weights)

        return [TableSpec("first", "Value <1>", "Of the coordinate.", ("mean",), (RowSpec("all"),), mean)]

    def headlines(self, measured: Measured) -> list[Headline]:
        return [Headline("coordinate", "the coordinate", "first", ("all",), "mean")]

    @classmethod
    def draw(cls, tables: Any, figures: Any, names: Any) -> list[Drawing]:
        return [Drawing("Nothing to see", "A figure.", "<svg></svg>")]

    def example(self, scores: np.ndarray, at: int) -> Example:
        return Example(self.picture(at), "An image", (("value", "words", float(scores[at]), True),))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    manifest = Manifest.load(tiny_manifest(folder / "m", studies=48))
    tokenizer = Tokenizer.train(manifest.split("train")["text"].tolist())
    record = {"manifests": [manifest.hash], "datasets": ["toy"], "patients": None, "version": "0"}
    loaded = Model(tiny_model().eval(), tokenizer, Preprocessing(32, 40, max_tokens=64), "", record)
    save_model(loaded, folder / "model")
    (folder / "first-v1.json").write_text(json.dumps({"name": "first-v1", "task": "first", "resamples": 20}))
    return folder


@pytest.fixture
def with_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(First, "default", str(place / "first-v1.json"), raising=False)
    monkeypatch.setattr(tasks, "TASKS", (*tasks.TASKS, First))  # the one line


@pytest.mark.usefixtures("with_first")
def test_the_command_runs_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "How large one coordinate is." in capsys.readouterr().out
    common = ["--checkpoint", str(place / "model"), "--manifest", str(place / "m"), "--out", str(place / "out")]
    assert main(["evaluate", "first", *common, "--quiet", "--axis", "2", "--scale", "3", "--show-patients"]) == 0
    assert "the coordinate" in capsys.readouterr().out
    record = json.loads((place / "out" / "results.json").read_text())
    assert record["task"] == "first"
    assert record["protocol"]["name"] == "first-v1 (modified: axis)"
    assert record["protocol"]["content"]["axis"] == 2
    assert record["data"]["scale"] == 3.0
    page = (place / "out" / "report.html").read_text()
    for piece in ("<h1>One coordinate</h1>", "Value &lt;1&gt;", "Nothing to see", "<svg></svg>", "data:image/png"):
        assert piece in page
    assert "### Value <1>" in (place / "out" / "results.md").read_text()


def test_the_function_gives_the_numbers_of_the_model(place: Path, tmp_path: Path) -> None:
    from clinclip.export.checkpoint import load
    from clinclip.export.inference import embed_images

    loaded, manifest = load(place / "model"), Manifest.load(place / "m")
    result = clinclip.evaluate(loaded, manifest, First, protocol=place / "first-v1.json", axis=1, device="cpu")
    rows = np.flatnonzero((manifest.frame["split"] == "test").to_numpy())
    want = embed_images(loaded, manifest, rows, device="cpu", progress=False)[:, 1].mean()
    cell = result.headline["coordinate"]
    assert cell.value == pytest.approx(want)
    assert cell.low < cell.value < cell.high
    frame = result.tables["first"].frame()
    assert frame.loc["all", "mean"] == cell.value
    assert frame.loc["all", "mean high"] == cell.high
    assert [p.name for p in result.save(tmp_path / "new" / "out")] == ["report.html", "results.md", "results.json"]


def test_the_function_is_what_the_command_calls(place: Path) -> None:
    result = clinclip.evaluate(str(place / "model"), str(place / "m"), "retrieval", resamples=30, split="validate")
    common = ["--checkpoint", str(place / "model"), "--manifest", str(place / "m"), "--out", str(place / "same")]
    assert main(["evaluate", "retrieval", *common, "--quiet", "--resamples", "30", "--split", "validate"]) == 0
    record = json.loads((place / "same" / "results.json").read_text())
    assert record["headline"].keys() == result.headline.keys()
    assert record["headline"]["i2t_r5"]["value"] == result.headline["i2t_r5"].value
    assert record["protocol"]["hash"] == result.protocol_hash


def test_wrong_calls_are_named(place: Path) -> None:
    for task, options, message in (
        ("retrieving", {}, "'retrieving' is not one of zero-shot, retrieval, align, probe"),
        ("retrieval", {"labels": "read"}, "retrieval has no option 'labels'; it has: split, views"),
        ("align", {"split": "all"}, "split='all' is not one of train, validate, test"),
        ("align", {"protocol": "retrieval-v1"}, "is for retrieval, not for align"),
    ):
        with pytest.raises(ConfigError, match=message):
            clinclip.evaluate(str(place / "model"), str(place / "m"), task, **options)
    with pytest.raises(LeakageError, match="train split of the manifest"):
        clinclip.evaluate(str(place / "model"), str(place / "m"), "retrieval", split="train")
