"""Images before and after an almost invisible change, and the magnified change."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from labs.drawing.curves import PALETTE
from labs.drawing.figures import Figure

COLUMNS = 7  # side by side; more would be too small to read
LETTERS = 22  # characters of a line above a picture
ROWS = ("original", "changed")


@dataclass(frozen=True)
class Shown:
    """One column of a sheet.

    Attributes:
        original: (height, width, 3) in [0, 1].
        changed: The same after the change, clamped to [0, 1] for drawing.
        words: Texts above the original, above the changed image, and below it.
        good: Whether the change was successful. None: nothing had to be changed.
    """

    original: np.ndarray
    changed: np.ndarray
    words: tuple[str, str, str]
    good: bool | None


def changes_sheet(columns: Sequence[Shown], path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw one column per image: before, after, and the difference, magnified by one factor for the whole sheet.

    Args:
        columns: The images; at most seven are side by side, the others below.
        path: The PNG file to write.
        title: Title of the sheet.
        labels: Notes for the reader, such as "embedded data".
    """
    bands = [columns[start : start + COLUMNS] for start in range(0, len(columns), COLUMNS)]
    across = max(map(len, bands))
    factor = magnification([column.changed - column.original for column in columns])
    figure = Figure(figsize=(0.8 + 2.25 * max(across, 3), 0.9 + 8.4 * len(bands)), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=15)
    for area, band in zip(figure.subfigures(len(bands), 1, squeeze=False)[:, 0], bands, strict=True):
        panels = area.subplots(3, across, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for lines, shown in zip(panels.T, band):
            _draw(lines, shown, factor)
        for axes, word in zip(panels[:, 0], (*ROWS, f"difference x {factor:g}"), strict=True):
            axes.text(-0.06, 0.5, word, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=13)
    figure.write(path, dpi=100)


def magnification(differences: Sequence[np.ndarray]) -> float:
    """Return a round factor, at least 1, with which almost all of a change fills the range from black to white.

    Examples:
        >>> magnification([np.full((2, 2, 3), 0.01)])
        50.0
    """
    largest = float(np.quantile(np.abs(np.stack(differences)), 0.995)) or 1.0
    wanted = max(1.0, 0.5 / largest)
    power = 10 ** math.floor(math.log10(wanted) + 1e-9)
    return float(max(step * power for step in (1, 2, 5) if step * power <= wanted * (1 + 1e-9)))


def _draw(lines: Sequence[Axes], shown: Shown, factor: float) -> None:
    """Draw one column."""
    above, after, below = (_lines(words) for words in shown.words)
    lines[0].imshow(shown.original, interpolation="nearest")
    lines[0].set_title(above, fontsize=12)
    lines[1].imshow(shown.changed.clip(0, 1), interpolation="nearest")
    color = {True: PALETTE[2], False: PALETTE[1], None: "dimgray"}[shown.good]
    lines[1].set_title(after, fontsize=12, color=color, weight="bold")
    lines[2].imshow((0.5 + factor * (shown.changed - shown.original)).clip(0, 1), interpolation="nearest")
    lines[2].set_title(below, fontsize=11)


def _lines(words: str) -> str:
    return "\n".join(textwrap.shorten(line, LETTERS, placeholder="…") for line in words.split("\n"))
