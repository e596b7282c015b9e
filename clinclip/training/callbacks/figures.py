"""Matrices as one picture. The only importer of matplotlib among the callbacks, and only when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

INK, GREY, EMPTY = "#20262c", "#4a5158", "#d5dade"


@dataclass(frozen=True)
class Panel:
    """One matrix.

    Attributes:
        title: what it is.
        values: float (n, m); NaN where there is nothing to show.
        target: a distribution over the columns, drawn on a scale from 0 to 1; else cosines, drawn from the smallest to
            the largest.
        scale: panels of cosines with the same name here share their smallest and largest. Empty: a scale of its own.
        caption: numbers in words.
    """

    title: str
    values: np.ndarray
    target: bool = False
    scale: str = ""
    caption: str = ""


def picture(panels: Sequence[Panel], groups: Sequence[tuple[str, int]], title: str) -> np.ndarray:
    """Panels beside each other, at most three a row.

    Args:
        panels: at least one; all have the same number of rows.
        groups: (name, number of rows) of consecutive rows, marked by lines; their sizes add up to the rows.
        title: of the whole.

    Returns:
        uint8 (height, width, 3).
    """
    # pyplot is left alone: it would choose a window system and keep every figure alive
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = 2 if len(panels) == 4 else min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(3.6 * across + 1.5, 3.7 * down + 0.5), dpi=90)
    width, height = figure.get_size_inches()
    # inches from the edges; an automatic layout would take longer than everything else together
    figure.subplots_adjust(1.35 / width, 0.35 / height, 1 - 0.6 / width, 1 - 0.75 / height, 0.28, 0.25)
    axes = figure.subplots(down, across, squeeze=False)
    for i, (panel, ax) in enumerate(zip(panels, axes.flat, strict=False)):
        ax.set_facecolor(EMPTY)
        colours = "Blues" if panel.target else "cividis"
        image = ax.imshow(
            np.ma.masked_invalid(panel.values), norm=_norm(panel, panels), cmap=colours, interpolation="nearest"
        )
        ax.set_title(panel.title, fontsize=9.5, color=INK)
        ax.set_xlabel(panel.caption, fontsize=8, color=GREY)
        _mark(ax, groups, panel.values.shape[1], dark=panel.target)
        if i % across == 0:
            _name(ax, groups)
        bar = figure.colorbar(image, cax=ax.inset_axes((1.02, 0.1, 0.03, 0.8)))
        bar.ax.tick_params(labelsize=6.5, colors=GREY, length=2)
        bar.outline.set_linewidth(0)  # type: ignore[operator]
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    figure.suptitle(title, fontsize=10, color=INK, y=1 - 0.2 / height)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3]


def _norm(panel: Panel, panels: Sequence[Panel]) -> Normalize:
    """From numbers to colours."""
    from matplotlib.colors import Normalize, PowerNorm

    if panel.target:
        # soft labels are small numbers beside the pair: the square root makes them visible
        return PowerNorm(0.5, 0.0, 1.0)
    same = [p.values for p in panels if p is panel or (panel.scale and p.scale == panel.scale and not p.target)]
    finite = np.concatenate([values[np.isfinite(values)] for values in same])
    return Normalize(float(finite.min()), float(finite.max())) if len(finite) else Normalize(-1.0, 1.0)


def _mark(ax: Axes, groups: Sequence[tuple[str, int]], columns: int, dark: bool) -> None:
    """Lines between groups; across columns too where these are the same studies as the rows."""
    rows = sum(size for _, size in groups)
    edges = np.cumsum([size for _, size in groups])[:-1] - 0.5
    style = {"color": INK if dark else "white", "linewidth": 0.4, "alpha": 0.5}
    for edge in edges:
        ax.axhline(edge, **style)
        if columns == rows:
            ax.axvline(edge, **style)
    ax.set_xticks([])
    ax.set_yticks([])


def _name(ax: Axes, groups: Sequence[tuple[str, int]]) -> None:
    """Names of the groups that are high enough for a line of text."""
    rows = sum(size for _, size in groups)
    starts = np.cumsum([0, *(size for _, size in groups)])[:-1]
    large = [(start + (size - 1) / 2, name) for (name, size), start in zip(groups, starts, strict=True)
             if size >= max(1, rows // 24)]  # fmt: skip
    ax.set_yticks([centre for centre, _ in large], [name for _, name in large])
    ax.tick_params(axis="y", labelsize=7, colors=GREY, length=0)
