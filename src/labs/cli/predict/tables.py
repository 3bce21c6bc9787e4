"""The answers about several images as rows that fit a terminal, as CSV, and as JSON."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from labs.reporting.escape import csv_cell
from labs.runs.trained_net import TrainedNet
from labs.storage.files import printable, to_json

ALSO = 2  # further classes in a row
WIDEST = 60  # columns of a name, where nothing narrower is asked for


class Answer(NamedTuple):
    """The most probable classes of one image, the first one first; or why the image cannot be read."""

    file: str
    classes: list[tuple[str, float]]
    converted: list[str]
    error: str = ""


class Rows:
    """Print one row per image as soon as it is classified; none is wider than the terminal.

    Args:
        files: of all rows to come.
        classes: that an answer may name.
        console: that they are printed to; where it is no terminal, no row is cut.
    """

    def __init__(self, files: Sequence[str], classes: Sequence[str], console: Console) -> None:
        self.console = console
        self.width = console.width if console.is_terminal else None
        most = min(WIDEST, (self.width or 10 * WIDEST) // 3)
        self.columns = [min(most, max(map(cell_len, names))) for names in (map(printable, files), classes)]
        self.columns = [max(*pair) for pair in zip(self.columns, map(len, ("image", "prediction")), strict=True)]
        self._print(["image", "prediction", "confidence", "next"])

    def add(self, found: Answer) -> None:
        """Print the row of an image."""
        (name, share), *others = found.classes
        also = ", ".join(f"{other} {part:.1%}" for other, part in others[:ALSO])
        self._print([printable(found.file), name, f"{share:.1%}", also])

    def _print(self, texts: Sequence[str]) -> None:
        image, prediction, confidence, also = texts
        row = f"{self._fit(image, 0, end=True)}  {self._fit(prediction, 1)}  {confidence:>10}  {also}"
        self.console.print(row if self.width is None else _cut(row, self.width), soft_wrap=True)

    def _fit(self, text: str, column: int, *, end: bool = False) -> str:
        width = self.columns[column]
        if self.width is None:
            return text + " " * (width - cell_len(text))
        return set_cell_size(_cut(text, width, end=end), width)


def as_csv(answers: Sequence[Answer], net: TrainedNet, top: int) -> str:
    """Return a table with one row per image; a spreadsheet opens it."""
    count = min(top, len(net.classes))
    places = ["", *(f"_{place}" for place in range(2, count + 1))]
    classes = [f"{word}{place}" for place in places for word in ("prediction", "confidence")]
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image", *classes, "converted", "error", "net", "labels"])
    for one in answers:
        cells = [cell for name, share in one.classes for cell in (name, f"{share:.6f}")]
        cells += [""] * (len(classes) - len(cells))
        line = [printable(one.file), *cells, "; ".join(one.converted), one.error, net.name, "; ".join(net.labels)]
        table.writerow(map(csv_cell, line))
    return text.getvalue()


def as_json(answers: Sequence[Answer], net: TrainedNet, run: str | None, written: Mapping[str, Any]) -> str:
    """Return all that is known, for another program."""
    images = [_plain(one) for one in answers]
    return to_json({"net": net.name, "run": run, "labels": net.labels, "images": images, **written})


def _plain(found: Answer) -> dict[str, Any]:
    if found.error:
        return {"image": found.file, "error": found.error}
    classes = [{"class": name, "probability": share} for name, share in found.classes]
    return {"image": found.file, "classes": classes, "converted": found.converted}


def _cut(text: str, width: int, *, end: bool = False) -> str:
    """Cut a text to a width, in cells of a terminal, and mark it.

    Args:
        text: without line breaks.
        width: cells.
        end: keep the end, which tells files apart.

    Examples:
        >>> _cut("a long name", 6), _cut("far/away/a.png", 7, end=True)
        ('a lon…', '…/a.png')
    """
    if cell_len(text) <= width:
        return text
    if end:
        while cell_len(text) > width - 1:
            text = text[1:]
        return f"…{text}"
    return set_cell_size(text, width - 1) + "…"
