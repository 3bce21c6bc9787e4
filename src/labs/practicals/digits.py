"""The quick start: fine-tuning as on CUB-200, on small handwritten digits."""

from dataclasses import replace

from labs.practicals.cub import SHEET as CUB

SHEET = replace(
    CUB,
    title="Handwritten digits: the quick start",
    handout="",
    about="",
    questions=(),
    docs="docs/digits.md",
    published="",
)
