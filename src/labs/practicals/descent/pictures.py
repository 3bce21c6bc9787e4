"""Pictures of descents: the path of every point on the curve and over the steps, as a figure, a GIF, and a grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from labs.drawing.curves import PALETTE
from labs.drawing.figures import Figure
from labs.drawing.step_slides import (
    INK,
    clear_letters,
    corner,
    draw_slides,
    over_steps,
    read_steps,
    subtitle_of,
    written,
)
from labs.functional.quartic import FLAT, LOWEST, Outcome, outcome, quartic
from labs.practicals.descent import WAYS
from labs.reporting.row import Row
from labs.runs.directory import read_facts

# The color and the marker of each way to end.
LOOKS: dict[Outcome, tuple[str, str]] = {
    "reached": (PALETTE[2], "o"), "stalled": (PALETTE[1], "s"), "moving": (PALETTE[0], "^"), "lost": (PALETTE[6], "X"),
}  # fmt: skip
NAMED = 8  # of more points the starts are not written beside them
LEFT, RIGHT = -1.25, 2.25  # what is shown of the curve at least
TOP = 6.0
PALE = "#c9ced6"


class Paths:
    """Where the points of a run were after each step, by how they ended.

    Args:
        places: (steps + 1, points).
    """

    def __init__(self, places: np.ndarray) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # of points that are lost
            self.places, self.heights = places, quartic(places)
        self.steps, self.count = len(places) - 1, places.shape[1]
        self.ends = np.array([outcome(end) for end in places[-1]])
        self.ways = [way for way in WAYS if (self.ends == way).any()]
        self.left, self.right = min(LEFT, places[0].min() - 0.2), max(RIGHT, places[0].max() + 0.2)
        self.few = self.count <= NAMED
        self.alpha = 0.75 if self.few else 0.25

    def of(self, way: Outcome) -> tuple[np.ndarray, np.ndarray]:
        """Return the places and heights of the points that ended in a way, (steps + 1, points) each."""
        chosen = self.ends == way
        return self.places[:, chosen], self.heights[:, chosen]


def read_paths(run_dir: Path) -> Paths | None:
    """Read the steps of a run; None if there are none."""
    steps = read_steps(run_dir)
    return None if steps is None else Paths(steps.to_numpy())


def draw_run(run_dir: Path, metrics: Mapping[str, float]) -> None:
    """Draw `result.png` and `result.gif` from the steps of a run."""
    paths = read_paths(run_dir)
    if paths is not None:
        subtitle = subtitle_of(read_facts(run_dir), paths.steps)
        title = "Gradient descent on f(x) = x⁴ - 2x³ + 2"
        draw_slides(run_dir, title, subtitle, (1.75, 1), paths.steps, lambda left, right: _Moving(left, right, paths))


def draw_table_of_paths(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw the paths of each row on a curve of its own, by learning rate. Rows with several seeds show the first.

    Returns the PNG, or None without steps of any row.
    """
    found = [(row, paths) for row in rows if row.runs and (paths := read_paths(row.runs[0].directory)) is not None]
    if not found:
        return None
    found.sort(key=lambda line: _numbers(line[0]))
    across = min(len(found), 3)
    tall = -(-len(found) // across)
    figure = Figure(figsize=(max(4.3 * across, 6), 1.3 + 3.4 * tall), layout="constrained", facecolor="white")
    labels = dict.fromkeys(label for row, _ in found for label in row.labels)
    figure.suptitle(" · ".join([title, *labels]), fontsize=17, weight="bold", color=INK)
    panels = figure.subplots(tall, across, squeeze=False).ravel()
    for axes, (row, paths) in zip(panels, found, strict=False):
        _draw_curve(axes, paths)
        for trail in _trails(axes, paths):
            trail.show(paths.steps)
        momentum, lr = _numbers(row)
        others = [detail for detail in row.details if not detail.startswith(("module.optimizer.", "optimizer="))]
        subtitle = [f"learning rate {lr:g}", f"momentum {momentum:g}" if momentum else "", *others]
        axes.set_title(", ".join(filter(None, subtitle)), fontsize=13)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    ways = [way for way in WAYS if any(way in paths.ways for _, paths in found)]
    handles = [_handle(way, WAYS[way]) for way in ways]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(ways), frameon=False, fontsize=13)
    with clear_letters():
        return figure.png(dpi=100)


def _numbers(row: Row) -> tuple[float, float]:
    """Return momentum and learning rate of a row, by which rows stand in order; 0 where nothing is known."""
    settings = row.runs[0].settings
    return settings.get("module.optimizer.momentum", 0.0), settings.get("module.optimizer.lr", 0.0)


