"""CXRDataModule: what is in a batch, who sees which sample, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clinclip.data.datamodule import CXRDataModule
from clinclip.data.frozen import write_frozen_text
from clinclip.data.manifest import Manifest, save
from clinclip.errors import ConfigError, DataError, LeakageError, ManifestError
from clinclip.findings import FINDINGS
from clinclip.text import EDITS
from clinclip.text.twins import twins_from_column
from clinclip.types import Batch


def module(*manifests: Path, **options: Any) -> CXRDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "image_size": 32, "cache_tokens": False}
    return CXRDataModule([str(m) for m in manifests], **{**defaults, **options})


def epoch(data: CXRDataModule, number: int = 0) -> list[Batch]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


def equal(a: Any, b: Any) -> bool:
    for f in dataclasses.fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, torch.Tensor):
            if not torch.equal(x, y):
                return False
        elif x is None or y is None:
            if x is not y:
                return False
        elif not equal(x, y):
            return False
    return True


def test_what_is_in_a_batch(manifest_dir: Path) -> None:
    data = module(manifest_dir, twins=2, graphs=True)
    data.prepare_data()
    data.setup("fit")
    batch = epoch(data)[0]
    assert batch.image.shape == (4, 1, 32, 32)
    assert batch.image.dtype == torch.uint8
    assert batch.text.token_ids.shape == batch.text.mask.shape
    assert batch.text.mask.any(dim=0).all(), "padded to the longest text only"
    assert batch.labels.dtype == torch.int8
    assert batch.twins is not None
    assert batch.twins.text.token_ids.shape[:2] == (4, 2)
    assert batch.graph is not None
    assert batch.graph.mask.any()
    assert batch.omitted is None
    assert data.tokenizer_ is not None
    frame = Manifest.load(manifest_dir).frame
    for i, sample in enumerate(batch.sample.tolist()):
        row = frame.iloc[sample]
        ids = batch.text.token_ids[i][batch.text.mask[i]].tolist()
        assert ids == data.tokenizer_.encode([row["text"]], 256)[0].ids
        assert batch.labels[i].tolist() == [row[f"table_{f.lower().replace(' ', '_')}"] for f in FINDINGS]
        assert batch.text_labels[i].tolist() == [row[f"read_{f.lower().replace(' ', '_')}"] for f in FINDINGS]
    # an edited twin says the opposite of its report about one finding
    where = batch.twins.valid.nonzero()
    assert len(where)
    for i, k in where.tolist():
        finding = int(batch.twins.finding[i, k])
        assert batch.twins.labels[i, k, finding] == 0
        assert batch.text_labels[i, finding] == 1
    assert (batch.twins.finding[~batch.twins.valid] == -1).all()


def test_evaluation_sees_each_image_once_with_twins(manifest_dir: Path) -> None:
    data = module(manifest_dir, twins=1)
    data.setup("fit")
    batches = list(data.val_dataloader())
    samples = torch.cat([b.sample for b in batches]).tolist()
    frame = Manifest.load(manifest_dir).frame
    assert sorted(samples) == np.flatnonzero(frame["split"] == "validate").tolist()
    for batch in batches:
        assert batch.twins is not None
        assert batch.omitted is not None
        assert batch.twins.text.token_ids.shape[1] == 1
        both = batch.twins.valid & batch.omitted.valid
        assert (batch.twins.finding[both] == batch.omitted.finding[both]).all()
    assert any(b.twins.valid.any() for b in batches if b.twins is not None)


def test_one_image_a_study_and_a_new_order_every_epoch(manifest_dir: Path) -> None:
    data = module(manifest_dir)
    data.setup("fit")
    first, second = epoch(data, 0), epoch(data, 1)
    for batches in (first, second):
        studies = torch.cat([b.study for b in batches])
        assert len(studies.unique()) == len(studies)
    assert not torch.equal(first[0].sample, second[0].sample)
    assert equal(first[0], epoch(data, 0)[0])
    seen = {s for e in range(6) for b in epoch(data, e) for s in b.sample.tolist()}
    frame = Manifest.load(manifest_dir).frame
    # both images of a study have their turn
    assert len(seen) > (frame["split"] == "train").sum() * 0.8
    every = module(manifest_dir, sampling="image")
    every.setup("fit")
    assert sum(len(b) for b in epoch(every)) == (frame["split"] == "train").sum() // 4 * 4


@pytest.mark.parametrize("augment", ["full", "crop"])
def test_batches_do_not_depend_on_workers(manifest_dir: Path, augment: str) -> None:
    alone = module(manifest_dir, twins=2, graphs=True, augment=augment)
    pool = module(manifest_dir, twins=2, graphs=True, augment=augment, num_workers=2)
    for data in (alone, pool):
        data.setup("fit")
    loader = pool.train_dataloader()
    for number in (0, 1, 0):
        # the same loader: its workers live on and must still follow the epoch
        loader.sampler.set_epoch(number)
        for a, b in zip(epoch(alone, number), loader, strict=True):
            assert equal(a, b)
    assert not torch.equal(epoch(alone, 0)[0].image, epoch(alone, 1)[0].image)


def test_another_seed_is_another_run(manifest_dir: Path) -> None:
    a, b = module(manifest_dir, seed=0), module(manifest_dir, seed=1)
    a.setup("fit")
    b.setup("fit")
    assert not torch.equal(epoch(a)[0].sample, epoch(b)[0].sample)


def test_manifests_are_mixed_with_weights(manifest_dir: Path, frontal_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(frontal_dir, other)
    rename(other, "second")
    data = module(manifest_dir, other, weights=[1.0, 2.0], batch_size=1)
    data.setup("fit")
    first = Manifest.load(manifest_dir).frame
    second = Manifest.load(other).frame
    studies = [int(f.loc[f["split"] == "train", "study_id"].nunique()) for f in (first, second)]
    samples = torch.cat([b.sample for b in epoch(data)])
    assert int((samples < len(first)).sum()) == studies[0]
    assert int((samples >= len(first)).sum()) == 2 * studies[1]
    counts = torch.bincount(samples[samples >= len(first)] - len(first))
    assert counts.max() <= 2
    # images of another cache size come out at the same size
    assert {tuple(b.image.shape) for b in epoch(data)} == {(1, 1, 32, 32)}
    half = module(manifest_dir, other, weights=[0.5, 0.0], batch_size=1)
    half.setup("fit")
    parts = [set(torch.cat([b.sample for b in epoch(half, e)]).tolist()) for e in (0, 1)]
    assert len(parts[0]) == round(studies[0] / 2)
    assert parts[0] != parts[1]
    assert list(data.spec.provenance.manifests) == [Manifest.load(manifest_dir).hash, Manifest.load(other).hash]


def rename(folder: Path, dataset: str) -> None:
    """Give a manifest's rows another data set name."""
    from clinclip.data.manifest import save

    manifest = Manifest.load(folder)
    frame = manifest.frame.assign(dataset=dataset)
    header = {k: v for k, v in manifest.header.items() if k not in ("schema_version", "hash", "files")}
    save(folder, frame, {**header, "dataset": dataset}, [dataset])


