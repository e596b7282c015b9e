"""Report retrieval by counting: rank = 1 + competitors scoring higher + half of those scoring equal.

One pass over tiles of the similarity matrix gives both directions, and the matrix is never stored. What is a positive
is an equivalence of labels, not the diagonal: images of one study share a report, and identical reports of different
studies may count as positives too (otherwise R@1 on normal studies measures luck).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clinclip.errors import DataError
from clinclip.metrics.arrays import Array, to_numpy, to_tensor

#: Rows and columns of a tile: small enough to stay in cache between the product and the counting.
TILE = (768, 512)
#: Rows of a window when only the positives' scores are computed.
WINDOW = 64


@dataclass(frozen=True)
class Ranks:
    """Rank of the best positive for every query.

    Attributes:
        image_to_text: float64 (N,) for each image among all texts; x.5 with ties, NaN without a positive.
        text_to_image: float64 (M,) for each text among all images.
    """

    image_to_text: np.ndarray
    text_to_image: np.ndarray


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Products in true float32: TF32 or autocast would make ties and near ties arbitrary."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _codes(images: Array, texts: Array) -> tuple[np.ndarray, np.ndarray]:
    """Common integer codes 0, 1, ... of two arrays of labels."""
    images, texts = to_numpy(images), to_numpy(texts)
    codes = np.unique(np.concatenate([images, texts]), return_inverse=True)[1].reshape(-1).astype(np.int64)
    return codes[: len(images)], codes[len(images) :]


def _same_rows(matrix: Tensor) -> np.ndarray:
    """(N, D) -> (N,) codes that are equal exactly where the rows are equal to the bit."""

    def codes(values: Tensor) -> np.ndarray:
        rows = np.ascontiguousarray(values.cpu().numpy() + 0.0)  # -0 becomes 0
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
        return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)

    start = codes(matrix[:, :4])
    # nearly always the first numbers tell the rows apart already
    return start if start.max() + 1 == len(matrix) else codes(matrix)


def _components(keys: Sequence[np.ndarray]) -> np.ndarray:
    """Connected components of "some key is equal": the smallest row number reachable from each row."""
    label = np.arange(len(keys[0]))
    while True:
        before = label
        for key in keys:
            lowest = np.full(int(key.max()) + 1, len(label))
            np.minimum.at(lowest, key, label)
            label = lowest[key]
        if np.array_equal(label, before):
            return label


@dataclass(frozen=True)
class _Side:
    """Images or texts, sorted so that everything that can be positive for each other lies together."""

    vectors: Tensor  # (n, D)
    keys: tuple[Tensor, ...]  # each (n,): equal key = positive
    same: Tensor | None  # (n,): equal to the bit; None where no two rows are
    component: np.ndarray  # (n,), ascending
    order: np.ndarray  # (n,) original row of each sorted row

    def __len__(self) -> int:
        return len(self.order)


def _sides(image: Tensor, text: Tensor, keys: list[tuple[np.ndarray, np.ndarray]]) -> tuple[_Side, _Side]:
    n = len(image)
    same_image, same_text = _same_rows(image), _same_rows(text)
    joint = [np.concatenate(pair) for pair in keys]
    joint.append(np.concatenate([same_image, same_text + same_image.max() + 1]))
    component = _components(joint)
    sides = []
    for vectors, part, same, which in ((image, component[:n], same_image, 0), (text, component[n:], same_text, 1)):
        order = np.argsort(part, kind="stable")
        index = torch.from_numpy(order).to(vectors.device)
        on = [torch.from_numpy(pair[which][order]).to(vectors.device) for pair in keys]
        copies = same.max() + 1 < len(same)
        same_sorted = torch.from_numpy(same[order]).to(vectors.device) if copies else None
        if not (order[1:] > order[:-1]).all():
            vectors = vectors[index]
        sides.append(_Side(vectors, tuple(on), same_sorted, part[order], order))
    return sides[0], sides[1]


def _positive(a: _Side, rows: slice, b: _Side, columns: slice) -> Tensor:
    """Bool mask of positives of a block."""
    mask = a.keys[0][rows, None] == b.keys[0][None, columns]
    for left, right in zip(a.keys[1:], b.keys[1:], strict=True):
        mask |= left[rows, None] == right[None, columns]
    return mask


def _reach(a: _Side, rows: slice, b: _Side) -> tuple[int, int]:
    """Range of columns whose components overlap with those of the rows."""
    first, last = a.component[rows.start], a.component[rows.stop - 1]
    return int(np.searchsorted(b.component, first, "left")), int(np.searchsorted(b.component, last, "right"))


def _best_positives(a: _Side, b: _Side) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Score of the best positive (-inf: none) for each row of ``a`` and ``b``, and the bit-code of that positive."""
    device, inf = a.vectors.device, float("inf")
    best_a, best_b = torch.full((len(a),), -inf, device=device), torch.full((len(b),), -inf, device=device)
    which_a = torch.full((len(a),), -1, dtype=torch.int64, device=device)
    which_b = torch.full((len(b),), -1, dtype=torch.int64, device=device)
    for start in range(0, len(a), WINDOW):
        rows = slice(start, min(start + WINDOW, len(a)))
        first, last = _reach(a, rows, b)
        if first == last:
            continue
        columns = slice(first, last)
        block = a.vectors[rows] @ b.vectors[columns].T
        block.masked_fill_(~_positive(a, rows, b, columns), -inf)
        best_a[rows] = block.amax(dim=1)
        if b.same is not None:
            which_a[rows] = b.same[columns][block.argmax(dim=1)]
        value = block.amax(dim=0)
        if a.same is not None:
            better = value > best_b[columns]
            which_b[columns] = torch.where(better, a.same[rows][block.argmax(dim=0)], which_b[columns])
        best_b[columns] = torch.maximum(value, best_b[columns])
    return best_a, which_a, best_b, which_b


