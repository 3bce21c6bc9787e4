"""Curves: of one run, still or growing epoch by epoch, and of every row of a table with a band over seeds.

Matplotlib is used through its objects, never through pyplot: no window system, no global state.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

# Okabe and Ito's palette: told apart with every common colour blindness. Its yellow is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")
STAGES = {"train": ("training", PALETTE[0], "o"), "val": ("validation", PALETTE[1], "s")}
MEANINGS = {"acc": "accuracy (%)"}
NOT_CURVES = ("epoch", "seconds", "lr")
MAX_FRAMES = 60
FRAME_MS = 60
HOLD_MS = 2500
LEGEND_WIDTH = 60  # letters of a legend entry in one of two columns


@dataclass(frozen=True)
class Curve:
    """Hold the logs of one row, one a seed; rows of one `family` share a colour, not a line style."""

    name: str
    family: str
    logs: tuple[pd.DataFrame, ...]


def curves_png(log: pd.DataFrame, path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw the curves of one run: one panel for each x that the log has as `train/x` or `val/x`.

    Args:
        log: One row an epoch, with the column `epoch`.
        path: The PNG file to write.
        title: Printed above the panels.
        labels: What a reader must know of the numbers, such as "embedded data"; printed in the picture.
    """
    figure, _ = _run_figure(log, title, labels)
    figure.savefig(path, format="png", dpi=110)


def curves_gif(log: pd.DataFrame, path: Path, title: str, labels: Sequence[str]) -> None:
    """Draw the same panels as a GIF in which the curves grow; the axes are those of the whole run.

    At most 60 frames (a longer run grows by several epochs a frame); the last one is held.
    """
    figure, lines = _run_figure(log, title, labels)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    data = [(line, *line.get_data()) for line in lines]
    for line in lines:
        line.set_animated(True)  # left out of the background, which is drawn once
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    steps = np.unique(np.linspace(1, max(len(log), 1), min(max(len(log), 1), MAX_FRAMES)).round().astype(int))
    frames = []
    for step in steps:
        canvas.restore_region(background)
        for line, epochs, values in data:
            shown = np.asarray(epochs) <= (log["epoch"].iloc[step - 1] if len(log) else 0)
            line.set_data(np.asarray(epochs)[shown], np.asarray(values)[shown])
            if line.axes is not None:
                line.axes.draw_artist(line)
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    # one palette for every frame, taken from the last, which has every colour: smaller, and no flicker
    palette = _palette(frames[-1])
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [FRAME_MS] * len(rest) + [HOLD_MS]
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def comparison_png(curves: Sequence[Curve], title: str, labels: Sequence[str]) -> bytes | None:
    """Draw every row of a table, training beside validation, with a band over seeds.

    The line is the mean, the band one standard deviation. Returns the PNG, or None if no row has a log.
    """
    curves = [curve for curve in curves if curve.logs]
    names = _panel_names([log for curve in curves for log in curve.logs])
    if not curves or not names:
        return None
    columns = [[f"{stage}/{name}" for stage in STAGES] for name in names]
    entries = [textwrap.fill(curve.name, LEGEND_WIDTH) for curve in curves]
    legend_height = 0.15 * sum(entry.count("\n") + 1.5 for entry in entries) / 2
    height = 3.0 * len(names) + legend_height + 1.0
    figure, panels = _figure(len(names), 2, (10.0, height), title, labels)
    handles: list[Line2D] = []
    for curve, entry, (colour, style) in zip(curves, entries, _looks(curves), strict=True):
        handles.append(Line2D([], [], color=colour, linestyle=style, label=entry))
        for row, pair in zip(panels, columns, strict=True):
            for axes, column in zip(row, pair, strict=True):
                _band(axes, curve.logs, column, colour, style)
    for row, name in zip(panels, names, strict=True):
        _limit_together(row, name)
        for axes, (stage, _, _) in zip(row, STAGES.values(), strict=True):
            axes.set_title(f"{stage} {MEANINGS.get(name, name)}", fontsize=10)
    columns_of_legend = 2 if len(curves) > 1 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns_of_legend, fontsize=8, frameon=False)
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=110)
    return output.getvalue()