def test_a_patient_never_trains_here_and_is_evaluated_there(manifest_dir: Path, tmp_path: Path) -> None:
    from clinclip.data.manifest import save

    other = tmp_path / "other"
    shutil.copytree(manifest_dir, other)
    manifest = Manifest.load(other)
    swapped = {"train": "test", "test": "train", "validate": "validate"}
    header = {k: v for k, v in manifest.header.items() if k not in ("schema_version", "hash", "files")}
    save(other, manifest.frame.assign(split=manifest.frame["split"].map(swapped)), header, [])
    with pytest.raises(LeakageError, match="patients are in the train split of"):
        module(manifest_dir, other).setup("fit")


def test_sections(manifest_dir: Path) -> None:
    frame = Manifest.load(manifest_dir).frame
    for name in ("findings", "impression"):
        data = module(manifest_dir, sections=name)
        data.setup("fit")
        assert data.tokenizer_ is not None
        batch = epoch(data)[0]
        for i, sample in enumerate(batch.sample.tolist()):
            ids = batch.text.token_ids[i][batch.text.mask[i]].tolist()
            assert ids == data.tokenizer_.encode([frame.iloc[sample][name]], 256)[0].ids
    data = module(manifest_dir, sections="sample", batch_size=12)
    data.setup("fit")
    hashes = [dict(zip(b.sample.tolist(), b.text_hash.tolist(), strict=True)) for e in range(4) for b in epoch(data, e)]
    drawn = {s: {h[s] for h in hashes if s in h} for s in hashes[0]}
    assert any(len(options) == 2 for options in drawn.values())
    # labels are read from the very section
    row = frame.index[frame["impression"] == "No acute cardiopulmonary process."][0]
    picked = [b.text_labels[i] for e in range(6) for b in epoch(data, e) for i, s in enumerate(b.sample) if s == row]
    assert {int(labels[FINDINGS.index("Pneumothorax")]) for labels in picked} <= {0, -2}
    with pytest.raises(ConfigError, match=r"sections='sample' together with data\.twins=1"):
        module(manifest_dir, sections="sample", twins=1)


