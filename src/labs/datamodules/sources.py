"""What every source of labelled images hands over."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np


class LabeledImages(NamedTuple):
    """What a source hands over: all images of a dataset, decoded, with their labels and its own test set."""

    pixels: np.ndarray  # (images, channels, size, size) uint8
    labels: np.ndarray  # (images,) int64
    names: list[str]  # one an image, unique
    classes: list[str]  # one a label
    is_test: np.ndarray  # (images,) bool
    groups: np.ndarray | None = None  # (images,) int64, equal where images show one thing, and must not be cut apart


class Source(Protocol):
    """Where images come from: one class a dataset, such as `labs.datamodules.cub200.CUB200`."""

    name: str  # names the dataset in tables and cache keys
    cache: Path  # folder for what is computed from the images

    def load(self, size: int) -> LabeledImages:
        """Download or draw, decode at `size` pixels, and return the images; cheap when that has been done before."""
        ...
