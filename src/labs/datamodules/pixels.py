"""Decode images once: a verified uint8 store on disk, memory-mapped, that every later run reads."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from rich.progress import track

from labs.errors import LabsError
from labs.normalization import digest


def decode_images(
    files: Sequence[Path], size: int, cache: Path, *, skip_unreadable: bool = False
) -> tuple[np.ndarray, list[int]]:
    """Return the images as one memory-mapped uint8 array, decoding them only when the store is missing or out of date.

    Every image becomes RGB and a square of `size` pixels (bilinear with antialiasing; the aspect ratio is not kept,
    as in hand-out 000). The store is keyed by names, lengths and modification times of the files, written under a
    temporary name and moved in place, and its digest is checked when it is opened. Processes that ask for the same
    store wait for the first.

    Args:
        files: image files, in the order of the result.
        size: pixels, height and width.
        cache: folder of the stores.
        skip_unreadable: leave out images that cannot be decoded instead of failing.

    Returns:
        The array (images, 3, size, size), values in [0, 255], and the positions in `files` of the images it holds.

    Raises:
        LabsError: an image cannot be decoded (all of them are named), or the disk has no room.
    """
    store = cache / f"{_key(files, size, skip_unreadable)}.npy"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{store}.lock"):
        opened = _open(store)
        if opened is None:
            _write(files, size, store, skip_unreadable)
            opened = _open(store)
    if opened is None:
        raise LabsError(f"{store}: what was written cannot be read back; check the disk and delete the file.")
    return opened


def _key(files: Sequence[Path], size: int, skip_unreadable: bool) -> str:
    hashed = hashlib.sha256(f"v1 {size} {skip_unreadable}\n".encode())
    for file in files:
        status = file.stat()
        hashed.update(f"{file.parent.name}/{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return hashed.hexdigest()[:24]


def _open(store: Path) -> tuple[np.ndarray, list[int]] | None:
    """Open a store that is whole; anything else counts as missing and is written anew."""
    try:
        facts = json.loads(store.with_suffix(".json").read_text())
        pixels = np.load(store, mmap_mode="r")
        whole = list(pixels.shape) == facts["shape"] and digest(pixels) == facts["digest"]
        kept, unreadable = facts["kept"], facts["unreadable"]
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    if unreadable:
        warnings.warn(f"left out {len(unreadable)} unreadable images:\n  {_listed(unreadable)}", stacklevel=3)
    return (pixels, kept) if whole else None


def _write(files: Sequence[Path], size: int, store: Path, skip_unreadable: bool) -> None:
    for left in store.parent.glob(f".{store.name}.*"):
        left.unlink()  # of a process that was killed: the lock is ours
    needed, free = len(files) * 3 * size * size, shutil.disk_usage(store.parent).free
    if needed > free:
        raise LabsError(
            f"{store.parent}: decoded images need {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; "
            "make room, or choose another disk with paths.data=<folder>."
        )
    temporary = store.with_name(f".{store.name}.{os.getpid()}")
    try:
        pixels: np.ndarray = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(files), 3, size, size))
        unreadable = _decode(files, size, pixels)
        if unreadable and (not skip_unreadable or len(unreadable) == len(files)):
            raise LabsError(
                f"{len(unreadable)} of {len(files)} images cannot be read:\n  {_listed(list(unreadable.values()))}\n"
                "Replace them, or leave them out with datamodule.source.skip_unreadable=true."
            )
        kept = [row for row in range(len(files)) if row not in unreadable]
        if unreadable:
            pixels = pixels[kept]
            with temporary.open("wb") as file:
                np.save(file, pixels)
        facts = {
            "shape": list(pixels.shape),
            "digest": digest(pixels),
            "kept": kept,
            "unreadable": list(unreadable.values()),
        }
        store.with_suffix(".json").write_text(json.dumps(facts))
        temporary.replace(store)
    finally:
        temporary.unlink(missing_ok=True)


def _decode(files: Sequence[Path], size: int, pixels: np.ndarray) -> dict[int, str]:
    """Fill `pixels` in threads (Pillow decodes outside Python's lock); return what cannot be read, by position."""
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
    return dict(sorted(unreadable.items()))


def _listed(unreadable: Sequence[str]) -> str:
    return "\n  ".join([*unreadable[:10], *(["..."] if len(unreadable) > 10 else [])])


def read_image(file: Path, size: int) -> np.ndarray:
    """Decode one image to RGB, (3, size, size) uint8."""
    with Image.open(file) as image:
        resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized).transpose(2, 0, 1)
