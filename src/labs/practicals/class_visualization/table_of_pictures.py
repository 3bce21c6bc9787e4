"""Class visualization in the report: all pictures of a grid on one sheet, with what nets see in them."""

import io
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.layout_engine import ConstrainedLayoutEngine

from labs.drawing.figures import Figure
from labs.drawing.picture_sheets import show
from labs.reporting.row import Row
from labs.storage.files import read_text


def draw_table_of_pictures(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw a line for each picture of an experiment, and a column for each of its settings.

    Of a row with several seeds the first is shown. Returns the PNG, or None without pictures.
    """
    found = [(row, table) for row in rows if row.runs and (table := _read(row)) is not None]
    if not found:
        return None
    lines: dict[tuple[str, str], list[tuple[Row, pd.Series]]] = {}
    for row, table in found:
        for name, measured in table.iterrows():
            lines.setdefault((row.experiment, str(name)), []).append((row, measured))
    across = max(map(len, lines.values()))
    labels = list(dict.fromkeys(label for row, _ in found for label in row.labels))
    layout = ConstrainedLayoutEngine(h_pad=0.12)
    figure = Figure(figsize=(max(2.9 * across, 6), 1.0 + 3.7 * len(lines)), layout=layout)
    figure.suptitle(title, fontsize=15)
    figure.supxlabel(" · ".join(labels), fontsize=10, color="0.35")
    for panels, ((_, name), cells) in zip(figure.subplots(len(lines), across, squeeze=False), lines.items()):
        for axes in panels:
            axes.set_axis_off()
        cells.sort(key=lambda cell: _numbers(cell[0]))
        for axes, (row, measured) in zip(panels, cells, strict=False):
            show(axes, row.runs[0].directory / "images" / f"{name}.png", "")
            above = textwrap.fill(", ".join(detail.removeprefix("module.") for detail in row.details) or row.title, 26)
            axes.set_title(f"{measured['title']}\n{above}", fontsize=12)
            axes.text(0.5, -0.03, _in_words(measured), transform=axes.transAxes, ha="center", va="top", fontsize=11)
    return figure.png(dpi=100)


def _numbers(row: Row) -> list[float]:
    """Return the numbers among the settings of a row, by which its pictures stand in order: 5 before 25."""
    return [float(value) for detail in row.details for value in re.findall(r"=(\d+(?:\.\d*)?(?:e-?\d+)?)$", detail)]


def _in_words(measured: pd.Series) -> str:
    words = [f"its own net {100 * measured['prob']:.3g} %"]
    if "judge_prob" in measured:
        words.append(f"another net {100 * measured['judge_prob']:.2g} % (rank {measured['judge_rank']:.0f})")
    return "\n".join(words)


def _read(row: Row) -> pd.DataFrame | None:
    """Read `pictures.tsv`; None if there is none, or it cannot be read."""
    file: Path = row.runs[0].directory / "pictures.tsv"
    try:
        table = pd.read_csv(io.StringIO(read_text(file)), sep="\t", index_col="picture")
        numbers = [name for name in ("prob", "judge_prob", "judge_rank") if name in table]
        table[numbers] = table[numbers].astype(float)
    except (OSError, ValueError, TypeError):  # what pandas raises for damaged files
        return None
    return table if {"title", "prob"} <= set(table.columns) else None
