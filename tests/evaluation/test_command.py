"""``clinclip evaluate`` and ``clinclip embed`` from files to files, on a toy manifest with a tiny untrained model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clinclip.__main__ import main
from clinclip.data.frozen import read_frozen_text
from clinclip.data.manifest import Manifest, save
from clinclip.draws import stable_hashes, text_hash
from clinclip.evaluation.items import select
from clinclip.export.checkpoint import load, save_model
from clinclip.export.inference import embed_images, embed_texts
from clinclip.export.model import Model
from clinclip.images import Preprocessing
from clinclip.metrics.retrieval import retrieval_metrics
from clinclip.testing import tiny_manifest, tiny_model
from clinclip.text.tokens import Tokenizer

CANARY = "zebrafish"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest full of canaries (m), two models (a, b), and one that trained on the test patients."""
    folder = tmp_path_factory.mktemp("place") / f"dir-{CANARY}"
    path = tiny_manifest(folder / "m", studies=72)
    manifest = Manifest.load(path)
    frame = manifest.frame.copy()
    for column in ("patient_id", "study_id", "image_id"):
        frame[column] = CANARY + frame[column]
    for column in ("text", "twins"):
        frame[column] = (
            frame[column]
            .str.replace("pulmonary edema", f"pulmonary {CANARY}")
            .str.replace("sign of edema", f"sign of {CANARY}")
        )
    frame["graph"] = ""
    study = frame["study_id"].str.removeprefix(f"{CANARY}s").astype(int)
    frame["sex"] = np.where(study // 6 % 3 == 0, "F", "M")
    manifest = save(path, frame, {k: v for k, v in manifest.header.items() if k not in ("hash", "files")}, {"t": 1})
    train = manifest.split("train")
    tokenizer = Tokenizer.train(train["text"].tolist())

    def patients(split: str) -> torch.Tensor:
        part = manifest.split(split)
        return torch.from_numpy(stable_hashes(part["dataset"], part["patient_id"])).unique()

    for name, seed, split in (("a", 0, "train"), ("b", 1, "train"), ("seen", 0, "test")):
        record = {"manifests": [manifest.hash], "datasets": ["toy"], "patients": patients(split), "version": "0"}
        model = Model(tiny_model(seed=seed).eval(), tokenizer, Preprocessing(32, 40, max_tokens=64), "", record)
        save_model(model, folder / name, with_patients=True)
    return folder


def embed_split(model: Model, manifest: Manifest, split: str) -> dict[str, np.ndarray]:
    """Embeddings (N, D) of the images of a split and of their reports, with the hashes that tell them apart."""
    items = select(manifest, split)
    texts = items.frame["text"].tolist()
    return {
        "image": embed_images(model, manifest, items.rows, device="cpu", progress=False),
        "text": embed_texts(model, texts, device="cpu", progress=False),
        "study": items.study,
        "text_hash": np.array([text_hash(t) for t in texts], dtype=np.int64),
    }


def run(place: Path, task: str, *more: str, checkpoint: str = "a", out: str = "out") -> tuple[int, dict[str, Any]]:
    target = place / out
    argv = ["evaluate", task, "--checkpoint", str(place / checkpoint), "--manifest", str(place / "m"), "--out"]
    code = main([*argv, str(target), "--quiet", "--device", "cpu", "--resamples", "50", *more])
    path = target / "results.json"
    return code, json.loads(path.read_text()) if code == 0 else {}


def test_retrieval_equals_the_metric_on_embeddings(place: Path) -> None:
    code, results = run(place, "retrieval")
    assert code == 0
    manifest, loaded = Manifest.load(place / "m"), load(place / "a")
    e = embed_split(loaded, manifest, "test")
    want = retrieval_metrics(e["image"], e["text"], e["study"], e["text_hash"])
    # with duplicates as positives, copies of a report in the gallery change the ranks of others' reports only
    first = np.unique(e["study"], return_index=True)[1]
    from clinclip.metrics.retrieval import retrieval_ranks, summarize

    ranks = retrieval_ranks(
        e["image"], e["text"][first], e["study"], e["study"][first], e["text_hash"], e["text_hash"][first]
    )
    got = results["headline"]
    assert got["i2t_r5"]["value"] == pytest.approx(summarize(ranks.image_to_text)["r5"])
    assert got["t2i_median_rank"]["value"] == summarize(ranks.text_to_image)["median_rank"]
    assert got["t2i_median_rank"]["value"] == pytest.approx(want["t2i_median_rank"], rel=0.5)
    assert results["data"]["reports"] == len(first)
    labels = [r["label"] for r in results["models"][0]["tables"]["retrieval"]["rows"]]
    assert labels[0] == "image to report, raw"
    assert labels[2] == "image to report, duplicates are positives"
    groups = {r["label"]: r for r in results["models"][0]["tables"]["subgroups"]["rows"]}
    assert set(groups) == {"sex: F", "sex: M"}
    assert groups["sex: F"]["note"].startswith("small group")


def test_align_counts_items_and_controls(place: Path) -> None:
    code, results = run(place, "align")
    assert code == 0
    part = Manifest.load(place / "m").split("test")
    want = sum(len({t["finding"] for t in json.loads(column) if t["style"] == "eval"}) for column in part["twins"])
    assert want
    assert results["data"]["triplets"] == want
    tables = results["models"][0]["tables"]
    assert {r["label"] for r in tables["findings"]["rows"]} == {"Edema", "Pneumothorax", "Pleural Effusion"}
    assert sum(r["counts"]["items"] for r in tables["findings"]["rows"]) == want
    longer = next(r for r in tables["controls"]["rows"] if r["label"] == "the longer text wins")
    assert longer["cells"]["report > omitted"]["value"] == 1.0


def test_align_reads_a_benchmark_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest.load(place / "m")
    test, train = manifest.split("test"), manifest.split("train")

    def entry(row: Any) -> dict[str, str]:
        return {"chosen": "edema", "report": row.text, "negation": "No edema.", "omitted": "", "location": "x"}

    mimic = {row.image_id: entry(row) for row in [*test.itertuples()][:6]}
    mimic |= {row.image_id: entry(row) for row in [*train.itertuples()][:4]}
    path = place / "cxr-align.json"
    path.write_text(json.dumps({"mimic": {**mimic, "stranger": entry(next(test.itertuples()))}}))
    code, results = run(place, "align", "--benchmark", str(path))
    assert code == 0
    assert results["data"]["benchmark_used"] == 6
    assert results["data"]["benchmark_unused"] == "4 in the train split, 1 not in the manifest"
    assert results["models"][0]["tables"]["align"]["columns"] == ["report > negation"]
    assert "6 of 6 items have no report with the finding left out." in results["notes"]
    for content, message in (
        ("[1]", "expected {source"),
        ("{", "not JSON"),
        (json.dumps({"mimic": {"i": {"report": "x"}}}), "lacks the text 'report' or 'negation'"),
        (json.dumps({"mimic": {"stranger": {"report": "x", "negation": "y"}}}), "none of its 1 images"),
    ):
        path.write_text(content)
        assert run(place, "align", "--benchmark", str(path))[0] == 1
        assert message in capsys.readouterr().err


def test_zero_shot_leaves_undefined_findings_out(place: Path) -> None:
    code, results = run(place, "zero-shot")
    assert code == 0
    tables = results["models"][0]["tables"]
    rows = {r["label"]: r for r in tables["ranking"]["rows"]}
    assert rows["Fracture"]["cells"]["AUROC"]["value"] is None
    assert "macro over 3 of 14 findings" in rows
    assert results["data"]["labels"] == "table, policy mentioned"
    assert results["protocol"]["name"] == "zero-shot-chexpert14-v1 (modified: resamples)"
    assert set(tables) == {"ranking", "operating", "calibration", "subgroups"}


def test_explicit_policy_and_read_labels_change_name_and_hash(place: Path) -> None:
    _, before = run(place, "zero-shot")
    _, after = run(place, "zero-shot", "--labels", "read", "--label-policy", "explicit", out="other")
    assert after["protocol"]["hash"] != before["protocol"]["hash"]
    assert "label_source, label_policy" in after["protocol"]["name"]
    rows = {r["label"]: r["counts"] for r in after["models"][0]["tables"]["ranking"]["rows"]}
    assert rows["Fracture"] == {"positives": 0, "negatives": 0}  # not mentioned is not absent here


def test_comparison_of_a_model_with_itself_is_zero(place: Path) -> None:
    code, results = run(place, "align", "--compare", str(place / "a"))
    assert code == 0
    for table in results["differences"].values():
        for row in table["rows"]:
            for cell in row["cells"].values():
                assert cell["value"] == cell["low"] == cell["high"] == 0.0


def test_comparison_names_both_models(place: Path) -> None:
    _, results = run(place, "align", "--compare", str(place / "b"))
    assert [m["name"] for m in results["models"]] == ["a", "b"]
    one, two = (m["headline"]["report_vs_negation"]["value"] for m in results["models"])
    gap = results["differences"]["align"]["rows"][0]["cells"]["report > negation"]
    assert gap["value"] == pytest.approx(one - two)


def test_training_patients_in_the_test_split_stop_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run(place, "retrieval", checkpoint="seen", out="exposed")
    message = capsys.readouterr().err
    assert code == 1
    assert "12 of 12 patients were in its training split" in message
    assert "--allow-exposure" in message
    assert not (place / "exposed" / "results.json").exists()
    code, results = run(place, "retrieval", "--allow-exposure", checkpoint="seen", out="exposed")
    assert code == 0
    assert results["models"][0]["exposure"]["status"] == "exposed"
    assert "EXPOSED: seen has seen this test data" in (place / "exposed" / "report.html").read_text()


@pytest.mark.parametrize("task", ["zero-shot", "retrieval", "align"])
def test_no_patient_in_any_output(place: Path, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, task, out=f"private-{task}")[0] == 0
    printed = capsys.readouterr()
    said = printed.err + "".join(line for line in printed.out.splitlines() if not line.startswith("written: "))
    folder = place / f"private-{task}"
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    assert [p.name for p in files] == ["report.html", "results.json", "results.md"]
    assert CANARY not in said
    for path in files:
        assert CANARY not in path.read_text(), path.name


def test_patients_are_shown_only_when_asked_for(place: Path) -> None:
    assert run(place, "retrieval", "--show-patients", out="shown")[0] == 0
    page = (place / "shown" / "report.html").read_text()
    assert CANARY in page
    assert "data:image/png;base64,iVBOR" in page
    assert f"{CANARY}p" not in page  # no ids even then
    assert CANARY not in (place / "shown" / "results.json").read_text()


def test_same_command_gives_the_same_bytes(place: Path) -> None:
    run(place, "align", out="first")
    run(place, "align", "--batch-size", "64", out="second")
    for name in ("results.json", "results.md", "report.html"):
        assert (place / "first" / name).read_bytes() == (place / "second" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "validate", "--views", "LATERAL"], "no image in the validate split with the views LATERAL"),
        (["--protocol", "align-v1"], "is for align, not for retrieval"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--device", "abacus"], "--device abacus"),
    ],
)
def test_wrong_options_are_named(
    place: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, "retrieval", *arguments)[0] == 1
    assert message in capsys.readouterr().err


