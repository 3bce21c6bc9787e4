"""Decode images once, into a verified uint8 store on disk that later runs memory-map."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from labs import LabsError
from labs.datamodules.image_files import READER, UnreadableImageError, read_rgb, truncated_too
from labs.storage.bars import image_bar
from labs.storage.stores import stored_or_held

REPLACE = "Replace them, or type datamodule.source.skip_unreadable=true to skip them."


class Decoded(NamedTuple):
    """Decoded images in one array, and their conversions."""

    pixels: np.ndarray  # (images, 3, size, size) uint8, memory-mapped if the disk has room
    kept: list[int]  # index of the file of each image
    converted: dict[str, int]  # numbers of images that were gray, CMYK, rotated by EXIF, ... (`image_files`)


def decode_images(
    files: Sequence[Path],
    size: int,
    cache: Path,
    *,
    skip_unreadable: bool = False,
    read_truncated: bool = False,
    advice: str = REPLACE,
) -> Decoded:
    """Return the images as a memory-mapped uint8 array; decode them only if the store is missing or out of date.

    Every image becomes RGB (`read_rgb`) and a square of `size` pixels (bilinear with antialiasing; the aspect ratio is
    not kept, as in hand-out 000). The store's key (`labs.storage.stores`) is made of names, lengths and modification
    times of the files. If the disk has no room, the images are decoded into memory, with a warning.

    Args:
        files: image files, in the order of the result.
        size: height and width in pixels.
        cache: folder of the stores.
        skip_unreadable: skip images that cannot be decoded instead of failing, with a warning that names them.
        read_truncated: use the readable part of truncated files, with a warning that names them.
        advice: text for the error that says what to do about images that cannot be decoded.

    Raises:
        LabsError: an image cannot be decoded; all of them are named.
    """
    shape = (len(files), 3, size, size)

    def fill(pixels: np.ndarray) -> dict[str, Any]:
        return _decode(files, size, pixels, skip_unreadable, read_truncated, advice)

    key = _key(files, size, f"{skip_unreadable}{' truncated too' if read_truncated else ''}")
    pixels, facts = stored_or_held(cache / f"{key}.npy", shape, np.uint8, fill)
    if facts["unreadable"]:
        left_out = facts["unreadable"]
        warnings.warn(f"skipped {len(left_out)} unreadable images:\n  {_listed(left_out)}", stacklevel=2)
    if cut := facts.get("truncated"):
        warnings.warn(f"used the readable part of {len(cut)} truncated files:\n  {_listed(cut)}", stacklevel=2)
    return Decoded(pixels, facts["kept"], facts["converted"])


def _key(files: Sequence[Path], size: int, damaged: str) -> str:
    hashed = hashlib.sha256(f"reader {READER} {size} {damaged}\n".encode())
    for file in files:
        try:
            status = file.stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # such as a broken link; the reader reports it
            stamp = "unreadable"
        hashed.update(f"{file.parent.name}/{file.name} {stamp}\n".encode(errors="surrogateescape"))
    return hashed.hexdigest()[:24]


def _decode(
    files: Sequence[Path], size: int, pixels: np.ndarray, skip_unreadable: bool, read_truncated: bool, advice: str
) -> dict[str, Any]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return the facts about the images."""
    unreadable: dict[int, str] = {}
    words: dict[int, list[str]] = {}
    truncated: set[int] = set()

    def decode(row: int) -> None:
        try:
            pixels[row], words[row] = read_image(files[row], size)
        except UnreadableImageError as error:
            unreadable[row] = str(error)
            truncated.update({row} if error.reason == "truncated" else ())

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        done = pool.map(decode, range(len(files)))
        with image_bar() as bar:
            for _ in bar.track(done, description="decoding images", total=len(files)):
                pass
    cut = sorted(truncated) if read_truncated else []
    with truncated_too():  # only now, because the setting holds for all threads
        for row in cut:
            del unreadable[row]
            decode(row)
    if unreadable and (not skip_unreadable or len(unreadable) == len(files)):
        raise LabsError(
            f"{len(unreadable)} of {len(files)} images cannot be read:\n"
            f"  {_listed([unreadable[row] for row in sorted(unreadable)])}\n"
            f"{advice}"
        )
    return {
        "kept": sorted(words),
        "unreadable": [unreadable[row] for row in sorted(unreadable)],
        "truncated": [str(files[row]) for row in cut if row in words],
        "converted": Counter(word for row in sorted(words) for word in words[row]),
    }


def _listed(unreadable: Sequence[str]) -> str:
    return "\n  ".join([*unreadable[:10], *(["..."] if len(unreadable) > 10 else [])])


def read_image(file: Path, size: int) -> tuple[np.ndarray, list[str]]:
    """Decode one image to RGB, (3, size, size) uint8; return it with a list of its conversions.

    Raises:
        UnreadableImageError: see `read_rgb`.
    """
    image, words = read_rgb(file)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1), words
