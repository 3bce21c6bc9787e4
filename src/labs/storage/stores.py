"""Arrays that are computed once and kept on disk: written atomically, verified and memory-mapped."""

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.storage.files import check_file, identity, write_text
from labs.storage.seals import SEAL, read_facts, sealed, unbroken


class Stored(NamedTuple):
    """An array on disk and the facts recorded about it."""

    array: np.ndarray  # memory-mapped, read-only
    facts: dict[str, Any]  # what `fill` returned, with `shape` and `digest`
    built: bool  # whether this call wrote it


class NoRoomError(LabsError):
    """A store cannot be written: the disk is full, or the folder is not writable."""


Fill = Callable[[np.ndarray], Mapping[str, Any]]


def stored(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | type, fill: Fill) -> Stored:
    """Open the array in `file`; write it first if it is missing, truncated or altered.

    Space is reserved before anything is computed, and the file gets its name when it is complete. Processes that need
    the same store wait for the first. The digest is checked whenever the size, a time or the place of the file on the
    disk differs from the recorded one: whatever changes a byte also changes its `ctime`, which nobody can set back. The
    facts have a checksum of their own (`labs.storage.seals`). A line says that a damaged store is computed again.

    Args:
        file: path that ends in `.npy`; the facts are in the `.json` file beside it.
        shape: shape of the array.
        dtype: data type of the array.
        fill: writes the values into an array of zeros, and returns facts as strings and numbers. If they include a
            list `kept`, it gives the rows to keep, and the others are dropped.

    Raises:
        NoRoomError: the store is missing and cannot be written.
    """
    opened = _open(file, shape, np.dtype(dtype))
    if opened is not None:
        with suppress(OSError):  # a read-only folder, or a store that was just deleted to make room
            os.utime(file.with_suffix(".json"))  # read just now
        return opened
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{file}.lock").acquire()
    except OSError as error:
        raise NoRoomError(f"Cannot write to {file.parent} ({error.strerror}).") from error
    with lock:
        opened = _open(file, shape, np.dtype(dtype))
        if opened is not None:
            return opened
        if os.path.lexists(file) and os.path.lexists(file.with_suffix(".json")):
            print(f"{file} is damaged or was changed; it is computed again.", file=sys.stderr, flush=True)
        _write(file, shape, np.dtype(dtype), fill)
        opened = _open(file, shape, np.dtype(dtype))
    if opened is None:
        raise LabsError(f"{file} was written but cannot be read back; check the disk and delete the file.")
    return opened._replace(built=True)


def stored_or_held(
    file: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | type, fill: Fill
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a stored array and its facts; if there is no room on the disk, keep the values in memory and warn."""
    try:
        return stored(file, shape, dtype, fill)[:2]
    except NoRoomError as error:
        warnings.warn(
            f"{error} The images are kept in memory, for this run only. "
            "Make room, or choose another disk with paths.data=<folder>.",
            stacklevel=3,
        )
    held = np.zeros(shape, dtype=dtype)
    facts = dict(fill(held))
    kept = facts.get("kept", range(len(held)))
    return held if len(kept) == len(held) else held[kept], facts


def digest(values: np.ndarray, rows: np.ndarray | None = None, chunk: int = 256) -> str:
    """Return a digest of an array (rows, ...), of the given rows or of all, read in chunks of rows."""
    rows = np.arange(len(values)) if rows is None else rows
    hashed = hashlib.blake2b(digest_size=16)
    for start in range(0, len(rows), chunk):
        hashed.update(np.ascontiguousarray(values[rows[start : start + chunk]]).data)
    return hashed.hexdigest()


def content(values: np.ndarray) -> str:
    """Return the digest of an array; a store that was verified is not read again."""
    if isinstance(values, np.memmap) and isinstance(values.base, mmap):  # the whole file, not a view of it
        file = Path(str(values.filename))
        try:
            facts = read_facts(file.with_suffix(".json"))
            if unbroken(facts) and facts["shape"] == list(values.shape) and facts["stamp"] == _stamp(file):
                return str(facts["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return digest(values)


def forget(found: Stored) -> None:
    """Mark a store as missing, because its values turned out to be wrong.

    If another process has done so already, what it has written since stays.
    """
    file = Path(str(found.array.filename))  # type: ignore[attr-defined]
    with FileLock(f"{file}.lock"), suppress(OSError, ValueError):
        if read_facts(file.with_suffix(".json")).get("stamp") == found.facts["stamp"]:
            file.with_suffix(".json").unlink()


def _open(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored | None:
    """Open a store if it is complete and matches the request; return None otherwise."""
    notes = file.with_suffix(".json")
    try:
        facts = read_facts(notes)
        check_file(file)
        array = np.load(file, mmap_mode="r")
        stamp = _stamp(file)
        asked = array.dtype == dtype and array.shape[1:] == shape[1:] and len(array) <= shape[0]
        known = asked and list(array.shape) == facts["shape"]
        intact = unbroken(facts)
        trusted = intact and facts["stamp"] == stamp
        # Facts without a seal are those of an earlier version, whose digest still has to be right.
        whole = known and (trusted or ((intact or SEAL not in facts) and digest(array) == facts["digest"]))
        if whole and not trusted:
            facts = sealed({**facts, "stamp": stamp})
            with suppress(OSError):  # a read-only folder
                write_text(notes, json.dumps(facts))
    except Exception:  # a damaged header makes NumPy's parser fail in many ways
        return None
    return Stored(array, facts, built=False) if whole else None


def _stamp(file: Path) -> list[int]:
    return list(identity(file.stat()).values())


def _write(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Fill) -> None:
    for left in file.parent.glob(f".{file.stem}.*"):
        left.unlink()  # from a killed process: this one holds the lock
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
        facts |= {"shape": list(array.shape), "digest": digest(array)}
        del array  # Windows renames no file that is mapped
        json.dumps(facts)  # a TypeError before anything is replaced
        temporary.replace(file)
        try:
            write_text(file.with_suffix(".json"), json.dumps(sealed({**facts, "stamp": _stamp(file)})))
        except OSError as error:
            file.unlink()
            raise NoRoomError(f"Cannot write to {file.parent} ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Create an array file with its space reserved: writing to a hole in a file on a full disk kills the process."""
    needed, free = int(np.prod(shape)) * dtype.itemsize, shutil.disk_usage(file.parent).free
    if needed > free:
        raise NoRoomError(f"{file.parent} needs {needed / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free.")
    try:
        array: np.ndarray = np.lib.format.open_memmap(file, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate") and needed:
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
    except OSError as error:
        raise NoRoomError(f"{file.parent} cannot hold {needed / 1e6:,.0f} MB ({error.strerror}).") from error
    return array