def _looks(curves: Sequence[Curve]) -> list[tuple[str, Any]]:
    """Return the colour and line style of each row: a colour a family where that tells all rows apart."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    sizes = Counter(curve.family for curve in curves)
    if len(families) in range(2, len(PALETTE) + 1) and max(sizes.values()) <= len(LINE_STYLES):
        seen: Counter[str] = Counter()
        places = []
        for curve in curves:
            places.append((families.index(curve.family), seen[curve.family]))
            seen[curve.family] += 1
    else:  # a colour a row, and the next line style when the colours are used up
        places = [(row % len(PALETTE), row // len(PALETTE) % len(LINE_STYLES)) for row in range(len(curves))]
    return [(PALETTE[colour], LINE_STYLES[style]) for colour, style in places]


def _palette(frame: Image.Image) -> Image.Image:
    """Return 64 colours of a frame, those that are nearly white made white.

    Pillow looks colours up in steps of four, so that a tint of the paper next to white would win over it.
    """
    colours = np.reshape(frame.quantize(colors=64, dither=Image.Dither.NONE).getpalette() or [255] * 3, (-1, 3))
    colours[colours.min(axis=1) > 244] = 255
    image = Image.new("P", (1, 1))
    image.putpalette(colours.ravel().tolist())
    return image


def _run_figure(log: pd.DataFrame, title: str, labels: Sequence[str]) -> tuple[Figure, list[Line2D]]:
    names = _panel_names([log])
    stages: dict[str, tuple[str, str, str]] = STAGES
    if not names:  # a practical that names its columns otherwise: every one on a panel of its own
        names = [name for name in log.columns if name not in NOT_CURVES and pd.api.types.is_numeric_dtype(log[name])]
        stages = {}
    wide = min(len(names), 3) or 1
    tall = -(-len(names) // wide) or 1
    figure, panels = _figure(tall, wide, (max(4.2 * wide, 5.5), 3.3 * tall + 0.6), title, labels)
    lines = []
    flat = [axes for row in panels for axes in row]
    for axes, name in zip(flat, names, strict=False):
        columns = {f"{stage}/{name}": look for stage, look in stages.items()} or {name: (name, PALETTE[0], "o")}
        for column, (label, colour, marker) in columns.items():
            if column in log:
                lines.append(_line(axes, log, column, label, colour, marker))
        axes.set_title(MEANINGS.get(name, name), fontsize=10)
        if stages:
            axes.legend(fontsize=8, frameon=False)
        _limit_together([axes], name)
        axes.set_xlim(*_epoch_limits([log]))
    for axes in flat[len(names) :]:
        axes.set_axis_off()
    return figure, lines


def _figure(
    tall: int, wide: int, size: tuple[float, float], title: str, labels: Sequence[str]
) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    heading = "\n".join(filter(None, (title, " · ".join(labels))))
    figure.suptitle(heading, fontsize=11)
    panels = figure.subplots(tall, wide, squeeze=False)
    for axes in panels.flat:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch", fontsize=8)
    return figure, [list(row) for row in panels]


def _panel_names(logs: Sequence[pd.DataFrame]) -> list[str]:
    """Return each x of the columns `train/x` and `val/x`, accuracy first, then loss."""
    found = {
        column.split("/", 1)[1]
        for log in logs
        for column in log.columns
        if column.split("/", 1)[0] in STAGES and "/" in column and log[column].notna().any()
    }
    first = ["acc", "loss"]
    return [name for name in first if name in found] + sorted(found - set(first))


def _line(axes: Axes, log: pd.DataFrame, column: str, label: str, colour: str, marker: str) -> Line2D:
    rows = log[["epoch", column]].dropna()
    values = rows[column].to_numpy(dtype=float) * _scale(column)
    size = 3.5 if len(rows) <= 40 else 0.0
    (line,) = axes.plot(
        rows["epoch"].to_numpy(), values, color=colour, marker=marker, markersize=size, lw=1.6, label=label
    )
    return line


def _band(axes: Axes, logs: Sequence[pd.DataFrame], column: str, colour: str, style: Any) -> None:
    logs = [log.set_index("epoch") for log in logs if column in log]
    if not logs:
        return
    # epochs that every seed has: a mean over fewer seeds towards the end would bend the curve
    together = pd.concat([log[column] for log in logs], axis=1, join="inner").dropna() * _scale(column)
    mean = together.mean(axis=1)
    marker = "o" if len(mean) == 1 else ""
    axes.plot(mean.index, mean, color=colour, linestyle=style, linewidth=1.6, marker=marker, markersize=4)
    if together.shape[1] > 1:
        spread = together.std(axis=1, ddof=1)
        axes.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)


def _limit_together(panels: Sequence[Axes], name: str) -> None:
    """Give the panels of one quantity the same vertical axis.

    Accuracies start at zero and end at 100 %; positive values that span more than two powers of ten, such as losses
    with one bad epoch, go on a logarithmic axis.
    """
    if name == "acc":
        for axes in panels:
            axes.set_ylim(0, 102)
        return
    drawn = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.lines]
    values = np.concatenate([*drawn, np.empty(0)])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():
        for axes in panels:
            axes.set_yscale("log")
            axes.set_ylim(values.min() / 1.5, values.max() * 1.5)
        return
    limits = [axes.get_ylim() for axes in panels if axes.lines]
    for axes in panels:
        if limits:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _epoch_limits(logs: Sequence[pd.DataFrame]) -> tuple[float, float]:
    last = max((float(log["epoch"].max()) for log in logs if len(log)), default=1.0)
    return (0.5, max(last, 1.0) + 0.5)


def _scale(column: str) -> float:
    return 100.0 if column.rsplit("/", 1)[-1] == "acc" else 1.0
