"""The page of ``clinclip inspect``: counts and figures of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.evaluation.figures import INK, SOFT, new_figure, plain, svg
from clinclip.evaluation.html import encoded, render
from clinclip.findings import FINDINGS
from clinclip.prepare.summary import STATES, LabelTable, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: present, uncertain, absent; apart in grey and without colour vision
_COLOURS = ("#1b6ca8", "#e0a13a", "#c8ced4")
_SOURCES = {"table": "The publisher's label table", "read": "Read from the reports by clinclip"}


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    axes = plain(figure.subplots())
    axes.grid(False)
    return figure, axes


def _bars(names: Sequence[str], values: Sequence[int], unit: str) -> str:
    """Horizontal bars with their numbers."""
    if not names:
        return ""
    figure, axes = _axes(6.4, 0.28 * len(names) + 0.6)
    height = np.arange(len(names))[::-1]
    axes.barh(height, values, color=_COLOURS[0], height=0.66)
    for y, value in zip(height, values, strict=True):
        axes.text(value, y, f" {value:,}", va="center", fontsize=8, color=INK)
    axes.set_yticks(height, names)
    axes.set_xlabel(unit, fontsize=8.5, color=SOFT)
    axes.margins(x=0.12)
    return svg(figure)


def _label_bars(table: LabelTable) -> str:
    """Present, uncertain and absent of each finding, stacked; the rest is not mentioned."""
    figure, axes = _axes(6.4, 4.2)
    total = max(int(table.counts.sum(axis=1).max()), 1)
    height = np.arange(len(FINDINGS))[::-1]
    left = np.zeros(len(FINDINGS))
    for state, colour in zip(range(3), _COLOURS, strict=True):
        share = table.counts[:, state] / total * 100
        axes.barh(height, share, left=left, color=colour, height=0.7, label=str(STATES[state]))
        left += share
    axes.set_yticks(height, FINDINGS)
    axes.set_xlabel("% of studies; the rest is not mentioned", fontsize=8.5, color=SOFT)
    axes.set_xlim(0, 100)
    axes.figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return svg(figure)


def _histogram(words: np.ndarray) -> str:
    if not len(words):
        return ""
    figure, axes = _axes(6.4, 2.6)
    top = int(np.quantile(words, 0.995)) + 1
    axes.hist(np.minimum(words, top), bins=min(60, max(top, 2)), color=_COLOURS[0])
    axes.set_ylim(top=axes.get_ylim()[1] * 1.12)  # room for the words above the bars
    for q, style in ((0.5, "-"), (0.95, (0, (3, 3)))):
        value = float(np.quantile(words, q))
        axes.axvline(value, color=INK, linewidth=1, linestyle=style)
        axes.text(value, axes.get_ylim()[1], f" {q:.0%}: {value:.0f}", fontsize=8, va="top", color=INK)
    axes.set_xlabel("words in a report (the longest 0.5 % in the last bar)", fontsize=8.5, color=SOFT)
    axes.set_ylabel("studies", fontsize=8.5, color=SOFT)
    return svg(figure)


def _part(
    title: str,
    about: str,
    *tables: tuple[Sequence[str], Sequence[Sequence[object]]],
    svg: str = "",
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """A section: a figure, tables of (head, rows), notes. The template leaves out one that has none of them."""
    return {"title": title, "about": about, "svg": svg, "tables": tables, "notes": notes}


def _cards(summary: Summary) -> list[tuple[str, str]]:
    totals = np.asarray(list(summary.splits.values())).sum(axis=0)
    reports = summary.reports
    cards = [(f"{n:,}", name) for n, name in zip(totals.tolist(), ("images", "studies", "patients"), strict=True)]
    if reports:
        cards += [
            (f"{int(np.median(summary.words))}", "words in the median report"),
            (f"{summary.graphs / reports:.0%}", "of reports have a graph"),
            *((f"{count / reports:.0%}", f"have a twin: {kind}") for kind, count in summary.twins.items()),
        ]
    return cards


def _labels(table: LabelTable) -> dict[str, Any]:
    total = int(table.counts[0].sum())
    rows = [[name, *(int(n) for n in counts)] for name, counts in zip(FINDINGS, table.counts, strict=True)]
    return _part(
        f"Labels: {_SOURCES[table.source]}",
        f"States of the 14 findings over {total:,} studies. Not mentioned is not absent.",
        (["finding", *(str(state).replace("_", " ") for state in STATES)], rows),
        svg=_label_bars(table),
    )


def _agreement(summary: Summary) -> dict[str, Any]:
    rows = [[a.finding, a.both, a.same, f"{a.same / a.both:.1%}"] for a in summary.agreement if a.both]
    return _part(
        "The two label sources",
        "Where both say something: how often they say the same. Which one trains is data.labels.",
        (["finding", "both say something", "same", "share"], rows),
    )


def _duplicates(summary: Summary) -> dict[str, Any]:
    found = summary.duplicates
    rows = [
        ["texts that several studies share", found.texts],
        ["studies with such a text", found.text_studies],
        ["texts in more than one split", found.cross_split_texts],
        ["images (byte for byte) in several rows", found.images],
        ["images in more than one split", found.cross_split_images],
        ["images of more than one patient", found.cross_patient_images],
        ["largest groups of studies with one text", ", ".join(map(str, summary.largest)) or "none"],
    ]
    about = (
        "Studies with the same report are false negatives of each other in a plain contrastive loss, and extra "
        "positives in retrieval. Soft targets and the retrieval tables count them as equal."
    )
    return _part("Duplicates", about, (["", "count"], rows))


def _pngs(images: Sequence[np.ndarray]) -> list[str]:
    import cv2

    coded = (cv2.imencode(".png", image) for image in images)
    return [encoded(data.tobytes()) for done, data in coded if done]


def page(summary: Summary, images: Sequence[np.ndarray] = ()) -> str:
    """The whole page.

    Args:
        summary: the numbers.
        images: uint8 (H, W) pictures for a contact sheet; none by default.
    """
    splits = [[split, *counts] for split, counts in summary.splits.items()]
    steps = [[s["step"], s["images"], s["studies"], s["patients"]] for s in summary.steps]
    drops = [[f"left out: {reason}", n] for reason, n in summary.dropped.items()]
    drops += [[f"kept, but: {reason}", n] for reason, n in summary.kept.items()]
    spread = [[f"{k} image{'s' if k > 1 else ''}", v] for k, v in summary.images_per_study.items()]
    counted = ["images", "studies", "patients"]
    views = _bars(list(summary.views), list(summary.views.values()), "images")
    return render(
        "inspect.html",
        f"Manifest: {dict(summary.facts)['data set']}",
        subtitle=summary.facts[1][1],
        cards=_cards(summary),
        parts=[
            _part("Splits", "No patient is in two splits.", (["split", *counted], splits)),
            _part(
                "From the download to the manifest",
                "What was left after each step, and why the rest was left out (drops.csv names each).",
                (["step", *counted], steps),
                (["reason", "count"], drops),
                notes=summary.notes,
            ),
            *(_labels(table) for table in summary.labels),
            _agreement(summary),
            _part("Report lengths", "In words; the text tower cuts at data.max_tokens.", svg=_histogram(summary.words)),
            _part("Views", "As the publisher spells them.", svg=views),
            _part("Images of a study", "One of them is shown an epoch by default.", (["", "studies"], spread)),
            _duplicates(summary),
        ],
        images=_pngs(images),
        facts_of_it=summary.facts,
    )
