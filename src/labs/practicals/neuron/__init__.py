"""One neuron learns NOT: a first look at training, with two numbers to learn and two inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs.practicals import SECONDS, SETTINGS, Column, Question, Sheet, later


def _results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Return what was measured on the held-out bits, and what was learned."""
    metrics = facts["metrics"]
    right = f"{metrics['test/right_from']:,.0f}" if "test/right_from" in metrics else "not at the end"
    return [
        ["measured", "value"],
        ["accuracy on held-out bits", f"{100 * metrics['test/acc']:.0f} %"],
        ["loss on held-out bits", f"{metrics['test/loss']:.3g}"],
        ["every answer is right from step", right],
        ["weight", f"{metrics['test/weight']:.4g}"],
        ["bias", f"{metrics['test/bias']:.4g}"],
    ]


SHEET = Sheet(
    title="One neuron learns NOT",
    handout="hand-out 004, part 1",
    docs="docs/neuron.md",
    about="Part 1 trains one neuron to compute x -> 1 - x on bits.",
    questions=(
        Question("004, 1.1", "What does the neuron learn, and which kind of learning is this?"),
        Question("004, 1.1.1", "Which data is it trained on and tested on, and what is each set for?"),
        Question("004, 1.3", "How do training loss and test loss develop? Does the neuron overfit?"),
    ),
    ranks=False,  # every row is right
    columns=(
        Column("test/acc", "accuracy (%)", "higher", "percent"),
        Column("test/loss", "loss", "neither"),
        Column("test/right_from", "every answer is right from step", "lower"),
        Column("test/weight", "weight", "neither"),
        Column("test/bias", "bias", "neither"),
        SECONDS,
    ),
    caption=(
        "Measured on held-out bits, which are the same two inputs as the training bits. The loss of a sigmoid is the "
        "cross-entropy, that of a linear neuron the squared error, so the two cannot be compared."
    ),
    settings=("module.activation", *SETTINGS),
    files=("steps.tsv",),
    pictures=("result.png", "result.gif"),
    results=_results,
    draw=later(f"{__name__}.pictures.draw_run"),
)
