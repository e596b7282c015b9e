"""The ablation: its plan, its arithmetic, going on after an interruption, and once from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clinclip.commands import ablate, ablate_judge, ablate_runs, ablate_table
from clinclip.commands.ablate_judge import Judged
from clinclip.commands.ablate_runs import ROWS, Plan
from clinclip.commands.ablate_sweep import parse_sweep
from clinclip.commands.stages import StageError
from clinclip.errors import ConfigError, DataError
from clinclip.evaluation.tables import RowSpec, TableSpec, measure
from clinclip.findings import FINDINGS
from clinclip.testing import tiny_manifest

PREVALENCE = {"Edema": 0.2, "Fracture": 0.01, "Pleural Effusion": 0.3}
NAMES = [
    ("align", "align", "all items", "report > negation"),
    ("align", "align", "all items", "report > omitted"),
    ("zero-shot", "ranking", "Edema", "AUROC"),
    ("zero-shot", "ranking", "Fracture", "AUROC"),
    ("zero-shot", "ranking", "Pleural Effusion", "AUROC"),
    ("retrieval", "retrieval", "image to report, duplicates are positives", "R@1"),
    ("retrieval", "retrieval", "image to report, duplicates are positives", "R@10"),
    ("retrieval", "retrieval", "report to image, duplicates are positives", "R@10"),
    ("retrieval", "clinical", "retrieved report", "label F1 micro"),
]


def judged(shift: float = 0.0, noise: float = 0.01, manifest: str = "m", fracture: int = 9) -> Judged:
    point = np.linspace(0.4, 0.8, len(NAMES)) + shift
    drawn = point + noise * np.random.default_rng(0).standard_normal((400, len(NAMES)))
    facts = {
        "manifest": manifest,
        "split": "test",
        "positives": {"Edema": 40, "Fracture": fracture, "Pleural Effusion": 50, "Pneumonia": 0},
        "zero-shot": {"images": 100, "patients": 50},
        "align": {"items": 60},
    }
    return Judged({name: i for i, name in enumerate(NAMES)}, point, drawn.astype(np.float32), facts)


def test_findings_are_common_or_rare_by_the_training_split() -> None:
    by_name = {m.name: m.rows for m in ablate_table.metrics(judged(), PREVALENCE)}
    assert by_name["auroc_common"] == ("Edema", "Pleural Effusion")
    assert by_name["auroc_rare"] == ("Fracture",)
    assert "entity_f1" not in by_name  # this manifest has no graphs
    assert "auroc_rare" not in {m.name for m in ablate_table.metrics(judged(fracture=4), PREVALENCE)}


def test_cells_are_means_over_seeds_with_paired_differences() -> None:
    columns, table = ablate_table.build(
        {"baseline": [judged(), judged(0.02)], "n": [judged(0.1), judged(0.12)]}, PREVALENCE
    )
    names = [m.name for m in columns]
    cell = table["n"]["report_vs_negation"]
    assert cell.mean == pytest.approx(0.51)
    assert cell.spread == pytest.approx(0.02 / 2**0.5)
    assert cell.low < 0.51 < cell.high
    # the same resamples: noise cancels, and the difference is known far better than either row
    assert cell.difference == pytest.approx((0.1, 0.1, 0.1), abs=1e-6)
    assert cell.clear and "▲" in cell.text()
    assert table["baseline"]["report_vs_negation"].difference is None
    common = table["baseline"]["auroc_common"]
    assert common.mean == pytest.approx((judged().point[[2, 4]].mean() + judged(0.02).point[[2, 4]].mean()) / 2)
    text = ablate_table.markdown(columns, table, {"baseline": 2, "n": 2})
    assert text.count("\n") == 3
    assert all(m.title in text.splitlines()[0] for m in columns)
    record = json.loads(json.dumps(ablate_table.as_json(columns, table, {"baseline": [judged()], "n": [judged(0.1)]})))
    assert record["rows"]["n"][names[0]]["mean"] == pytest.approx(0.51)


def test_rows_of_different_data_are_never_compared() -> None:
    with pytest.raises(ConfigError, match="different manifests"):
        ablate_table.build({"baseline": [judged()], "n": [judged(manifest="other")]}, PREVALENCE)
    with pytest.raises(ConfigError, match="no finished run"):
        ablate_table.build({"baseline": []}, PREVALENCE)


def test_every_cell_of_a_table_keeps_its_name() -> None:
    spec = TableSpec("t", "", "", ("a", "b"), (RowSpec("x"), RowSpec("y")), lambda w: w[:, :4] * np.arange(1.0, 5.0))
    names, values, drawn = ablate_judge.flat("task", measure([spec], 4))
    assert names == [("task", "t", r, c) for r in "xy" for c in "ab"]
    assert values.tolist() == [1, 2, 3, 4]
    assert drawn.shape == (0, 4)


def test_a_damaged_result_is_named(tmp_path) -> None:
    (tmp_path / "judged.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"judged\.npz.*delete it"):
        ablate_judge.read(tmp_path / "judged.npz")


def test_plan_names_every_row_and_seed(tmp_path) -> None:
    plan = Plan(tmp_path, tuple(ROWS), (0, 1), studies=50, knobs=("visibility=1",), options=("trainer.max_epochs=1",))
    phantom, prepare = plan.data_stages()
    assert phantom.command[-2:] == ("--knob", "visibility=1")
    assert prepare.depends == phantom.identity
    stages = [s for row in plan.rows for seed in plan.seeds for s in plan.run_stages(row, seed)]
    assert len({s.identity for s in stages}) == len(stages) == 2 * 2 * len(ROWS)
    fit, judge = plan.run_stages("negation_soft_text_clinical", 1)
    assert fit.command[2].endswith("site/phantom.yaml")
    assert fit.command[4].endswith("rows/negation_soft_text_clinical.yaml")
    assert {"--seed_everything=1", "--data.seed=1", "--trainer.max_epochs=1"} <= set(fit.command)
    assert judge.command[judge.command.index("--checkpoint") + 1].endswith("last.ckpt")
    # other data, other results
    assert Plan(tmp_path, plan.rows, (0, 1), studies=60).run_stages("negation", 0)[0].identity not in {
        s.identity for s in stages
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "baseline,negations"], "allowed, each once: baseline"),
        (["--rows", "negation,negation"], "allowed, each once"),
        (["--seeds", "a"], "whole numbers"),
        (["--jobs", "0"], "at least 1"),
        (["--family", "mimic"], "--manifest DIR"),
        (["--manifest", "x", "--knob", "noise=0"], "leave them out with --manifest"),
        (["--sweep", "noise"], "two values or more"),
    ],
)
def test_contradictions_are_refused(options, message, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        ablate.main(["run", "--out", str(tmp_path / "out"), *options])


def test_sweep_values() -> None:
    assert parse_sweep("noise=0, 1,2") == ("noise", ("0", "1", "2"))


def test_what_is_finished_stays_finished(tmp_path, monkeypatch, capsys) -> None:
    ran: list[str] = []
    broken = {"negation-seed0-judge"}

    def run_stage(stage, markers: Path, threads=None, log=None, show=False) -> bool:
        if (markers / stage.name).exists():
            return False
        if stage.name in broken:
            raise StageError(f"stage {stage.name!r} failed")
        ran.append(stage.name)
        markers.mkdir(parents=True, exist_ok=True)
        (markers / stage.name).touch()
        if stage.name.endswith("judge"):
            out = Path(stage.command[stage.command.index("--out") + 1])
            out.mkdir(parents=True, exist_ok=True)
            run = judged(0.1 if "negation-" in stage.name else 0.0)
            names, facts = (np.array(json.dumps(v)) for v in (list(run.index), run.facts))
            np.savez(out / ablate_judge.RESULTS, names=names, facts=facts, point=run.point, drawn=run.drawn)
        return True

    monkeypatch.setattr(ablate_runs, "run_stage", run_stage)
    monkeypatch.setattr(ablate_runs, "prevalence", lambda manifest: PREVALENCE)
    command = ["run", "--out", str(tmp_path), "--rows", "baseline,negation", "--seeds", "0", "--jobs", "1"]
    with pytest.raises(StageError, match="negation-seed0-judge"):
        ablate.main(command)
    assert "baseline-seed0-judge" in ran
    before, broken = list(ran), set()
    assert ablate.main(command) == 0
    assert ran == [*before, "negation-seed0-judge"]  # nothing was done twice
    out = capsys.readouterr().out
    assert "[1/2] baseline, seed 0: done before" in out
    assert "| negation | 1 | 0.500 (" in out
    assert json.loads((tmp_path / "ablation.json").read_text())["facts"]["manifest"] == "m"
    assert (tmp_path / "ablation.md").read_text() in out
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "curves.png").exists()  # no run has logged anything


def test_prevalence_counts_the_training_split(tmp_path) -> None:
    shares = ablate_runs.prevalence(tiny_manifest(tmp_path / "toy", studies=12))
    assert set(shares) == set(FINDINGS)
    assert 0 < max(shares.values()) <= 1


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
