"""Images with a net's predictions: bars of the most probable classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from labs.drawing.figures import Figure, shortened

WIDTH = 12.8  # inches
SIDE = 2.3  # side of an image among several, in inches
LARGE = 4.2  # side of a single image, in inches
LETTERS = 44  # characters of a class name
BAR = "#9ecae1"


class Answered(NamedTuple):
    """An image, (height, width, 3) in [0, 1], with its name and its classes, the most probable first."""

    image: np.ndarray
    name: str
    classes: list[tuple[str, float]]


def answer_sheet(shown: Sequence[Answered], path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw images with their predictions, two per row.

    Args:
        shown: The images, row by row.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "embedded data"; printed below the title.
    """
    columns = min(len(shown), 2)
    side = LARGE if columns == 1 else SIDE
    rows = -(-len(shown) // columns)
    head = 1.0 if labels else 0.75  # inches
    height = head + rows * (side + 0.45)
    width = WIDTH if columns == 2 else WIDTH * 0.75
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.15 / width, 1 - 0.34 / height, title, fontsize=15, weight="bold", va="center", parse_math=False)
    below = (0.15 / width, 1 - 0.66 / height, " · ".join(labels))
    figure.text(*below, fontsize=11, color="#555555", va="center", parse_math=False)
    for place, one in enumerate(shown):
        row, column = divmod(place, columns)
        left, bottom = 0.15 + column * width / columns, height - head - row * (side + 0.45) - side - 0.25
        room = width / columns - side - 0.55
        image = figure.add_axes((left / width, bottom / height, side / width, side / height))
        image.imshow(one.image)
        image.set_axis_off()
        bars = figure.add_axes(((left + side + 0.2) / width, bottom / height, room / width, side / height))
        _draw_bars(bars, one.classes, 12 if columns == 1 else 9)
        above = (left / width, (bottom + side + 0.06) / height, shortened(one.name, 60 if columns == 1 else 46))
        figure.text(*above, fontsize=10, color="#333333", va="bottom", parse_math=False)
    figure.write(path, dpi=110)


def _draw_bars(axes: Axes, classes: Sequence[tuple[str, float]], size: int) -> None:
    """Draw a bar for each class, with its name and its probability."""
    most = 10  # more would not be readable
    shares = [share for _, share in classes[:most]]
    axes.barh(range(len(shares)), shares, color=BAR, height=0.8)
    for place, (name, share) in enumerate(classes[:most]):
        words: dict = {"fontsize": size, "va": "center", "parse_math": False}
        axes.text(0.01, place, shortened(name, LETTERS), **words)
        axes.text(1.0, place, f"{share:.1%}", ha="right", **words)
    axes.set(xlim=(0, 1), ylim=(max(len(shares), 5) - 0.5, -0.5))
    axes.set_axis_off()