def test_labels(manifest_dir: Path, tmp_path: Path) -> None:
    read, table = module(manifest_dir, labels="read"), module(manifest_dir, labels="table")
    for data in (read, table):
        data.setup("fit")
    assert torch.equal(epoch(read)[0].labels, epoch(read)[0].text_labels)
    assert not torch.equal(epoch(read)[0].labels, epoch(table)[0].labels)
    without = tmp_path / "m"
    shutil.copytree(manifest_dir, without)
    from clinclip.data.manifest import TABLE_COLUMNS, save

    manifest = Manifest.load(without)
    header = {k: v for k, v in manifest.header.items() if k not in ("schema_version", "hash", "files")}
    frame = manifest.frame.assign(**dict.fromkeys(TABLE_COLUMNS, -2))
    save(without, frame, {**header, "labels": {"table": False, "read": True}}, [])
    with pytest.raises(ConfigError, match=r"data\.labels=table: .*data\.labels=read takes"):
        module(without, labels="table").setup("fit")
    auto = module(without)
    auto.setup("fit")
    assert torch.equal(epoch(auto)[0].labels, epoch(auto)[0].text_labels)


def test_truncated_twins_and_graphs_are_left_out(manifest_dir: Path) -> None:
    data = module(manifest_dir, max_tokens=4, twins=2, graphs=True)
    data.setup("fit")
    for batch in epoch(data):
        assert batch.text.token_ids.shape[1] <= 4
        assert batch.twins is not None
        assert batch.graph is not None
        for i, k in batch.twins.valid.nonzero().tolist():
            assert not torch.equal(batch.twins.text.token_ids[i, k], batch.text.token_ids[i])
        assert batch.graph.dropped.sum() > 0
        assert (batch.graph.span_end <= 4).all()