def _count(a: _Side, b: _Side, tile: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the best positives, in sorted order."""
    device = a.vectors.device
    best_a, which_a, best_b, which_b = _best_positives(a, b)
    balance_a = torch.zeros(len(a), dtype=torch.float64, device=device)  # higher minus lower competitors
    balance_b = torch.zeros(len(b), dtype=torch.float64, device=device)
    height, width = min(tile[0], len(a)), min(tile[1], len(b))
    product, work = torch.empty(height * width, device=device), torch.empty(height * width, device=device)
    ones = torch.ones(max(height, width), device=device)
    # sliced once: thousands of small tensor views would cost as much as the counting
    starts = range(0, len(b), width)
    columns = [slice(left, min(left + width, len(b))) for left in starts]
    parts = [(c, b.vectors[c].T, best_b[None, c], ones[: c.stop - c.start], balance_b[c]) for c in columns]
    for top in range(0, len(a), height):
        rows = slice(top, min(top + height, len(a)))
        n = rows.stop - rows.start
        vectors, best, down = a.vectors[rows], best_a[rows, None], ones[:n]
        sums = torch.empty(len(parts), n, device=device)
        first, last = _reach(a, rows, b)
        for i, (c, gallery, best_column, across, balance) in enumerate(parts):
            m = c.stop - c.start
            scores, ahead = product[: n * m].view(n, m), work[: n * m].view(n, m)
            torch.mm(vectors, gallery, out=scores)
            torch.sub(scores, best, out=ahead)
            scores.sub_(best_column)
            near = slice(max(first, c.start), min(last, c.stop))
            if near.start < near.stop:
                # Positives do not compete, so they count as behind. Copies of the best positive tie with it,
                # whatever rounding says.
                inner = slice(near.start - c.start, near.stop - c.start)
                if b.same is not None:
                    ahead[:, inner].masked_fill_(b.same[None, near] == which_a[rows, None], 0.0)
                if a.same is not None:
                    scores[:, inner].masked_fill_(a.same[rows, None] == which_b[None, near], 0.0)
                positive = _positive(a, rows, b, near)
                ahead[:, inner].masked_fill_(positive, -1.0)
                scores[:, inner].masked_fill_(positive, -1.0)
            torch.mv(ahead.sign_(), across, out=sums[i])
            balance += torch.mv(scores.sign_().T, down)
        balance_a[rows] = sums.sum(0, dtype=torch.float64)
    nan = torch.tensor(float("nan"), dtype=torch.float64, device=device)
    # higher + equal / 2 = (all + higher - lower) / 2
    rank_a = torch.where(best_a.isfinite(), 1.0 + (len(b) + balance_a) / 2, nan)
    rank_b = torch.where(best_b.isfinite(), 1.0 + (len(a) + balance_b) / 2, nan)
    return rank_a.cpu().numpy(), rank_b.cpu().numpy()


def retrieval_ranks(
    image: Array,
    text: Array,
    image_study: Array | None = None,
    text_study: Array | None = None,
    image_text_hash: Array | None = None,
    text_hash: Array | None = None,
    tile: tuple[int, int] = TILE,
) -> Ranks:
    """Rank of the best positive of every image and of every text, in one pass over the similarities.

    A text is a positive of an image when their studies are equal, or when the image's own report has the same hash.
    Competitors are the non-positives; rank = 1 + those scoring higher + half of those scoring equal.

    Args:
        image: (N, D) unit-length embeddings, NumPy or torch, any device.
        text: (M, D).
        image_study: (N,) study of each image; None: image i belongs to text i.
        text_study: (M,) study of each text; None: as ``image_study`` (then N = M).
        image_text_hash: (N,) hash of each image's own report; None: duplicate reports are competitors.
        text_hash: (M,) hash of each text; None: as ``image_text_hash`` (then N = M).
        tile: rows and columns of a tile.

    Returns:
        Ranks, NaN for a query without any positive.

    Raises:
        DataError: shapes do not fit, or an embedding is not finite.
    """
    pictures, words = to_tensor(image), to_tensor(text)
    words = words.to(pictures.device)
    if pictures.ndim != 2 or words.ndim != 2 or pictures.shape[1] != words.shape[1]:
        raise DataError(f"image {tuple(pictures.shape)} and text {tuple(words.shape)} must be (N, D) and (M, D)")
    for name, vectors in (("image", pictures), ("text", words)):
        # a sum is finite only if every summand is, and costs one pass
        bad = int((~vectors.sum(dim=1).isfinite()).sum())
        if bad:
            raise DataError(f"{bad} of {len(vectors)} {name} embeddings are not finite")
    n, m = len(pictures), len(words)
    pairs = []
    for name, own, other in (("study", image_study, text_study), ("hash", image_text_hash, text_hash)):
        if own is None and other is None:
            if name == "hash":
                continue
            own = np.arange(n)
        own = other if own is None else own
        other = own if other is None else other
        if own is None or other is None or len(own) != n or len(other) != m:
            raise DataError(f"{name} labels do not fit {n} images and {m} texts: give one for each")
        pairs.append(_codes(own, other))
    if not n or not m:
        return Ranks(np.full(n, np.nan), np.full(m, np.nan))
    a, b = _sides(pictures, words, pairs)
    with _full_precision(pictures.device):
        sorted_a, sorted_b = _count(a, b, tile)
    rank_a, rank_b = np.empty(n), np.empty(m)
    rank_a[a.order], rank_b[b.order] = sorted_a, sorted_b
    return Ranks(rank_a, rank_b)


def summarize(ranks: np.ndarray, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """``r<k>`` (share of ranks up to k), ``median_rank`` and ``mrr`` of a vector of ranks; NaN ranks left out."""
    ranks = ranks[~np.isnan(ranks)]
    nothing = float("nan")
    result = {f"r{k}": float((ranks <= k).mean()) if len(ranks) else nothing for k in ks}
    result["median_rank"] = float(np.median(ranks)) if len(ranks) else nothing
    result["mrr"] = float((1.0 / ranks).mean()) if len(ranks) else nothing
    return result


def retrieval_metrics(
    image: Array,
    text: Array,
    study: Array | None = None,
    text_hash: Array | None = None,
    ks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    """Recall at k, median rank and mean reciprocal rank, both directions, of paired rows.

    Args:
        image: (N, D) unit-length embeddings, NumPy or torch.
        text: (N, D), row i the report of image i.
        study: (N,) study of each row: all rows of a study are positives of each other.
        text_hash: (N,) hash of each report: rows with equal reports are positives of each other. None: they compete.
        ks: the cut-offs.

    Returns:
        ``i2t_r1``, ``i2t_r5``, ..., ``i2t_median_rank``, ``i2t_mrr`` and the same for ``t2i``. All NaN if an embedding
        is not finite (a diverged model must not win a checkpoint).
    """
    finite = all(bool(to_tensor(a).sum(dim=1).isfinite().all()) for a in (image, text))
    if finite:
        ranks = retrieval_ranks(image, text, study, study, text_hash, text_hash)
    else:
        ranks = Ranks(np.full(len(image), np.nan), np.full(len(text), np.nan))
    result = {f"i2t_{k}": v for k, v in summarize(ranks.image_to_text, ks).items()}
    result.update({f"t2i_{k}": v for k, v in summarize(ranks.text_to_image, ks).items()})
    return result
