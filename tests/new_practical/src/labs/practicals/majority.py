"""The most frequent class: a practical that trains nothing."""

from labs.practicals import Column, Sheet

SHEET = Sheet(
    title="The most frequent class",
    docs="docs/majority.md",
    columns=(Column("test/acc", "accuracy (%)", "higher", "percent", interval=True),),
    predicts="test/acc",
)
