"""``clinclip annotate`` and ``clinclip score-parser``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinclip.__main__ import main
from clinclip.data.manifest import Manifest
from clinclip.graph.batch import graph_from_column
from clinclip.graph.radgraph import read_radgraph
from tests.commands.manifests import TEXTS, write_manifest


def test_the_rules_work_out_of_the_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "m")
    out = tmp_path / "graphs.json"
    assert main(["annotate", "--manifest", str(tmp_path / "m"), "--out", str(out), "--quiet"]) == 0
    documents = read_radgraph(out, texts={f"toy/study{n}": text for n, text in enumerate(TEXTS)})
    assert list(documents) == [f"toy/study{n}" for n in range(4)]
    first = documents["toy/study0"]
    assert [e.text for e in first.graph.entities][:4] == ["small", "left", "pleural", "effusion"]
    assert first.lost == 0
    printed = capsys.readouterr().out
    assert "4 studies" in printed
    assert "clinclip-rules" in printed
    assert not list(tmp_path.glob("*.partial"))


def test_graphs_can_be_stored_in_the_manifest(tmp_path: Path) -> None:
    before = write_manifest(tmp_path / "m")
    options = ["--out", str(tmp_path / "g.json"), "--quiet", "--into-manifest"]
    assert main(["annotate", "--manifest", str(tmp_path / "m"), *options]) == 0
    after = Manifest.load(tmp_path / "m")
    assert after.hash != before.hash
    assert after.header["graphs"]["entities_not_found_in_text"] == 0
    row = after.frame.iloc[0]
    graph = graph_from_column(row["graph"], row["text"])
    assert [e.text for e in graph.entities][:2] == ["small", "left"]


def test_radgraph_needs_an_interpreter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "m")
    call = ["annotate", "--manifest", str(tmp_path / "m"), "--out", str(tmp_path / "g.json"), "--backend", "radgraph"]
    assert main(call) == 1
    assert "--python PATH" in capsys.readouterr().err
    assert main([*call, "--python", str(tmp_path / "nowhere")]) == 1
    assert "cannot be started" in capsys.readouterr().err
    assert main([*call[:-2], "--split", "test", "--into-manifest"]) == 1
    assert "leave out --split" in capsys.readouterr().err


def write_gold(path: Path, label: str = "OBS-DP") -> Path:
    words = ["small", "left", "effusion", ".", "no", "pneumothorax", "."]
    entities = {
        "1": {"tokens": "small", "label": "OBS-DP", "start_ix": 0, "end_ix": 0, "relations": [["modify", "3"]]},
        "2": {"tokens": "left", "label": "ANAT-DP", "start_ix": 1, "end_ix": 1, "relations": []},
        "3": {"tokens": "effusion", "label": label, "start_ix": 2, "end_ix": 2, "relations": [["located_at", "2"]]},
        "4": {"tokens": "pneumothorax", "label": "OBS-DA", "start_ix": 5, "end_ix": 5, "relations": []},
    }
    path.write_text(json.dumps({"a": {"text": " ".join(words), "entities": entities}}))
    return path


def test_scoring_the_rules_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write_gold(tmp_path / "gold.json")
    scores = tmp_path / "scores.json"
    assert main(["score-parser", "--gold", str(gold), "--json", str(scores)]) == 0
    printed = capsys.readouterr().out
    assert "| spans, strict | 1.0000 | 1.0000 | 1.0000 | 4 |" in printed
    assert json.loads(scores.read_text())["relations"]["micro"]["f1"] == 1.0
    wrong = write_gold(tmp_path / "wrong.json", label="OBS-U")
    assert main(["score-parser", "--gold", str(gold), "--pred", str(wrong)]) == 0
    printed = capsys.readouterr().out
    assert "| spans, strict | 0.7500 | 0.7500 | 0.7500 | 3 | 1 | 0 | 0 | 0 |" in printed
    assert "| spans, exact | 1.0000 |" in printed
    assert "tokens, macro F1: 0.6667" in printed  # ANAT-DP 1, OBS-DP 2/3, OBS-U 0, OBS-DA 1


def test_predictions_must_cover_the_gold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write_gold(tmp_path / "gold.json")
    (tmp_path / "empty.json").write_text("{}")
    assert main(["score-parser", "--gold", str(gold), "--pred", str(tmp_path / "empty.json")]) == 1
    assert "lacks 1 of the 1 records" in capsys.readouterr().err
    assert main(["score-parser", "--gold", str(tmp_path / "empty.json")]) == 1
    assert "holds no record" in capsys.readouterr().err
