"""The demo from end to end, small: a few studies, one step of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinclip.commands import demo

SMALL = ("trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "data.batch_size=8", "data.num_workers=0",
         "data.image_size=32", "model.model.embed_dim=8")  # fmt: skip


def test_the_whole_way_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    out = tmp_path / "demo"
    command = ["--out", str(out), "--studies", "60", "--epochs", "1", *(p for o in SMALL for p in ("--set", o))]
    assert demo.main(command) == 0
    printed = capsys.readouterr().out
    for words in ("[1/5]", "[5/5]", "clinclip fit --config", "clinclip evaluate align", "report > negation", "AUROC"):
        assert words in printed
    assert (out / "run" / "checkpoints" / "best.ckpt").is_file()
    for task in ("zero-shot", "retrieval", "align"):
        record = json.loads((out / "evaluation" / task / "results.json").read_text())
        assert record["models"][0]["exposure"]["status"] == "clean"
        assert (out / "evaluation" / task / "report.html").is_file()
    shown = next(line for line in printed.splitlines() if "Report retrieval: image to report R@10" in line)
    value = json.loads((out / "evaluation" / "retrieval" / "results.json").read_text())["headline"]["i2t_r10"]["value"]
    assert f"{value:.3f}" in shown

    def never(*argv: str, show: bool = False) -> None:
        raise AssertionError(f"done before: {argv}")

    monkeypatch.setattr(demo, "call", never)
    assert demo.main(command) == 0
    assert shown in capsys.readouterr().out
    with pytest.raises(AssertionError, match="'fit'"):
        demo.main([*command, "--set", "model.model.embed_dim=16"])
