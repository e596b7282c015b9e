"""Figures as SVG text (no image file, no script, no network) or PNG. All pages draw with what stands here."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clinclip.evaluation.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: first and second model; readable without colour vision, and apart in grey
COLOURS = ("#1b6ca8", "#d1752a")
#: lines that only guide, text, and text of axes
GREY, INK, SOFT = "#8a929a", "#20262c", "#4a5158"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain(axes: Axes) -> Axes:
    """Axes in the style of the pages."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8ced4")
    axes.tick_params(colors=SOFT, labelsize=8, length=3)
    axes.grid(True, color="#eef1f4", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def _legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """A legend above the panels, for two models."""
    if len(names) > 1:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)


def svg(figure: Figure) -> str:
    """The figure as SVG text; the same figure gives the same text."""
    from matplotlib import rc_context

    out = io.StringIO()
    # text stays text: small files, and searchable; a fixed salt makes the same figure the same file
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "clinclip", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def roc(curves: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """One small ROC panel a finding, the models on top of each other."""
    findings = list(dict.fromkeys(f for model in curves for f in model))
    if not findings:
        return ""
    across = min(5, len(findings))
    down = -(-len(findings) // across)
    figure = new_figure(1.9 * across + 0.4, 1.95 * down + 0.35)
    axes = np.atleast_1d(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)).reshape(-1)
    for panel, finding in zip(axes, findings, strict=False):
        plain(panel).plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (3, 3)))
        for model, colour, name in zip(curves, COLOURS, names, strict=False):
            if finding in model:
                panel.plot(model[finding]["fpr"], model[finding]["tpr"], color=colour, linewidth=1.6, label=name)
        panel.set_title(finding, fontsize=8.5, color=INK)
        panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    for panel in axes[len(findings) :]:
        panel.set_visible(False)
    figure.supxlabel("false positive rate", fontsize=8.5, color=SOFT)
    figure.supylabel("true positive rate", fontsize=8.5, color=SOFT)
    _legend(figure, axes[0], names)
    return svg(figure)


def reliability(curves: Sequence[Sequence[dict[str, float]]], names: Sequence[str]) -> str:
    """Share of positives against mean probability; the size of a point grows with its count."""
    if not any(curves):
        return ""
    figure = new_figure(4.2, 3.9)
    axes = plain(figure.subplots())
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (3, 3)))
    most = max(b["count"] for c in curves for b in c)
    for curve, colour, name in zip(curves, COLOURS, names, strict=False):
        x, y = [b["probability"] for b in curve], [b["positives"] for b in curve]
        size = [12 + 150 * b["count"] / most for b in curve]
        axes.plot(x, y, color=colour, linewidth=1.2, label=name)
        axes.scatter(x, y, s=size, color=colour, alpha=0.55, linewidths=0)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.set_xlabel("mean probability of the bin", fontsize=8.5, color=SOFT)
    axes.set_ylabel("share of positives", fontsize=8.5, color=SOFT)
    _legend(figure, axes, names)
    return svg(figure)