def test_diverged_model_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load(place / "a")
    with torch.no_grad():
        loaded.towers.image_projection.weight.fill_(float("nan"))
    save_model(replace(loaded), place / "nan", with_patients=True)
    assert run(place, "retrieval", checkpoint="nan")[0] == 1
    assert "embeddings are not finite" in capsys.readouterr().err


def test_embed_writes_what_the_data_module_reads(place: Path) -> None:
    out = place / "frozen.npz"
    argv = ["embed", "--checkpoint", str(place / "a"), "--manifest", str(place / "m"), "--out", str(out), "--quiet"]
    code = main([*argv, "--device", "cpu"])
    assert code == 0
    assert [p for p in place.iterdir() if p.name.startswith(".frozen")] == []
    e = embed_split(load(place / "a"), Manifest.load(place / "m"), "train")
    np.testing.assert_allclose(read_frozen_text(out, e["text_hash"]), e["text"], atol=1e-5)


def test_embed_with_a_local_encoder(place: Path) -> None:
    loaded = load(place / "a")
    folder = place / "encoder"
    loaded.towers.text_encoder.transformer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(loaded.tokenizer.to_json())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"})
    )
    out = place / "encoder.npz"
    argv = ["embed", "--encoder", str(folder), "--pooling", "cls", "--manifest", str(place / "m"), "--out", str(out)]
    code = main([*argv, "--quiet", "--device", "cpu"])
    assert code == 0
    manifest = Manifest.load(place / "m")
    texts = manifest.frame["text"].drop_duplicates().tolist()
    want = embed_texts(loaded, texts, device="cpu", progress=False, features=True)
    got = read_frozen_text(out, np.array([text_hash(t) for t in texts]))
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_another_preparation_stops_the_run_or_stands_beside_the_numbers(place: Path, tmp_path: Path, capsys) -> None:
    loaded = load(place / "a", device="cpu")
    trained = replace(loaded, preprocessing=replace(loaded.preprocessing, fit="crop", stored_size=20))
    save_model(trained, place / "cropped", with_patients=True)
    code, _ = run(place, "retrieval", checkpoint="cropped", out=str(tmp_path / "none"))
    assert code != 0
    assert "fit 'crop' in training, 'pad' here (--fit)" in capsys.readouterr().err
    assert not (tmp_path / "none" / "results.json").exists()
    out = tmp_path / "allowed"
    code, results = run(place, "retrieval", "--allow-preprocessing-difference", checkpoint="cropped", out=str(out))
    assert code == 0
    said = "Prepared otherwise than the training data of cropped: fit 'crop' in training, 'pad' here (--fit)."
    assert "  prepared otherwise than its training data: fit 'crop' in training" in capsys.readouterr().out
    assert said in results["notes"]
    assert said in (out / "results.md").read_text()
    # a larger stored side alone is no difference
    larger = replace(loaded, preprocessing=replace(loaded.preprocessing, stored_size=20))
    save_model(larger, place / "larger", with_patients=True)
    assert run(place, "retrieval", checkpoint="larger", out=str(tmp_path / "larger"))[0] == 0
