"""Download many files from many hosts into one folder, and record the outcome of each.

Requests are limited per host (`labs.storage.polite`), and addresses are not trusted (`labs.storage.web`). Each file is
checked before it is moved into place. `manifest.tsv` in the folder lists the downloaded files, and the reason why each
of the others failed. A later call continues from it: downloaded files are not requested again, and failed ones only if
`retry` is set, so that a dataset does not change by itself. The environment variable `LABS_OFFLINE=1` forbids
downloads.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import FileLock
from rich.progress import Progress

from labs import LabsError
from labs.quantities import quantity
from labs.storage.bars import image_bar
from labs.storage.failures import FailedError, TroubleError
from labs.storage.inbox import STAGING, Inbox
from labs.storage.manifest import NAME, Key, Row, Wanted, line, read_manifest, write_manifest
from labs.storage.polite import Polite
from labs.storage.web import Web

__all__ = ["Outcome", "Wanted", "fetch_many"]  # callers import all of them from here

NO_ANSWER = "not requested, because no host answered (is the network down?)"
_LOCK = ".lock"


class Outcome(NamedTuple):
    """The outcome for one file: its path, or why it is missing."""

    wanted: Wanted
    path: Path | None
    why: str


def fetch_many(
    wanted: Iterable[Wanted],
    folder: Path,
    *,
    accept: Callable[[Path], str] | None = None,
    workers: int = 16,
    timeout: float = 10.0,
    retries: int = 2,
    most_bytes: int = 30_000_000,
    seconds_each: float = 60.0,
    retry: bool = False,
    progress: bool = True,
    allow_private: bool = False,
) -> list[Outcome]:
    """Download files into a folder; return the outcome of each, in the same order.

    Ctrl-C loses nothing: the next call continues. A file that exists already is checked and left unchanged.

    Args:
        wanted: The files.
        folder: Where to save them; created if needed.
        accept: Checks a downloaded file; returns why it cannot be used, or an empty string. Called in threads.
        workers: Simultaneous connections, to all hosts together.
        timeout: Seconds without any data after which a connection counts as broken.
        retries: Retries per address after temporary failures.
        most_bytes: Maximum size of a file.
        seconds_each: Maximum duration of an attempt, in seconds.
        retry: Whether to request files again that failed in an earlier call.
        progress: Whether to draw a progress bar on stderr.
        allow_private: Whether to allow private addresses, for example your own server.

    Raises:
        LabsError: If a name is not a path inside the folder or occurs twice, downloads are forbidden, or the folder is
            not writable.
    """
    files = list(wanted)
    _check_names(files)
    web = Web(timeout=timeout, seconds_each=seconds_each, most_bytes=most_bytes, allow_private=allow_private)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            rows = read_manifest(folder)
            asked = [file for file in files if not _is_settled(file, folder, rows.get(file.key), retry)]
            passing: dict[Key, str] = {}
            if asked:
                inbox = Inbox(folder, web, accept or (lambda path: ""))
                missing = _look_in_place(asked, inbox, rows)
                polite = Polite(web, inbox.fetch, [(file.url, file) for file in missing], retries=retries)
                passing = _bring(polite, workers, folder, rows, image_bar(progress))
    except OSError as error:  # a disk error: network failures were handled above
        raise LabsError(f"cannot write {error.filename or folder.absolute()}: {error.strerror or error}") from error
    return [_outcome(file, folder, rows.get(file.key), passing.get(file.key, NO_ANSWER)) for file in files]


def _check_names(files: Sequence[Wanted]) -> None:
    for file in files:
        path = PurePosixPath(file.name)
        if not path.parts or path.is_absolute() or ".." in path.parts or path.parts[0] in (NAME, STAGING, _LOCK):
            raise LabsError(f"{file.name!r}: expected a path inside the folder, such as paintings/1.jpg ({file.url}).")
    twice = [name for name, count in Counter(file.name.casefold() for file in files).items() if count > 1]
    if twice:
        urls = [file.url for file in files if file.name.casefold() == twice[0]]
        raise LabsError(f"{len(twice)} file names occur more than once, such as {twice[0]}: {urls[0]} and {urls[1]}.")


def _is_settled(file: Wanted, folder: Path, row: Row | None, retry: bool) -> bool:
    if row is None or row.status != "ok":
        return row is not None and not retry
    try:
        length = (folder / file.name).stat().st_size
    except OSError:
        return False
    return str(length) == row.bytes and file.sha256 in (None, row.sha256)


def _outcome(file: Wanted, folder: Path, row: Row | None, unsettled: str) -> Outcome:
    if row is None:
        return Outcome(file, None, unsettled)
    return Outcome(file, folder / file.name if row.status == "ok" else None, row.why)


def _look_in_place(files: Sequence[Wanted], inbox: Inbox, rows: dict[Key, Row]) -> list[Wanted]:
    """Add the existing files to `rows`; return the missing ones, if downloads are allowed."""
    missing = []
    for file in files:
        row = inbox.found(file)
        if row is not None:
            rows[file.key] = row
            continue
        missing.append(file)
        if file.key in rows and rows[file.key].status == "ok":
            del rows[file.key]  # the file was removed
    if missing and os.environ.get("LABS_OFFLINE", "0") not in ("", "0"):
        raise LabsError(
            f"{inbox.folder.absolute()} lacks {quantity(len(missing), 'file')}, such as {missing[0].name}, and "
            "LABS_OFFLINE forbids downloads."
        )
    return missing


def _bring(
    polite: Polite[Wanted, Row], workers: int, folder: Path, rows: dict[Key, Row], progress: Progress
) -> dict[Key, str]:
    """Download; write each outcome to `rows` and to the manifest; return the temporary failures."""
    troubled: list[tuple[Wanted, str]] = []  # whether a failure is permanent is known only at the end
    write_manifest(folder, rows.values())
    with progress, (folder / NAME).open("a", encoding="utf-8") as manifest:
        bar = progress.add_task("downloading", total=polite.count)
        try:
            for file, result in polite.results(workers):
                progress.advance(bar)
                if isinstance(result, TroubleError):
                    troubled.append((file, str(result)))
                    continue
                row = Row.of(file, why=str(result)) if isinstance(result, FailedError) else result
                rows[file.key] = row
                manifest.write(line(row))
                manifest.flush()
        finally:  # also after Ctrl-C
            rows.update((file.key, Row.of(file, why=why)) for file, why in troubled if polite.is_lasting(file.url))
            write_manifest(folder, rows.values())
    return {file.key: why for file, why in troubled if file.key not in rows}
