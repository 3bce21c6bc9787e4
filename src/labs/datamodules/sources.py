"""The interface of all datasets of labeled images, and what a run prints about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labs import LabsError
from labs.datamodules.findings import Findings
from labs.datamodules.image_files import counted
from labs.functional.normalization import IMAGENET, Normalization
from labs.quantities import quantity


class LabeledImages(NamedTuple):
    """All images of a dataset, decoded, with their labels and test set."""

    pixels: np.ndarray  # (images, channels, size, size) uint8
    labels: np.ndarray  # (images,) int64
    names: list[str]  # one per image, unique
    classes: list[str]  # one per label
    is_test: np.ndarray  # (images,) bool
    groups: np.ndarray | None = None  # (images,) int64; images of one group must stay in the same split
    is_val: np.ndarray | None = None  # (images,) bool, if the source has validation images
    findings: Findings | None = None  # what reading the images found, if more than counts


class Source(Protocol):
    """A dataset; there is one class per dataset, such as `labs.datamodules.cub200.CUB200`."""

    name: str  # names the dataset in tables and cache keys
    cache: Path  # folder for what is computed from the images

    def load(self, size: int) -> LabeledImages:
        """Download or draw the images, decode them at `size` pixels, and return them; later calls are fast."""
        ...


def check_classes(num_classes: int, classes: Sequence[str], where: str) -> None:
    """Raise an error unless the number of classes is that of the images."""
    if len(classes) != num_classes:
        raise LabsError(
            f"datamodule.num_classes={num_classes}: found {quantity(len(classes), 'class')} in {where}; "
            f"type datamodule.num_classes={len(classes)}."
        )


@rank_zero_only
def say(line: str, labels: Sequence[str]) -> None:
    """Print a line about the data, with the labels of the run."""
    notes = [(f" ({', '.join(labels)})", "bold yellow")] if labels else []
    Console(emoji=False).print(Text.assemble(line, *notes), soft_wrap=True)


def print_found(name: str, images: int, classes: int, others: Mapping[str, int], converted: Mapping[str, int]) -> None:
    """Print what was read from folders of image files, if anything was skipped or converted.

    Args:
        name: name of the dataset.
        images: number of images that were read.
        classes: number of their classes.
        others: numbers of other files, by description.
        converted: numbers of converted images, by description.
    """
    found = {"skipped": others, "converted": converted}
    if notes := [f"{what}: {counted(numbers)}" for what, numbers in found.items() if any(numbers.values())]:
        say(f"{name}: read {quantity(images, 'image')} of {quantity(classes, 'class')} ({'; '.join(notes)})", [])


@rank_zero_only
def print_splits(
    name: str, rows: Mapping[str, np.ndarray], classes: int, labels: Sequence[str], measured: Normalization | None
) -> None:
    """Print the number of images in each split, the labels of the run, and the measured statistics."""
    counts = ", ".join(f"{len(part)} {split}" for split, part in rows.items())
    images = len(np.unique(np.concatenate(list(rows.values()))))
    say(f"{name}: {quantity(images, 'image')} of {quantity(classes, 'class')}; {counts}", labels)
    if measured is not None:
        table = Table("normalization", "mean R G B", "std R G B", title_justify="left")
        for statistics in (measured, IMAGENET):
            table.add_row(statistics.name, *(" ".join(f"{v:.4f}" for v in row) for row in statistics[1:]))
        Console(emoji=False, markup=False).print(table)
