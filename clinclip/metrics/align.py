"""CXR-Align metrics: does the image prefer its report to the negated and to the incomplete one?

The benchmark's own Task A and Task B are known by name and number only, so every comparison is reported under a plain
name. Ties count half: a tie is resolved in expectation over a fair coin, so a model that scores everything equal gets
chance (1/2, 1/3 three ways, 1/6 for the full order) and not 0 or 1.
"""

from __future__ import annotations

import numpy as np

from clinclip.errors import DataError
from clinclip.findings import FINDINGS
from clinclip.metrics.arrays import Array, to_numpy

#: name of a comparison -> (text that should score higher, text that should score lower)
COMPARISONS: dict[str, tuple[str, str]] = {
    "report_vs_negation": ("report", "negation"),
    "report_vs_omitted": ("report", "omitted"),
    "omitted_vs_negation": ("omitted", "negation"),
}


def half_ties(margin: np.ndarray) -> np.ndarray:
    """1 where the margin is positive, 0 where negative, 1/2 at zero; NaN stays NaN."""
    return np.where(np.isnan(margin), np.nan, (np.sign(margin) + 1.0) / 2.0)


def outcomes(report: np.ndarray, negation: np.ndarray, omitted: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Outcome of every comparison on every item, from the image-text scores.

    Args:
        report: (N,) score of the true report.
        negation: (N,) score of the negated report.
        omitted: (N,) score of the report with the finding left out, NaN where there is none; or None.

    Returns:
        name -> float64 (N,): ``report_vs_negation`` and, with ``omitted``, ``report_vs_omitted``,
        ``omitted_vs_negation``, ``three_way_top1`` and ``full_order`` (report > omitted > negation), each in [0, 1].
        NaN where a score is missing.
    """
    report, negation = np.asarray(report, np.float64), np.asarray(negation, np.float64)
    result = {"report_vs_negation": half_ties(report - negation)}
    if omitted is None:
        return result
    omitted = np.asarray(omitted, np.float64)
    result["report_vs_omitted"] = half_ties(report - omitted)
    result["omitted_vs_negation"] = half_ties(omitted - negation)
    missing = np.isnan(report + negation + omitted)
    top = np.fmax(np.fmax(report, negation), omitted)
    shared = (report == top).astype(float) + (negation == top) + (omitted == top)
    three = np.where(report == top, 1.0 / np.maximum(shared, 1.0), 0.0)
    full = result["report_vs_omitted"] * result["omitted_vs_negation"]
    full = np.where(shared == 3, 1.0 / 6.0, full)
    result["three_way_top1"] = np.where(missing, np.nan, three)
    result["full_order"] = np.where(missing, np.nan, full)
    return result


def pair_scores(image: Array, text: Array) -> np.ndarray:
    """Cosine of each image with its own text: image (N, D), text (N, D) or (N, K, D) -> float64 (N,) or (N, K)."""
    image, text = to_numpy(image).astype(np.float64), to_numpy(text).astype(np.float64)
    if image.ndim != 2 or text.shape[0] != image.shape[0] or text.shape[-1] != image.shape[1]:
        raise DataError(f"image embeddings {image.shape} and text embeddings {text.shape} do not fit")
    return np.einsum("nd,n...d->n...", image, text)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def align_accuracy(
    image: Array,
    report: Array,
    negation: Array,
    omitted: Array | None = None,
    valid: Array | None = None,
    omitted_valid: Array | None = None,
    finding: Array | None = None,
) -> dict[str, float]:
    """Accuracies of the CXR-Align comparisons.

    Args:
        image: (N, D) unit-length embeddings.
        report: (N, D) of the true reports.
        negation: (N, D) or (N, K, D) of the negated reports.
        omitted: (N, D) or (N, K, D) of the reports with the finding left out, or None. With K, ``omitted[:, k]``
            belongs to ``negation[:, k]``; one omission a report (N, D) is compared with each negation.
        valid: bool (N,) or (N, K), False where there is no negation; None means all.
        omitted_valid: the same for the omissions; None means all.
        finding: int (N,) or (N, K) index into FINDINGS of the edited finding, for the numbers per finding; entries
            below 0 are in no finding's number.

    Returns:
        ``report_vs_negation``, ``margin_report_negation``, ``items``; with ``omitted`` also ``report_vs_omitted``,
        ``omitted_vs_negation``, ``three_way_top1``, ``full_order`` and the margins; with ``finding`` also
        ``<comparison>/<finding>`` and ``<comparison>_macro`` (mean over findings that occur). NaN where nothing is
        valid.
    """
    scores = {"report": pair_scores(image, report), "negation": pair_scores(image, negation)}
    columns = 1 if scores["negation"].ndim == 1 else scores["negation"].shape[1]

    def spread(values: np.ndarray) -> np.ndarray:
        """(N,) or (N, K) -> (N * K,)."""
        values = values[:, None] if values.ndim == 1 else values
        return np.broadcast_to(values, (values.shape[0], columns)).reshape(-1)

    flat = {name: spread(values).copy() for name, values in scores.items()}
    if valid is not None:
        flat["negation"][~spread(to_numpy(valid).astype(bool))] = np.nan
    if omitted is not None:
        flat["omitted"] = spread(pair_scores(image, omitted)).copy()
        if omitted_valid is not None:
            flat["omitted"][~spread(to_numpy(omitted_valid).astype(bool))] = np.nan
    result = outcomes(flat["report"], flat["negation"], flat.get("omitted"))
    numbers = {name: _mean(values) for name, values in result.items()}
    for name, (high, low) in COMPARISONS.items():
        if name in result:
            numbers[f"margin_{high}_{low}"] = _mean(flat[high] - flat[low])
    numbers["items"] = float((~np.isnan(result["report_vs_negation"])).sum())
    if finding is not None:
        index = spread(to_numpy(finding))
        for name, values in result.items():
            each = {f: _mean(values[index == i]) for i, f in enumerate(FINDINGS)}
            each = {f: value for f, value in each.items() if not np.isnan(value)}
            numbers.update({f"{name}/{f}": value for f, value in each.items()})
            numbers[f"{name}_macro"] = float(np.mean(list(each.values()))) if each else float("nan")
    return numbers
