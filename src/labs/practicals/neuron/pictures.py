"""Pictures of a neuron: its answer to every input and its losses over the steps, as a figure and a GIF."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from labs.drawing.curves import PALETTE
from labs.drawing.step_slides import GRAY, INK, corner, draw_slides, over_steps, read_steps, subtitle_of, written
from labs.runs.directory import read_facts

TRAIN, TEST, RIGHT, WRONG = PALETTE[5], PALETTE[0], PALETTE[2], PALETTE[1]
INPUTS = np.linspace(-0.4, 1.4, 181)
BITS, WANTED = np.array([0.0, 1.0]), np.array([1.0, 0.0])
COLUMNS = {"weight", "bias", "train_loss", "test_loss", "test_acc"}


def draw_run(run_dir: Path, metrics: Mapping[str, float]) -> None:
    """Draw `result.png` and `result.gif` from the steps of a run."""
    steps, facts = read_steps(run_dir), read_facts(run_dir)
    if steps is not None and set(steps) >= COLUMNS:
        linear = facts.get("settings", {}).get("module.activation") == "linear"
        formula = "output = w·x + b" if linear else "output = sigmoid(w·x + b)"
        count = len(steps) - 1
        subtitle = subtitle_of(facts, count, formula)

        def draw(answers: Axes, losses: Axes) -> _Moving:
            return _Moving(answers, losses, steps, linear=linear)

        draw_slides(run_dir, "One neuron learns NOT", subtitle, (1.2, 1), count, draw)


def right_from(steps: pd.DataFrame) -> int | None:
    """Return after how many steps all answers were right for good; None if they are not.

    Examples:
        >>> right_from(pd.DataFrame({"test_acc": [0.5, 1.0, 0.5, 1.0, 1.0]}))
        3
    """
    wrong = np.flatnonzero(steps["test_acc"] < 1)
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return first if first < len(steps) else None


class _Moving:
    """What differs from frame to frame: the output for every input, and the losses so far."""

    def __init__(self, answers: Axes, losses: Axes, steps: pd.DataFrame, *, linear: bool) -> None:
        self.steps, self.linear = steps, linear
        _prepare_answers(answers)
        _prepare_losses(losses, steps)
        before = self._output(0, INPUTS)
        answers.plot(INPUTS, before, color="#9aa3ad", lw=2, ls="--", zorder=2)
        answers.text(-0.37, before[0] + 0.02, "before", fontsize=12, color=GRAY, clip_on=True)
        self.curve = answers.plot([], [], color=INK, lw=4, zorder=3)[0]
        self.dots = [answers.plot([], [], "o", markersize=15, zorder=5)[0] for _ in BITS]
        self.words = [answers.text(bit, 0, "", fontsize=15, weight="bold", ha="center", va="center") for bit in BITS]
        self.train = losses.plot([], [], color=TRAIN, lw=1)[0]
        self.test = losses.plot([], [], color=TEST, lw=2.6)[0]
        self.count, self.numbers = corner(losses), corner(answers)
        self.moved: list[Artist] = [
            *(self.train, self.test, self.curve, *self.dots, *self.words, self.count, self.numbers)
        ]

    def show(self, step: int) -> None:
        self.curve.set_data(INPUTS, self._output(step, INPUTS))
        for dot, words, bit, wanted, output in zip(self.dots, self.words, BITS, WANTED, self._output(step, BITS)):
            color = RIGHT if (output > 0.5) == (wanted > 0.5) else WRONG
            dot.set(data=([bit], [output]), color=color, markeredgecolor="white")
            place = (bit - 0.17, output - 0.13) if wanted else (bit + 0.17, output + 0.13)
            words.set(text=f"{bit:.0f} → {written(output, '.2f')}", color=color, position=place)
        so_far = self.steps.iloc[: step + 1]
        self.train.set_data(so_far.index, so_far["train_loss"])
        self.test.set_data(so_far.index, so_far["test_loss"])
        weight, bias = (written(so_far[name].iloc[-1], ".2f") for name in ("weight", "bias"))
        self.numbers.set_text(f"w = {weight}   b = {bias}")
        self.count.set_text(f"step {step:,}")

    def _output(self, step: int, inputs: np.ndarray) -> np.ndarray:
        z = self.steps["weight"].iloc[step] * inputs + self.steps["bias"].iloc[step]
        output: np.ndarray = z if self.linear else 1 / (1 + np.exp(-z))
        return output


def _prepare_answers(axes: Axes) -> None:
    axes.axhspan(0.5, 2, color=PALETTE[5], alpha=0.13, lw=0)
    axes.axhspan(-2, 0.5, color=PALETTE[4], alpha=0.13, lw=0)
    axes.text(1.37, 1.26, "answer 1", fontsize=13, color=GRAY, va="top", ha="right")
    axes.text(-0.37, -0.26, "answer 0", fontsize=13, color=GRAY, va="bottom")
    axes.scatter(BITS, WANTED, s=750, facecolor="none", edgecolor=INK, linewidth=2, zorder=4)
    axes.set(xlim=(INPUTS[0], INPUTS[-1]), ylim=(-0.3, 1.3))
    axes.set_xlabel("input x", fontsize=13)
    axes.set_ylabel("output", fontsize=13)
    axes.set_xticks(BITS, ["0", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(labelsize=12)
    axes.spines[["top", "right"]].set_visible(False)


def _prepare_losses(axes: Axes, steps: pd.DataFrame) -> None:
    over_steps(axes, len(steps) - 1)
    values = steps[["train_loss", "test_loss"]].to_numpy().ravel()
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (0.1, 1.0)
    axes.set_yscale("log")
    axes.set_ylim(max(low / 1.5, 1e-9), high * 1.5)
    axes.set_title("loss", fontsize=14, loc="left", color=INK)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.plot([], [], color=TRAIN, lw=2, label="training: the batch of the step")
    axes.plot([], [], color=TEST, lw=2.6, label="test: all bits that are held out")
    first = right_from(steps)
    if first is not None:
        axes.axvline(first, color=RIGHT, ls=":", lw=2, label=f"every answer is right from step {first:,}")
    axes.legend(loc="lower left", fontsize=12, framealpha=0.9, edgecolor="none")