def _handle(way: Outcome, label: str) -> Line2D:
    color, marker = LOOKS[way]
    return Line2D([], [], color=color, marker=marker, markersize=10, lw=2, markeredgecolor="white", label=label)


class _Trail:
    """The points that ended in one way, on the curve: where they are, and how they came there."""

    def __init__(self, axes: Axes, paths: Paths, way: Outcome) -> None:
        color, marker = LOOKS[way]
        self.places, self.heights = paths.of(way)
        self.so_far = axes.plot([], [], ".-", color=color, lw=1.2, markersize=4, alpha=paths.alpha, zorder=2)[0]
        size = 12 if paths.few else 7
        self.now = axes.plot([], [], marker, color=color, markersize=size, markeredgecolor="white", zorder=4)[0]

    def show(self, step: int) -> None:
        self.so_far.set_data(_joined(self.places[: step + 1]), _joined(self.heights[: step + 1]))
        self.now.set_data(self.places[step], self.heights[step])


class _Moving:
    """What differs from frame to frame: the ways so far, on the curve and over the steps."""

    def __init__(self, on_curve: Axes, over: Axes, paths: Paths) -> None:
        _draw_curve(on_curve, paths)
        _name_places(on_curve, paths)
        over_steps(over, paths.steps)
        over.set_ylim(paths.left, paths.right)
        over.set_ylabel("x", fontsize=13)
        for place, color in ((LOWEST, LOOKS["reached"][0]), (FLAT, LOOKS["stalled"][0])):
            over.axhline(place, color=color, ls="--", lw=1, alpha=0.7)
        self.paths, self.trails = paths, _trails(on_curve, paths)
        self.lines = [over.plot([], [], color=LOOKS[way][0], lw=1.8, alpha=paths.alpha)[0] for way in paths.ways]
        self.step = corner(over)
        of_trails = [artist for trail in self.trails for artist in (trail.so_far, trail.now)]
        self.moved: list[Artist] = [*self.lines, *of_trails, self.step]

    def show(self, step: int) -> None:
        for line, trail in zip(self.lines, self.trails, strict=True):
            places = trail.places[: step + 1]
            line.set_data(_joined(np.broadcast_to(np.arange(step + 1.0)[:, None], places.shape)), _joined(places))
            trail.show(step)
        self.step.set_text(f"step {step:,}")


def _trails(axes: Axes, paths: Paths) -> list[_Trail]:
    return [_Trail(axes, paths, way) for way in paths.ways]


def _draw_curve(axes: Axes, paths: Paths) -> None:
    """Draw the curve as far as points start, and where they do."""
    x = np.linspace(paths.left, paths.right, 400)
    axes.plot(x, quartic(x), color=PALE, lw=5, solid_capstyle="round", zorder=1)
    top = max(TOP, float(paths.heights[0].max()) * 1.12)
    axes.set(xlim=(paths.left, paths.right), ylim=(-0.06 * top, top))
    axes.set_xlabel("x", fontsize=13)
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    size = 70 if paths.few else 12
    axes.scatter(paths.places[0], paths.heights[0], s=size, facecolor="white", edgecolor=INK, zorder=3)


def _name_places(axes: Axes, paths: Paths) -> None:
    """Write the names of both flat places, of few starts their numbers, and how many points ended in which way."""
    axes.set_ylabel("f(x)", fontsize=13)
    top = axes.get_ylim()[1]
    line = {"arrowstyle": "-", "color": "#888888"}
    for words, at, place in (
        ("flat, but no minimum", (FLAT, 1.9), (-0.42, 2 - 0.18 * top)),
        ("the minimum, f(1.5) = 0.3125", (LOWEST, 0.25), (1.15, -0.033 * top)),
    ):
        axes.annotate(words, at, place, fontsize=12, color=INK, ha="center", arrowprops=line)
    starts = paths.places[0]
    for start, height in zip(starts, paths.heights[0]) if paths.few else ():
        crowded = any(0 < other - start < 0.3 for other in starts)
        axes.annotate(
            written(start), (start, height), (-7 if crowded else 7, 7), textcoords="offset points",
            ha="right" if crowded else "left", fontsize=13, color=INK,
        )  # fmt: skip
    handles = [_handle(way, f"{WAYS[way]}: {(paths.ends == way).sum()} of {paths.count}") for way in paths.ways]
    look = {"ncols": 4, "columnspacing": 1.2, "frameon": False, "fontsize": 13}
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), **look)


def _joined(values: np.ndarray) -> np.ndarray:
    """Return the columns of values (steps, points) one after the other, with a gap between them."""
    return np.vstack([values, np.full((1, values.shape[1]), np.nan)]).ravel(order="F")
