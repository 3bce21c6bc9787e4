"""What every source of labelled images hands over, and what a run tells of it."""

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


class LabeledImages(NamedTuple):
    """What a source hands over: all images of a dataset, decoded, with their labels and its own test set."""

    pixels: np.ndarray  # (images, channels, size, size) uint8
    labels: np.ndarray  # (images,) int64
    names: list[str]  # one an image, unique
    classes: list[str]  # one a label
    is_test: np.ndarray  # (images,) bool
    groups: np.ndarray | None = None  # (images,) int64, equal where images show one thing, and must not be cut apart
    is_val: np.ndarray | None = None  # (images,) bool, where the source has validation images of its own
    findings: Findings | None = None  # what the reader found on its way, if there is more to say than counts


class Source(Protocol):
    """Where images come from: one class a dataset, such as `labs.datamodules.cub200.CUB200`."""

    name: str  # names the dataset in tables and cache keys
    cache: Path  # folder for what is computed from the images

    def load(self, size: int) -> LabeledImages:
        """Download or draw, decode at `size` pixels, and return the images; cheap when that has been done before."""
        ...


def check_classes(num_classes: int, classes: Sequence[str], where: str) -> None:
    """Refuse a number of classes that is not that of the images."""
    if len(classes) != num_classes:
        raise LabsError(
            f"datamodule.num_classes={num_classes}: there are {len(classes)} classes in {where}; "
            f"type datamodule.num_classes={len(classes)}."
        )


@rank_zero_only
def say(line: str, labels: Sequence[str]) -> None:
    """Print what the data is, and what every number of it must carry."""
    notes = [(f" ({', '.join(labels)})", "bold yellow")] if labels else []
    Console(emoji=False).print(Text.assemble(line, *notes), soft_wrap=True)


def say_found(name: str, images: int, classes: int, others: Mapping[str, int], converted: Mapping[str, int]) -> None:
    """Print what was read from folders of image files, where something was passed over or converted.

    Args:
        name: of the dataset.
        images: that were read.
        classes: that they have.
        others: what else lay in the folders, in words, with its number.
        converted: what was done to images, in words, with their number.
    """
    found = {"passed over": others, "converted": converted}
    if notes := [f"{what}: {counted(numbers)}" for what, numbers in found.items() if any(numbers.values())]:
        say(f"{name}: read {images} images of {classes} classes ({'; '.join(notes)})", [])


@rank_zero_only
def tell(
    name: str, rows: Mapping[str, np.ndarray], classes: int, labels: Sequence[str], measured: Normalization | None
) -> None:
    """Print how many images each split has, what every number of them must carry, and what was measured of them."""
    counts = ", ".join(f"{len(part)} {split}" for split, part in rows.items())
    images = len(np.unique(np.concatenate(list(rows.values()))))
    say(f"{name}: {images} images of {classes} classes; {counts}", labels)
    if measured is not None:
        table = Table("normalisation", "mean R G B", "std R G B", title_justify="left")
        for statistics in (measured, IMAGENET):
            table.add_row(statistics.name, *(" ".join(f"{v:.4f}" for v in row) for row in statistics[1:]))
        Console(emoji=False, markup=False).print(table)
