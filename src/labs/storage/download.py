"""Download a file from its mirrors: resume, retry, and fall back to the next mirror.

The rules of `labs.storage.web` hold: host names are resolved once, and private addresses and redirects from https to
http are refused. A download may take any time, but is dropped if it comes in drips. If the size of the file is not
known, the answer is cut at `Archive.most`.
"""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.parse
from contextlib import closing
from itertools import chain
from pathlib import Path

from rich.filesize import decimal
from rich.progress import Progress

from labs import LabsError
from labs.storage.archive import Archive, WrongFileError
from labs.storage.bars import byte_bar
from labs.storage.failures import RefusedError, TroubleError
from labs.storage.files import own_file
from labs.storage.web import CHUNK_BYTES, Web, check_status

BACKOFF_SECONDS = 1.0  # wait before the first retry; doubles with each further retry
WINDOW_SECONDS = 60.0
WINDOW_BYTES = 60_000  # fewer in `WINDOW_SECONDS` end the connection


def download(
    archive: Archive, part: Path, *, timeout: float, retries: int, progress: bool, allow_private: bool = False
) -> str:
    """Complete `part` from the first mirror that serves the expected file; return its digest.

    Args:
        archive: What to download.
        part: The partial file; the bytes that it already holds are not downloaded again.
        timeout: Seconds without any data after which a connection counts as broken.
        retries: Retries per mirror.
        progress: Whether to draw a progress bar on stderr.
        allow_private: Whether to allow private addresses; so does the environment variable LABS_ALLOW_PRIVATE=1.

    Raises:
        LabsError: If no mirror serves the expected file (the message gives the reason for each), or if `part` is a
            link or not a file.
        OSError: If `part` cannot be written.
    """
    failures = []
    allow_private |= os.environ.get("LABS_ALLOW_PRIVATE", "0") not in ("", "0")
    with byte_bar(progress) as bar:
        bar.add_task(archive.name, total=archive.size)
        for url in archive.urls:
            try:
                return _from_mirror(url, archive, part, timeout, retries, bar, allow_private)
            except RefusedError as error:
                hint = "; if it is your own server, set LABS_ALLOW_PRIVATE=1" if "private address" in str(error) else ""
                failures.append(f"  {url}: {error}{hint}")
    if part.exists():
        failures.append(f"{decimal(part.stat().st_size)} are kept: run the same command again to resume.")
    raise LabsError("\n".join([f"could not download {archive.name}:", *failures]))


def _from_mirror(
    url: str, archive: Archive, part: Path, timeout: float, retries: int, bar: Progress, allow_private: bool
) -> str:
    """Complete `part` from one mirror, with retries; return its digest."""
    reason: Exception | None = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        web = Web(
            timeout=timeout,
            seconds_each=WINDOW_SECONDS,
            renewing_bytes=WINDOW_BYTES,
            most_bytes=archive.limit + CHUNK_BYTES,
            allow_private=allow_private,
            proxies=True,
        )
        try:
            resumed = _stream(web, url, archive, part, bar)
        except TroubleError as error:
            reason = error
            continue
        try:
            return archive.verify(part)
        except WrongFileError as error:
            part.unlink()
            if not resumed:
                raise RefusedError(str(error)) from error
            reason = error  # the wrong bytes may come from an earlier mirror: start over once
    raise RefusedError(f"{reason} (attempts: {retries + 1})") from reason


def _stream(web: Web, url: str, archive: Archive, part: Path, bar: Progress) -> bool:
    """Append the missing bytes to `part`; return whether bytes of an earlier attempt were reused."""
    have = 0
    if os.path.lexists(part):
        with own_file(part) as file:
            have = file.seek(0, os.SEEK_END)
    if archive.size is not None and have >= archive.size:
        return True
    answer = _Answer(archive, have)
    task = bar.task_ids[0]
    with web.watched(), closing(web.get(direct_url(url), start=have, check=answer.check)) as chunks:
        try:
            first = next(chunks, b"")
        except _CompleteError:
            return True
        with own_file(part) as file:
            file.truncate(answer.start)
            done = file.seek(answer.start)
            bar.reset(task, completed=done, total=answer.total)  # `update` would count the old bytes as speed
            try:
                for chunk in chain([first], chunks):
                    done += file.write(chunk)
                    bar.update(task, completed=done)
                    if done > archive.limit:  # possible only without Content-Length
                        break
            finally:
                file.flush()
                os.fsync(file.fileno())  # before the file gets its name
    if archive.size is None and done > archive.limit:
        part.unlink()
        raise RefusedError(f"has a file of more than {archive.limit:,} bytes")
    return answer.start > 0


class _CompleteError(Exception):
    """The file ends where the answer was to begin."""


class _Answer:
    """What a mirror answers to a request for the bytes from `have` onward."""

    def __init__(self, archive: Archive, have: int) -> None:
        self.archive, self.have = archive, have
        self.start = 0
        self.total: int | None = None

    def check(self, response: http.client.HTTPResponse) -> None:
        """Find where the bytes start and how many there are; refuse what cannot be the file."""
        if response.status == 416 and self.have:
            raise _CompleteError
        if response.status != 206:
            check_status(response)
        if response.headers.get_content_type() == "text/html":
            raise RefusedError("answered with a web page (quota or consent page)")
        self.start = self.have if response.status == 206 else 0  # 200: Range was ignored, the whole file follows
        if self.start and not response.headers.get("Content-Range", "").startswith(f"bytes {self.start}-"):
            raise RefusedError("answered with a different part of the file than requested")
        self.total = self.archive.size if response.length is None else self.start + response.length
        if self.archive.size not in (None, self.total):
            raise RefusedError(f"has a file of {self.total:,} bytes, expected {self.archive.size:,}")
        if self.total is not None and self.total > self.archive.limit:
            raise RefusedError(f"has a file of {self.total:,} bytes, more than {self.archive.limit:,}")


def direct_url(url: str) -> str:
    """Rewrite a Google Drive link to skip the virus-scan page; return any other link unchanged.

    >>> direct_url("https://drive.google.com/file/d/1GDr1/view")
    'https://drive.usercontent.google.com/download?id=1GDr1&export=download&confirm=t'
    """
    host = urllib.parse.urlsplit(url).hostname
    file_id = re.search(r"(?:[?&]id=|/d/)([\w-]+)", url)
    if host not in ("drive.google.com", "drive.usercontent.google.com") or "confirm=" in url or not file_id:
        return url
    return f"https://drive.usercontent.google.com/download?id={file_id[1]}&export=download&confirm=t"
