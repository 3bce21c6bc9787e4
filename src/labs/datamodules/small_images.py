"""What the sources of small pictures (MNIST, CIFAR-10) share: their archives, and resizing in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from labs.datamodules.fetch import Archive, fetch
from labs.datamodules.sources import LabeledImages
from labs.errors import LabsError


def fetch_or_say_embedded(archive: Archive, folder: Path) -> Path:
    """Return the path of a verified archive in `folder`, downloading it if it is not there.

    Raises:
        LabsError: as `labs.datamodules.fetch.fetch`, with the way to do without the dataset.
    """
    try:
        return fetch(archive, folder)
    except LabsError as error:
        instead = "Without the dataset, add data=embedded to the same command: small, offline, labelled so."
        raise LabsError(f"{error}\n{instead}") from error


def labeled(pixels: np.ndarray, labels: Sequence[Any], classes: Sequence[str]) -> LabeledImages:
    """Put a training and a test set together: `labels` are those of each, `pixels` of both, in this order."""
    train, test = (np.asarray(part, dtype=np.int64) for part in labels)
    names = [f"{split}_{row:05d}" for split, part in (("train", train), ("test", test)) for row in range(len(part))]
    is_test = np.arange(len(pixels)) >= len(train)
    return LabeledImages(pixels, np.concatenate([train, test]), names, list(classes), is_test)


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize (images, channels, height, width) uint8 to squares of `size` pixels, bilinear with antialiasing."""
    if pixels.shape[2:] == (size, size):
        return pixels
    resized = np.empty((*pixels.shape[:2], size, size), dtype=np.uint8)
    for planes, target in zip(pixels, resized):
        for plane, out in zip(planes, target):
            out[:] = np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
    return resized
