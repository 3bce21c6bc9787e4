"""Find a verified archive on disk, or download it.

A file is used only if its size and digest are the expected ones, wherever it came from. A download is
written to a hidden `.part` file beside the final name, and resumes from there. If a link or a pipe has this name,
nothing is written. A file that the user put in place is verified and never changed. The environment variable
`LABS_OFFLINE=1` forbids downloads, and `LABS_ALLOW_PRIVATE=1` allows servers with private addresses.
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
from labs.storage.files import identity, read_json, write_text

__all__ = ["Archive", "fetch"]  # callers import both from here


def fetch(
    archive: Archive,
    folder: Path,
    *,
    timeout: float = 30.0,
    retries: int = 3,
    progress: bool = True,
    allow_private: bool = False,
) -> Path:
    """Return the path of a verified archive in `folder`; download it if it is missing.

    Args:
        archive: What to fetch.
        folder: Folder of the file; created if needed.
        timeout: Seconds without any data after which a connection counts as broken.
        retries: Retries per mirror.
        progress: Whether to draw a progress bar on stderr.
        allow_private: Whether to allow servers with private addresses.

    Raises:
        LabsError: If an existing file is not the expected one (it is left unchanged), no mirror serves the
            expected one (a partial download is kept for the next call), downloads are forbidden, or the disk
            is full or not writable.
    """
    target = folder / archive.name
    if os.path.lexists(target):
        return _accept(target, archive)
    by_hand = f"To add the file by hand, save it as {target.absolute()}\n({archive})"
    if os.environ.get("LABS_OFFLINE", "0") not in ("", "0"):
        raise LabsError(f"{archive.name} is missing, and LABS_OFFLINE forbids downloads.\n{by_hand}")
    if not archive.urls:
        raise LabsError(f"{archive.name} cannot be downloaded: it has no public address.\n{by_hand}")
    part = folder / f".{archive.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder / f".{archive.name}.lock", archive.name):
            if os.path.lexists(target):  # another process downloaded it while this one waited
                return _accept(target, archive)
            _check_free_space(archive, part)
            try:
                digest = download(
                    archive, part, timeout=timeout, retries=retries, progress=progress, allow_private=allow_private
                )
            except LabsError as error:
                raise LabsError(f"{error}\n{by_hand}") from error
            if os.path.lexists(target):  # the user put it there during the download
                return _accept(target, archive)
            part.replace(target)
            _remember(target, target.stat(), archive, digest)
    except OSError as error:  # a disk error: network failures were handled above
        raise LabsError(f"cannot write {target.absolute()}: {error}") from error
    return target


def _accept(target: Path, archive: Archive) -> Path:
    """Return the path of an existing file if it is the expected one; never change it."""
    if not target.is_file():
        raise LabsError(f"{target.absolute()} is a folder, a pipe or a broken link, not a file: remove it")
    before = target.stat()  # taken before hashing, so that a file changed meanwhile is hashed again next time
    if _remembered(target, before, archive):
        return target
    try:
        _remember(target, before, archive, archive.verify(target))
    except WrongFileError as error:
        or_delete = "delete it and run again to download it, or " if archive.urls else ""
        raise LabsError(
            f"{target.absolute()} is not the expected file: {error}.\n"
            f"Nothing was changed. To continue, {or_delete}replace it with the right file ({archive})."
        ) from error
    except OSError as error:
        raise LabsError(f"cannot read {target.absolute()}: {error}") from error
    return target


def _sidecar(target: Path) -> Path:
    return target.with_name(f".{target.name}.verified")


def _remember(target: Path, state: os.stat_result, archive: Archive, digest: str) -> None:
    """Record that a file was verified, because hashing a gigabyte at every start would take seconds."""
    record = {**identity(state), archive.algorithm: digest}
    with suppress(OSError):  # in a read-only folder the file is hashed every time
        write_text(_sidecar(target), json.dumps(record) + "\n")  # replaces a link instead of following it


def _remembered(target: Path, state: os.stat_result, archive: Archive) -> bool:
    try:
        record = read_json(_sidecar(target))
        same_file = identity(state).items() <= record.items()
        same_size = archive.size in (None, record["size"])
        return same_file and same_size and record[archive.algorithm].startswith(archive.digest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # missing, truncated or not ours
        return False


def _only_one(path: Path, name: str) -> AcquireReturnProxy:
    """Acquire a lock between processes, for use in a `with` block; print a line if it has to wait."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is downloading {name}", file=sys.stderr, flush=True)
        return lock.acquire()


def _check_free_space(archive: Archive, part: Path) -> None:
    """Raise LabsError if the missing bytes of `part` do not fit on the disk."""
    if archive.size is None:
        return
    needed = archive.size - (part.lstat().st_size if os.path.lexists(part) else 0)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise LabsError(
            f"{archive.name} needs another {decimal(needed)} ({needed:,} bytes) in {part.parent.absolute()}, "
            f"but only {decimal(free)} ({free:,} bytes) are free: make room or choose another folder"
        )