def recall(curves: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Recall against k on a logarithmic axis: one panel a direction, line style by duplicate policy."""
    lines = list(dict.fromkeys(key for model in curves for key in model))
    directions = list(dict.fromkeys(key.split(", ")[0] for key in lines))
    if not directions:
        return ""
    figure = new_figure(4.3 * len(directions), 3.5)
    panels = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for panel, direction in zip(panels, directions, strict=True):
        plain(panel)
        for model, colour, name in zip(curves, COLOURS, names, strict=False):
            for key, curve in model.items():
                if not key.startswith(direction):
                    continue
                policy = key.split(", ", 1)[1]
                label = policy if len(names) == 1 else f"{name}, {policy}"
                style = "-" if policy == "raw" else (0, (4, 2))
                panel.plot(curve["k"], curve["recall"], color=colour, linestyle=style, linewidth=1.6, label=label)
        panel.set(xscale="log", ylim=(-0.02, 1.02))
        panel.set_title(direction, fontsize=9.5, color=INK)
        panel.set_xlabel("k", fontsize=8.5, color=SOFT)
        panel.legend(frameon=False, fontsize=7.5, loc="lower right")
    panels[0].set_ylabel("recall at k", fontsize=8.5, color=SOFT)
    return svg(figure)


def gaps(histograms: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Histograms of score gaps, one panel a comparison; what lies right of zero is right."""
    comparisons = list(dict.fromkeys(key for h in histograms for key in h["counts"]))
    if not comparisons:
        return ""
    figure = new_figure(3.1 * len(comparisons) + 0.3, 2.9)
    panels = figure.subplots(1, len(comparisons), squeeze=False)[0]
    for panel, comparison in zip(panels, comparisons, strict=True):
        plain(panel).axvline(0, color=INK, linewidth=1)
        for h, colour, name in zip(histograms, COLOURS, names, strict=False):
            if comparison in h["counts"]:
                panel.stairs(h["counts"][comparison], h["edges"], fill=True, color=colour, alpha=0.35)
                panel.stairs(h["counts"][comparison], h["edges"], color=colour, linewidth=1.2, label=name)
        panel.set_title(comparison, fontsize=9, color=INK)
        panel.set_xlabel("difference of cosines", fontsize=8.5, color=SOFT)
        panel.margins(x=0)
        panel.locator_params(axis="x", nbins=5)
    panels[0].set_ylabel("items", fontsize=8.5, color=SOFT)
    _legend(figure, panels[0], names)
    return svg(figure)


def forest(tables: Sequence[Table], column: str, names: Sequence[str], chance: float | None = None) -> str:
    """Values with intervals, one line a row of the table, the models beside each other."""
    labels = [r.label for r in tables[0].rows if any(_finite(t.cell(r.label, column).value) for t in tables)]
    if len(labels) < 2:
        return ""
    figure = new_figure(6.4, 0.30 * len(labels) + 0.9)
    axes = plain(figure.subplots())
    height = np.arange(len(labels))[::-1]
    for i, (table, colour, name) in enumerate(zip(tables, COLOURS, names, strict=False)):
        shift = 0.0 if len(tables) == 1 else 0.14 * (1 - 2 * i)
        cells = [table.cell(label, column) for label in labels]
        y = height + shift
        axes.hlines(y, [c.low for c in cells], [c.high for c in cells], color=colour, linewidth=1.6, alpha=0.6)
        axes.plot([c.value for c in cells], y, "o", color=colour, markersize=4.5, label=name)
    if chance is not None:
        axes.axvline(chance, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_yticks(height, labels)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.set_xlabel(column, fontsize=8.5, color=SOFT)
    axes.grid(False, axis="y")
    _legend(figure, axes, names)
    return svg(figure)


def _finite(value: float) -> bool:
    return bool(np.isfinite(value))


#: line colours of up to nine rows (Okabe and Ito 2008, extended), apart without colour vision by their dashes too
ROW_COLOURS = (INK, "#56b4e9", "#0072b2", "#d55e00", "#cc79a7", "#b8a900", "#8a929a", "#009e73", "#7b3fa0")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def rows_by_metrics(titles: Sequence[str], rows: Mapping[str, Sequence[tuple[float, float, float]]]) -> bytes:
    """Rows of an ablation as dots with intervals, a panel a metric; dashed: the first row.

    Args:
        titles: headings of the panels.
        rows: row -> (value, low, high) for every panel.

    Returns:
        A PNG.
    """
    figure = new_figure(2.1 * len(titles) + 1.0, 0.27 * len(rows) + 1.0)
    axes = np.atleast_1d(figure.subplots(1, len(titles), sharey=True, squeeze=False)).reshape(-1)
    places = np.arange(len(rows))[::-1]
    for i, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        values = np.array([cells[i] for cells in rows.values()], dtype=np.float64)
        plain(panel).axvline(values[0, 0], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)))
        panel.hlines(places, values[:, 1], values[:, 2], color=COLOURS[0], linewidth=1.6)
        panel.plot(values[:, 0], places, "o", color=COLOURS[0], markersize=4.5)
        panel.set_title(title, fontsize=9, color=INK)
    axes[0].set_yticks(places, list(rows), fontsize=8.5)
    return _png(figure)


def curves_by_row(panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]) -> bytes:
    """Curves over epochs, a panel a metric, a line a row.

    Args:
        panels: heading -> row -> (epochs, values).

    Returns:
        A PNG.
    """
    figure = new_figure(3.1 * len(panels), 3.0)
    axes = np.atleast_1d(figure.subplots(1, len(panels), squeeze=False)).reshape(-1)
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        plain(panel).set_title(title, fontsize=9, color=INK)
        for i, (row, (epochs, values)) in enumerate(lines.items()):
            dash, colour = _DASHES[i % len(_DASHES)], ROW_COLOURS[i % len(ROW_COLOURS)]
            panel.plot(epochs, values, label=row, color=colour, linestyle=dash, linewidth=1.5)
        panel.set_xlabel("epoch", fontsize=8.5, color=SOFT)
        panel.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=9, frameon=False, fontsize=8)
    return _png(figure)
