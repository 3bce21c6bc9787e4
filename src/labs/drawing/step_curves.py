"""Curves of a run over its steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labs.drawing.curves import PALETTE
from labs.drawing.figures import Figure


def draw_steps(rows: np.ndarray, path: Path, labels: Sequence[str]) -> None:
    """Draw accuracy and loss of the training batch.

    Args:
        rows: (measurements, 3): step, loss, accuracy in [0, 1].
        path: The PNG file to write.
        labels: Notes for the reader; printed below the title.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    note = f"\n{', '.join(labels)}" if labels else ""
    figure.suptitle(f"Training batch after each measured step, without dropout{note}", fontsize=10)
    for axes, values, title, color in zip(
        figure.subplots(1, 2), (100 * rows[:, 2], rows[:, 1]), ("accuracy (%)", "loss"), PALETTE
    ):
        axes.plot(rows[:, 0], values, color=color, linewidth=1, marker="o", markersize=2)
        axes.set(xlabel="optimizer step", title=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.write(path, dpi=110)
