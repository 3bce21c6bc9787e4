"""Shared code for datasets of small images (MNIST, MNIST-M, CIFAR-10): their archives, and stores of their pixels."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from labs import LabsError
from labs.datamodules.sources import LabeledImages
from labs.storage.fetch import Archive, fetch
from labs.storage.stores import stored_or_held

VERSION = 1  # of reading, padding and resizing; raised when the same files give different pixels


def fetch_or_suggest_embedded(archive: Archive, folder: Path) -> Path:
    """Return the path of a verified archive in `folder`; download it if it is missing.

    Raises:
        LabsError: see `labs.storage.fetch.fetch`; the message also suggests data=embedded.
    """
    try:
        return fetch(archive, folder)
    except LabsError as error:
        instead = "Without the dataset, add data=embedded to the same command: it is offline, and the results say so."
        raise LabsError(f"{error}\n{instead}") from error


def digests(*archives: Archive) -> dict[str, str]:
    """Return the expected digest of each archive by name, to identify what pixels are made from."""
    return {archive.name: f"{archive.algorithm} {archive.digest}" for archive in archives}


def sized_pixels(
    made_from: Mapping[str, Any],
    shape: tuple[int, int, int, int],
    cache: Path,
    read: Callable[[], tuple[np.ndarray, Mapping[str, Any]]],
) -> tuple[np.ndarray, Mapping[str, Any]]:
    """Return a dataset's pixels at one size from a store; read and resize them only if there is none.

    Args:
        made_from: what identifies these pixels, as strings and numbers; it is stored with them.
        shape: (images, channels, size, size).
        cache: the source's cache; the stores are in `<cache>/pixels/`.
        read: returns all pixels at their original size, uint8, and facts to store with them.

    Returns:
        The pixels, memory-mapped if the disk has room, and the facts.
    """
    recipe = {"version": VERSION, "size": shape[-1], "made_from": made_from}
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:24]

    def fill(sized: np.ndarray) -> dict[str, Any]:
        pixels, facts = read()
        _resize_into(pixels, sized)
        return {**recipe, **facts}

    return stored_or_held(cache / "pixels" / f"{key}.npy", shape, np.uint8, fill)


def labeled(pixels: np.ndarray, labels: Sequence[Any], classes: Sequence[str]) -> LabeledImages:
    """Combine a training and a test set: `labels` is a list for each, `pixels` is for both, in this order."""
    train, test = (np.asarray(part, dtype=np.int64) for part in labels)
    names = [f"{split}_{row:05d}" for split, part in (("train", train), ("test", test)) for row in range(len(part))]
    is_test = np.arange(len(pixels)) >= len(train)
    return LabeledImages(pixels, np.concatenate([train, test]), names, list(classes), is_test)


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize (images, channels, height, width) uint8 to squares of `size` pixels, bilinear with antialiasing."""
    if pixels.shape[2:] == (size, size):
        return pixels
    resized = np.empty((*pixels.shape[:2], size, size), dtype=np.uint8)
    _resize_into(pixels, resized)
    return resized


def _resize_into(pixels: np.ndarray, resized: np.ndarray) -> None:
    if pixels.shape == resized.shape:
        resized[:] = pixels
        return
    size = resized.shape[-1]
    for planes, target in zip(pixels, resized, strict=True):
        for plane, out in zip(planes, target, strict=True):
            out[:] = np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
