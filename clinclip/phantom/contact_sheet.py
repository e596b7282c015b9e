"""A contact sheet of phantom studies with what their reports say, for the README and for looking."""

from __future__ import annotations

import textwrap
from pathlib import Path

import cv2
import numpy as np

from clinclip.errors import ConfigError, DataError
from clinclip.phantom.truth import StudyTruth, read_truth

_LEVELS = 48


def contact_sheet(
    root: str | Path,
    out: str | Path,
    rows: int = 2,
    columns: int = 4,
    tile: int = 220,
    boxes: bool = True,
    split: str | None = None,
) -> Path:
    """Draw a PNG of phantom studies: the image, boxes around findings, the impression below.

    Only generated data is accepted: the folder must hold a phantom truth file, so no patient can get onto the sheet.

    Args:
        root: Output folder of ``clinclip phantom``.
        out: PNG to write.
        rows: Tiles down.
        columns: Tiles across.
        tile: Width of a tile in pixels.
        boxes: Draw the boxes of findings.
        split: Only studies of this split.

    Returns:
        The path written.

    Raises:
        ConfigError: Rows or columns are not positive.
        DataError: ``root`` is no phantom folder, or holds too few images.
    """
    if rows < 1 or columns < 1 or tile < 64:
        raise ConfigError(f"rows={rows}, columns={columns} and tile={tile} must be at least 1, 1 and 64")
    chosen = _choose([t for t in read_truth(root) if split in (None, t.split)], rows * columns)
    if not chosen:
        raise DataError(f"{root} holds no JPG studies of split {split!r} to show")
    tiles = [_tile(Path(root), t, tile, boxes) for t in chosen]
    height = max(t.shape[0] for t in tiles)
    blank = np.full((height, tile, 3), 255, np.uint8)
    canvas = []
    for r in range(-(-len(tiles) // columns)):
        row = tiles[r * columns : (r + 1) * columns]
        row = [np.concatenate([t, np.full((height - t.shape[0], tile, 3), 255, np.uint8)]) for t in row]
        canvas.append(np.concatenate(row + [blank] * (columns - len(row)), axis=1))
    sheet = np.concatenate(canvas)
    # few grey levels compress well and look the same
    sheet = (np.round(sheet / (255 / _LEVELS)) * (255 / _LEVELS)).astype(np.uint8)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise DataError(f"{out} cannot be written as PNG")
    return out


def _choose(truths: list[StudyTruth], n: int) -> list[StudyTruth]:
    """A varied choice: every study adds as many kinds of findings that no earlier one shows as possible."""
    left = [t for t in truths if any(p.endswith(".jpg") for i in t.images for p in i["paths"])]
    seen: set[str] = set()
    chosen: list[StudyTruth] = []
    while left and len(chosen) < n:
        if len(chosen) % 4 == 3:  # a normal or nearly normal one in between
            best = min(left, key=lambda t: len(t.findings))
        else:
            best = max(
                left, key=lambda t: sum(f["contrast"] for f in t.findings if f["on_image"] and f["kind"] not in seen)
            )
        seen |= {f["kind"] for f in best.findings}
        chosen.append(best)
        left.remove(best)
    return chosen


def _tile(root: Path, truth: StudyTruth, width: int, boxes: bool) -> np.ndarray:
    image = min(truth.images, key=lambda i: (i["view"] == "LATERAL", i["image_id"]))
    path = root / next(p for p in image["paths"] if p.endswith(".jpg"))
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise DataError(f"{path} cannot be read: generate the studies again")
    side = max(grey.shape)
    scale = width / side
    small = cv2.resize(grey, (round(grey.shape[1] * scale), round(grey.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    picture = np.zeros((width, width, 3), np.uint8)
    top, left = (width - small.shape[0]) // 2, (width - small.shape[1]) // 2
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small[:, :, None]
    if boxes:
        devices = {f["uid"] for f in truth.findings if f["finding"] in (None, "Support Devices")}
        for box in image["boxes"]:
            if box["uid"] in devices:
                continue
            x, y = left + round(box["x"] * scale), top + round(box["y"] * scale)
            corner = (x + round(box["width"] * scale), y + round(box["height"] * scale))
            cv2.rectangle(picture, (x, y), corner, (40, 190, 255), 1)
    words = _words(truth)
    lines = textwrap.wrap(words, max(12, width // 6))[:6]
    text = np.full((14 * 6 + 8, width, 3), 255, np.uint8)
    for i, line in enumerate(lines):
        cv2.putText(text, line, (4, 14 + 14 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([picture, text])


def _words(truth: StudyTruth) -> str:
    for name in ("impression", "findings", "body"):
        if name in truth.sections:
            return " ".join(truth.text[slice(*truth.sections[name])].split())
    return ""
