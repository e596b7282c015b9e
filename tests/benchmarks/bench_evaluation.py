"""Bootstrap intervals against a loop over scikit-learn; recall against one product, and against faiss.

Equality is asserted beside every clock. The loop over scikit-learn runs on some of the resamples, and its time is
multiplied: every resample costs it the same.
"""

from __future__ import annotations

import numpy as np
import torch

from clinclip.metrics.auroc import sorted_columns
from clinclip.metrics.intervals import PatientResamples, bootstrap
from clinclip.metrics.retrieval import Ranks, retrieval_ranks
from tests.benchmarks.harness import Row, interleaved

#: test images, findings, resamples, and resamples that the slow side runs
ROWS, FINDINGS, RESAMPLES, TIMED = 5000, 14, 1000, 10
#: image-report pairs and joint width of the retrieval benchmark
PAIRS, WIDTH = 12_000, 512


def slow_ranks(scores: np.ndarray, positive: np.ndarray) -> Ranks:
    """By the definition: sort out positives, count what scores higher and half of what ties."""

    def ranks(s: np.ndarray, p: np.ndarray) -> np.ndarray:
        best = np.where(p, s, -np.inf).max(1, keepdims=True)
        return 1 + ((s > best) & ~p).sum(1) + 0.5 * ((s == best) & ~p).sum(1)

    return Ranks(ranks(scores, positive), ranks(scores.T, positive.T))


def bench_bootstrap() -> Row:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(ROWS, FINDINGS)), 4)
    labels = (scores + 2 * rng.normal(size=scores.shape) > 2).astype(int)
    resamples = PatientResamples(np.arange(ROWS), RESAMPLES)
    picks = [np.repeat(np.arange(ROWS), resamples.weights(r, r + 1)[0].astype(int)) for r in range(TIMED)]
    result: dict[str, np.ndarray] = {}

    def ours() -> None:
        columns = sorted_columns(scores, labels)
        result["ours"] = bootstrap(lambda w: np.stack([c.auroc(w) for c in columns], axis=1), resamples)

    def theirs() -> None:
        result["theirs"] = np.array(
            [[roc_auc_score(labels[rows, f], scores[rows, f]) for f in range(FINDINGS)] for rows in picks]
        )

    mine, loop = interleaved(ours, theirs, repeats=5)
    worst = float(np.abs(result["ours"][:TIMED] - result["theirs"]).max())
    assert worst <= 1e-12, f"bootstrap differs from scikit-learn by {worst}"
    loop *= RESAMPLES / TIMED
    note = f"{RESAMPLES} x {FINDINGS} x n={ROWS}, largest difference {worst:.0e}"
    return Row("bootstrap AUROC interval against scikit-learn loop", mine, loop, loop / mine, 50, note=note)


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check_ranks() -> None:
    """Equality with the slow definition: multi-positives, duplicate texts, exact ties, any tile."""
    rng = np.random.default_rng(1)
    n = 700
    study = rng.integers(0, 400, n)
    digest = np.where(study % 5 == 0, -1, study)  # a fifth of the studies share one report
    by_study = study[:, None] == study[None]
    both = by_study | (digest[:, None] == digest[None])
    whole = rng.integers(-1, 2, (n, 4)).astype(np.float32)  # exact products, so ties are everywhere
    for image, text in ((unit(rng, n), unit(rng, n)), (whole, rng.permutation(whole))):
        scores = image.astype(np.float64) @ text.T.astype(np.float64)
        for tile in ((512, 1024), (100, 70)):
            for positive, hashes in ((by_study, None), (both, digest)):
                got = retrieval_ranks(image, text, study, study, hashes, hashes, tile=tile)
                want = slow_ranks(scores, positive)
                assert np.array_equal(got.image_to_text, want.image_to_text)
                assert np.array_equal(got.text_to_image, want.text_to_image)


