"""Maps in the report: each row's maps of the same images on one sheet, with what was measured of them."""

import io
from collections.abc import Sequence

import pandas as pd

from labs.drawing.figures import Figure
from labs.drawing.map_sheets import BAD, GOOD, MOST
from labs.drawing.picture_sheets import show
from labs.reporting.row import Row
from labs.storage.files import read_text

EXPLAINED = (
    "Above each map:\nSpearman with the map\nof random weights (low is good),\n"
    "deletion relative to random orders\n(below 1 is good)"
)
NUMBERS = ("spearman", "deletion", "random_deletion")


def draw_table_of_maps(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw the images, and below them a line of maps for each row. Rows with several seeds show the first.

    Returns the PNG, or None without maps.
    """
    lines = [(row, row.runs[0].directory, found) for row in rows if (found := _maps(row)) is not None]
    if not lines:
        return None
    names = list(dict.fromkeys(name for _, _, found in lines for name in found.index))[:MOST]
    labels = list(dict.fromkeys(label for row, _, _ in lines for label in row.labels))
    figure = Figure(figsize=(3.2 + 2.0 * len(names), 0.8 + 2.3 * (len(lines) + 1)), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=14)
    widths = [1.5, *(1.0 for _ in names)]
    panels = figure.subplots(len(lines) + 1, 1 + len(names), squeeze=False, width_ratios=widths)
    for axes in panels.flat:
        axes.set_axis_off()
    panels[0][0].text(0.0, 0.5, EXPLAINED, transform=panels[0][0].transAxes, fontsize=11, va="center")
    for axes, name in zip(panels[0][1:], names, strict=True):
        _, folder, found = next(line for line in lines if name in line[2].index)
        show(axes, folder / "images" / "inputs" / f"{name}.png", "")
        axes.set_title(str(found.loc[name, "target"]), fontsize=12, parse_math=False)
    for line, (row, folder, found) in zip(panels[1:], lines, strict=True):
        words = "\n".join([row.title, *row.details]).replace("module.method=", "")
        line[0].text(0.0, 0.5, words, transform=line[0].transAxes, fontsize=12, va="center", parse_math=False)
        for axes, name in zip(line[1:], names, strict=True):
            if name in found.index:
                show(axes, folder / "images" / "maps" / f"{name}.png", "")
                _say(axes, found.loc[name])
    return figure.png(dpi=100)


def _maps(row: Row) -> pd.DataFrame | None:
    """Read `maps.tsv` of the first run of a row; None if there is none, or it cannot be read."""
    try:
        table = pd.read_csv(io.StringIO(read_text(row.runs[0].directory / "maps.tsv")), sep="\t", keep_default_na=False)
        table = table.set_index("image").astype(dict.fromkeys(NUMBERS, float))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return table if {"target", "fails", *NUMBERS} <= set(table.columns) and len(table) else None


def _say(axes: object, found: pd.Series) -> None:
    ratio = found["deletion"] / max(found["random_deletion"], 1e-12)
    words = f"{'fails' if found['fails'] else 'passes'}: {found['spearman']:.2f}, {ratio:.2f}"
    axes.set_title(words, fontsize=11, color=BAD if found["fails"] else GOOD)  # type: ignore[attr-defined]
