"""Curves of every row of a table, with a band over seeds."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from labs.drawing.curves import PALETTE, STAGES, columns_of_panels, limit_together, measured_rows, new_figure
from labs.practicals import PANELS, Panel, sheet_of
from labs.reporting.row import Row

LINE_STYLES = ("-", "--", ":", "-.")
LEGEND_WIDTH = 60  # letters of a legend entry in one of two columns


@dataclass(frozen=True)
class Curve:
    """Hold the logs of one row, one per seed; rows of one `family` share a color, not a line style."""

    name: str
    family: str
    logs: tuple[pd.DataFrame, ...]


def draw_rows(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw the curves of the rows that have any; labels that all rows share stand above, others beside the names."""
    drawn = [row for row in rows if any(run.log is not None for run in row.runs)]
    common = [label for label in (drawn[0].labels if drawn else ()) if all(label in row.labels for row in drawn)]
    curves = [
        Curve(
            name=", ".join([row.name, *(label for label in row.labels if label not in common)]),
            family=row.experiment,
            logs=tuple(run.log for run in row.runs if run.log is not None),
        )
        for row in drawn
    ]
    known = sheet_of(drawn[0].runs[0].practical).panels if drawn else PANELS
    return comparison_png(curves, title, common, known)


def comparison_png(
    curves: Sequence[Curve], title: str, labels: Sequence[str], known: Sequence[Panel] = PANELS
) -> bytes | None:
    """Draw every row of a table, training beside validation, with a band over seeds.

    The line is the mean, the band reaches from the lowest to the highest seed: unlike a standard deviation it never
    passes below zero, where a logarithmic axis has no place for it. Returns the PNG, or None if no row has a log.
    """
    curves = [curve for curve in curves if curve.logs]
    logs = [log for curve in curves for log in curve.logs]
    columns = columns_of_panels(logs, known)
    if not columns:
        return None
    factors = {name: 100.0 if panel.percent else 1.0 for panel, found in columns.items() for name in found}
    pairs = [found for found in columns.values() if len(found) > 1]
    alone = [found for found in columns.values() if len(found) == 1]
    drawn = [column for found in (*pairs, *alone) for column in found]
    entries = [textwrap.fill(curve.name, LEGEND_WIDTH) for curve in curves]
    legend_height = 0.15 * sum(entry.count("\n") + 1.5 for entry in entries) / 2
    wide = 2 if pairs else min(3, len(drawn))  # one row per quantity, where it has training and validation
    tall = -(-len(drawn) // wide)
    figure, panels = new_figure(tall, wide, (5.0 * wide, 3.0 * tall + legend_height + 1.0), title, labels)
    flat = [axes for row in panels for axes in row]
    places = dict(zip(drawn, flat, strict=False))
    handles: list[Line2D] = []
    for curve, entry, (color, style) in zip(curves, entries, _looks(curves), strict=True):
        handles.append(Line2D([], [], color=color, linestyle=style, label=entry))
        for column, axes in places.items():
            _band(axes, curve.logs, column, factors[column], color, style)
    for panel, found in columns.items():
        limit_together([places[column] for column in found], panel)
        for column in found:
            stage = STAGES[column.partition("/")[0]][0] if "/" in column else ""
            places[column].set_title(f"{stage} {panel.title}".strip(), fontsize=10)
    for axes in flat[len(drawn) :]:
        axes.set_axis_off()
    columns_of_legend = 2 if len(curves) > 1 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns_of_legend, fontsize=8, frameon=False)
    return figure.png(dpi=110)


def _looks(curves: Sequence[Curve]) -> list[tuple[str, Any]]:
    """Return the color and line style of each row: one color per family where that tells all rows apart."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    sizes = Counter(curve.family for curve in curves)
    if len(families) in range(2, len(PALETTE) + 1) and max(sizes.values()) <= len(LINE_STYLES):
        seen: Counter[str] = Counter()
        places = []
        for curve in curves:
            places.append((families.index(curve.family), seen[curve.family]))
            seen[curve.family] += 1
    else:  # one color per row, and the next line style when the colors are used up
        places = [(row % len(PALETTE), row // len(PALETTE) % len(LINE_STYLES)) for row in range(len(curves))]
    return [(PALETTE[color], LINE_STYLES[style]) for color, style in places]


def _band(axes: Axes, logs: Sequence[pd.DataFrame], column: str, factor: float, color: str, style: Any) -> None:
    logs = [measured_rows(log, column).set_index("epoch") for log in logs if column in log]
    if not logs:
        return
    # epochs that every seed has: a mean over fewer seeds towards the end would bend the curve
    together = pd.concat([log[column] for log in logs], axis=1, join="inner") * factor
    mean = together.mean(axis=1, skipna=False)
    marker = "o" if len(mean) == 1 else ""
    axes.plot(mean.index, mean, color=color, linestyle=style, linewidth=1.6, marker=marker, markersize=4)
    if together.shape[1] > 1:
        low, high = together.min(axis=1), together.max(axis=1)
        axes.fill_between(mean.index, low, high, color=color, alpha=0.15, linewidth=0)
