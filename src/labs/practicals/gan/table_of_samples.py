"""Adversarial networks in the report: for each row a line with numbers, samples during training and both losses."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from labs.drawing.figures import Figure
from labs.drawing.picture_sheets import show
from labs.practicals.gan import SHEET
from labs.practicals.gan.run_sheet import choose, draw_losses, read_losses, stated_iterations
from labs.quantities import quantity
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row
from labs.reporting.statistics import over_seeds

TEXT_WIDTH = 36  # letters of a line beside the pictures


def draw_table_of_samples(rows: Sequence[Row], title: str) -> bytes | None:
    """Draw one line per row: its numbers, samples of the same latents at three iterations, and both losses.

    Pictures and losses are those of the first seed, the numbers are means over seeds. Rows that left neither pictures
    nor losses are left out. Returns the PNG, or None without any row.
    """
    found = [(row, _samples(row.runs[0]), read_losses(row.runs[0].directory)) for row in rows if row.runs]
    lines = [(row, samples, losses) for row, samples, losses in found if samples or losses is not None]
    if not lines:
        return None
    labels = list(dict.fromkeys(label for row, _, _ in lines for label in row.labels))
    figure = Figure(figsize=(14.2, 0.6 + 2.9 * len(lines)), layout="constrained")
    figure.suptitle("\n".join(filter(None, (title, " · ".join(labels)))), fontsize=12)
    ratios = {"width_ratios": (2.5, 2.6, 2.6, 2.6, 3.9)}
    panels = figure.subplots(len(lines), 5, squeeze=False, gridspec_kw=ratios)
    for (text, *pictures, curves), (row, samples, losses) in zip(panels, lines, strict=True):
        for axes in (text, *pictures):
            axes.set_axis_off()
        text.text(0.0, 0.5, _words(row), transform=text.transAxes, fontsize=8.5, va="center")
        *before, end = choose(list(samples), stated_iterations(row.runs[0].directory)) or (None,)
        for axes, iteration in zip(pictures, before, strict=False):
            show(axes, samples[iteration], f"iteration {iteration}")
        if end is not None:
            show(pictures[-1], samples[end], f"iteration {end}, the end")
        if losses is None:
            curves.set_axis_off()
        else:
            draw_losses(curves, losses)
    return figure.png(dpi=110)


def _samples(run: Run) -> dict[int, Path]:
    """Return the pictures of samples by their iteration."""
    files = sorted((run.directory / "images" / "samples").glob("*.png"))
    return {int(file.stem): file for file in files if file.stem.isdecimal()}


def _words(row: Row) -> str:
    run, losses = row.runs[0], read_losses(row.runs[0].directory)
    many = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    facts = [quantity(int(losses["iteration"].max()), "iteration")] if losses is not None else []
    facts += [f"{run.seconds:.0f} s"] if run.seconds is not None else []
    lines = [row.name, ", ".join(facts) + many, ""]
    for column in (column for column in SHEET.columns if column.key.startswith("test/")):
        values = [value for run in row.runs if (value := column.value(run)) is not None]
        if values and len(values) == len(row.runs):  # a mean over other seeds than its neighbors' would mislead
            estimate = over_seeds(values)
            spread = f" ± {estimate.std:.2g}" if estimate.std else ""
            lines.append(f"{column.title} {estimate.mean:.3g}{spread}")
    return "\n".join(textwrap.fill(line, TEXT_WIDTH) for line in lines)
