from __future__ import annotations

import numpy as np
import pytest
import torch

from clinclip.errors import DataError
from clinclip.metrics.retrieval import Ranks, retrieval_metrics, retrieval_ranks, summarize


def unit(rng: np.random.Generator, n: int, d: int = 16) -> np.ndarray:
    x = rng.normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slow(scores: np.ndarray, positive: np.ndarray) -> Ranks:
    """Directly by the definition, one query at a time."""

    def rank(row: np.ndarray, mask: np.ndarray) -> float:
        if not mask.any():
            return np.nan
        best, others = row[mask].max(), row[~mask]
        return 1 + (others > best).sum() + 0.5 * (others == best).sum()

    return Ranks(
        np.array([rank(scores[i], positive[i]) for i in range(scores.shape[0])]),
        np.array([rank(scores[:, j], positive[:, j]) for j in range(scores.shape[1])]),
    )


def assert_equal(got: Ranks, want: Ranks) -> None:
    np.testing.assert_array_equal(got.image_to_text, want.image_to_text)
    np.testing.assert_array_equal(got.text_to_image, want.text_to_image)


@pytest.mark.parametrize("tile", [(7, 5), (32, 64), (512, 2048)])
def test_equals_slow_reference_on_paired_rows(tile: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image, text = unit(rng, 100), unit(rng, 100)
    want = slow(image.astype(np.float64) @ text.T.astype(np.float64), np.eye(100, dtype=bool))
    assert_equal(retrieval_ranks(image, text, tile=tile), want)


@pytest.mark.parametrize("tile", [(7, 5), (64, 64)])
def test_equals_slow_reference_with_exact_ties_and_multi_positives(tile: tuple[int, int]) -> None:
    # small integers: every product is exact in any order of summation, so ties are true ties everywhere
    rng = np.random.default_rng(1)
    n, m = 130, 90
    image, text = rng.integers(-1, 2, (n, 3)).astype(np.float32), rng.integers(-1, 2, (m, 3)).astype(np.float32)
    study_i, study_t = rng.integers(0, 60, n), rng.integers(0, 60, m)
    hash_i, hash_t = rng.integers(0, 40, n), rng.integers(0, 40, m)
    scores = image @ text.T
    by_study = study_i[:, None] == study_t[None]
    by_hash = hash_i[:, None] == hash_t[None]
    assert_equal(retrieval_ranks(image, text, study_i, study_t, tile=tile), slow(scores, by_study))
    got = retrieval_ranks(image, text, study_i, study_t, hash_i, hash_t, tile=tile)
    assert_equal(got, slow(scores, by_study | by_hash))
    assert np.isnan(retrieval_ranks(image, text, study_i, study_t).image_to_text).any(), "no query without positive"


def test_copies_of_a_report_tie_whatever_rounding_says() -> None:
    # one report, word for word, on every other study: its copies compete and tie, so half of them stand ahead
    rng = np.random.default_rng(2)
    n = 301
    image, text = unit(rng, n, 512), unit(rng, n, 512)
    text[::2] = text[0]
    copies = (n + 1) // 2
    image[::2] = text[0]  # the copied report scores highest for these images
    raw = retrieval_ranks(image, text, tile=(64, 32))
    np.testing.assert_array_equal(raw.image_to_text[::2], 1 + (copies - 1) / 2)
    same = np.arange(n)
    same[::2] = 0
    merged = retrieval_ranks(image, text, None, None, same, same, tile=(64, 32))
    np.testing.assert_array_equal(merged.image_to_text[::2], 1.0)


def test_constant_model_stands_in_the_middle() -> None:
    constant = np.ones((50, 4), dtype=np.float32) / 2
    metrics = retrieval_metrics(constant, constant)
    assert metrics["i2t_r1"] == 0.0
    assert metrics["i2t_median_rank"] == metrics["t2i_median_rank"] == 25.5


def test_perfect_model_and_keys() -> None:
    eye = torch.eye(12)
    metrics = retrieval_metrics(eye, eye, ks=(1, 5))
    assert metrics == {
        **{f"{way}_{k}": 1.0 for way in ("i2t", "t2i") for k in ("r1", "r5", "median_rank", "mrr")},
    }


def test_images_of_one_study_are_no_competitors() -> None:
    # two views of each study with one report: the sister's copy of the report must not push the own one down
    rng = np.random.default_rng(3)
    text = np.repeat(unit(rng, 20), 2, axis=0)
    study = np.repeat(np.arange(20), 2)
    assert retrieval_metrics(text, text, study=study)["i2t_r1"] == 1.0
    assert retrieval_metrics(text, text)["i2t_r1"] == 0.0  # each tied with its twin: rank 1.5


def test_shuffling_rows_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    image, text = unit(rng, 80), unit(rng, 80)
    study, digest = rng.integers(0, 50, 80), rng.integers(0, 30, 80)
    order = rng.permutation(80)
    a = retrieval_metrics(image, text, study, digest)
    b = retrieval_metrics(image[order], text[order], study[order], digest[order])
    assert a == pytest.approx(b, abs=1e-12)


def test_string_labels_and_bfloat16_are_accepted() -> None:
    rng = np.random.default_rng(5)
    image = torch.from_numpy(unit(rng, 10)).bfloat16()
    metrics = retrieval_metrics(image, image, study=np.array([f"s{i}" for i in range(10)]))
    assert metrics["i2t_r1"] == 1.0


def test_not_finite_embeddings_win_nothing() -> None:
    rng = np.random.default_rng(6)
    image, text = unit(rng, 10), unit(rng, 10)
    image[3, 2] = np.nan
    assert all(np.isnan(v) for v in retrieval_metrics(image, text).values())
    with pytest.raises(DataError, match="1 of 10 image embeddings"):
        retrieval_ranks(image, text)


def test_unequal_sides_need_labels() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(DataError, match="study labels do not fit 4 images and 3 texts"):
        retrieval_ranks(unit(rng, 4), unit(rng, 3))


def test_summary_of_ranks() -> None:
    got = summarize(np.array([1.0, 2.5, np.nan, 8.0]), ks=(1, 5))
    assert got == pytest.approx({"r1": 1 / 3, "r5": 2 / 3, "median_rank": 2.5, "mrr": (1 + 0.4 + 0.125) / 3})


def test_empty_input_is_undefined_not_zero() -> None:
    empty = np.zeros((0, 4), dtype=np.float32)
    assert np.isnan(retrieval_metrics(empty, empty)["i2t_r1"])
