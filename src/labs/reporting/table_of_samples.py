"""Adversarial networks in the report: a line a row with its numbers, samples as they grow, and both losses."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from labs.reporting.figures import PALETTE
from labs.reporting.row import Row
from labs.reporting.runs import Run
from labs.reporting.statistics import over_seeds

# iterations that hand-out 002 shows before the end, and where they lie in its run: a shorter run shows those places
STATED = ((400, 1 / 6), (2000, 5 / 6))
LOSSES = {"discriminator": PALETTE[0], "generator": PALETTE[1]}
MEASURED = {
    "FID": "test/fid",
    "FID at the start": "test/fid_start",
    "FID floor": "test/fid_floor",
    "KID": "test/kid",
    "classes covered": "test/coverage",
    "histogram distance": "test/histogram_distance",
    "precision": "test/precision",
    "recall": "test/recall",
    "label agreement": "test/label_agreement",
    "neighbour ratio": "test/neighbour_ratio",
}
SMOOTHED = 50  # a moving median is taken over one part in so many of the iterations
TEXT_WIDTH = 36  # letters of a line beside the pictures


def draw_table_of_samples(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw a line a row: its numbers, samples of the same latents at three iterations, and both losses.

    Pictures and losses are those of the first seed, the numbers are means over seeds. Rows that left neither pictures
    nor losses are left out. Returns the PNG, or None without any row.
    """
    found = [(row, _samples(row.runs[0]), read_losses(row.runs[0])) for row in rows if row.runs]
    lines = [(row, samples, losses) for row, samples, losses in found if samples or losses is not None]
    if not lines:
        return None
    labels = list(dict.fromkeys(label for row, _, _ in lines for label in row.labels))
    figure = Figure(figsize=(14.2, 0.6 + 2.9 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=12)
    ratios = {"width_ratios": (2.5, 2.6, 2.6, 2.6, 3.9)}
    panels = figure.subplots(len(lines), 5, squeeze=False, gridspec_kw=ratios)
    for (text, *pictures, curves), (row, samples, losses) in zip(panels, lines, strict=True):
        for axes in (text, *pictures):
            axes.set_axis_off()
        text.text(0.0, 0.5, _words(row), transform=text.transAxes, fontsize=8.5, va="center")
        *before, end = choose(list(samples)) or (None,)
        for axes, iteration in zip(pictures, before, strict=False):
            _show(axes, samples[iteration], f"iteration {iteration}")
        if end is not None:
            _show(pictures[-1], samples[end], f"iteration {end}, the end")
        _draw_losses(curves, losses)
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=110)
    return output.getvalue()


def choose(iterations: Sequence[int]) -> list[int]:
    """Choose up to three iterations: the two that the hand-out shows, or the nearest to them, and the last.

    Examples:
        >>> choose([0, 100, 400, 1000, 2000, 2345])
        [400, 2000, 2345]
        >>> choose([0, 10, 20, 30, 40, 50, 60])
        [10, 50, 60]
    """
    *before, end = sorted(iterations) or [0]
    chosen: list[int] = []
    for stated, share in STATED:
        target = stated if stated < end else share * end
        left = [iteration for iteration in before if iteration not in chosen]
        chosen += [min(left, key=lambda iteration: abs(iteration - target))] if left else []
    return [*sorted(chosen), end] if iterations else []


def read_losses(run: Run) -> pd.DataFrame | None:
    """Read `losses.tsv`, a row an iteration; None if there is none, or one that nobody can read."""
    try:
        table = pd.read_csv(run.directory / "losses.tsv", sep="\t").astype(float)
    except (OSError, ValueError):  # pandas' parser errors are ValueErrors
        return None
    return table if len(table) and {"iteration", *LOSSES} <= set(table.columns) else None


def _samples(run: Run) -> dict[int, Path]:
    """Return the pictures of samples by their iteration."""
    files = sorted((run.directory / "images" / "samples").glob("*.png"))
    return {int(file.stem): file for file in files if file.stem.isdecimal()}


def _words(row: Row) -> str:
    run, losses = row.runs[0], read_losses(row.runs[0])
    many = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    facts = [f"{losses['iteration'].max():.0f} iterations"] if losses is not None else []
    facts += [f"{run.seconds:.0f} s"] if run.seconds is not None else []
    lines = [row.name, ", ".join(facts) + many, ""]
    for word, name in MEASURED.items():
        values = [run.metrics[name] for run in row.runs if name in run.metrics]
        if len(values) == len(row.runs):  # a mean over other seeds than its neighbours' would mislead
            estimate = over_seeds(values)
            # the floor is the same for every seed, but for the dust of floating point
            told = estimate.std is not None and estimate.std > 1e-6 * abs(estimate.mean)
            spread = f" ± {estimate.std:.2g}" if told else ""
            lines.append(f"{word} {estimate.mean:.3g}{spread}")
    return "\n".join(textwrap.fill(line, TEXT_WIDTH) for line in lines)


def _show(axes: Axes, file: Path, title: str) -> None:
    axes.set_title(title, fontsize=8)
    try:
        with Image.open(file) as image:
            axes.imshow(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError):  # Pillow raises each of them on some damaged file
        axes.text(0.5, 0.5, "cannot be read", transform=axes.transAxes, ha="center")


def _draw_losses(axes: Axes, losses: pd.DataFrame | None) -> None:
    """Draw each loss as it was, lightly, and its moving median; a few spikes leave the panel."""
    if losses is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no losses", transform=axes.transAxes, ha="center", fontsize=8)
        return
    for name, colour in LOSSES.items():
        smooth = losses[name].rolling(max(1, len(losses) // SMOOTHED), center=True, min_periods=1).median()
        axes.plot(losses["iteration"], losses[name], color=colour, lw=0.4, alpha=0.3)
        axes.plot(losses["iteration"], smooth, color=colour, lw=1.4, label=name)
    values = losses[list(LOSSES)].to_numpy()
    values = values[np.isfinite(values)]
    if len(values):
        low, high = np.quantile(values, (0.005, 0.995))
        room = max(0.08 * (high - low), 0.05)
        axes.set_ylim(low - room, high + room)
    axes.set_title("losses", fontsize=8)
    axes.set_xlabel("iteration", fontsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
