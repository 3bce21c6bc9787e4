"""451 paintings of 11 artists: a small net that overfits, what helps against it, and what it looks at."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs.practicals import CLASSIFIED, SETTINGS, Column, Question, Sheet, final_metrics

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run

VARIANTS = {
    "translated": "moved",
    "brightened": "brighter",
    "darkened": "darker",
    "high_contrast": "high contrast",
    "low_contrast": "low contrast",
    "flipped": "turned by 180°",
    "inverted": "inverted",
}


def _at_the_end(name: str) -> "Callable[[Run], float | None]":
    """Return a reader of a column of log.tsv at the last epoch, whichever was tested: there overfitting shows."""

    def read(run: "Run") -> float | None:
        if run.log is None or name not in run.log or run.log[name].dropna().empty:
            return None
        return float(run.log[name].dropna().iloc[-1])

    return read


def _tested_epoch(run: "Run") -> float | None:
    return None if run.best_epoch is None else float(run.best_epoch)


def _results(facts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    """Write accuracy and loss of every split, and of every version of the test images."""
    lines = final_metrics(facts, run_dir)
    if not (run_dir / "variants.tsv").is_file():  # callbacks=default
        return lines
    with (run_dir / "variants.tsv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["variant"] in VARIANTS:
                accuracy, loss = float(row["accuracy"]), float(row["loss"])
                count = str(facts.get("counts", {}).get("test", ""))
                lines.append([f"test, {VARIANTS[row['variant']]}", count, f"{100 * accuracy:.2f} %", f"{loss:.4f}"])
    return lines


SHEET = Sheet(
    title="Paintings of 11 artists",
    handout="hand-out 001, part 1",
    docs="docs/artists.md",
    about="Part 1 trains a small convolutional net to name the painter of 451 works by 11 artists.",
    questions=(
        Question(
            "001, 1.1",
            "How large is the receptive field after a 5x5 and a 3x3 convolution, and why does depth help?",
        ),
        Question("001, 1.2a", "Which layers, activation and loss does the net have, and how is the loss minimized?"),
        Question(
            "001, 1.2b",
            "Which training and validation accuracy does it reach, and what do the two numbers tell you?",
        ),
        Question(
            "001, 1.3",
            "How does max pooling change training and validation accuracy, and what does that say about it?",
        ),
        Question("001, 1.4", "What does each way of regularizing do on its own, and which helps most?"),
        Question(
            "001, 1.5",
            "What do larger filters, larger strides and more depth do? Is a pyramid better than a flat net or "
            "its inverse?",
        ),
        Question("001, 1.6", "What is the best validation accuracy that you reach, and with which settings?"),
        Question(
            "001, 1.7",
            "Which changes of the test images does the net withstand, which not, and what has it learned to look at?",
        ),
    ),
    columns=(
        Column("train/acc", "training (%)", "neither", "percent", "Last epoch", read=_at_the_end("train/acc")),
        Column("val/acc", "validation (%)", "higher", "percent", "Last epoch", read=_at_the_end("val/acc")),
        Column("best_epoch", "tested", "neither", "count", "Epoch", read=_tested_epoch),
        Column("test/acc", "accuracy (%)", "higher", "percent", "Testing", interval=True),
        Column("test/loss", "loss", "lower", group="Testing"),
        *(
            Column(f"test/{name}_acc", f"{words} (%)", "higher", "percent", "Test images")
            for name, words in VARIANTS.items()
        ),
    ),
    caption=(
        "The accuracies of the last epoch show how far a net overfits. Tested are the weights of the epoch that did "
        "best in validation, on the test images, and on the same images moved, brighter, darker, "
        "turned and inverted. The largest class has 15.5 % of the paintings."
    ),
    published=__name__,
    settings=(*SETTINGS, "datamodule.fold", "module.net.dropout"),
    files=(
        "variants.tsv",
        *CLASSIFIED,
        "images/test_variants.png",
    ),
    pictures=("result.png", "images/test_variants.png"),
    best_pictures=(*CLASSIFIED, "images/test_variants.png"),
    results=_results,
    predicts="test/acc",
    answers="best",
    try_out=("callbacks.pictures=null",),
)
