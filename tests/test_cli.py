"""The command line: fit to a checkpoint, resume to the bit, retune by name, and errors that teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from clinclip.cli import build, main
from clinclip.errors import CheckpointError, ConfigError, MissingFieldError
from clinclip.export.checkpoint import load
from clinclip.losses import Contrastive, NegationHardNegatives
from clinclip.testing import tiny_manifest

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  devices: 1
  max_epochs: 2
  log_every_n_steps: 1
  num_sanity_val_steps: 0
  enable_progress_bar: false
  enable_model_summary: false
  logger: {class_path: CSVLogger, init_args: {save_dir: ROOT, name: run, version: ""}}
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {filename: "{epoch}", save_top_k: -1, save_last: true, monitor: val/retrieval/i2t_mrr, mode: max}
data: {manifests: [MANIFEST], image_size: 32, batch_size: 4, max_tokens: 48, num_workers: 0, twins: 1, graphs: true}
model:
  model:
    image_encoder: {name: test_resnet}
    text_encoder:
      name: tiny
      model_kwargs: {hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1, hidden_dropout_prob: 0.2}
    graph_encoder: {hidden_size: 16}
    embed_dim: 16
  targets:
    default:
      text: TextSimilarity
      clinical: ClinicalSimilarity
  losses:
    contrastive: {class_path: Contrastive, init_args: {targets: default, candidates: EditedReports}}
    graph: {class_path: GraphAlignment, init_args: {weight: 0.5, targets: default}}
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture
def config(tmp_path, manifest, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("ROOT", str(tmp_path)).replace("MANIFEST", str(manifest)))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, manifest) -> Path:
    """A finished run of two epochs: its folder."""
    root = tmp_path_factory.mktemp("trained")
    path = root / "run.yaml"
    path.write_text(CONFIG.replace("ROOT", str(root)).replace("MANIFEST", str(manifest)))
    assert main(["fit", "--config", str(path)]) == 0
    return root / "run"


def printed(capsys, *args: str) -> dict:
    """The configuration that these arguments amount to."""
    with pytest.raises(SystemExit) as ended:
        main(["fit", *args, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_fit_leaves_a_model_that_can_be_used(trained, manifest) -> None:
    loaded = load(trained / "checkpoints" / "last.ckpt")
    seen = loaded.preprocessing
    assert (seen.image_size, seen.max_tokens, loaded.towers.embed_dim) == (32, 48, 16)
    assert not loaded.towers.training
    encoding = loaded.tokenizer.encode(["No pneumothorax."], 48)[0]
    assert len(encoding) > 3
    assert loaded.provenance["datasets"] == ["toy"]
    assert len(loaded.provenance["patients"]) == 16  # two thirds of 24 studies, one patient each
    assert len(loaded.provenance["manifests"]) == 1
    header = (trained / "metrics.csv").read_text().splitlines()[0].split(",")
    for name in ("train/loss/total", "train/loss/graph", "train/loss/contrastive/twin_similarity", "train/lr"):
        assert name in header
    for name in ("val/retrieval/i2t_r1", "val/zero_shot/auroc_macro", "val/align/report_vs_negation"):
        assert name in header
    # the configuration is there, complete, and can be run again
    assert (
        yaml.safe_load((trained / "config.yaml").read_text())["model"]["losses"]["graph"]["init_args"]["weight"] == 0.5
    )


def test_resuming_equals_never_having_stopped(config, trained, tmp_path) -> None:
    # dropout, schedules of learning rate and soft labels, and data order all continue
    whole = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    first = trained / "checkpoints" / "epoch=0.ckpt"
    assert torch.load(first, weights_only=True)["global_step"] * 2 == whole["global_step"]
    assert main(["fit", "--config", str(config), f"--ckpt_path={first}"]) == 0
    resumed = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["global_step"] == whole["global_step"]
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], tensor), name


def test_validate_needs_only_the_checkpoint_and_data(trained, config, manifest, capsys, tmp_path, monkeypatch) -> None:
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    args = [f"--data.manifests=[{manifest}]", "--data.num_workers=0"]
    args += ["--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    assert main(["validate", f"--ckpt_path={trained / 'checkpoints' / 'last.ckpt'}", *args]) == 0
    assert "val/retrieval/i2t_r1" in capsys.readouterr().out
    assert not list(here.iterdir()), "looking leaves nothing behind"


def test_options_of_the_user_win_over_those_of_the_checkpoint(trained, manifest, capsys, tmp_path) -> None:
    checkpoint = trained / "checkpoints" / "last.ckpt"
    losses = printed(capsys, f"--ckpt_path={checkpoint}", "--data.manifests=[x]", "--model.losses.graph.weight=0.125")
    assert losses["model"]["losses"]["graph"]["init_args"]["weight"] == 0.125
    assert losses["model"]["model"]["init_args"]["embed_dim"] == 16  # from the checkpoint
    assert losses["data"]["max_tokens"] == 48
    options = [f"--data.manifests=[{manifest}]", "--data.num_workers=0", "--trainer.logger=false"]
    options += [f"--trainer.default_root_dir={tmp_path}"]
    options += ["--trainer.accelerator=cpu", "--model.losses.graph.weight=0.125", "--seed_everything=5"]
    cli = build(["validate", f"--ckpt_path={checkpoint}", *options])
    assert cli.model.losses["graph"].weight == 0.125
    assert cli.config["validate"]["seed_everything"] == 5


def test_predict_writes_embeddings_once_an_image(trained, config, tmp_path) -> None:
    args = ["predict", "--config", str(config), f"--ckpt_path={trained / 'checkpoints' / 'last.ckpt'}"]
    args += ["--trainer.callbacks+=EmbeddingWriter", "--trainer.callbacks.path=out/embeddings.npz"]
    assert main(args) == 0
    data = np.load(tmp_path / "out" / "embeddings.npz")
    assert data["image"].shape == data["text"].shape == (len(data["sample"]), 16)
    assert len(np.unique(data["sample"])) == len(data["sample"]) == 8  # test split: 4 studies of two images
    np.testing.assert_allclose(np.linalg.norm(data["image"], axis=1), 1, rtol=1e-5)


LOSSES, SOURCES = "losses.{}.init_args.{}", "targets.default.init_args.{}"


@pytest.mark.parametrize(
    ("option", "path", "value"),
    [
        ("losses.graph.weight=0.1", LOSSES.format("graph", "weight"), 0.1),
        ("losses.graph=null", "losses.graph", None),
        (
            "losses.contrastive.candidates.columns=all",
            LOSSES.format("contrastive", "candidates.init_args.columns"),
            "all",
        ),
        ("losses.extra=Contrastive", "losses.extra.class_path", "clinclip.losses.Contrastive"),
        ("targets.default=null", "targets.default", None),
        ("targets.default.mix=0.2", "targets.default.init_args.mix", 0.2),
        ("targets.default.text.weight=2", SOURCES.format("text.init_args.weight"), 2.0),
        ("targets.default.text.gate.q=0.8", SOURCES.format("text.init_args.gate.init_args.q"), 0.8),
        ("targets.default.clinical.gate.value=0.6", SOURCES.format("clinical.init_args.gate.init_args.value"), 0.6),
        ("targets.default.clinical=null", SOURCES.format("clinical"), None),
        ("targets.default.text=LabelEquality", SOURCES.format("text.class_path"), "clinclip.losses.LabelEquality"),
        ("targets.default.graph=MultiPositive", SOURCES.format("graph.class_path"), "clinclip.losses.MultiPositive"),
        ("losses.contrastive.candidates=null", LOSSES.format("contrastive", "candidates"), None),
        ("losses.graph=CyclicConsistency", "losses.graph.class_path", "clinclip.losses.CyclicConsistency"),
        ("optimizer.lr=0.1", "optimizer.init_args.lr", 0.1),
        ("model.graph_encoder=null", "model.init_args.graph_encoder", None),
    ],
)
def test_terms_are_retuned_disabled_and_replaced_by_name(config, capsys, option, path, value) -> None:
    found = printed(capsys, "--config", str(config), f"--model.{option}")["model"]
    for key in path.split("."):
        found = found[key]
    assert found == value


def test_several_options_for_sources_add_up(config, capsys) -> None:
    """What one experiment changes in the soft labels, said on one command line."""
    options = ["text.gate=NeighboursGate", "text.gate.k=4", "clinical=null", "more+=LabelEquality"]
    options += ["more+={class_path: MultiPositive, init_args: {by: study, weight: 2}}", "mix=0.2"]
    found = printed(capsys, "--config", str(config), *(f"--model.targets.default.{option}" for option in options))
    found = found["model"]["targets"]["default"]["init_args"]
    gate = found["text"]["init_args"]["gate"]
    assert (gate["class_path"], gate["init_args"]["k"]) == ("clinclip.losses.NeighboursGate", 4)
    assert (found["clinical"], found["mix"]) == (None, 0.2)
    assert [source["class_path"].rpartition(".")[2] for source in found["more"]] == ["LabelEquality", "MultiPositive"]
    assert (found["more"][1]["init_args"]["by"], found["more"][1]["init_args"]["weight"]) == ("study", 2.0)


def test_replacing_a_term_keeps_nothing_of_the_old_one(config, capsys) -> None:
    term = printed(capsys, "--config", str(config), "--model.losses.graph=NegationHardNegatives")["model"]["losses"][
        "graph"
    ]
    assert term["class_path"] == "clinclip.losses.NegationHardNegatives"
    assert "streams" not in term["init_args"]


def test_environment_variables_set_options(config, capsys, monkeypatch) -> None:
    monkeypatch.setenv("CLINCLIP_FIT__DATA__MANIFESTS", '["/somewhere"]')
    monkeypatch.setenv("CLINCLIP_FIT__DATA__SEED", "7")
    text = config.read_text()
    config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("data:")))
    found = printed(capsys, "--config", str(config))["data"]
    assert (found["manifests"], found["seed"]) == (["/somewhere"], 7)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--model.losses.graph.weigth=3", ["weigth", "Did you mean 'weight'"]),
        ("--model.model.image_encoder.nam=x", ["ImageEncoder", "Did you mean 'name'"]),
        ("--trainer.max_epoch=3", ["unrecognized", "Did you mean 'trainer.max_epochs'"]),
        ("--data.graph=true", ["Did you mean 'data.graphs'"]),
        ("--model.losses.more=Contrastve", ["Did you mean 'Contrastive'"]),
        ("--model.losses.graph.weight=heavy", ["weight", "heavy"]),
        ("--model.losses.mine=no_such_file.Loss", ["No module named 'no_such_file'", "PYTHONPATH"]),
        ("--trainer.accelerator=gpu", ["--trainer.accelerator=cpu"]),
        ("--model.targets.default.other.weight=2", ["other"]),
        ("--model.targets.default.text.gate.quantile=2", ["quantile"]),
        ("--model.optimizer.lr=fast", ["optimizer", "<class 'float'>", "fast"]),
        ("--model.optimizer.ler=1", ["AdamW", "Did you mean 'lr'"]),
        ("--model.losses.contrastive.candidates.colums=all", ["EditedReports", "Did you mean 'columns'"]),
        ("--data.manifests=folder", ["--data.manifests='[folder]'"]),
    ],
)
def test_misspelled_options_are_explained(config, capsys, option, words) -> None:
    if option.endswith("=gpu") and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert main(["fit", "--config", str(config), option]) == 2
    error = capsys.readouterr().err
    assert error.startswith("clinclip fit: ")
    assert len(error.splitlines()) == 1, error
    for word in words:
        assert word in error


def test_a_broken_file_and_a_missing_one_are_named(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("trainer:\n  max_epochs: 2\n   devices: 1\n")
    assert main(["fit", "--config", "bad.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("clinclip fit: bad.yaml: ")
    assert "mapping values" in error
    assert "line 3, column 11" in error
    assert main(["fit", "--config=none.yaml"]) == 2
    assert "none.yaml" in capsys.readouterr().err
    assert main(["fit"]) == 2
    error = capsys.readouterr().err
    assert "required: model.model, data.manifests. Give a configuration, e.g. --config configs/default.yaml" in error


def test_an_unknown_key_in_a_file_is_explained(config, capsys) -> None:
    config.write_text(config.read_text().replace("image_size: 32", "image_sise: 32"))
    assert main(["fit", "--config", str(config)]) == 2
    assert "Did you mean 'data.image_size'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "error", "words"),
    [
        ("--data.graphs=false", MissingFieldError, r"model\.losses\.graph needs .*data\.graphs=true"),
        ("--data.twins=0", MissingFieldError, r"data\.twins >= 1"),
        ("--model.losses.graph.targets=soft", ConfigError, r"model\.losses\.graph\.targets='soft'.*\['default'\]"),
        ("--data.tokenizer=other/tokenizer", ConfigError, "would not fit its embeddings"),
        ("--model.model.image_encoder.image_size=64", ConfigError, "data.image_size=32"),
        ("--data.max_tokens=600", ConfigError, "512 positions"),
    ],
)
def test_contradictions_fail_before_training(config, option, error, words) -> None:
    with pytest.raises(error, match=words):
        main(["fit", "--config", str(config), option])


def test_a_missing_checkpoint_is_one_sentence(config, tmp_path, capsys) -> None:
    assert main(["fit", "--config", str(config), "--ckpt_path=none.ckpt"]) == 2
    assert capsys.readouterr().err.startswith("clinclip fit: --ckpt_path=none.ckpt: no such file. Allowed: ")
    with pytest.raises(CheckpointError, match=rf"^--ckpt_path=last is looked up below {tmp_path}/no, but there is no"):
        main(["fit", "--config", str(config), "--ckpt_path=last", f"--trainer.default_root_dir={tmp_path}/no"])


def test_looking_needs_a_checkpoint_or_an_explicit_word(config, capsys) -> None:
    assert main(["validate", "--config", str(config)]) == 2
    assert "--ckpt_path is missing: the model would have random weights" in capsys.readouterr().err
    assert main(["validate", "--config", str(config), "--ckpt_path=untrained"]) == 0
    assert "val/retrieval/i2t_r1" in capsys.readouterr().out


def test_last_and_best_are_looked_up_below_the_root_folder(trained, manifest, capsys) -> None:
    args = [f"--data.manifests=[{manifest}]", "--data.num_workers=0", f"--trainer.default_root_dir={trained}"]
    args += ["--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    assert main(["validate", "--ckpt_path", "last", *args]) == 0
    found = capsys.readouterr()
    assert f"--ckpt_path=last: {trained / 'checkpoints' / 'last.ckpt'}" in found.err
    assert "val/retrieval/i2t_r1" in found.out
    # the folder may also be said in a file
    with pytest.raises(CheckpointError, match=rf"newest run there, {trained}/checkpoints, has no best\.ckpt"):
        main(["validate", "--ckpt_path=best", *args])
    # what the first look at the folder filled in does not stay
    assert main(["validate", "--ckpt_path=last", *args[1:]]) == 2
    assert "required: data.manifests" in capsys.readouterr().err


DROPPED = "model.losses.graph"


def test_terms_that_a_later_file_drops_are_named(config, tmp_path, capsys) -> None:
    later = tmp_path / "later.yaml"
    later.write_text("model: {losses: {contrastive: Contrastive, extra: Contrastive}}")
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(config), "--config", str(later), "--print_config"])
    found = capsys.readouterr()
    lines = [line for line in found.err.splitlines() if "dropped" in line]
    assert lines == [f"--config {later} replaces what stood before: {DROPPED} dropped"]
    assert set(yaml.safe_load(found.out)["model"]["losses"]) == {"contrastive", "extra"}
    # said on purpose, or nothing lost: not a word
    later.write_text("model: {model: {embed_dim: 8}}")
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(config), "--config", str(later), "--print_config"])
    assert "dropped" not in capsys.readouterr().err


def test_notebooks_build_without_running(config) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["model"]["losses"] = {"contrastive": "Contrastive", "negation": {"class_path": "NegationHardNegatives"}}
    cli = build(settings, run=False)
    assert [type(t) for t in cli.model.losses.values()] == [Contrastive, NegationHardNegatives]
    assert cli.datamodule.options.tokenizer == "tiny"
    assert cli.model.model.image_encoder.image_size == 32
    # plain values only: a checkpoint of this run loads without pickle
    assert yaml.safe_dump(dict(cli.model.hparams))


def test_a_run_is_one_folder_below_the_root_folder(config, tmp_path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["trainer"] |= {"logger": None, "default_root_dir": str(tmp_path / "runs")}
    (tmp_path / "runs" / "version_0").mkdir(parents=True)
    assert build(settings, run=False).trainer.log_dir == str(tmp_path / "runs" / "version_1")
