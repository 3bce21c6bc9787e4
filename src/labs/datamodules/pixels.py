"""Decode images once: a verified uint8 store on disk, memory-mapped, that every later run reads."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from labs import LabsError
from labs.storage.stores import stored_or_held


def decode_images(
    files: Sequence[Path], size: int, cache: Path, *, skip_unreadable: bool = False
) -> tuple[np.ndarray, list[int]]:
    """Return the images as one memory-mapped uint8 array, decoding them only when the store is missing or out of date.

    Every image becomes RGB and a square of `size` pixels (bilinear with antialiasing; the aspect ratio is not kept,
    as in hand-out 000). The store (`labs.storage.stores`) is keyed by names, lengths and modification times of the
    files. Where the disk has no room for it, the images are decoded into memory, with a word.

    Args:
        files: image files, in the order of the result.
        size: pixels, height and width.
        cache: folder of the stores.
        skip_unreadable: leave out images that cannot be decoded instead of failing.

    Returns:
        The array (images, 3, size, size), values in [0, 255], and the positions in `files` of the images it holds.

    Raises:
        LabsError: an image cannot be decoded; all of them are named.
    """
    shape = (len(files), 3, size, size)

    def fill(pixels: np.ndarray) -> dict[str, Any]:
        return _decode(files, size, pixels, skip_unreadable)

    pixels, facts = stored_or_held(cache / f"{_key(files, size, skip_unreadable)}.npy", shape, np.uint8, fill)
    if facts["unreadable"]:
        left_out = facts["unreadable"]
        warnings.warn(f"left out {len(left_out)} unreadable images:\n  {_listed(left_out)}", stacklevel=2)
    return pixels, facts["kept"]


def _key(files: Sequence[Path], size: int, skip_unreadable: bool) -> str:
    hashed = hashlib.sha256(f"v2 {size} {skip_unreadable}\n".encode())
    for file in files:
        status = file.stat()
        hashed.update(f"{file.parent.name}/{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return hashed.hexdigest()[:24]


def _decode(files: Sequence[Path], size: int, pixels: np.ndarray, skip_unreadable: bool) -> dict[str, Any]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return which images they hold."""
    unreadable: dict[int, str] = {}

    def decode(row: int) -> None:
        try:
            pixels[row] = read_image(files[row], size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            unreadable[row] = f"{files[row]} ({type(error).__name__}: {error})"

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        done = pool.map(decode, range(len(files)))
        for _ in track(done, description="decoding images", total=len(files), transient=True):
            pass
    if unreadable and (not skip_unreadable or len(unreadable) == len(files)):
        raise LabsError(
            f"{len(unreadable)} of {len(files)} images cannot be read:\n"
            f"  {_listed([unreadable[row] for row in sorted(unreadable)])}\n"
            "Replace them, or leave them out with datamodule.source.skip_unreadable=true."
        )
    kept = [row for row in range(len(files)) if row not in unreadable]
    return {"kept": kept, "unreadable": [unreadable[row] for row in sorted(unreadable)]}


def _listed(unreadable: Sequence[str]) -> str:
    return "\n  ".join([*unreadable[:10], *(["..."] if len(unreadable) > 10 else [])])


def read_image(file: Path, size: int) -> np.ndarray:
    """Decode one image to RGB, (3, size, size) uint8."""
    with Image.open(file) as image:
        resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized).transpose(2, 0, 1)
