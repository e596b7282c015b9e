"""What the README says works: its own-loss example is run as printed, its commands parse, its paths and names exist."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch

from clinclip.__main__ import COMMANDS, LIGHTNING, main
from clinclip.cli import build
from clinclip.phantom.dicom import write_phantom_dicom
from clinclip.testing import tiny_manifest
from tests.images.pictures import grey8, jpeg_bytes, radiograph

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()

#: makes a step of the README's example small; the example's own options stay
TINY = (
    "--model.model.image_encoder.name=test_vit",
    "--model.model.embed_dim=8",
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--trainer.max_steps=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_val_batches=0",
    "--trainer.enable_progress_bar=false",
)


def section(title: str) -> str:
    """Text below a heading, up to the next one."""
    # comments in code have one #
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ \w)", README + "\n## end", re.M | re.S)
    assert found, f"README.md has no section {title!r}"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def lines(block: str) -> list[str]:
    """Commands of a shell block, continuation lines joined."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def words(line: str) -> list[str]:
    """Arguments after ``clinclip``; brackets around what may be left out and dots for more are dropped."""
    found = [w for w in shlex.split(line, comments=True) if w != "..."]
    start = next((i for i, w in enumerate(found) if w == "clinclip" and "=" not in w), None)
    if start is None:
        return []
    # '[--reports' and 'DIR]' are notation, '--data.manifests=[DIR]' is a list
    return [w.lstrip("[").removesuffix("]") if "=" not in w else w for w in found[start + 1 :]]


def commands() -> list[str]:
    """Every command line of clinclip in the README: in shell blocks, in tables, in sentences."""
    shell = [line for block in blocks(README, "bash") for line in lines(block)]
    prose = re.sub(r"^```.*?^```", "", README, flags=re.M | re.S).replace("\\|", "|")
    inline = [" ".join(span.split()) for span in re.findall(r"`(clinclip [a-z-][^`]*)`", prose)]
    found = [" ".join(shlex.quote(w) for w in words(line)) for line in [*shell, *inline]]
    return sorted({line for line in found if line})


class Parsed(Exception):  # noqa: N818
    """The command line was accepted; nothing was done."""


@pytest.fixture
def parse_only(monkeypatch):
    def parsed(original):
        def parse_args(self, *args, **kwargs):
            original(self, *args, **kwargs)
            raise Parsed

        return parse_args

    def patch():
        for parser in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
            monkeypatch.setattr(parser, "parse_args", parsed(parser.parse_args))

    return patch


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line, tmp_path, monkeypatch, parse_only, capsys) -> None:
    argv = shlex.split(line)
    assert argv[0] in COMMANDS
    if argv[0] in LIGHTNING and len(argv) > 1:
        (tmp_path / "my_losses.py").write_text(example()[1])
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as ended:
            main([*argv, *(() if "--print_config" in argv else ("--print_config",))])
        assert ended.value.code == 0, capsys.readouterr().err
        return
    monkeypatch.chdir(tmp_path)
    if any(w.startswith("-") for w in argv) or argv[0] == "explain":
        parse_only()
        with pytest.raises(Parsed):
            main(argv)
        assert not any(tmp_path.iterdir())
        return
    # a command that is only named
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--help"])
    assert ended.value.code == 0
    assert re.search(rf"^usage: .*\b{' '.join(argv)} ", capsys.readouterr().out)


def test_the_test_above_can_fail(parse_only, capsys) -> None:
    parse_only()
    with pytest.raises(SystemExit):
        main(["prepare", "mimic-cxr", "--images", "DIR", "--out", "DIR", "--pictures", "DIR"])
    assert "--pictures" in capsys.readouterr().err


def test_every_command_is_named() -> None:
    assert {line.split()[0] for line in commands()} == set(COMMANDS)


def test_the_first_page_is_one() -> None:
    assert len(README.splitlines()) <= 200


def test_make_targets_exist() -> None:
    code = "\n".join(blocks(README, "bash")) + "\n".join(re.findall(r"`([^`\n]+)`", README))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    assert {"demo", "test", "bench", "check"} <= named <= targets


def test_paths_exist() -> None:
    named = set(re.findall(r"(?<![\w/.-])((?:configs|notebooks|tests|clinclip)/[\w./-]*[\w/])", README))
    named |= set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
    assert {"configs/default.yaml", "configs/site/mimic.yaml", "configs/rows/full.yaml"} <= named
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert missing == []


