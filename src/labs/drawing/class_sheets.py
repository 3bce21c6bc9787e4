"""Sheets of pictures generated for classes, with the predictions of nets."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image

from labs.drawing.figures import Figure

COLUMNS = 4  # pictures side by side; more would be too small on a slide
LETTERS = 38  # characters of a line below a picture


def classes_sheet(
    columns: Sequence[Sequence[Image.Image]],
    titles: Sequence[str],
    captions: Sequence[str],
    path: Path,
    title: str,
    labels: Sequence[str],
) -> None:
    """Draw one column per picture, at most four side by side.

    Args:
        columns: The images of each column, from top to bottom, such as the picture and its important parts.
        titles: Text above each column.
        captions: Text below each column.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "random weights".
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
    figure.write(path, dpi=100)


def below(axes: Axes, words: str, size: float) -> None:
    """Write text below a picture, and wrap long lines."""
    lines = [textwrap.fill(line, LETTERS) for line in words.split("\n")]
    axes.text(0.5, -0.03, "\n".join(lines), transform=axes.transAxes, ha="center", va="top", fontsize=size)


def on_white(picture: Image.Image, opacity: Image.Image) -> Image.Image:
    """Return a picture with the given opacity on a white background."""
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), opacity)
