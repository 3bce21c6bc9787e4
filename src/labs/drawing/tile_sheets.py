"""Sheets of many small pictures with captions, in sections: filters, maps, images with what a unit sees marked."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labs.storage.files import replacing

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels, the last two excluded
WIDTH = 12.8  # inches of a sheet: with the height below it fills a slide
HEIGHT = 7.2
MARK = "#ffd400"
SATURATED = 0.995
SMALL = 0.3  # of the side of its picture: a smaller box is shown enlarged, too


@dataclass(frozen=True)
class Tile:
    """A picture, (height, width, 3) in [0, 1], its caption, and what is marked in it."""

    picture: np.ndarray
    caption: str = ""
    box: Box | None = None


@dataclass(frozen=True)
class Section:
    """Tiles under a heading."""

    heading: str
    tiles: Sequence[Tile]


def tile_sheet(
    sections: Sequence[Section],
    path: Path,
    title: str,
    labels: Sequence[str],
    *,
    columns: int | None = None,
    aside: Tile | None = None,
    note: str = "",
) -> None:
    """Draw sections of tiles below each other.

    Args:
        sections: from top to bottom.
        path: the PNG file to write.
        title: printed above.
        labels: what a reader must know, such as "embedded data"; printed below the title.
        columns: tiles in a row; None: the fewest with which the sheet is no higher than a slide.
        aside: a larger picture on the left.
        note: how to read the tiles; printed below them.
    """
    counts, headed = [len(section.tiles) for section in sections], any(section.heading for section in sections)
    captions = [tile.caption for section in sections for tile in section.tiles]
    under = 0.05 + 0.15 * max((caption.count("\n") + 1 for caption in captions if caption), default=0)  # inches
    room = WIDTH - (3.1 if aside else 0.3)

    def inches(columns: int) -> float:
        lines = sum(-(-count // columns) for count in counts)
        tiles = lines * (room / columns * 0.93 + under) + len(counts) * (0.32 if headed else 0)
        return max(tiles + 1.15 + (0.25 if note else 0), 4.6 if aside else 2.5)

    columns = columns or next(columns for columns in range(1, 100) if columns == 99 or inches(columns) <= HEIGHT)
    rows, side, height = [-(-count // columns) for count in counts], room / columns, inches(columns)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.text(0.012, 1 - 0.34 / height, title, fontsize=17, weight="bold", va="center", parse_math=False)
    figure.text(0.012, 1 - 0.68 / height, " · ".join(labels), fontsize=11, color="#555555", va="center")
    if note:
        figure.text(0.012, 0.2 / height, note, fontsize=11, color="#333333", va="center", parse_math=False)
    top = 1.0  # inches from the upper edge
    if aside:
        axes = figure.add_axes((0.012, 1 - (top + 2.8) / height, 2.8 / WIDTH, 2.8 / height))
        _show(axes, aside.picture, aside.box, (0, 0, 1, 1))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_axis_off()
        words = "\n".join(textwrap.fill(line, 28) for line in aside.caption.splitlines())
        figure.text(0.012, 1 - (top + 2.95) / height, words, fontsize=12, va="top", parse_math=False)
    for section, lines in zip(sections, rows, strict=True):
        if headed:
            place = ((WIDTH - room) / WIDTH, 1 - (top + 0.08) / height)
            figure.text(*place, section.heading, fontsize=12, weight="bold", va="center", parse_math=False)
            top += 0.32
        deep = lines * (side * 0.93 + under)
        axes = figure.add_axes(((WIDTH - room) / WIDTH, 1 - (top + deep) / height, room / WIDTH, deep / height))
        axes.set(xlim=(0, columns * side), ylim=(deep, 0))
        axes.set_axis_off()
        for place, tile in enumerate(section.tiles):
            line, column = divmod(place, columns)
            left, upper = column * side, line * (side * 0.93 + under)
            _show(axes, tile.picture, tile.box, (left, upper + side * 0.93, left + side * 0.93, upper))
            size = 7.5 if side < 1.05 else 9
            middle = left + side * 0.465
            words = (middle, upper + side * 0.93 + 0.03, tile.caption)
            axes.text(*words, fontsize=size, ha="center", va="top", linespacing=1.0, parse_math=False)
        top += deep
    with replacing(path) as staged:
        figure.savefig(staged, format="png", dpi=110)


def map_colors(values: np.ndarray) -> np.ndarray:
    """Color a map (height, width): (height, width, 3) in [0, 1].

    From zero, dark blue, to yellow; one with values below zero from blue over white, which is zero, to red. The scale
    is the map's own and ends at the `SATURATED` quantile of its size, or a single peak would leave all else pale.
    """
    sizes = np.abs(np.nan_to_num(values))
    largest = float(np.quantile(sizes, SATURATED)) or float(sizes.max()) or 1.0
    signed = (values < 0).any()
    scaled = values / largest / 2 + 0.5 if signed else values / largest
    colored: np.ndarray = matplotlib.colormaps["RdBu_r" if signed else "viridis"](np.nan_to_num(scaled).clip(0, 1))
    return colored[..., :3]


def filter_colors(weights: np.ndarray) -> np.ndarray:
    """Return the weights of a filter (1 or 3, height, width) as a picture: gray is zero, the largest size is 0 or 1."""
    largest = float(np.abs(weights).max()) or 1.0
    picture = np.moveaxis(weights / largest / 2 + 0.5, 0, 2)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _show(axes: Axes, picture: np.ndarray, box: Box | None, extent: tuple[float, float, float, float]) -> None:
    """Show a picture at (left, bottom, right, top), and in it a box; of a small one an enlarged view, in a corner."""
    left, bottom, right, top = extent
    axes.imshow(picture, extent=(left, right, bottom, top), aspect="auto")
    if box is None:
        return
    height, width = picture.shape[:2]

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / width, top + (bottom - top) * y / height

    first_x, first_y = max(box[0], 0), max(box[1], 0)
    last_x, last_y = min(box[2], width), min(box[3], height)
    _frame(axes, place(first_x, first_y), place(last_x, last_y))
    if max(last_x - first_x, last_y - first_y) >= SMALL * width or first_x >= last_x or first_y >= last_y:
        return
    at_left, at_top = (first_x + last_x) / 2 > width / 2, (first_y + last_y) / 2 > height / 2  # the other corner
    x, y = 0.0 if at_left else 0.6 * width, 0.0 if at_top else 0.6 * height
    corner, end = place(x, y), place(x + 0.4 * width, y + 0.4 * height)
    part = picture[int(first_y) : math.ceil(last_y), int(first_x) : math.ceil(last_x)]
    axes.imshow(part, extent=(corner[0], end[0], end[1], corner[1]), aspect="auto", interpolation="nearest", zorder=2)
    _frame(axes, corner, end)


def _frame(axes: Axes, corner: tuple[float, float], end: tuple[float, float]) -> None:
    size = (end[0] - corner[0], end[1] - corner[1])
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="black", linewidth=2.4, zorder=3))
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=MARK, linewidth=1.2, zorder=3))
