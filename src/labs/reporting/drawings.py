"""The figures of a report, drawn once for every format."""

from collections.abc import Sequence
from dataclasses import dataclass

from labs.practicals import Plot
from labs.reporting.tables import Table


@dataclass(frozen=True)
class Drawing:
    """Hold one figure of a table as PNG, and the name of its file."""

    plot: Plot
    file: str
    png: bytes


def draw(tables: Sequence[Table]) -> list[list[Drawing]]:
    """Draw the plots of every table that have data.

    The first figure of a name gets the bare name, such as `curves.png`; those of further tables are named by their
    table: `curves_<practical>_<data>.png`.
    """
    taken: set[str] = set()
    drawings: list[list[Drawing]] = []
    for table in tables:
        drawings.append([])
        for plot in table.sheet.plots:
            png = plot.draw(table.rows, table.sheet.title)
            if png is not None:
                name = f"{plot.name}_{table.slug}" if plot.name in taken else plot.name
                taken.add(plot.name)
                drawings[-1].append(Drawing(plot, f"{name}.png", png))
    return drawings