def bench_recall() -> list[Row]:
    import faiss

    check_ranks()
    rng = np.random.default_rng(0)
    image, text = unit(rng, PAIRS), unit(rng, PAIRS)
    image[: PAIRS // 2] = image[: PAIRS // 2] * 0.9 + text[: PAIRS // 2] * 0.1  # some pairs are found
    pictures, words = torch.from_numpy(image), torch.from_numpy(text)
    product = torch.empty(PAIRS, PAIRS)
    result: dict[str, np.ndarray] = {}

    def ours() -> None:
        ranks = retrieval_ranks(pictures, words)
        result["ours"] = np.array(
            [[(r <= k).mean() for k in (1, 5, 10)] for r in (ranks.image_to_text, ranks.text_to_image)]
        )

    def one_product() -> None:
        torch.mm(pictures, words.T, out=product)

    def flat() -> None:
        found = []
        for queries, gallery in ((image, text), (text, image)):
            index = faiss.IndexFlatIP(WIDTH)
            index.add(gallery)
            hits = index.search(queries, 10)[1] == np.arange(PAIRS)[:, None]
            found.append([hits[:, :k].any(1).mean() for k in (1, 5, 10)])
        result["theirs"] = np.array(found)

    mine, bare = interleaved(ours, one_product, repeats=6)
    again, searched = interleaved(ours, flat, repeats=5)
    worst = float(np.abs(result["ours"] - result["theirs"]).max())
    assert worst <= 1e-12, f"recall differs from faiss by {worst}"
    size = f"{PAIRS:,} pairs x {WIDTH}"
    return [
        Row(
            "recall, both directions, over one matrix product",
            mine,
            bare,
            mine / bare,
            1.15,
            better="smaller",
            note=size,
        ),
        Row("recall, both directions, against faiss flat", again, searched, searched / again, 1.35, note=size),
    ]


def bench_multi_positive() -> Row:
    """The same with several images a study and a fifth of the reports identical: what real test sets look like."""
    rng = np.random.default_rng(2)
    pictures, words = torch.from_numpy(unit(rng, PAIRS)), torch.from_numpy(unit(rng, PAIRS))
    study = rng.permutation(np.arange(PAIRS) // 2)
    digest = np.where(rng.random(PAIRS)[study] < 0.2, -1, study)
    product = torch.empty(PAIRS, PAIRS)
    mine, bare = interleaved(
        lambda: retrieval_ranks(pictures, words, study, study, digest, digest),
        lambda: torch.mm(pictures, words.T, out=product),
        repeats=5,
    )
    name = "recall with multi-positives and 20 % duplicate reports, over one product"
    return Row(name, mine, bare, mine / bare, 1.3, better="smaller", note=f"{PAIRS:,} pairs x {WIDTH}")


def bench_auroc() -> Row:
    """AUROC of 14 findings at n = 100,000 against scikit-learn."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    scores = rng.normal(size=(100_000, FINDINGS))
    labels = (scores + 2 * rng.normal(size=scores.shape) > 2).astype(int)
    result: dict[str, list[float]] = {}

    def ours() -> None:
        result["ours"] = [float(c.auroc()) for c in sorted_columns(scores, labels)]

    def theirs() -> None:
        result["theirs"] = [float(roc_auc_score(labels[:, f], scores[:, f])) for f in range(FINDINGS)]

    mine, other = interleaved(ours, theirs, repeats=3)
    assert np.abs(np.array(result["ours"]) - np.array(result["theirs"])).max() <= 1e-12
    order, columns = rng.permutation(len(scores)), rng.permutation(FINDINGS)
    shuffled = [float(c.auroc()) for c in sorted_columns(scores[order][:, columns], labels[order][:, columns])]
    assert np.abs(np.array(shuffled) - np.array(result["ours"])[columns]).max() <= 1e-6
    return Row("AUROC 100,000 x 14 against scikit-learn", mine, other, other / mine, 1.0)


def run() -> list[Row]:
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    return [bench_bootstrap(), *bench_recall(), bench_multi_positive(), bench_auroc()]
