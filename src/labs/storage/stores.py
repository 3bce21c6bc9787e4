"""Arrays that are computed once: files that are memory-mapped, verified, and written whole or not at all."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.storage.files import write_text


class Stored(NamedTuple):
    """An array on disk and what is known of it."""

    array: np.ndarray  # memory-mapped, read-only
    facts: dict[str, Any]  # what its writer said, with `shape` and `digest`
    built: bool  # whether it was written by this call


class NoRoomError(LabsError):
    """A store cannot be written: the disk is full, or the folder is not ours to write in."""


Fill = Callable[[np.ndarray], Mapping[str, Any]]


def stored(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | type, fill: Fill) -> Stored:
    """Open the array in `file`, after writing it if it is missing, truncated or not what was written.

    Room is reserved before anything is computed; the file gets its name when it is whole. Processes that ask for the
    same store wait for the first. Its digest is compared whenever size or time of the file are not those that were
    noted with it.

    Args:
        file: ends in `.npy`; the facts stand beside it, in `.json`.
        shape: of the array.
        dtype: of the array.
        fill: writes the values into an array of zeros, and returns facts as plain words and numbers; a list `kept`
            among them says which rows hold something, and the others are left out.

    Raises:
        NoRoomError: the store has to be written and cannot be.
    """
    opened = _open(file, shape, np.dtype(dtype))
    if opened is not None:
        return opened
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{file}.lock").acquire()
    except OSError as error:
        raise NoRoomError(f"{file.parent} cannot be written ({error.strerror}).") from error
    with lock:
        opened = _open(file, shape, np.dtype(dtype))
        if opened is not None:
            return opened
        _write(file, shape, np.dtype(dtype), fill)
        opened = _open(file, shape, np.dtype(dtype))
    if opened is None:
        raise LabsError(f"{file}: what was written cannot be read back; check the disk and delete the file.")
    return opened._replace(built=True)


def stored_or_held(
    file: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | type, fill: Fill
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the array of a store and its facts; where there is no room, hold the values in memory, and warn."""
    try:
        return stored(file, shape, dtype, fill)[:2]
    except NoRoomError as error:
        warnings.warn(
            f"images are held in memory and not kept for the next run: {error} "
            "Make room, or choose another disk with paths.data=<folder>.",
            stacklevel=3,
        )
    held = np.zeros(shape, dtype=dtype)
    facts = dict(fill(held))
    kept = facts.get("kept", range(len(held)))
    return held if len(kept) == len(held) else held[kept], facts


def digest(values: np.ndarray, rows: np.ndarray | None = None, chunk: int = 256) -> str:
    """Return a digest of the bytes of an array (rows, ...), of some rows or of all, read a chunk at a time."""
    rows = np.arange(len(values)) if rows is None else rows
    hashed = hashlib.blake2b(digest_size=16)
    for start in range(0, len(rows), chunk):
        hashed.update(np.ascontiguousarray(values[rows[start : start + chunk]]).data)
    return hashed.hexdigest()


def content(values: np.ndarray) -> str:
    """Return the digest of an array, without reading it where it is a store that has been verified."""
    if isinstance(values, np.memmap) and isinstance(values.base, mmap):  # the whole file, not a view of it
        file = Path(str(values.filename))
        try:
            facts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            if facts["shape"] == list(values.shape) and facts["stamp"] == _stamp(file):
                return str(facts["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return digest(values)


def forget(values: np.ndarray) -> None:
    """Let a store count as missing, because its values turned out to be wrong."""
    if isinstance(values, np.memmap) and values.filename:
        Path(str(values.filename)).with_suffix(".json").unlink(missing_ok=True)


def _open(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored | None:
    """Open a store that is whole and what is asked for; anything else counts as missing."""
    notes = file.with_suffix(".json")
    try:
        facts = json.loads(notes.read_text(encoding="utf-8"))
        array = np.load(file, mmap_mode="r")
        stamp = _stamp(file)
        asked = array.dtype == dtype and array.shape[1:] == shape[1:] and len(array) <= shape[0]
        known = asked and list(array.shape) == facts["shape"]
        whole = known and (facts["stamp"] == stamp or digest(array) == facts["digest"])
        if whole and facts["stamp"] != stamp:
            with suppress(OSError):  # a folder that others may read only
                write_text(notes, json.dumps({**facts, "stamp": stamp}))
    except Exception:  # a damaged header makes NumPy's parser fail in many ways
        return None
    return Stored(array, facts, built=False) if whole else None


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _write(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Fill) -> None:
    for left in file.parent.glob(f".{file.stem}.*"):
        left.unlink()  # of a process that was killed: the lock is ours
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        array = _reserve(temporary, shape, dtype)
        facts = dict(fill(array))
        kept = facts.get("kept")
        if kept is not None and len(kept) < len(array):
            array = array[kept]
            with temporary.open("wb") as other:
                np.save(other, array)
        elif isinstance(array, np.memmap):
            array.flush()
        facts |= {"shape": list(array.shape), "digest": digest(array), "stamp": _stamp(temporary)}
        try:
            write_text(file.with_suffix(".json"), json.dumps(facts))
        except OSError as error:
            raise NoRoomError(f"{file.parent} cannot be written ({error.strerror}).") from error
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Create an array file with all the room it will take: writing to a hole of a full disk would kill the process."""
    needed, free = int(np.prod(shape)) * dtype.itemsize, shutil.disk_usage(file.parent).free
    if needed > free:
        raise NoRoomError(f"{file.parent}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free.")
    try:
        array: np.ndarray = np.lib.format.open_memmap(file, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate") and needed:
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
    except OSError as error:
        raise NoRoomError(f"{file.parent} cannot hold {needed / 1e6:,.0f} MB ({error.strerror}).") from error
    return array
