"""Sheets of pictures that were made for a class each, with what nets see in them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image

from labs.drawing.figures import Figure
from labs.storage.files import replacing

COLUMNS = 4  # pictures side by side; more would be too small on a slide
LETTERS = 38  # of a line under a picture


def classes_sheet(
    columns: Sequence[Sequence[Image.Image]],
    titles: Sequence[str],
    captions: Sequence[str],
    path: Path,
    title: str,
    labels: Sequence[str],
) -> None:
    """Draw a column for each picture, four at most side by side.

    Args:
        columns: what stands one below the other: where it began, the picture, what of it mattered.
        titles: above each column.
        captions: below each column.
        path: the PNG file to write.
        title: printed above.
        labels: what a reader must know of the pictures, such as "random weights"; printed in the sheet.
    """
    across, lines = min(len(columns), COLUMNS), len(columns[0])
    bands = [range(start, min(start + across, len(columns))) for start in range(0, len(columns), across)]
    height = 3.5 * lines + 0.9
    figure = Figure(figsize=(max(3.5 * across, 6.5), 0.8 + height * len(bands)), layout="constrained")
    lines_of_title = [part for line in title.split("\n") for part in textwrap.wrap(line, 34 * max(across, 2))]
    figure.suptitle("\n".join(lines_of_title), fontsize=15)
    figure.supxlabel(" · ".join(labels), fontsize=11, color="0.35")
    for area, band in zip(figure.subfigures(len(bands), 1, squeeze=False)[:, 0], bands, strict=True):
        panels = area.subplots(lines, across, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for parts, place in zip(panels.T, band, strict=False):
            for axes, picture in zip(parts, columns[place], strict=True):
                axes.imshow(picture, interpolation="lanczos")
            parts[0].set_title(textwrap.fill(titles[place], 26), fontsize=16, weight="bold")
            below(parts[-1], captions[place], 12)
    with replacing(path) as staged:
        figure.savefig(staged, format="png", dpi=100, facecolor="white")


def below(axes: Axes, words: str, size: float) -> None:
    """Write lines below a picture, long ones in several."""
    lines = [textwrap.fill(line, LETTERS) for line in words.split("\n")]
    axes.text(0.5, -0.03, "\n".join(lines), transform=axes.transAxes, ha="center", va="top", fontsize=size)


def on_white(picture: Image.Image, opacity: Image.Image) -> Image.Image:
    """Return a picture as far as it is opaque, on white."""
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), opacity)
