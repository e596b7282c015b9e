"""Every YAML in configs/ is a test case: it parses, and a tiny offline stand-in of it trains one step."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clinclip.cli import build, main
from clinclip.errors import ConfigError
from clinclip.testing import tiny_manifest

CONFIGS = Path(__file__).parent.parent / "configs"
ROWS = ("baseline", "dt", "dt_c", "n", "n_dt_c", "g", "g_hard", "g_dtcg", "n_g_dtcg")
COMPLETE = [CONFIGS / "default.yaml", *sorted((CONFIGS / "experiment").glob("*.yaml"))]
PARTS = {"trainer": "trainer", "data": "data", "model": "model.model", "losses": "model.losses"}

#: what keeps a step small and offline; the configuration's own structure stays
TINY = (
    "--model.model.image_encoder.name=test_vit",
    "--model.model.image_encoder.pretrained=false",
    "--model.model.text_encoder.name=tiny",
    "--model.model.embed_dim=8",
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.strategy=auto",
    "--trainer.precision=32",
    "--trainer.max_steps=1",
    "--trainer.limit_val_batches=1",
    "--trainer.logger=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.num_sanity_val_steps=0",
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("data") / "toy", studies=12)


def resolved(capsys, *args: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *args, "--print_config"])
    out = capsys.readouterr()
    assert ended.value.code == 0, out.err
    return yaml.safe_load(out.out)


@pytest.mark.parametrize("path", [p for p in COMPLETE if "mimic" not in p.stem], ids=lambda p: p.stem)
def test_complete_configurations_train_a_step(path, manifest, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # references to other files count from the file itself, not from here
    assert main(["fit", "--config", str(path), f"--data.manifests=[{manifest}]", *TINY]) == 0


@pytest.mark.parametrize("path", [p for p in COMPLETE if "mimic" in p.stem], ids=lambda p: p.stem)
def test_cluster_configurations_are_built(path, manifest, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    settings = resolved(capsys, "--config", str(path), f"--data.manifests=[{manifest}]", *TINY)
    settings.pop("ckpt_path"), settings.pop("weights_only")
    before = copy.deepcopy(settings)
    cli = build(settings, run=False)
    assert settings == before  # a notebook's dictionary is not changed
    phantom = resolved(capsys, "--config", str(path.with_name(path.name.replace("mimic", "phantom"))))["model"]
    assert sorted(cli.model.losses) == sorted(phantom["losses"])
    assert settings["model"]["losses"] == phantom["losses"]
    assert settings["model"]["targets"] == phantom["targets"]


@pytest.mark.parametrize("part", sorted(PARTS))
def test_parts_fit_into_a_run(part, manifest, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    files = sorted((CONFIGS / part).glob("*.yaml"))
    assert files
    base = ["--config", str(CONFIGS / "default.yaml")]
    for path in files:
        found = resolved(capsys, *base, f"--{PARTS[part]}={path}")
        for key in PARTS[part].split("."):
            found = found[key]
        found = found.get("init_args", found)
        assert _flat(yaml.safe_load(path.read_text())) <= _flat(found), path


def test_every_file_belongs_to_a_test() -> None:
    tested = {*COMPLETE, *(p for part in PARTS for p in (CONFIGS / part).glob("*.yaml"))}
    assert set(CONFIGS.rglob("*.y*ml")) == tested
    for family in ("phantom", "mimic"):
        assert {f"{family}_{row}.yaml" for row in ROWS} <= {p.name for p in COMPLETE}


@pytest.mark.parametrize("family", ["phantom", "mimic"])
def test_rows_differ_only_in_their_blocks(family, capsys) -> None:
    found = {row: resolved(capsys, "--config", str(CONFIGS / "experiment" / f"{family}_{row}.yaml")) for row in ROWS}
    for row, config in found.items():
        own = config["model"].pop("targets"), config["model"].pop("losses")
        graph = config["model"]["model"]["init_args"].pop("graph_encoder")
        twins, graphs = config["data"].pop("twins"), config["data"].pop("graphs")
        # the switches follow from the row's name, and nothing is computed that no term uses
        parts = row.split("_")
        assert twins == int("n" in parts), row
        assert graphs == ("g" in parts) == (graph is not None), row
        sources = [] if own[0]["default"] is None else sorted(own[0]["default"]["init_args"]["sources"])
        expected = {"dt": ["text"], "dtcg": ["clinical", "graph", "text"]}.get(parts[-1], [])
        expected = ["clinical", "text"] if "dt_c" in row else expected
        expected = ["graph"] if row == "g" else expected
        assert sources == expected, row
        assert ("graph" in own[1]) == graphs
        assert (own[1]["contrastive"]["init_args"]["candidates"] is not None) == bool(twins)
    first = found["baseline"]
    for row, config in found.items():
        assert config == first, row


def test_the_default_is_the_full_phantom_row(capsys) -> None:
    default = resolved(capsys, "--config", str(CONFIGS / "default.yaml"))
    row = resolved(capsys, "--config", str(CONFIGS / "experiment" / "phantom_n_g_dtcg.yaml"))
    assert default == row


@pytest.mark.parametrize("path", COMPLETE, ids=lambda p: p.stem)
def test_headers_say_command_cost_and_result(path) -> None:
    header = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    for key in ("Command", "Cost", "Result"):
        assert re.search(rf"^# {key}:\s+\S", header, re.M), f"{path.name} has no {key}"
    assert f"clinclip fit --config configs/{path.relative_to(CONFIGS)}" in header


def test_mimic_rows_are_ready_for_a_cluster(capsys) -> None:
    config = resolved(capsys, "--config", str(CONFIGS / "experiment" / "mimic_n_g_dtcg.yaml"))
    model, data = config["model"]["model"]["init_args"], config["data"]
    assert model["image_encoder"]["init_args"]["name"] == "swin_tiny_patch4_window7_224"
    assert model["text_encoder"]["init_args"]["name"] == "emilyalsentzer/Bio_ClinicalBERT"
    assert (data["image_size"], data["max_tokens"], data["batch_size"], model["embed_dim"]) == (224, 256, 64, 512)
    optimizer = config["model"]["optimizer"]["init_args"]
    assert (optimizer["lr"], optimizer["weight_decay"], config["trainer"]["max_epochs"]) == (5e-5, 1e-4, 10)
    assert config["trainer"]["sync_batchnorm"] is True


def test_offline_a_missing_model_is_explained(manifest, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = CONFIGS / "experiment" / "mimic_baseline.yaml"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # as on a compute node
    options = [o for o in TINY if "text_encoder.name" not in o]
    with pytest.raises(ConfigError, match=r"Bio_ClinicalBERT.*HF_HOME"):
        main(["fit", "--config", str(path), f"--data.manifests=[{manifest}]", *options])


def _flat(value: Any, prefix: str = "") -> set[tuple[str, str]]:
    """Dotted keys and values; class_path and init_args left out, so that short and full spellings compare equal."""
    if isinstance(value, dict):
        pairs: set[tuple[str, str]] = set()
        for key, inner in value.items():
            if key == "class_path":
                pairs.add((f"{prefix}class", str(inner).rpartition(".")[2]))
            else:
                pairs |= _flat(inner, prefix if key == "init_args" else f"{prefix}{key}.")
        return pairs
    if isinstance(value, list):
        return set().union(*(_flat(inner, f"{prefix}{i}.") for i, inner in enumerate(value)))
    if isinstance(value, str) and prefix.count(".") == 1 and value[:1].isupper():
        return {(f"{prefix}class", value)}  # a term given by its class name alone
    return {(prefix, str(value))}
