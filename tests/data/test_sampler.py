"""Order of samples: the same global batches at any world size, each once, resumable to the batch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip import draws
from clinclip.data.sampler import EvalSampler, TrainSampler, decode, encode
from clinclip.errors import ConfigError


def sampler(count: int = 50, batch: int = 4, rank: int = 0, world: int = 1, **kwargs: object) -> TrainSampler:
    study = np.arange(count) // 2
    return TrainSampler(study, np.zeros(count, np.int64), [1.0], batch, rank=rank, world=world, **kwargs)


def rows(s: TrainSampler, epoch: int = 0) -> np.ndarray:
    s.set_epoch(epoch)
    codes = list(s)
    assert {int(c) >> 40 for c in codes} == {epoch}
    return decode(codes)[0]


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_the_global_batches_of_one(world: int) -> None:
    batch = 12 // world
    alone = rows(sampler(120, 12), 3).reshape(-1, 12)
    parts = [rows(sampler(120, batch, r, world), 3).reshape(-1, batch) for r in range(world)]
    assert np.array_equal(np.concatenate(parts, axis=1), alone)


def test_study_sampling_takes_one_image_a_study() -> None:
    for epoch in range(4):
        chosen = rows(sampler(50, 1), epoch)
        assert sorted(chosen // 2) == list(range(25))
    first = {tuple(sorted(rows(sampler(50, 1), epoch))) for epoch in range(4)}
    assert len(first) == 4


def test_both_images_are_taken_equally_often() -> None:
    counts = np.zeros(50, int)
    for epoch in range(400):
        counts += np.bincount(rows(sampler(50, 1), epoch), minlength=50)
    # binomial(400, 1/2): 6 standard deviations are 60
    assert np.abs(counts - 200).max() < 60


def test_a_new_pass_starts_behind_what_was_taken() -> None:
    whole = rows(sampler(50, 4), 2)
    again = sampler(50, 4)
    again.set_epoch(2)
    again.start = 12
    assert np.array_equal(decode(list(again))[0], whole[12:])
    # only once
    assert len(list(again)) == len(whole)


def test_too_few_samples_is_named() -> None:
    with pytest.raises(ConfigError, match=r"25 samples an epoch.*8 x 4 processes"):
        sampler(50, 8, world=4)
    with pytest.raises(ConfigError, match="sampling"):
        sampler(sampling="patient")


@settings(max_examples=50, deadline=None)
@given(count=st.integers(0, 40), world=st.integers(1, 7))
def test_evaluation_takes_each_row_once(count: int, world: int) -> None:
    parts = [list(EvalSampler(count, r, world)) for r in range(world)]
    assert sorted(row for part in parts for row in part) == list(range(count))
    assert [len(EvalSampler(count, r, world)) for r in range(world)] == [len(p) for p in parts]


def test_indices_carry_their_epoch() -> None:
    codes = encode(np.array([0, 5, 2**39]), 123)
    found, epoch = decode(codes.tolist())
    assert found.tolist() == [0, 5, 2**39]
    assert epoch == 123
    assert decode([3, 4])[1] == 0


def test_draws_differ_by_every_part_of_the_key() -> None:
    samples = np.arange(1000)
    base = draws.uniform(1, 2, draws.ORDER, samples)
    for other in (
        draws.uniform(2, 2, draws.ORDER, samples),
        draws.uniform(1, 3, draws.ORDER, samples),
        draws.uniform(1, 2, draws.AUGMENTATION, samples),
    ):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.12
        assert not np.array_equal(base, other)
    assert np.array_equal(base[::-1], draws.uniform(1, 2, draws.ORDER, samples[::-1]))
    assert abs(base.mean() - 0.5) < 0.05
    assert len(np.unique(base)) == 1000
    # neighbouring seeds and epochs do not mirror each other
    keys = [tuple(draws.words(s, e, draws.ORDER, np.arange(3)).tolist()) for s in range(20) for e in range(20)]
    assert len(set(keys)) == 400
    assert all(a != b for a, b in pairwise(keys))


def test_hashes_are_stable_across_machines() -> None:
    assert draws.stable_hash("mimic-cxr", "10000032") == 4270244744353522135
    assert draws.text_hash("No  effusion.\n") == draws.text_hash("No effusion.")
    assert draws.stable_hash("a", "bc") != draws.stable_hash("ab", "c")
