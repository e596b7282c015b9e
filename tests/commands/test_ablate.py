"""The ablation: its table, its options, going on after an interruption, and once from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clinclip.commands import ablate
from clinclip.commands.ablate import runs, table
from clinclip.commands.ablate.judge import judge, result_file
from clinclip.commands.ablate.runs import ROWS, Plan
from clinclip.commands.steps import StepError
from clinclip.errors import ConfigError
from clinclip.evaluation.comparison import Judged, compare
from clinclip.testing import tiny_manifest
from tests.evaluation.test_comparison import judged


def test_the_table_says_what_its_numbers_are() -> None:
    results = {"baseline": [judged(), judged(0.02)], "negation": [judged(0.1), judged(0.12)]}
    columns, cells = compare(results)
    text = table.markdown(columns, cells, results)
    assert text.splitlines()[0] == "| row | seeds | report > negation | AUROC common |"
    assert text.splitlines()[3].startswith("| negation | 2 | 0.510 (")
    assert "Retrieval: 100 images of 50 patients. AUROC common: of two findings." in text
    record = json.loads(json.dumps(table.as_json(columns, cells, results), allow_nan=False))
    assert record["rows"]["negation"]["report_vs_negation"]["mean"] == pytest.approx(0.51)
    assert record["rows"]["negation"]["report_vs_negation"]["clear"] == "above"
    assert record["rows"]["baseline"]["report_vs_negation"]["clear"] is None
    assert record["legend"] in text
    assert record["seeds"]["negation"][1]["auroc_common"] == pytest.approx(0.82)
    assert record["about"]["negation"] == ROWS["negation"]


def test_a_run_is_its_row_at_its_site(tmp_path: Path) -> None:
    plan = Plan(tmp_path, tuple(ROWS), (0, 1), options=("trainer.max_epochs=1",))
    command = plan.fit("negation_soft_text_clinical", 1, spare=True)
    assert command[2].endswith("site/phantom.yaml")
    assert command[4].endswith("rows/negation_soft_text_clinical.yaml")
    assert {"--seed_everything=1", "--data.seed=1", "--trainer.max_epochs=1", "--data.num_workers=0"} <= set(command)
    assert all(plan.fit(row, 0, spare=False) for row in ROWS)  # every row has a file


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "baseline,negations"], "allowed, each once: baseline"),
        (["--rows", "negation,negation"], "allowed, each once"),
        (["--seeds", "a"], "whole numbers"),
        (["--jobs", "0"], "at least 1"),
        (["--site", "mimic"], "--site mimic needs --manifest DIR"),
        (["--manifest", "x", "--knob", "noise=0"], "leave them out with --manifest"),
    ],
)
def test_contradictions_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        ablate.main(["run", "--out", str(tmp_path / "out"), *options])


def test_what_is_finished_stays_finished(tmp_path: Path, monkeypatch, capsys) -> None:
    done: list[str] = []
    broken = True
    manifest = tiny_manifest(tmp_path / "toy", studies=12)

    def call(*argv: str, show: bool = False) -> None:
        done.append("fit " + Path(argv[4]).stem + (" again" if argv[-1].startswith("--ckpt_path") else ""))
        run = Path(next(a for a in argv if "save_dir" in a).partition("=")[2])
        last = run / "logs" / "checkpoints" / "last.ckpt"
        last.parent.mkdir(parents=True, exist_ok=True)
        last.touch()
        if broken and "negation" in argv[4]:
            raise StepError("status 2: clinclip fit")

    def fake_judge(checkpoint: Path, manifest: Path, result: Path, split: str, resamples: int) -> None:
        done.append(f"judge {resamples}")
        judged(0.1 if "negation" in str(checkpoint) else 0.0).save(result)

    monkeypatch.setattr(runs, "call", call)
    monkeypatch.setattr(runs, "judge", fake_judge)
    out = tmp_path / "out"
    command = ["run", "--out", str(out), "--manifest", str(manifest), "--rows", "baseline,negation", "--seeds", "0"]
    with pytest.raises(StepError, match=r"its output is in .*negation-seed0\.log"):
        ablate.main([*command, "--jobs", "1"])
    assert done == ["fit baseline", "judge 1000", "fit negation"]
    broken = False
    capsys.readouterr()
    assert ablate.main([*command, "--jobs", "1"]) == 0
    assert done[3:] == ["fit negation again", "judge 1000"]  # gone on with, and nothing twice
    printed = capsys.readouterr().out
    assert "[1/2] baseline, seed 0: done before" in printed
    assert "| negation | 1 | 0.500 (" in printed
    assert (out / "ablation.md").read_text() in printed
    assert json.loads((out / "ablation.json").read_text())["facts"]["manifest"] == "m"
    assert (out / "ablation.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "curves.png").exists()  # no run has logged anything
    assert ablate.main([*command, "--jobs", "1", "--resamples", "7"]) == 0
    assert done[5:] == ["judge 7", "judge 7"]  # nothing is trained again for other intervals
    assert ablate.main(["table", "--out", str(out), "--rows", "negation", "--seeds", "0"]) == 0
    assert "| negation | 1 | 0.500 (" in capsys.readouterr().out
    assert ablate.main([*command, "--jobs", "1", "--set", "data.seed=3"]) == 0
    assert done[7:] == ["fit baseline", "judge 1000", "fit negation", "judge 1000"]


def test_every_task_that_states_it_is_judged(tmp_path: Path) -> None:
    from clinclip.data.manifest import Manifest
    from clinclip.export.checkpoint import save_model
    from clinclip.export.model import Model
    from clinclip.images import Preprocessing
    from clinclip.testing import tiny_model
    from clinclip.text.tokens import Tokenizer

    manifest = Manifest.load(tiny_manifest(tmp_path / "toy", studies=90))
    tokenizer = Tokenizer.train(manifest.split("train")["text"].tolist())
    record = {"manifests": [manifest.hash], "datasets": ["toy"], "patients": None, "version": "0"}
    loaded = Model(tiny_model().eval(), tokenizer, Preprocessing(32, 40, max_tokens=64), "", record)
    save_model(loaded, tmp_path / "model")
    path = result_file(tmp_path, "baseline", 0)
    judge(tmp_path / "model", manifest.path, path, resamples=20)
    run = Judged.read(path)
    names = [c.name for c in run.columns]
    assert names[0] == "auroc_common"
    assert {"i2t_r1", "i2t_r10", "t2i_r10", "label_f1", "report_vs_negation", "report_vs_omitted"} < set(names)
    assert run.drawn.shape == (20, len(names))
    common = run.columns[0]
    assert set(common.rows) == {"Edema", "Pneumothorax", "Pleural Effusion"}  # what the toy studies have
    assert "at least 5% of the training images" in common.about
    from clinclip.evaluation.run import evaluate

    whole = evaluate(loaded, manifest, "zero-shot", resamples=20)
    want = np.mean([whole.tables["ranking"].cell(f, "AUROC").value for f in common.rows])
    assert run.point[0] == pytest.approx(want)
    assert run.drawn[:, 0].mean() == pytest.approx(want, abs=0.1)
    assert set(run.facts["tasks"]) == {
        "Zero-shot classification",
        "Report retrieval",
        "CXR-Align: negation and completeness",
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_end_to_end(tmp_path, capsys) -> None:
    manifest = tiny_manifest(tmp_path / "toy", studies=60)
    small = ("data.image_size=32", "data.batch_size=8", "model.model.embed_dim=8", "trainer.max_epochs=1")
    command = [
        "run",
        "--out",
        str(tmp_path / "out"),
        "--manifest",
        str(manifest),
        "--rows",
        "baseline,negation",
        "--seeds",
        "0",
    ]
    command += [part for option in small for part in ("--set", option)] + ["--resamples", "20"]
    assert ablate.main(command) == 0
    assert "| baseline | 1 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5_000
    assert ablate.main(command) == 0
    assert capsys.readouterr().out.count("done before") == 2
