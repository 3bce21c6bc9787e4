"""Sheets of pictures with content, style and result side by side, animations, and loss curves."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

from labs.drawing.animation import HOLD_MS
from labs.drawing.curves import MAX_FRAMES, PALETTE, marker_size
from labs.drawing.figures import Figure
from labs.storage.files import replacing

GROWTH_MS = 120
NAME_WIDTH = 44  # characters per line of a pair's name above its picture


def pairs_sheet(
    rows: Sequence[Sequence[Image.Image]],
    numbers: Sequence[Mapping[Any, Any]],
    path: Path,
    title: str,
    labels: Sequence[str],
) -> None:
    """Draw one row per pair: content, style, and result with its losses.

    Args:
        rows: Three pictures per pair.
        numbers: `picture`, the name of the pair, and optionally `content`, `style_start`, `style`, `style_left`, ...
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "random weights".
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
    figure.write(path, dpi=max(110, min(width // 3, 300)))


def losses_in_words(measured: Mapping[str, Any]) -> str:
    """Describe the losses of a picture at the first evaluation and at the end.

    Examples:
        >>> losses_in_words({"content_start": 0.0, "content": 0.764, "style_start": 5.0, "style": 0.00363})
        'content loss 0 to 0.76, style loss 5 to 0.0036'
    """
    kinds = ("content", "style")
    return ", ".join(f"{kind} loss {measured[f'{kind}_start']:.2g} to {measured[kind]:.2g}" for kind in kinds)


def losses_png(losses: pd.DataFrame, path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw content, style and total loss of every picture over the evaluations.

    Args:
        losses: One row per evaluation and picture, as in `losses.tsv`.
        path: The PNG file to write.
        title: Title of the figure.
        labels: Notes for the reader, as in `pairs_sheet`.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained", facecolor="white")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=11)
    for axes, column in zip(figure.subplots(1, 3), ("content", "style", "total"), strict=True):
        for place, (name, rows) in enumerate(losses.groupby("picture", sort=False)):
            look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)], "markersize": marker_size(len(rows))}
            axes.plot(rows["evaluation"], rows[column], marker="o", lw=1.2, label=name, **look)
        if (losses[column] > 0).any():
            axes.set_yscale("log")
        axes.set_title(f"{column} loss", fontsize=10)
        axes.set_xlabel("evaluation", fontsize=8)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    figure.write(path, dpi=110)


def show(axes: Axes, file: Path, title: str) -> None:
    """Show a picture without axes, or a note if it cannot be read."""
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()
    try:
        if not file.is_file():  # reading a pipe might never end
            raise FileNotFoundError(file)
        with Image.open(file) as image:
            axes.imshow(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # for damaged files
        axes.text(0.5, 0.5, "cannot be read", transform=axes.transAxes, ha="center")


def growth_gif(frames: Sequence[Path], path: Path, labels: Sequence[str], unit: str = "evaluations") -> None:
    """Write a GIF of frames whose file names are numbers of evaluations, or another unit; the last is shown longer.

    There are at most 60 frames; a longer run skips some.
    """
    if not frames:
        return
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int))
    images = _captioned([frames[place] for place in chosen], labels, unit)
    # one palette for all frames, from the first and the last: a smaller file without flicker
    palette = Image.fromarray(np.vstack([np.asarray(images[place]) for place in (0, -1)])).quantize(colors=256)
    first, *rest = [image.quantize(palette=palette) for image in images]
    durations = [GROWTH_MS] * len(rest) + [HOLD_MS]
    with replacing(path) as staged:
        first.save(staged, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _captioned(frames: Sequence[Path], labels: Sequence[str], unit: str) -> list[Image.Image]:
    """Return frames with captions below, all of the same size; a narrow frame has one line per label."""
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
