"""Decode images once: a verified uint8 store on disk, memory-mapped, that every later run reads."""

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
from rich.progress import track

from labs import LabsError
from labs.datamodules.image_files import READER, UnreadableImageError, read_rgb, truncated_too
from labs.storage.stores import stored_or_held

REPLACE = "Replace them, or leave them out with datamodule.source.skip_unreadable=true."


class Decoded(NamedTuple):
    """Images in one array, and what was done to their files."""

    pixels: np.ndarray  # (images, 3, size, size) uint8, memory-mapped where the disk has room
    kept: list[int]  # positions in the files of the images that it holds
    converted: dict[str, int]  # how many images were grey, CMYK, rotated by EXIF, ... (`labs.datamodules.image_files`)


def decode_images(
    files: Sequence[Path],
    size: int,
    cache: Path,
    *,
    skip_unreadable: bool = False,
    read_truncated: bool = False,
    advice: str = REPLACE,
) -> Decoded:
    """Return the images as one memory-mapped uint8 array, decoding them only when the store is missing or out of date.

    Every image becomes RGB (`read_rgb`) and a square of `size` pixels (bilinear with antialiasing; the aspect ratio is
    not kept, as in hand-out 000). The store (`labs.storage.stores`) is keyed by names, lengths and modification times
    of the files. Where the disk has no room for it, the images are decoded into memory, with a word.

    Args:
        files: image files, in the order of the result.
        size: pixels, height and width.
        cache: folder of the stores.
        skip_unreadable: leave out images that cannot be decoded instead of failing, with a warning that names them.
        read_truncated: read images whose files end too early as far as they go, with a warning that names them.
        advice: what to do about images that cannot be decoded, for the error.

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
        warnings.warn(f"left out {len(left_out)} unreadable images:\n  {_listed(left_out)}", stacklevel=2)
    if cut := facts.get("truncated"):
        warnings.warn(f"read as far as they go, truncated files ({len(cut)}):\n  {_listed(cut)}", stacklevel=2)
    return Decoded(pixels, facts["kept"], facts["converted"])


def _key(files: Sequence[Path], size: int, damaged: str) -> str:
    hashed = hashlib.sha256(f"reader {READER} {size} {damaged}\n".encode())
    for file in files:
        try:
            status = file.stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # such as a link to a file that is not there; the reader says so
            stamp = "unreadable"
        hashed.update(f"{file.parent.name}/{file.name} {stamp}\n".encode(errors="surrogateescape"))
    return hashed.hexdigest()[:24]


def _decode(
    files: Sequence[Path], size: int, pixels: np.ndarray, skip_unreadable: bool, read_truncated: bool, advice: str
) -> dict[str, Any]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return which images they hold."""
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
        for _ in track(done, description="decoding images", total=len(files), transient=True):
            pass
    cut = sorted(truncated) if read_truncated else []
    with truncated_too():  # now that no other thread would read such files without noticing
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
    """Decode one image to RGB, (3, size, size) uint8; return it with the words of what was converted.

    Raises:
        UnreadableImageError: as `read_rgb`.
    """
    image, words = read_rgb(file)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1), words
