"""Sheets of many small pictures with captions, in sections: filters, maps, and images with receptive fields."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from labs.drawing.figures import Figure

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels, the last two excluded
WIDTH = 12.8  # width of a sheet in inches: with the height below it fills a slide
HEIGHT = 7.2
SHARE = 0.93  # width of a tile as a fraction of its column
HEADING = 0.4  # height of a section heading in inches
MARK = "#ffd400"
SATURATED = 0.995
SMALL = 0.3  # fraction of the picture's side below which a box is also shown enlarged


@dataclass(frozen=True)
class Tile:
    """A picture, (height, width, 3) in [0, 1], with its caption and its marks."""

    picture: np.ndarray
    caption: str = ""
    box: Box | None = None
    dot: tuple[float, float] | None = None  # (x, y) in pixels; a small box is shown enlarged instead


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
        sections: The sections, from top to bottom.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "embedded data"; printed below the title.
        columns: Number of tiles per row. None: the smallest number with which the sheet is not higher than a slide.
        aside: A larger picture on the left.
        note: How to read the tiles; printed below them.
    """
    headed = any(section.heading for section in sections)
    room = WIDTH - (3.1 if aside else 0.3)
    words_aside = [part for line in aside.caption.splitlines() for part in textwrap.wrap(line, 28)] if aside else []
    beside = 3.1 + 0.21 * len(words_aside) if aside else 1.0

    def tall(columns: int) -> float:
        """Return the height of a sheet with this number of columns, in inches."""
        tiles = sum(_depth(section, columns, room / columns) for section in sections)
        tiles += len(sections) * (HEADING if headed else 0)
        return max(tiles, beside) + 1.15 + (0.25 if note else 0)

    columns = columns or next(columns for columns in range(1, 100) if columns == 99 or tall(columns) <= HEIGHT)
    side, height = room / columns, tall(columns)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    left = 0.012
    words: dict[str, Any] = {"va": "center", "parse_math": False}
    figure.text(left, 1 - 0.34 / height, title, fontsize=17, weight="bold", **words)
    figure.text(left, 1 - 0.68 / height, " · ".join(labels), fontsize=11, color="#555555", **words)
    figure.text(left, 0.2 / height, note, fontsize=11, color="#333333", **words)
    top = 1.0  # inches from the upper edge
    if aside:
        axes = figure.add_axes((left, 1 - (top + 2.8) / height, 2.8 / WIDTH, 2.8 / height))
        axes.set_axis_off()
        _show(axes, aside, (0, 0, 1, 1))
        beneath = (left, 1 - (top + 2.95) / height, "\n".join(words_aside))
        figure.text(*beneath, fontsize=12, va="top", parse_math=False)
    left = (WIDTH - room) / WIDTH
    for section in sections:
        if headed:
            figure.text(left, 1 - (top + 0.18) / height, section.heading, fontsize=12, weight="bold", **words)
            top += HEADING
        deep = _depth(section, columns, side)
        axes = figure.add_axes((left, 1 - (top + deep) / height, room / WIDTH, deep / height))
        axes.set_axis_off()
        _lay_out(axes, section, columns, side)
        axes.set(xlim=(0, room), ylim=(deep, 0))
        top += deep
    figure.write(path, dpi=110)


def map_colors(values: np.ndarray) -> np.ndarray:
    """Color a map (height, width) as (height, width, 3) in [0, 1].

    Colors range from dark blue (zero) to yellow or, for a map with negative values, from blue over white (zero) to red.
    Each map has its own scale, which ends at the `SATURATED` quantile of absolute values. Otherwise a single peak would
    make all other values pale.
    """
    sizes = np.abs(np.nan_to_num(values))
    largest = float(np.quantile(sizes, SATURATED)) or float(sizes.max()) or 1.0
    signed = (values < 0).any()
    scaled = values / largest / 2 + 0.5 if signed else values / largest
    colored: np.ndarray = matplotlib.colormaps["RdBu_r" if signed else "viridis"](np.nan_to_num(scaled).clip(0, 1))
    return colored[..., :3]


def filter_colors(weights: np.ndarray) -> np.ndarray:
    """Return a filter's weights (1 or 3, height, width) as a picture: gray is zero, the largest weight is 0 or 1."""
    largest = float(np.abs(weights).max()) or 1.0
    picture = np.moveaxis(weights / largest / 2 + 0.5, 0, 2)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _font(side: float) -> float:
    return 7.5 if side < 1.05 else 9 if side < 2.5 else 13


def _under(section: Section, side: float) -> float:
    """Return the height of the captions below a tile, in inches."""
    lines = max((tile.caption.count("\n") + 1 for tile in section.tiles if tile.caption), default=0)
    return 0.06 + lines * _font(side) * 0.0165


def _depth(section: Section, columns: int, side: float) -> float:
    """Return the height of a section without its heading, in inches."""
    return -(-len(section.tiles) // columns) * (side * SHARE + _under(section, side))


def _lay_out(axes: Axes, section: Section, columns: int, side: float) -> None:
    """Draw tiles in rows; one unit of the axes is an inch, and y points down."""
    size = side * SHARE
    for place, tile in enumerate(section.tiles):
        row, column = divmod(place, columns)
        left, upper = column * side, row * (size + _under(section, side))
        _show(axes, tile, (left, upper + size, left + size, upper))
        below = (left + size / 2, upper + size + 0.03, tile.caption)
        axes.text(*below, fontsize=_font(side), ha="center", va="top", linespacing=1.0, parse_math=False)


def _show(axes: Axes, tile: Tile, extent: tuple[float, float, float, float]) -> None:
    """Show a tile at (left, bottom, right, top) with its marks, and the content of a small box enlarged in a corner."""
    left, bottom, right, top = extent
    axes.imshow(tile.picture, extent=(left, right, bottom, top), aspect="auto")
    height, width = tile.picture.shape[:2]

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / width, top + (bottom - top) * y / height

    if tile.box is None:
        return
    first_x, first_y = max(tile.box[0], 0), max(tile.box[1], 0)
    last_x, last_y = min(tile.box[2], width), min(tile.box[3], height)
    _frame(axes, place(first_x, first_y), place(last_x, last_y))
    if first_x >= last_x or first_y >= last_y:  # the box is in the padding
        return
    if max(last_x - first_x, last_y - first_y) >= SMALL * width:
        if tile.dot:
            axes.plot(*place(*tile.dot), "o", color=MARK, markeredgecolor="black", markersize=6, zorder=4)
        return
    at_left, at_top = (first_x + last_x) / 2 > width / 2, (first_y + last_y) / 2 > height / 2  # the other corner
    x, y = 0.0 if at_left else 0.6 * width, 0.0 if at_top else 0.6 * height
    corner, end = place(x, y), place(x + 0.4 * width, y + 0.4 * height)
    part = tile.picture[int(first_y) : math.ceil(last_y), int(first_x) : math.ceil(last_x)]
    axes.imshow(part, extent=(corner[0], end[0], end[1], corner[1]), aspect="auto", interpolation="nearest", zorder=2)
    _frame(axes, corner, end)


def _frame(axes: Axes, corner: tuple[float, float], end: tuple[float, float]) -> None:
    size = (end[0] - corner[0], end[1] - corner[1])
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="black", linewidth=2.4, zorder=3))
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=MARK, linewidth=1.2, zorder=3))
