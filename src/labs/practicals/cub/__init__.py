"""Fine-tuning on CUB-200: what to freeze, and how to normalize."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from labs.practicals import CLASSIFIED, Column, Question, Sheet

if TYPE_CHECKING:
    from labs.reporting.recorded_run import Run


def _at_best_training_epoch(name: str) -> "Callable[[Run], float | None]":
    """Return a reader of a column of log.tsv at the first epoch with the highest training accuracy."""

    def read(run: "Run") -> float | None:
        log = run.log
        if log is None or name not in log or "train/acc" not in log or log["train/acc"].dropna().empty:
            return None
        return float(log[name].iloc[int(log["train/acc"].argmax())])

    return read


SHEET = Sheet(
    title="CUB-200: freezing policy and normalization",
    handout="hand-out 000, question 1",
    docs="docs/cub.md",
    about=(
        "Question 1 fine-tunes a ResNet-18 on photographs of 200 bird species: four freezing policies, each "
        "with two normalizations."
    ),
    questions=(
        Question("000, 1a", "How far does the net get from random weights?"),
        Question("000, 1b", "How far does the pretrained net get with every convolution frozen?"),
        Question("000, 1c", "And with only layer1 frozen?"),
        Question("000, 1d", "And with nothing frozen?"),
        Question("000, 1", "Each training was run twice. Which normalization works better for which policy, and why?"),
    ),
    columns=(
        Column("train/acc", "accuracy (%)", "higher", "percent", "Training", read=_at_best_training_epoch("train/acc")),
        Column("train/loss", "loss", "lower", group="Training", read=_at_best_training_epoch("train/loss")),
        Column("erm", "ERM", "lower", "count", "Training", read=_at_best_training_epoch("epoch")),
        Column("test/acc", "accuracy (%)", "higher", "percent", "Testing", interval=True),
        Column("test/loss", "loss", "lower", group="Testing", interval=True),
    ),
    caption=(
        "Training accuracy is the maximum over the epochs, with the loss of that epoch; "
        "ERM is the epoch (from 1) that first reached the maximum."
    ),
    published=__name__,
    files=CLASSIFIED,
    predicts="test/acc",
    answers="best",
    try_out=("callbacks.pictures=null",),
)
