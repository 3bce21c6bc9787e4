"""Find what runs keep on disk: stores, drawn images, trained weights, partial downloads."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

# What each kind is for. All of them are made again when a run needs them.
KINDS = {
    "pixels": "decoded images",
    "features": "features of fixed layers",
    "statistics": "mean and std of training images",
    "spectra": "spectra and colors of images",
    "judges": "nets that judge generated images",
    "weights": "embedded weights, trained here",
    "embedded": "images of data=embedded",
    "partial": "downloads that broke off",
}


class Item(NamedTuple):
    """Files that belong together and can be made again."""

    kind: str
    path: Path  # a file or a folder
    beside: tuple[Path, ...]  # files that go with it
    lock: Path  # held by a process that is writing it
    bytes: int
    used: float  # time of last use, in seconds since 1970


def find_items(data: Path, weights: Path | None) -> list[Item]:
    """Return what runs keep in the folders of data and of weights, least recently used first."""
    found = [*_stores(data), *_embedded(data), *_partial(data)]
    if weights is not None and not weights.resolve().is_relative_to(data.resolve()):
        found += _partial(weights)
    return sorted(found, key=lambda item: item.used)


def remove(item: Item) -> bool:
    """Remove an item; return False, and leave it, if a process is writing it (on Windows also if one is reading it)."""
    try:
        with FileLock(item.lock, timeout=0):
            for path in (*item.beside, item.path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            if os.name != "nt":  # where an open file cannot be removed
                item.lock.unlink(missing_ok=True)
    except Timeout:
        return False
    except PermissionError:
        if os.name != "nt":
            raise
        return False
    return True


def size_of(path: Path) -> int:
    """Return the bytes that a file or folder takes; links count nothing, as they are not followed."""
    if path.is_symlink() or not path.exists():
        return 0
    if path.is_file():
        return path.stat().st_size
    return sum(entry.lstat().st_size for _, _, files, at in _walk(path) for entry in (at / name for name in files))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str], Path]]:
    for at, folders, files in os.walk(folder):  # does not follow links
        yield at, folders, files, Path(at)


def _stores(data: Path) -> Iterator[Item]:
    """Find files in the folders named `cache/<kind>`, and in `spectra`."""
    suffixes = {"pixels": ".npy", "features": ".npy", "statistics": ".json", "judges": ".pt"}
    places = [(data / "spectra", "spectra", ".npy")]
    for at, folders, _, here in _walk(data):
        if here.name == "cache":
            places += [(here / kind, kind, suffix) for kind, suffix in suffixes.items() if kind in folders]
            folders.clear()
        elif here.name == "embedded" or at.count(os.sep) - str(data).count(os.sep) >= 2:
            folders.clear()  # caches are in `data` or in the folder of one dataset
    for folder, kind, suffix in places:
        if folder.is_dir() and not folder.is_symlink():
            for file in folder.iterdir():
                notes = file.with_suffix(".json")
                if file.suffix == suffix and not file.is_symlink() and file.is_file():
                    yield _item(kind, file, (notes,) if suffix == ".npy" and notes.is_file() else ())


def _embedded(data: Path) -> Iterator[Item]:
    for folder, kind in ((data / "embedded", "embedded"), (data / "embedded" / "weights", "weights")):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".") and path.name != "weights":
                yield _item(kind, path, ())


def _partial(folder: Path) -> Iterator[Item]:
    """Find `.<name>.part` beside `.<name>.lock`: both are of `labs.storage.fetch`."""
    for at, folders, files, here in _walk(folder):
        if at.count(os.sep) - str(folder).count(os.sep) >= 2:
            folders.clear()
        for name in files:
            path, lock = here / name, (here / name).with_suffix(".lock")
            if name.startswith(".") and path.suffix == ".part" and lock.is_file() and not path.is_symlink():
                yield _item("partial", path, ())._replace(lock=lock)


def _item(kind: str, path: Path, beside: tuple[Path, ...]) -> Item:
    states = [one.stat() for one in (path, *beside)]
    used = max(max(state.st_mtime, state.st_atime) for state in states)
    return Item(kind, path, beside, Path(f"{path}.lock"), sum(map(size_of, (path, *beside))), used)
