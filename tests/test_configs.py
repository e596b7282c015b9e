"""Every YAML in configs/ is a test case: it parses, and a tiny offline stand-in of it trains one step."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import clinclip
from clinclip.__main__ import main as clinclip_command
from clinclip.cli import build, main
from clinclip.evaluation.items import select
from clinclip.evaluation.tasks.base import Embedder
from clinclip.models import DualEncoder
from clinclip.testing import tiny_manifest
from clinclip.training.validation import SplitMetrics
from clinclip.types import Batch

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
DEFAULT = CONFIGS / "default.yaml"
#: row -> (soft labels, negated reports, graph stream)
ROWS: dict[str, tuple[set[str], bool, bool]] = {
    "baseline": (set(), False, False),
    "soft_text": ({"text"}, False, False),
    "soft_text_clinical": ({"text", "clinical"}, False, False),
    "negation": (set(), True, False),
    "negation_soft_text_clinical": ({"text", "clinical"}, True, False),
    "graph": ({"graph"}, False, True),
    "graph_onehot": (set(), False, True),
    "graph_soft_all": ({"text", "clinical", "graph"}, False, True),
    "full": ({"text", "clinical", "graph"}, True, True),
}
SITES = ("phantom", "mimic", "chexpert", "table")
PARTS = {"trainer": "trainer", "model": "model.model", "losses": "model.losses"}
RECORD = json.loads((ROOT / "notebooks" / "results" / "ablation.json").read_text())

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


def configuration(site: str, row: str) -> tuple[str, ...]:
    """The options that choose a method's row at a place."""
    return "--config", str(CONFIGS / "site" / f"{site}.yaml"), "--config", str(CONFIGS / "rows" / f"{row}.yaml")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("data") / "toy", studies=12)


def resolved(capsys, *args: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *args, "--print_config"])
    out = capsys.readouterr()
    assert ended.value.code == 0, out.err
    return yaml.safe_load(out.out)


def header(path: Path) -> str:
    """The comment lines at the top of a file."""
    return re.match(r"(#.*\n)*", path.read_text())[0]  # type: ignore[index]


CASES = {
    "default": ("--config", str(DEFAULT)),
    "crop": ("--config", str(DEFAULT), "--data.augment=crop"),
    **{f"{site}-{row}": configuration(site, row) for site in SITES for row in ROWS},
}


@pytest.mark.parametrize("case", CASES)
def test_after_a_step_evaluation_sees_what_the_trainer_tests(case, manifest, tmp_path, monkeypatch) -> None:
    """Bit for bit, one study at a time: beside others a text is padded, which changes the last bit of some sums."""
    monkeypatch.chdir(tmp_path)  # references to other files count from the file itself, not from here
    plain = ("--trainer.callbacks=null", "--trainer.enable_checkpointing=false")
    alone = "--data.eval_batch_size=1"
    cli = build([*CASES[case], f"--data.manifests=[{manifest}]", *plain, *TINY, alone], run=False)
    cli.trainer.fit(cli.model, cli.datamodule)
    assert cli.trainer.global_step == 1
    cli.trainer.save_checkpoint(tmp_path / "a.ckpt")
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def update(_: Any, model: DualEncoder, batch: Batch) -> None:
        seen.append((model.encode_image(batch.image), model.encode_text(batch.text)))

    monkeypatch.setattr(SplitMetrics, "update", update)
    cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    image, text = (torch.cat(parts) for parts in zip(*seen, strict=True))

    model, items = clinclip.load(tmp_path / "a.ckpt", device="cpu"), select(clinclip.Manifest.load(manifest), "test")
    assert model.preprocessing.view == ("centre" if case == "crop" else "whole")
    embed = Embedder(model, batch_size=1, device="cpu")
    assert np.array_equal(embed.images(items), image.numpy())
    assert np.array_equal(embed.texts(items.frame["text"].tolist()), text.numpy())
    if case == "crop":
        whole = replace(model, preprocessing=replace(model.preprocessing, view="whole"))
        assert not np.array_equal(Embedder(whole, batch_size=1, device="cpu").images(items), image.numpy())


