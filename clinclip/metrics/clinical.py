"""Clinical retrieval: does the retrieved report say the same as the true one? Agreement of labels and of graphs.

A retrieved report need not be the patient's own to be right: on normal studies thousands of reports are. Both reports
are read by clinclip's own rules, whose version stands beside the numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from clinclip.graph.schema import ReportGraph
from clinclip.metrics.arrays import Array, to_tensor
from clinclip.metrics.thresholds import f1

#: the facts of a report: entities (text, label), and relations (head, tail, kind)
Facts = tuple[frozenset[tuple[str, str]], frozenset[tuple[tuple[str, str], tuple[str, str], str]]]


def top1(image: Array, text: Array, chunk: int = 1024) -> np.ndarray:
    """Index of the best-scoring text of every image, the first one where several tie: int64 (N,)."""
    pictures, words = to_tensor(image), to_tensor(text)
    with torch.no_grad():
        best = [(pictures[i : i + chunk] @ words.T).argmax(dim=1) for i in range(0, len(pictures), chunk)]
    return torch.cat(best).cpu().numpy()


def random_partner(count: int, seed: int = 0) -> np.ndarray:
    """For each of ``count`` items another one, every item once: the chance level of agreement. int64 (count,)."""
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(count)
    partner = np.empty(count, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def facts(graph: ReportGraph) -> Facts:
    """Entities and relations as sets, in lower case, positions left out."""
    entities = [(e.text.lower(), e.label) for e in graph.entities]
    relations = [(entities[r.head], entities[r.tail], r.label) for r in graph.relations]
    return frozenset(entities), frozenset(relations)


def overlap_f1(found: frozenset, true: frozenset) -> float:
    """2 |both| / (|found| + |true|); NaN where both are empty."""
    total = len(found) + len(true)
    return 2 * len(found & true) / total if total else float("nan")


def label_statistic(found: np.ndarray, true: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Micro and macro F1 over the findings from bool (N, 14) each: weights (R, N) -> (R, 2)."""
    defined = np.flatnonzero(true.any(0))

    def statistic(weights: np.ndarray) -> np.ndarray:
        tp = weights @ (found & true).astype(np.float64)
        fp = weights @ (found & ~true).astype(np.float64)
        fn = weights @ (~found & true).astype(np.float64)
        micro = f1(tp.sum(1), fp.sum(1), fn.sum(1))
        each = f1(tp[:, defined], fp[:, defined], fn[:, defined])
        # the same findings in every resample
        macro = each.mean(1) if len(defined) else np.full(len(weights), np.nan)
        return np.stack([micro, macro], axis=1)

    return statistic
