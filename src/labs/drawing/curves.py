"""Curves of one run, as a picture or as an animation over the epochs.

Matplotlib is used without pyplot, so that there is no window system and no global state.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labs.drawing.animation import save_animation
from labs.drawing.figures import Figure
from labs.practicals import PANELS, Panel

# Okabe and Ito's palette, which people with color blindness can distinguish, without its pale yellow.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STAGES = {
    "train": ("training", PALETTE[0], "o"),
    "val": ("validation", PALETTE[1], "s"),
    "test": ("test", PALETTE[2], "^"),  # only in learning curves; a run's log has no such columns
}
NOT_CURVES = ("epoch", "seconds", "lr")
LEARNING_RATE = Panel("lr", "learning rate")
MAX_FRAMES = 60


def curves_png(
    log: pd.DataFrame, path: Path, title: str, labels: Sequence[str], known: Sequence[Panel] = PANELS
) -> None:
    """Draw the curves of one run: one panel for each metric x with a column `train/x`, `val/x` or `test/x`.

    Args:
        log: One row per epoch, with the column `epoch`.
        path: The PNG file to write.
        title: Title of the figure.
        labels: Notes for the reader, such as "embedded data".
        known: The panels that come first, with their titles.
    """
    figure, _ = _run_figure(log, title, labels, known)
    figure.write(path, dpi=110)


def curves_gif(
    log: pd.DataFrame, path: Path, title: str, labels: Sequence[str], known: Sequence[Panel] = PANELS
) -> None:
    """Draw the same panels as a GIF in which the curves grow; the axes do not change.

    There are at most 60 frames, so a longer run advances several epochs per frame. The last frame is shown longer.
    """
    figure, lines = _run_figure(log, title, labels, known)
    data = [(line, *line.get_data()) for line in lines]
    steps = np.unique(np.linspace(1, max(len(log), 1), min(max(len(log), 1), MAX_FRAMES)).round().astype(int))

    def show(step: int) -> None:
        for line, epochs, values in data:
            shown = np.asarray(epochs) <= (log["epoch"].iloc[step - 1] if len(log) else 0)
            line.set_data(np.asarray(epochs)[shown], np.asarray(values)[shown])

    save_animation(figure, lines, steps.tolist(), show, path)


def _run_figure(
    log: pd.DataFrame, title: str, labels: Sequence[str], known: Sequence[Panel]
) -> tuple[Figure, list[Line2D]]:
    columns_of = columns_of_panels([log], known)
    staged = bool(columns_of)
    if not staged:  # a practical with other column names: one panel per column
        numbers = [name for name in log.columns if pd.api.types.is_numeric_dtype(log[name])]
        columns_of = {_panel(name): [name] for name in numbers if name not in NOT_CURVES}
    wide = min(len(columns_of), 3) or 1
    tall = -(-len(columns_of) // wide) or 1
    figure, panels = new_figure(tall, wide, (max(4.2 * wide, 5.5), 3.3 * tall + 0.6), title, labels)
    lines = []
    flat = [axes for row in panels for axes in row]
    for axes, (panel, columns) in zip(flat, columns_of.items(), strict=False):
        for column in columns:
            label, color, marker = STAGES.get(column.partition("/")[0], STAGES["train"])
            lines.append(_line(axes, log, column, 100.0 if panel.percent else 1.0, label, color, marker))
        axes.set_title(panel.title, fontsize=10)
        if staged:
            axes.legend(fontsize=8, frameon=False, loc="lower right" if panel.percent else "best")
        limit_together([axes], panel)
        axes.set_xlim(0.5, max(log["epoch"].max() if len(log) else 1.0, 1.0) + 0.5)
    for axes in flat[len(columns_of) :]:
        axes.set_axis_off()
    return figure, lines


def new_figure(
    tall: int, wide: int, size: tuple[float, float], title: str, labels: Sequence[str]
) -> tuple[Figure, list[list[Axes]]]:
    """Make an empty figure of panels over epochs, with a title and notes for the reader."""
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    heading = "\n".join(filter(None, (title, " · ".join(labels))))
    figure.suptitle(heading, fontsize=11)
    panels = figure.subplots(tall, wide, squeeze=False)
    for axes in panels.flat:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch", fontsize=8)
    return figure, [list(row) for row in panels]


def columns_of_panels(logs: Sequence[pd.DataFrame], known: Sequence[Panel]) -> dict[Panel, list[str]]:
    """Return the panels for the columns `train/x`, `val/x` and `test/x`, each with its columns in this order.

    Known panels come first, then the others by name, and last the learning rate if it changes.
    """
    found = {
        column.split("/", 1)[1]
        for log in logs
        for column in log.columns
        if column.split("/", 1)[0] in STAGES and "/" in column and log[column].notna().any()
    }
    others = sorted(found - {panel.name for panel in known})
    panels = [*(panel for panel in known if panel.name in found), *map(_panel, others)]
    columns = {panel: [f"{stage}/{panel.name}" for stage in STAGES] for panel in panels}
    if found and any("lr" in log and log["lr"].nunique() > 1 for log in logs):
        columns[LEARNING_RATE] = ["lr"]
    return {panel: [name for name in names if any(name in log for log in logs)] for panel, names in columns.items()}


def _panel(name: str) -> Panel:
    """Return a panel for an unknown metric; an accuracy is shown in percent.

    Examples:
        >>> _panel("source_acc").title, _panel("generator_loss").title
        ('source accuracy (%)', 'generator loss')
    """
    words = name.replace("_", " ")
    percent = name.rpartition("_")[2] == "acc"
    return Panel(name, f"{words.removesuffix('acc')}accuracy (%)" if percent else words, percent)


def marker_size(points: int) -> float:
    """Return the size of the markers of a curve, in points: a curve of one point is seen by its marker alone."""
    return 3.5 if points <= 40 else 0.0


def _line(axes: Axes, log: pd.DataFrame, column: str, factor: float, label: str, color: str, marker: str) -> Line2D:
    rows = measured_rows(log, column)
    values = rows[column].to_numpy(dtype=float) * factor
    look: dict[str, Any] = {"color": color, "marker": marker, "markersize": marker_size(len(rows))}
    return axes.plot(rows["epoch"].to_numpy(), values, lw=1.6, label=label, **look)[0]


def measured_rows(log: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the epochs in which a column's stage was measured; values that are not numbers leave gaps in the curve.

    Examples:
        >>> log = pd.DataFrame({"epoch": [1, 2, 3], "val/acc": [None, 0.5, 0.5], "val/loss": [None, None, 1.0]})
        >>> measured_rows(log, "val/loss")["epoch"].tolist()
        [2, 3]
    """
    stage = column.partition("/")[0]
    return log[log[[name for name in log.columns if name.partition("/")[0] == stage]].notna().any(axis=1)]


def limit_together(panels: Sequence[Axes], panel: Panel) -> None:
    """Give the panels of one quantity the same vertical axis.

    Percentages range from 0 to 100 %. Positive values that span more than two powers of ten, such as losses with one
    bad epoch, get a logarithmic axis.
    """
    drawn = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.lines]
    values = np.concatenate([*drawn, np.empty(0)])
    values = values[np.isfinite(values)]
    limits = [axes.get_ylim() for axes in panels if axes.lines]
    settings: dict[str, Any] = {}
    if panel.percent:
        settings = {"ylim": (0, 102)}
    elif len(values) and values.min() > 0 and values.max() > 100 * values.min():
        settings = {"yscale": "log", "ylim": (values.min() / 1.5, values.max() * 1.5)}
    elif limits:
        settings = {"ylim": (min(low for low, _ in limits), max(high for _, high in limits))}
    for axes in panels:
        axes.set(**settings)
