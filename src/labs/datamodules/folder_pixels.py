"""Decode the user's images once, and note of each what was converted, its content and its perceptual hash."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from labs import LabsError
from labs.datamodules.duplicates import content_of, hash_of
from labs.datamodules.folder_listing import Listed
from labs.datamodules.image_files import READER, UnreadableImageError, read_rgb
from labs.storage.bars import image_bar
from labs.storage.stores import stored_or_held

VERSION = 2  # of what is noted; raised whenever that changes


class Read(NamedTuple):
    """What was read of files; `converted`, `contents` and `hashes` go by the rows of `pixels`."""

    pixels: np.ndarray  # (images, 3, size, size) uint8, memory-mapped where the disk has room
    kept: list[int]  # which files they are of
    unreadable: list[tuple[int, str]]  # which are not, and why
    converted: list[list[str]]  # in words
    contents: list[str]  # of `labs.datamodules.duplicates`, as the hashes
    hashes: list[str]


def read_files(files: Sequence[Listed], size: int, cache: Path) -> Read:
    """Decode images to squares of `size` pixels, leaving out what cannot be read, unless a store has them already.

    The store is keyed by names, lengths and modification times of the files. Copies are looked for in the images as
    they are stored by the user, so that they are the same for every size.

    Raises:
        LabsError: none of the files is an image.
    """
    shape = (len(files), 3, size, size)

    def fill(pixels: np.ndarray) -> dict[str, Any]:
        return _decode(files, size, pixels)

    pixels, facts = stored_or_held(cache / f"{_key(files, size)}.npy", shape, np.uint8, fill)
    unreadable = [(row, why) for row, why in facts["unreadable"]]
    return Read(pixels, facts["kept"], unreadable, *(facts[name] for name in ("converted", "contents", "hashes")))


def _key(files: Sequence[Listed], size: int) -> str:
    hashed = hashlib.sha256(f"folder {VERSION} reader {READER} {size}\n".encode())
    for file in files:
        try:
            status = file.path.stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # gone meanwhile: the reader says so
            stamp = "none"
        hashed.update(f"{file.name} {stamp}\n".encode())
    return hashed.hexdigest()[:24]


def _decode(files: Sequence[Listed], size: int, pixels: np.ndarray) -> dict[str, Any]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return what there is to know of the files."""
    notes: dict[int, tuple[list[str], str, str]] = {}
    unreadable: dict[int, str] = {}

    def decode(row: int) -> None:
        try:
            image, converted = read_rgb(files[row].path)
        except UnreadableImageError as error:
            unreadable[row] = error.why
            return
        pixels[row] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        notes[row] = converted, content_of(image), hash_of(image)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool, image_bar() as bar:
        for _ in bar.track(pool.map(decode, range(len(files))), len(files), description="reading images"):
            pass
    kept = sorted(notes)
    if not kept:
        raise LabsError(f"none of the {len(files)} files is an image: {files[0].name} is {unreadable[0]}.")
    converted, contents, hashes = zip(*(notes[row] for row in kept))
    return {
        "kept": kept,
        "unreadable": sorted(unreadable.items()),
        "converted": converted,
        "contents": contents,
        "hashes": hashes,
    }