def test_tokens_are_kept_and_reused(manifest_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    shutil.copytree(manifest_dir, copy)
    first = module(copy, cache_tokens=True, graphs=True)
    first.prepare_data()
    kept = sorted(p.name for p in (copy / "tokens").iterdir())
    assert [name.split(".")[-1] for name in kept] == ["npz", "json"]
    second = module(copy, cache_tokens=True, graphs=True)
    second.setup("fit")
    first.setup("fit")
    assert equal(epoch(first)[0], epoch(second)[0])
    assert sorted(p.name for p in (copy / "tokens").iterdir()) == kept
    # a damaged file is built again
    for path in (copy / "tokens").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    third = module(copy, cache_tokens=True, graphs=True)
    third.setup("fit")
    assert equal(epoch(first)[0], epoch(third)[0])


def test_frozen_text(manifest_dir: Path, tmp_path: Path) -> None:
    data = module(manifest_dir)
    data.setup("fit")
    hashes = torch.cat([b.text_hash for b in [*epoch(data), *data.val_dataloader()]]).numpy()
    path = tmp_path / "frozen.npz"
    write_frozen_text(path, hashes, np.stack([hashes % 97, hashes % 89], axis=1))
    frozen = module(manifest_dir, frozen_text=str(path))
    frozen.setup("fit")
    batch = epoch(frozen)[0]
    assert batch.frozen_text is not None
    assert torch.equal(batch.frozen_text[:, 0], (batch.text_hash % 97).float())
    write_frozen_text(path, hashes[:1], np.zeros((1, 2)))
    with pytest.raises(DataError, match="lacks"):
        module(manifest_dir, frozen_text=str(path)).setup("fit")
    with pytest.raises(DataError, match="not a file of frozen"):
        module(manifest_dir, frozen_text=str(manifest_dir / "header.json")).setup("fit")


def test_the_checkpoints_tokenizer_wins(manifest_dir: Path, tmp_path: Path) -> None:
    trained = module(manifest_dir)
    trained.setup("fit")
    state = trained.state_dict()
    other = module(manifest_dir, vocab_size=40)
    other.setup("test")
    before = next(iter(other.test_dataloader()))
    other.load_state_dict(state)
    trained.setup("test")
    assert other.tokenizer_ is not None
    assert other.tokenizer_.to_json() == state["tokenizer"]
    after = next(iter(other.test_dataloader()))
    assert not torch.equal(before.text.token_ids, after.text.token_ids)
    assert torch.equal(after.text.token_ids, next(iter(trained.test_dataloader())).text.token_ids)


def test_predict_looks_at_any_split_without_augmentation(manifest_dir: Path) -> None:
    data = module(manifest_dir, predict_split="train")
    data.setup("fit")
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert sum(len(b) for b in batches) == (Manifest.load(manifest_dir).frame["split"] == "train").sum()
    assert torch.equal(batches[0].image, next(iter(data.predict_dataloader())).image)


def twins_of(data: CXRDataModule, epochs: int = 1) -> list[tuple[int, int, tuple[int, ...], int]]:
    """(sample, finding, token ids, epoch) of every valid twin of training batches."""
    found = []
    for number in range(epochs):
        for batch in epoch(data, number):
            assert batch.twins is not None
            for i, k in batch.twins.valid.nonzero().tolist():
                ids = batch.twins.text.token_ids[i, k][batch.twins.text.mask[i, k]].tolist()
                found.append((int(batch.sample[i]), int(batch.twins.finding[i, k]), tuple(ids), number))
    return found


def test_every_kind_of_twin_reaches_training(manifest_dir: Path) -> None:
    """By kind alone, the twins of a batch are exactly those that preparation stored."""
    frame = Manifest.load(manifest_dir).frame
    for kind in EDITS:
        data = module(manifest_dir, twins=8, edits=[kind], sampling="image", batch_size=2)
        data.setup("fit")
        tokenizer = data.tokenizer_
        assert tokenizer is not None
        stored = {
            (row, FINDINGS.index(twin.finding), tuple(e.ids))
            for row in np.flatnonzero(frame["split"] == "train")
            for twin in twins_from_column(frame["twins"][row], frame["text"][row], [kind], ("train", None))
            for e in tokenizer.encode([twin.text], 256)
        }
        assert stored, f"the phantom has reports with a {kind} twin"
        assert {t[:3] for t in twins_of(data)} == stored


def test_kinds_take_turns_and_the_draw_is_new_each_epoch(manifest_dir: Path) -> None:
    """A report has up to four negated twins and one of each other kind; one twin a step must still show all kinds."""
    frame = Manifest.load(manifest_dir).frame
    edits = ["swap_side", "negate", "swap_severity"]
    data = module(manifest_dir, twins=1, edits=edits, sampling="image", batch_size=2)
    data.setup("fit")
    tokenizer = data.tokenizer_
    assert tokenizer is not None
    kind_of = {}
    for row in np.flatnonzero(frame["split"] == "train"):
        for twin in twins_from_column(frame["twins"][row], frame["text"][row], edits):
            kind_of[row, tuple(tokenizer.encode([twin.text], 256)[0].ids)] = twin.kind
    side = {row for (row, _), kind in kind_of.items() if kind == "swap_side"}
    negated = {row for (row, _), kind in kind_of.items() if kind == "negate"}
    drawn = Counter(kind_of[t[0], t[2]] for t in twins_of(data, epochs=30) if t[0] in side & negated)
    assert set(drawn) == set(edits)
    # each kind of a report with the same chance: 1/2 or 1/3 for a side, never the 1/5 of one twin among five
    assert 0.28 < drawn["swap_side"] / drawn.total() < 0.55
    three = module(manifest_dir, twins=3, edits=edits, sampling="image", batch_size=2)
    three.setup("fit")
    by_row: dict[tuple[int, int], list[str]] = {}
    for row, _, ids, number in twins_of(three, epochs=2):
        by_row.setdefault((row, number), []).append(kind_of[row, ids])
    full = {row for row in side & negated if (row, "swap_severity") in {(r, k) for (r, _), k in kind_of.items()}}
    assert full
    for (row, _), kinds in by_row.items():
        if row in full:
            assert sorted(kinds) == sorted(edits), "none comes twice before all came once"


def test_a_kind_that_no_report_has_is_refused(manifest_dir: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(manifest_dir)
    header = {k: v for k, v in manifest.header.items() if k not in ("schema_version", "hash", "files")}
    copy = tmp_path / "m"
    shutil.copytree(manifest_dir / "images", copy / "images")
    twins = [json.dumps([t for t in json.loads(column) if t["kind"] == "negate"]) for column in manifest.frame["twins"]]
    save(copy, manifest.frame.assign(twins=twins), header, {"swaps": 0})
    module(copy, twins=1).setup("fit")
    with pytest.raises(ManifestError, match=r"kind swap_side, which .* other kinds in data\.edits.*--swaps 1"):
        module(copy, twins=1, edits=["negate", "swap_side"]).setup("fit")
    module(copy, manifest_dir, twins=1, edits=["swap_side"]).setup("fit")  # of several, one that has some is enough
    # nothing is trained: a checkpoint can be judged on it
    judged = module(copy, twins=1, edits=["swap_side"], cache_tokens=True)
    judged.prepare_data()
    judged.setup("validate")
    assert len(judged.dataset("validate"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "guess"}, r"data\.labels='guess': allowed are auto, table, read"),
        ({"sampling": "patient"}, r"data\.sampling='patient'"),
        ({"batch_size": 0}, r"data\.batch_size=0"),
        ({"twins": -1}, r"data\.twins=-1"),
        ({"twins": 1, "edits": ["swap"]}, r"data\.edits='swap': allowed are negate, omit, swap_side"),
        ({"twins": 0, "edits": ["omit"]}, r"data\.edits=\['omit'\] with data\.twins=0"),
        ({"twins": 1, "edits": []}, r"data\.edits=\[\]: give at least one of negate, omit"),
        ({"weights": [1.0, 2.0]}, r"data\.weights=\[1\.0, 2\.0\]"),
        ({"augmentation": {"flip": 0.5}}, r"data\.augmentation=.*flip"),
        ({"batch_size": 500}, r"fewer than one global batch of 500 x 1"),
        ({"views": ","}, "--views"),
    ],
)
def test_wrong_options_are_named(manifest_dir: Path, options: dict[str, Any], message: str) -> None:
    def start() -> None:
        data = module(manifest_dir, **options)
        data.setup("fit")
        data.train_dataloader()

    with pytest.raises(ConfigError, match=message):
        start()


