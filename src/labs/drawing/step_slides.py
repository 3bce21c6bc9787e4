"""Slides of a run whose steps are all recorded, as a picture and as an animation."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.text import Text

from labs.drawing.animation import save_animation
from labs.drawing.curves import MAX_FRAMES
from labs.drawing.figures import Figure
from labs.quantities import quantity
from labs.storage.files import read_text

SIZE = (12.8, 7.2)  # inches: fills a slide
DPI = {"result.png": 110, "result.gif": 62}
INK, GRAY = "#333333", "#555555"
MINUS = "\N{MINUS SIGN}"


class Moving(Protocol):
    """The parts of a figure that change from step to step."""

    @property
    def moved(self) -> Sequence[Artist]:
        """Return the artists, from back to front."""

    def show(self, step: int) -> None:
        """Show the state after a step."""


def draw_slides(
    run_dir: Path,
    title: str,
    subtitle: str,
    widths: tuple[float, float],
    steps: int,
    draw: Callable[[Axes, Axes], Moving],
) -> None:
    """Draw `result.png`, the state after the last step, and `result.gif`, the steps as an animation.

    Args:
        run_dir: Folder of both files.
        title: Title in large letters.
        subtitle: Text below the title.
        widths: Relative widths of the two panels.
        steps: Number of steps.
        draw: Fills both panels and returns the moving parts.
    """
    for name, dpi in DPI.items():
        with clear_letters():
            figure = Figure(figsize=SIZE, dpi=dpi, facecolor="white")
            room = {"left": 0.06, "right": 0.97, "top": 0.8, "bottom": 0.1}
            panels = figure.subplots(1, 2, width_ratios=widths, gridspec_kw=room)
            figure.text(0.06, 0.94, title.replace(" - ", f" {MINUS} "), fontsize=22, weight="bold", color=INK)
            figure.text(0.06, 0.895, subtitle, fontsize=13, color=GRAY)
            moving = draw(*panels)
            moving.show(steps)
            if name == "result.gif":
                save_animation(figure, moving.moved, frames_of(steps), moving.show, run_dir / name)
                continue
            figure.write(run_dir / name)


def clear_letters() -> AbstractContextManager[None]:
    """Draw text without font hinting, which makes small letters look like those of another font."""
    return matplotlib.rc_context({"text.hinting": "no_hinting"})


def frames_of(steps: int) -> list[int]:
    """Return the steps that an animation shows: most of them at the beginning, where most changes happen.

    Examples:
        >>> frames_of(3), frames_of(1000)[-3:]
        ([0, 1, 2, 3], [791, 890, 1000])
    """
    return [0, *np.unique(np.geomspace(1, steps, MAX_FRAMES).round().astype(int)).tolist()] if steps else [0]


def over_steps(axes: Axes, steps: int) -> None:
    """Set a horizontal axis of steps from 0, logarithmic from 1 on."""
    last = max(steps, 1)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, last * 1.15)
    axes.set_xlabel("step", fontsize=13)
    ticks = [0, *(10**power for power in range(6) if 10**power <= last)]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def corner(axes: Axes) -> Text:
    """Return an empty text above the right corner of a panel."""
    return axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", fontsize=14, weight="bold", color=INK)


def read_steps(run_dir: Path) -> pd.DataFrame | None:
    """Read `steps.tsv`, one row per step; return None if the file is missing or damaged."""
    try:
        table = pd.read_csv(io.StringIO(read_text(run_dir / "steps.tsv")), sep="\t", index_col="step").astype(float)
    except (OSError, ValueError, TypeError):  # raised by pandas for damaged files
        return None
    return table if table.size else None


def subtitle_of(facts: Mapping[str, Any], steps: int, *first: str) -> str:
    """Describe the settings of a run, from the facts in `metrics.json`.

    Examples:
        >>> settings = {"module.optimizer.lr": 0.1, "module.optimizer.momentum": 0.0}
        >>> subtitle_of({"settings": settings, "labels": ["x"]}, 1000)
        'learning rate 0.1 · 1,000 steps · x'
    """
    settings = facts.get("settings", {})
    lr, momentum = settings.get("module.optimizer.lr"), settings.get("module.optimizer.momentum")
    parts = [*first, f"learning rate {lr:g}" if lr else "", f"momentum {momentum:g}" if momentum else ""]
    return " · ".join(filter(None, (*parts, quantity(steps, "step"), *facts.get("labels", ()))))


def written(number: float, form: str = "g") -> str:
    """Format a number with a typographic minus sign."""
    return f"{number:{form}}".replace("-", MINUS)
