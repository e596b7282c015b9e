"""Battery 4: patients shared by training and evaluation, in any number format; duplicates; the splitter's promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.data.datamodule import CXRDataModule
from clinclip.data.ids import canonical_id
from clinclip.data.leakage import check_shared_patients, cross_set_duplicates, find_duplicates
from clinclip.data.manifest import Manifest, save, typed, validate
from clinclip.data.splits import SPLITS, assert_disjoint, assign_splits, connected_groups
from clinclip.errors import ConfigError, LeakageError, ManifestError


def as_written(number: int, kind: str, style: str) -> str:
    """A patient id of a data set as an integer, a string or a float column would write it."""
    if style == "float":
        return f"{number}.0"
    return f"{number:08d}" if kind == "nih" and style == "str" else str(number)


def patients(kind: str, count: int) -> list[int]:
    return list(range(1, count + 1)) if kind == "nih" else [10000000 + 31 * i for i in range(count)]


def rows(kind: str, overlap: int, styles: tuple[str, str], count: int = 200) -> pd.DataFrame:
    """Half of the patients train, half are tested, ``overlap`` of them both, written in two styles."""
    ids = patients(kind, count)
    train = [(as_written(p, kind, styles[0]), "train") for p in ids[: count // 2]]
    test = [(as_written(p, kind, styles[1]), "test") for p in ids[count // 2 - overlap :]]
    frame = pd.DataFrame(train + test, columns=["patient_id", "split"]).astype("str")
    names = [f"{kind}{i}" for i in range(len(frame))]
    return frame.assign(dataset=kind, image_id=names, study_id=names, cache_index=range(len(frame)), text="x")


def test_battery_of_patient_leakage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, passed = 0, 0
    for kind in ("nih", "mimic"):
        for a in ("int", "str", "float"):
            for b in ("int", "str", "float"):
                for overlap in (0, 1, 5, 50):
                    frame = typed(rows(kind, overlap, (a, b)))
                    cases += 1
                    try:
                        validate(frame, "m")
                        passed += overlap == 0
                    except LeakageError as error:
                        passed += overlap > 0 and f"{overlap} of 200 patients" in str(error)
    for seed in range(100):
        cases += 1
        names = [str(p) for p in patients("mimic", 300)]
        assigned = assign_splits(names, seed, (0.7, 0.1, 0.2))
        frame = pd.DataFrame({"dataset": "d", "patient_id": names * 2, "split": [assigned[p] for p in names] * 2})
        assert_disjoint(frame)
        passed += sorted(assigned) == sorted(names)
    with capsys.disabled():
        print(f"\nbattery 4, patient leakage: {passed} / {cases}")
    assert passed == cases


def written(folder: Path, frame: pd.DataFrame) -> Manifest:
    return save(folder, frame, {"dataset": "d"}, [])


def test_overlap_across_manifests(tmp_path: Path) -> None:
    first = written(tmp_path / "a", rows("nih", 0, ("int", "int")))
    frame = rows("nih", 0, ("str", "float"))
    moved = frame.assign(split=frame["split"].map({"train": "test", "test": "train"}))
    second = written(tmp_path / "b", moved)
    check_shared_patients([first, written(tmp_path / "c", frame)])
    with pytest.raises(LeakageError, match="200 patients are in the train split of"):
        check_shared_patients([first, second])
    # other data sets may use the same numbers
    check_shared_patients([first, written(tmp_path / "d", moved.assign(dataset="other"))])


def test_duplicates_across_sets_are_reported(tmp_path: Path) -> None:
    """Three images of one set are in another, under other names."""
    a = rows("nih", 0, ("int", "int")).assign(source_sha256=[f"a{i}" for i in range(200)])
    hashes = [f"b{i}" for i in range(200)]
    hashes[3], hashes[150], hashes[151] = "a3", "a199", "a1"
    b = rows("mimic", 0, ("int", "int")).assign(source_sha256=hashes)
    found = cross_set_duplicates([written(tmp_path / "a", a), written(tmp_path / "b", b)])
    assert sum(r["images"] for r in found) == 3
    assert {tuple(r["splits"]) for r in found} == {("train", "train"), ("test", "test"), ("train", "test")}


def test_duplicates_within_a_set() -> None:
    frame = typed(rows("nih", 0, ("int", "int"), 6))
    frame["text"] = ["No  effusion.", "No effusion.", "Edema.", "No effusion. ", "Clear.", ""]
    frame["source_sha256"] = ["x", "y", "z", "x", "w", ""]
    found = find_duplicates(frame)
    assert (found.texts, found.text_studies, found.cross_split_texts) == (1, 3, 1)
    assert (found.images, found.image_rows, found.cross_split_images, found.cross_patient_images) == (1, 2, 1, 1)


@settings(max_examples=100, deadline=None)
@given(
    ids=st.sets(st.text(min_size=1, max_size=6), min_size=1, max_size=60),
    seed=st.integers(-(2**31), 2**31),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.5, 0.25, 0.25), (0.0, 0.0, 1.0), (0.34, 0.33, 0.33)]),
)
def test_splitter(ids: set[str], seed: int, shares: tuple[float, float, float]) -> None:
    assigned = assign_splits(ids, seed, shares)
    assert set(assigned) == ids
    assert assigned == assign_splits(sorted(ids, reverse=True), seed, shares)
    for name, share in zip(SPLITS, shares, strict=True):
        count = sum(1 for split in assigned.values() if split == name)
        assert (count == 0) == (share == 0) or len(ids) < 3
        assert abs(count - share * len(ids)) < 2


def test_another_seed_is_another_split() -> None:
    names = [str(i) for i in range(100)]
    assert assign_splits(names, 0) != assign_splits(names, 1)
    with pytest.raises(ConfigError, match="split fractions"):
        assign_splits(names, 0, (0.5, 0.5, 0.5))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12)), max_size=20), st.randoms())
def test_linked_patients_form_groups(pairs: list[tuple[str, int]], random: object) -> None:
    groups = connected_groups(pairs)
    for patient, key in pairs:
        for other, again in pairs:
            if key == again:
                assert groups[patient] == groups[other]
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert connected_groups(shuffled) == groups
    # no more is joined than must be: a group has as many links as it needs
    for name in set(groups.values()):
        members = {p for p, g in groups.items() if g == name}
        keys = {k for p, k in pairs if p in members}
        assert len(members) == 1 or len(keys) >= 1
        assert name == min(members)


@pytest.mark.parametrize(("a", "b"), [("00012", "12"), ("12.0", "12"), ("1.2e1", "12"), ("p7", "p7"), ("0", "000")])
def test_canonical_ids(a: str, b: str) -> None:
    assert canonical_id(a) == canonical_id(b)
    assert canonical_id(a) != canonical_id(b + "1")


def test_contract_is_checked(tmp_path: Path) -> None:
    good = typed(rows("nih", 0, ("int", "int"), 6))
    validate(good, "m")
    broken = {
        "split 'holdout'": good.assign(split=["holdout", *good["split"][1:]]),
        "occur more than once": good.assign(image_id="same"),
        "belong to more than one patient": good.assign(study_id="same", split="train"),
        "label codes": good.assign(table_edema=np.int8(7)),
        "column 'patient_id' has blanks": good.assign(patient_id=["", *good["patient_id"][1:]]),
        "no image is left": good[:0],
        "lacks columns graph": good.drop(columns="graph"),
    }
    for words, frame in broken.items():
        with pytest.raises(ManifestError, match=words):
            validate(frame, "m")
    with pytest.raises(ManifestError):
        CXRDataModule([str(tmp_path)]).setup("fit")
