"""Return the path of a verified archive, downloading it if it is not there.

A file is used only when its size and its digest are the expected ones, wherever it came from. A download
goes to a hidden `.part` beside the final name and resumes from it; a file that the user put in place is
verified and never touched. `LABS_OFFLINE=1` in the environment forbids the network.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout
from rich.filesize import decimal

from labs import LabsError
from labs.storage.archive import Archive, WrongFileError
from labs.storage.download import download

__all__ = ["Archive", "fetch"]  # who fetches an archive imports both from here


def fetch(archive: Archive, folder: Path, *, timeout: float = 30.0, retries: int = 3, progress: bool = True) -> Path:
    """Return the path of a verified archive in `folder`; download it if it is not there.

    Args:
        archive: What to fetch.
        folder: Where the file is or goes; made if needed.
        timeout: Seconds without an answer or a byte after which a connection counts as broken.
        retries: Further attempts at each mirror after the first one fails.
        progress: Whether to draw a progress bar on stderr.

    Raises:
        LabsError: If the file there is not the expected one (it is left alone), no mirror serves the expected
            one (what came before a network failure is kept for the next call), the network is forbidden, or
            the disk is full or not writable.
    """
    target = folder / archive.name
    if os.path.lexists(target):
        return _accept(target, archive)
    by_hand = f"Put the file by hand at {target.absolute()}\n({archive})"
    if os.environ.get("LABS_OFFLINE", "0") not in ("", "0"):
        raise LabsError(f"{archive.name} is missing and LABS_OFFLINE forbids a download.\n{by_hand}")
    if not archive.urls:
        raise LabsError(f"{archive.name} has no address to download from.\n{by_hand}")
    part = folder / f".{archive.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder / f".{archive.name}.lock", archive.name):
            if os.path.lexists(target):  # another process brought it while this one waited
                return _accept(target, archive)
            _check_free_space(archive, part)
            try:
                digest = download(archive, part, timeout=timeout, retries=retries, progress=progress)
            except LabsError as error:
                raise LabsError(f"{error}\n{by_hand}") from error
            if os.path.lexists(target):  # the user put it there during the download
                return _accept(target, archive)
            part.replace(target)
            _remember(target, target.stat(), archive, digest)
    except OSError as error:  # network failures never come this far: this is the disk
        raise LabsError(f"cannot write {target.absolute()}: {error}") from error
    return target


def _accept(target: Path, archive: Archive) -> Path:
    """Return the path of a file that is in place if it is the expected one; leave it alone in any case."""
    if not target.is_file():
        raise LabsError(f"{target.absolute()} is a folder or a link to nothing, not a file: remove it")
    before = target.stat()  # taken before hashing, so that a file changed meanwhile is hashed again next time
    if _remembered(target, before, archive):
        return target
    try:
        _remember(target, before, archive, archive.verify(target))
    except WrongFileError as error:
        or_delete = "delete it and run again to download it, or " if archive.urls else ""
        raise LabsError(
            f"{target.absolute()} is not the expected file: {error}.\n"
            f"Nothing was changed: {or_delete}replace it by the right one ({archive})."
        ) from error
    except OSError as error:
        raise LabsError(f"cannot read {target.absolute()}: {error}") from error
    return target


def _sidecar(target: Path) -> Path:
    return target.with_name(f".{target.name}.verified")


def _remember(target: Path, state: os.stat_result, archive: Archive, digest: str) -> None:
    """Note that a file was verified: hashing a gigabyte at each start would take seconds."""
    record = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, archive.algorithm: digest}
    with suppress(OSError):  # a folder that is only readable is no fault: it is hashed each time
        _sidecar(target).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _remembered(target: Path, state: os.stat_result, archive: Archive) -> bool:
    try:
        record = json.loads(_sidecar(target).read_text(encoding="utf-8"))
        same_file = (record["size"], record["mtime_ns"]) == (state.st_size, state.st_mtime_ns)
        same_size = archive.size in (None, record["size"])
        return same_file and same_size and record[archive.algorithm].startswith(archive.digest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # absent, torn or foreign
        return False


def _only_one(path: Path, name: str) -> AcquireReturnProxy:
    """Take a lock between processes, released at the end of a `with`; say so if that means to wait."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is downloading {name}", file=sys.stderr, flush=True)
        return lock.acquire()


def _check_free_space(archive: Archive, part: Path) -> None:
    """Raise LabsError if what `part` still lacks does not fit on the disk."""
    if archive.size is None:
        return
    needed = archive.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise LabsError(
            f"{archive.name} needs {decimal(needed)} more ({needed:,} bytes) in {part.parent.absolute()}, "
            f"where {decimal(free)} ({free:,} bytes) are free: make room or choose another folder"
        )