@pytest.mark.parametrize("site", SITES)
def test_every_site_trains_a_step_in_its_own_precision(site, manifest, tmp_path, monkeypatch, capsys) -> None:
    """With the site's precision, clipping, optimiser and schedule; devices, data and tower sizes are others."""
    monkeypatch.chdir(tmp_path)
    own = [option for option in TINY if not option.startswith("--trainer.precision")]
    assert main(["fit", *configuration(site, "full"), f"--data.manifests=[{manifest}]", *own]) == 0
    assert "in eval mode" not in capsys.readouterr().err


def test_the_command_line_trains_a_step(manifest, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(DEFAULT), f"--data.manifests=[{manifest}]", *TINY]) == 0


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_built_on_every_site(site, row, manifest, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    place = resolved(capsys, *configuration(site, row))
    settings = resolved(capsys, *configuration(site, row), f"--data.manifests=[{manifest}]", *TINY)
    settings.pop("ckpt_path"), settings.pop("weights_only")
    before = copy.deepcopy(settings)
    cli = build(settings, run=False)
    assert settings == before  # a notebook's dictionary is not changed

    soft, negated, graph = ROWS[row]
    assert set(cli.model.losses) == ({"contrastive", "graph"} if graph else {"contrastive"})
    candidates = settings["model"]["losses"]["contrastive"]["init_args"]["candidates"]
    assert (candidates is not None) == negated == bool(settings["data"]["twins"])
    # nothing is computed that no term uses
    assert (cli.model.model.graph_encoder is not None) == graph == settings["data"]["graphs"]
    targets = settings["model"]["targets"]["default"]
    sources = {} if targets is None else targets["init_args"]
    assert {name for name in ("text", "clinical", "graph") if sources.get(name)} == soft

    # a row leaves everything of the place as it is
    assert _flat(site_content(site)) <= _flat(place)


def site_content(site: str) -> dict[str, Any]:
    """A site's file with the files that it names filled in."""
    path = CONFIGS / "site" / f"{site}.yaml"
    content = yaml.safe_load(path.read_text())
    content["trainer"] = yaml.safe_load((path.parent / content["trainer"]).read_text())
    content["model"]["model"] = yaml.safe_load((path.parent / content["model"]["model"]).read_text())
    return content


def test_a_row_replaces_whatever_method_stood_before(capsys) -> None:
    """Over another row, or over the complete file, the later row alone decides."""
    alone = resolved(capsys, *configuration("phantom", "soft_text"))
    over = resolved(capsys, *configuration("phantom", "full"), *configuration("phantom", "soft_text")[2:])
    assert over == alone
    assert resolved(capsys, "--config", str(DEFAULT), *configuration("phantom", "baseline")[2:]) == resolved(
        capsys, *configuration("phantom", "baseline")
    )


def test_the_default_is_the_full_phantom_row(capsys) -> None:
    assert resolved(capsys, "--config", str(DEFAULT)) == resolved(capsys, *configuration("phantom", "full"))


def test_rows_differ_only_in_the_method(capsys) -> None:
    found = {row: resolved(capsys, *configuration("mimic", row)) for row in ROWS}
    for config in found.values():
        for key in ("targets", "losses"):
            config["model"].pop(key)
        config["model"]["model"]["init_args"].pop("graph_encoder")
        config["data"].pop("twins"), config["data"].pop("graphs")
    assert all(config == found["baseline"] for config in found.values())


@pytest.mark.parametrize("part", sorted(PARTS))
def test_parts_fit_into_a_run(part, manifest, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    files = sorted((CONFIGS / part).glob("*.yaml"))
    assert files
    for path in files:
        found = resolved(capsys, "--config", str(DEFAULT), f"--{PARTS[part]}={path}")
        for key in PARTS[part].split("."):
            found = found[key]
        found = found.get("init_args", found)
        assert _flat(yaml.safe_load(path.read_text())) <= _flat(found), path


def test_every_file_belongs_to_a_test() -> None:
    rows = {CONFIGS / "rows" / f"{row}.yaml" for row in ROWS}
    sites = {CONFIGS / "site" / f"{site}.yaml" for site in SITES}
    parts = {p for part in PARTS for p in (CONFIGS / part).glob("*.yaml")}
    assert set(CONFIGS.rglob("*.y*ml")) == {DEFAULT} | rows | sites | parts


@pytest.mark.parametrize(
    "path", [DEFAULT, *sorted((CONFIGS / "site").glob("*")), *sorted((CONFIGS / "rows").glob("*"))]
)
def test_headers_say_command_and_cost(path) -> None:
    text = header(path)
    for key in ("Command", "Cost", *(() if path.parent.name == "site" else ("Result",))):
        assert re.search(rf"^# {key}:\s+\S", text, re.M), f"{path.name} has no {key}"
    name = path.relative_to(ROOT)
    commands = re.findall(r"clinclip fit( --config configs/\S+)( --config configs/\S+)?", text)
    assert any(f" --config {name}" in command for command in commands), f"{path.name} has no command that names it"
    for command in commands:
        assert all((ROOT / file).is_file() for file in "".join(command).split(" --config ")[1:]), command


@pytest.mark.parametrize("row", ROWS)
def test_headers_quote_the_ablation(row) -> None:
    found = {name: f"{cell['mean']:.3f}" for name, cell in RECORD["rows"][row].items()}
    expected = (
        f"report > negation {found['report_vs_negation']}, report > omitted {found['report_vs_omitted']}, "
        f"AUROC common {found['auroc_common']}, rare {found['auroc_rare']}, i2t R@10 {found['i2t_r10']}, "
        f"label F1 {found['label_f1']}"
    )
    for path in [CONFIGS / "rows" / f"{row}.yaml", *([DEFAULT] if row == "full" else [])]:
        assert expected in header(path), path.name


def test_the_ablation_has_these_rows() -> None:
    assert list(RECORD["rows"]) == list(ROWS)
    from clinclip.commands.ablate.runs import ROWS as PLANNED

    assert RECORD["about"] == PLANNED


@pytest.mark.parametrize("path", sorted((CONFIGS / "slurm").glob("*.sbatch")), ids=lambda p: p.stem)
def test_cluster_scripts_name_what_exists(path) -> None:
    text = path.read_text()
    for file in re.findall(r"configs/[\w/]+\.(?:yaml|sbatch)", text):
        assert (ROOT / file).is_file(), file
    listed = re.search(r"^rows=\(([^)]*)\)", text, re.M)
    assert (listed is not None) == (path.stem == "ablation")
    if listed:
        assert listed[1].split() == list(ROWS)
        assert f"#SBATCH --array=0-{3 * len(ROWS) - 1}\n" in text


def test_mimic_rows_are_ready_for_a_cluster(capsys) -> None:
    config = resolved(capsys, *configuration("mimic", "full"))
    model, data = config["model"]["model"]["init_args"], config["data"]
    assert model["image_encoder"]["init_args"]["name"] == "swin_tiny_patch4_window7_224"
    assert model["text_encoder"]["init_args"]["name"] == "emilyalsentzer/Bio_ClinicalBERT"
    assert (data["image_size"], data["max_tokens"], data["batch_size"], model["embed_dim"]) == (224, 256, 64, 512)
    optimizer = config["model"]["optimizer"]["init_args"]
    assert (optimizer["lr"], optimizer["weight_decay"], config["trainer"]["max_epochs"]) == (5e-5, 1e-4, 10)
    assert config["trainer"]["sync_batchnorm"] is True


def test_offline_a_missing_model_is_explained(manifest, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # as on a compute node
    options = [o for o in TINY if "text_encoder.name" not in o]
    assert (
        clinclip_command(["fit", *configuration("mimic", "baseline"), f"--data.manifests=[{manifest}]", *options]) == 1
    )
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("INFO: ")]
    assert line.startswith("clinclip fit: text_encoder.name='emilyalsentzer/Bio_ClinicalBERT' cannot be loaded: ")
    assert "a local folder with config.json and weights" in line and "HF_HOME" in line
    assert "Subtypes" not in line and "Namespace" not in line


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