def test_wrong_manifests_are_named(manifest_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"does not exist.*clinclip prepare.*data\.manifests"):
        module(tmp_path / "nowhere").setup("fit")
    with pytest.raises(ConfigError, match="list of at least one"):
        CXRDataModule([])
    copy = tmp_path / "m"
    shutil.copytree(manifest_dir, copy)
    data = (copy / "manifest.parquet").read_bytes()
    (copy / "manifest.parquet").write_bytes(data[:50] + b"\x00" + data[51:])
    with pytest.raises(ManifestError, match="changed since it was prepared"):
        module(copy).setup("fit")
    (copy / "header.json").write_text('{"schema_version": 99, "hash": "x", "files": {"manifest.parquet": "y"}}')
    with pytest.raises(ManifestError, match="schema version 99"):
        module(copy).setup("fit")
    for version in (1, 2):
        header = {"schema_version": version, "hash": "x", "files": {"manifest.parquet": "y"}}
        (copy / "header.json").write_text(json.dumps(header))
        with pytest.raises(
            ManifestError, match=rf"version {version}, .* reads 3, where all edited .* prepare the data"
        ):
            module(copy).setup("fit")
    (copy / "header.json").write_text("{")
    with pytest.raises(ManifestError, match="damaged"):
        module(copy).setup("fit")