def test_python_names_exist() -> None:
    named = set(re.findall(r"`(clinclip(?:\.\w+)+)`", README))
    assert "clinclip.losses.TargetSource" in named
    for name in sorted(named):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def example() -> tuple[str, str, str]:
    """(file name, source, command) of the README's own loss."""
    text = section("A loss of your own")
    (source,), shell = blocks(text, "python"), blocks(text, "bash")
    name = re.match(r"# (\w+\.py)\n", source)
    assert name, "the example says in its first line which file it is"
    (command,) = lines(shell[0])
    return name[1], source, command


def test_the_loss_of_your_own_trains_as_printed(tmp_path, monkeypatch) -> None:
    name, source, command = example()
    assert len(section("A loss of your own").strip().splitlines()) <= 45
    (tmp_path / name).write_text(source)
    assert command.split()[0] == "PYTHONPATH=."  # from the folder of the file
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    monkeypatch.chdir(tmp_path)
    argv = [w.replace("configs/", f"{ROOT}/configs/") for w in words(command)]
    manifest = tiny_manifest(tmp_path / "toy", studies=12)
    logger = ["--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path}", "--trainer.logger.name=run"]
    assert main([*argv, f"--data.manifests=[{manifest}]", *TINY, *logger]) == 0
    rows = [row.split(",") for row in (tmp_path / "run" / "version_0" / "metrics.csv").read_text().splitlines()]
    values = {key: [row[i] for row in rows[1:] if row[i]] for i, key in enumerate(rows[0])}
    assert len(values["train/loss/uniform"]) == 2
    assert 0 < float(values["train/loss/uniform/mean_distance"][0]) <= 2
    # the term is in the total, with its weight
    parts = {k: float(v[0]) for k, v in values.items() if k.startswith("train/loss/") and k.count("/") == 2}
    total = parts.pop("train/loss/total")
    weights = {"train/loss/uniform": 0.1, "train/loss/contrastive": 1.0, "train/loss/graph": 0.5}
    assert total == pytest.approx(sum(weights[k] * v for k, v in parts.items()), rel=1e-5)
    (kept,) = (tmp_path / "run").rglob("last.ckpt")
    saved = torch.load(kept, weights_only=True)["hyper_parameters"]["losses"]["uniform"]
    assert saved["class_path"] == "my_losses.Uniformity"
    assert saved["init_args"]["weight"] == 0.1


def test_a_model_is_used_as_printed(tmp_path, monkeypatch, capsys) -> None:
    """The example runs word for word, on files of the names that it has."""
    monkeypatch.chdir(tmp_path)
    manifest = tiny_manifest(tmp_path / "runs" / "phantom", studies=24)
    quiet = ("--trainer.logger=false", "--trainer.callbacks=[]", "--trainer.enable_checkpointing=false")
    options = ["--config", str(ROOT / "configs/default.yaml"), f"--data.manifests=[{manifest}]", *TINY, *quiet]
    cli = build(options, run=False)
    cli.trainer.fit(cli.model, cli.datamodule)
    cli.trainer.save_checkpoint("runs/version_0/checkpoints/best.ckpt")
    write_phantom_dicom("a.dcm", radiograph())
    Path("b.jpg").write_bytes(jpeg_bytes(grey8()))
    (source,) = blocks(section("Load a model"), "python")
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["images"].shape == (2, 8)
    torch.testing.assert_close(names["images"].norm(dim=1), torch.ones(2))
    printed = capsys.readouterr().out
    assert "Tuberculosis" in printed and "a.dcm" in printed
    assert (tmp_path / "results/retrieval/report.html").is_file()


def test_a_closed_pipe_is_no_error() -> None:
    """``clinclip --help | head -0``: the reader is gone before anything is written."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clinclip", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_the_broken_pipe_of_another_process_is_an_error(monkeypatch) -> None:
    """Only the reader of our own output may go without a word."""

    def broken(argv: list[str] | None) -> int:
        raise BrokenPipeError("a worker died")

    monkeypatch.setattr("clinclip.__main__.run", broken)
    with pytest.raises(BrokenPipeError, match="a worker died"):
        main(["prepare"])
