"""Sheets of pictures: content, style and result side by side; how they grew; the curves of their losses."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

from labs.drawing.animation import HOLD_MS
from labs.drawing.curves import MAX_FRAMES, PALETTE
from labs.drawing.figures import Figure
from labs.storage.files import replacing

GROWTH_MS = 120
NAME_WIDTH = 44  # letters of the name of a pair above its picture


def pairs_sheet(
    rows: Sequence[Sequence[Image.Image]],
    numbers: Sequence[Mapping[Any, Any]],
    path: Path,
    title: str,
    labels: Sequence[str],
) -> None:
    """Draw a row a pair: content, style, result, and what was measured of it.

    Args:
        rows: three pictures each.
        numbers: `picture`, the name of the pair, and by choice `content`, `style_start`, `style`, `style_left`, ...
        path: the PNG file to write.
        title: printed above.
        labels: what a reader must know of the pictures, such as "random weights"; printed in the sheet.
    """
    width, height = rows[0][0].size
    figure = Figure(figsize=(9.6, 0.7 + len(rows) * (3.0 * height / width + 0.5)), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=11)
    panels = figure.subplots(len(rows), 3, squeeze=False)
    for line, pictures, measured in zip(panels, rows, numbers, strict=True):
        name = textwrap.fill(measured["picture"], NAME_WIDTH)
        for axes, picture, word in zip(line, pictures, ("content", "style", name), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(word, fontsize=9)
        if "style" in measured:
            line[2].set_title(f"{name}\n{losses_in_words(measured)}", fontsize=8)
    with replacing(path) as staged:
        figure.savefig(staged, format="png", dpi=max(110, min(width // 3, 300)))


def losses_in_words(measured: Mapping[str, Any]) -> str:
    """Write the losses of a picture, at the first evaluation and at the end.

    Examples:
        >>> losses_in_words({"content_start": 0.0, "content": 0.25, "style_start": 5.0, "style": 0.013})
        'content 0 to 0.25, style 5 to 0.013'
    """
    return ", ".join(f"{kind} {measured[f'{kind}_start']:.3g} to {measured[kind]:.3g}" for kind in ("content", "style"))


def losses_png(losses: pd.DataFrame, path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw content, style and total loss of every picture over the evaluations.

    Args:
        losses: one row an evaluation and picture, as in `losses.tsv`.
        path: the PNG file to write.
        title: printed above.
        labels: as in `pairs_sheet`.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained", facecolor="white")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=11)
    for axes, column in zip(figure.subplots(1, 3), ("content", "style", "total"), strict=True):
        for place, (name, rows) in enumerate(losses.groupby("picture", sort=False)):
            axes.plot(rows["evaluation"], rows[column], color=PALETTE[place % len(PALETTE)], lw=1.2, label=name)
        if (losses[column] > 0).any():
            axes.set_yscale("log")
        axes.set_title(f"{column} loss", fontsize=10)
        axes.set_xlabel("evaluation", fontsize=8)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    with replacing(path) as staged:
        figure.savefig(staged, format="png", dpi=110)


def show(axes: Axes, file: Path, title: str) -> None:
    """Show a picture without axes, or say that it cannot be read."""
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()
    try:
        if not file.is_file():  # a pipe would never end
            raise FileNotFoundError(file)
        with Image.open(file) as image:
            axes.imshow(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # each of them on some damaged file
        axes.text(0.5, 0.5, "cannot be read", transform=axes.transAxes, ha="center")


def growth_gif(frames: Sequence[Path], path: Path, labels: Sequence[str], unit: str = "evaluations") -> None:
    """Write a GIF of frames whose names are numbers of evaluations, or another unit; the last one is held.

    At most 60 frames: a longer run grows by several frames at a time.
    """
    if not frames:
        return
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int))
    images = _captioned([frames[place] for place in chosen], labels, unit)
    # one palette for all frames, of the first and the last: smaller, and no flicker
    palette = Image.fromarray(np.vstack([np.asarray(images[place]) for place in (0, -1)])).quantize(colors=256)
    first, *rest = [image.quantize(palette=palette) for image in images]
    durations = [GROWTH_MS] * len(rest) + [HOLD_MS]
    with replacing(path) as staged:
        first.save(staged, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _captioned(frames: Sequence[Path], labels: Sequence[str], unit: str) -> list[Image.Image]:
    """Return frames with captions below, all of one size; a narrow frame has a line for each label."""
    strips = []
    for frame in frames:
        with Image.open(frame) as strip:
            strips.append(strip.convert("RGB"))
    texts = [(f"{int(frame.stem)} {unit}", *labels) for frame in frames]
    pen = ImageDraw.Draw(strips[0])
    between = ", " if pen.textlength(", ".join(texts[-1])) + 8 <= strips[-1].width else ",\n"
    right, bottom = (int(edge) for edge in pen.textbbox((4, 2), between.join(texts[-1]))[2:])
    images = []
    for picture, words in zip(strips, texts, strict=True):
        image = Image.new("RGB", (max(picture.width, right + 4), picture.height + bottom + 2), "white")
        image.paste(picture, (0, 0))
        ImageDraw.Draw(image).text((4, picture.height + 2), between.join(words), fill="black")
        images.append(image)
    return images
