"""Brier scores: a practical that did not exist when labs was written."""

from labs.practicals import Column, Panel, Sheet

SHEET = Sheet(
    title="Brier scores of digits",
    handout="none",
    docs="docs/brier.md",
    leads="test/brier",
    watched=("val/brier",),
    columns=(
        Column("test/brier", "Brier score", "lower", interval=True),
        Column("test/acc", "accuracy (%)", "higher", "percent", interval=True),
    ),
    caption="The Brier score is 0 for certain and right predictions, 2 for certain and wrong ones.",
    panels=(Panel("brier", "Brier score"),),
    predicts="test/acc",
    answers="best",
    try_out=("callbacks.pictures=null",),
)
