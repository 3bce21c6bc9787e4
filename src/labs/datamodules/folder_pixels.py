"""Decode the user's images once, and record the conversions, content and perceptual hash of each."""

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

VERSION = 2  # raised whenever the recorded facts change


class Read(NamedTuple):
    """Decoded files; `converted`, `contents` and `hashes` have one entry per row of `pixels`."""

    pixels: np.ndarray  # (images, 3, size, size) uint8, memory-mapped if the disk has room
    kept: list[int]  # index of the file of each row
    unreadable: list[tuple[int, str]]  # index of each unreadable file, and why
    converted: list[list[str]]  # descriptions of conversions
    contents: list[str]  # from `labs.datamodules.duplicates`, like `hashes`
    hashes: list[str]


def read_files(files: Sequence[Listed], size: int, cache: Path) -> Read:
    """Decode images to squares of `size` pixels, skipping unreadable files, unless a store already has them.

    The store's key is made of names, lengths and modification times of the files. Copies are found in the user's
    original images, so that they are the same for every size.

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
        except OSError:  # deleted since: the reader reports it
            stamp = "none"
        hashed.update(f"{file.name} {stamp}\n".encode())
    return hashed.hexdigest()[:24]


def _decode(files: Sequence[Listed], size: int, pixels: np.ndarray) -> dict[str, Any]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return the facts about the files."""
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
