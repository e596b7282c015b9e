"""The page of ``clinclip inspect``: one self-contained HTML file with figures as SVG, no script, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

import clinclip
from clinclip.evaluation.html import TEMPLATES
from clinclip.findings import FINDINGS
from clinclip.prepare.summary import STATES, LabelTable, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: present, uncertain, absent; apart in grey and without colour vision
_COLOURS = ("#1b6ca8", "#e0a13a", "#c8ced4")
_INK, _GREY = "#20262c", "#4a5158"
_SOURCES = {"table": "The publisher's label table", "read": "Read from the reports by clinclip"}


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8ced4")
    axes.tick_params(colors=_GREY, labelsize=8, length=3)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "clinclip", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _bars(names: Sequence[str], values: Sequence[int], unit: str) -> str:
    """Horizontal bars with their numbers."""
    if not names:
        return ""
    figure, axes = _figure(6.4, 0.28 * len(names) + 0.6)
    height = np.arange(len(names))[::-1]
    axes.barh(height, values, color=_COLOURS[0], height=0.66)
    for y, value in zip(height, values, strict=True):
        axes.text(value, y, f" {value:,}", va="center", fontsize=8, color=_INK)
    axes.set_yticks(height, names)
    axes.set_xlabel(unit, fontsize=8.5, color=_GREY)
    axes.margins(x=0.12)
    return _svg(figure)


def _label_bars(table: LabelTable) -> str:
    """Present, uncertain and absent of each finding, stacked; the rest is not mentioned."""
    figure, axes = _figure(6.4, 4.2)
    total = max(int(table.counts.sum(axis=1).max()), 1)
    height = np.arange(len(FINDINGS))[::-1]
    left = np.zeros(len(FINDINGS))
    for state, colour in zip(range(3), _COLOURS, strict=True):
        share = table.counts[:, state] / total * 100
        axes.barh(height, share, left=left, color=colour, height=0.7, label=str(STATES[state]))
        left += share
    axes.set_yticks(height, FINDINGS)
    axes.set_xlabel("% of studies; the rest is not mentioned", fontsize=8.5, color=_GREY)
    axes.set_xlim(0, 100)
    axes.figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return _svg(figure)


def _histogram(words: np.ndarray) -> str:
    if not len(words):
        return ""
    figure, axes = _figure(6.4, 2.6)
    top = int(np.quantile(words, 0.995)) + 1
    axes.hist(np.minimum(words, top), bins=min(60, max(top, 2)), color=_COLOURS[0])
    axes.set_ylim(top=axes.get_ylim()[1] * 1.12)  # room for the words above the bars
    for q, style in ((0.5, "-"), (0.95, (0, (3, 3)))):
        value = float(np.quantile(words, q))
        axes.axvline(value, color=_INK, linewidth=1, linestyle=style)
        axes.text(value, axes.get_ylim()[1], f" {q:.0%}: {value:.0f}", fontsize=8, va="top", color=_INK)
    axes.set_xlabel("words in a report (the longest 0.5 % in the last bar)", fontsize=8.5, color=_GREY)
    axes.set_ylabel("studies", fontsize=8.5, color=_GREY)
    return _svg(figure)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(f'{c:,}' if isinstance(c, int) else str(c))}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, about: str, *parts: str) -> str:
    content = "".join(part for part in parts if part)
    return f"<section><h2>{escape(title)}</h2><p>{escape(about)}</p>{content}</section>" if content else ""


def _cards(summary: Summary) -> str:
    totals = np.asarray(list(summary.splits.values())).sum(axis=0)
    reports = summary.reports
    cards = [(f"{n:,}", name) for n, name in zip(totals.tolist(), ("images", "studies", "patients"), strict=True)]
    if reports:
        cards += [
            (f"{int(np.median(summary.words))}", "words in the median report"),
            (f"{summary.graphs / reports:.0%}", "of reports have a graph"),
            *((f"{count / reports:.0%}", f"have a twin: {kind}") for kind, count in summary.twins.items()),
        ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in cards)
        + "</div>"
    )


def _label_section(table: LabelTable) -> str:
    total = int(table.counts[0].sum())
    rows = [[name, *(int(n) for n in counts)] for name, counts in zip(FINDINGS, table.counts, strict=True)]
    return _section(
        f"Labels: {_SOURCES[table.source]}",
        f"States of the 14 findings over {total:,} studies. Not mentioned is not absent.",
        _label_bars(table),
        _table(["finding", *(str(state).replace("_", " ") for state in STATES)], rows),
    )


def _agreement_section(summary: Summary) -> str:
    rows = [
        [a.finding, a.both, a.same, f"{a.same / a.both:.1%}" if a.both else ""] for a in summary.agreement if a.both
    ]
    return _section(
        "The two label sources",
        "Where both say something: how often they say the same. Which one trains is data.labels.",
        _table(["finding", "both say something", "same", "share"], rows) if rows else "",
    )


def _duplicate_section(summary: Summary) -> str:
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
    return _section("Duplicates", about, _table(["", "count"], rows))


def _sheet(images: Sequence[np.ndarray]) -> str:
    """A contact sheet of grey images."""
    import cv2

    items = []
    for image in images:
        done, data = cv2.imencode(".png", image)
        if done:
            encoded = base64.b64encode(data.tobytes()).decode()
            items.append(f'<div class="example"><img alt="" src="data:image/png;base64,{encoded}"></div>')
    about = "Patient data, shown because --show-patients was given. Do not pass this file on."
    return _section("Contact sheet", about, f'<div class="examples sheet">{"".join(items)}</div>' if items else "")


def page(summary: Summary, images: Sequence[np.ndarray] = ()) -> str:
    """The whole page.

    Args:
        summary: the numbers.
        images: uint8 (H, W) pictures for a contact sheet; none by default.
    """
    name = dict(summary.facts)["data set"]
    splits = [[split, *counts] for split, counts in summary.splits.items()]
    steps = [[s["step"], s["images"], s["studies"], s["patients"]] for s in summary.steps]
    drops = [[f"left out: {reason}", n] for reason, n in summary.dropped.items()]
    drops += [[f"kept, but: {reason}", n] for reason, n in summary.kept.items()]
    spread = [[f"{k} image{'s' if k > 1 else ''}", v] for k, v in summary.images_per_study.items()]
    body = [
        f"<header><h1>Manifest: {escape(name)}</h1><p>{escape(summary.facts[1][1])}</p></header>",
        _cards(summary),
        _section("Splits", "No patient is in two splits.", _table(["split", "images", "studies", "patients"], splits)),
        _section(
            "From the download to the manifest",
            "What was left after each step, and why the rest was left out (drops.csv names each).",
            _table(["step", "images", "studies", "patients"], steps) if steps else "",
            _table(["reason", "count"], drops) if drops else "",
            "".join(f"<p>{escape(note)}</p>" for note in summary.notes),
        ),
        *(_label_section(table) for table in summary.labels),
        _agreement_section(summary),
        _section("Report lengths", "In words; the text tower cuts at data.max_tokens.", _histogram(summary.words)),
        _section(
            "Views", "As the publisher spells them.", _bars(list(summary.views), list(summary.views.values()), "images")
        ),
        _section("Images of a study", "One of them is shown an epoch by default.", _table(["", "studies"], spread)),
        _duplicate_section(summary),
        _sheet(images),
        _section(
            "Facts",
            "Training, evaluation and model cards quote the manifest hash.",
            "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in summary.facts) + "</dl>",
        ),
        f"<footer>clinclip {clinclip.__version__}. Research software; not a medical device.</footer>",
    ]
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    style += (
        ".sheet { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); } .sheet .example { padding: 4px; }"
        " .wide + .wide, .wide + p { margin-top: 14px; } header p, dd { overflow-wrap: anywhere; }"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Manifest: {escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )
