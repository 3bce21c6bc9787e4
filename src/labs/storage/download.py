"""Download a file from its mirrors: resume, retry, and fall back to the next mirror."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from rich.filesize import decimal
from rich.progress import Progress

from labs import LabsError
from labs.storage.archive import Archive, WrongFileError
from labs.storage.bars import byte_bar

BACKOFF_SECONDS = 1.0  # wait before the first retry; doubles with each further retry
CHUNK_BYTES = 1 << 17


class MirrorError(Exception):
    """This mirror cannot serve the file; try the next one."""


class _TryAgainError(Exception):
    """The network failed; the same mirror may answer later."""


def download(archive: Archive, part: Path, *, timeout: float, retries: int, progress: bool) -> str:
    """Complete `part` from the first mirror that serves the expected file; return its digest.

    Args:
        archive: What to download.
        part: The partial file; the bytes that it already holds are not downloaded again.
        timeout: Seconds without any data after which a connection counts as broken.
        retries: Retries per mirror.
        progress: Whether to draw a progress bar on stderr.

    Raises:
        LabsError: If no mirror serves the expected file; the message gives the reason for each.
        OSError: If `part` cannot be written.
    """
    failures = []
    with byte_bar(progress) as bar:
        bar.add_task(archive.name, total=archive.size)
        for url in archive.urls:
            try:
                return _from_mirror(url, archive, part, timeout, retries, bar)
            except MirrorError as error:
                failures.append(f"  {url}: {error}")
    if part.exists():
        failures.append(f"{decimal(part.stat().st_size)} are kept: run the same command again to resume.")
    raise LabsError("\n".join([f"could not download {archive.name}:", *failures]))


def _from_mirror(url: str, archive: Archive, part: Path, timeout: float, retries: int, bar: Progress) -> str:
    """Complete `part` from one mirror, with retries; return its digest."""
    reason: Exception | None = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
        try:
            resumed = _stream(url, archive, part, timeout, bar)
        except _TryAgainError as error:
            reason = error
            continue
        try:
            return archive.verify(part)
        except WrongFileError as error:
            part.unlink()
            if not resumed:
                raise MirrorError(error) from error
            reason = error  # the wrong bytes may come from an earlier mirror: start over once
    raise MirrorError(f"{reason} (attempts: {retries + 1})") from reason


def _stream(url: str, archive: Archive, part: Path, timeout: float, bar: Progress) -> bool:
    """Append the missing bytes to `part`; return whether bytes of an earlier attempt were reused."""
    have = part.stat().st_size if part.exists() else 0
    if archive.size is not None and have >= archive.size:
        return True
    response = _open(url, have, timeout)
    if response is None:
        return True
    with response:
        if response.headers.get_content_type() == "text/html":
            raise MirrorError("answered with a web page (quota or consent page)")
        start = have if response.status == 206 else 0  # 200: Range was ignored, the whole file follows
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise MirrorError("answered with a different part of the file than requested")
        total = archive.size if response.length is None else start + response.length
        if archive.size not in (None, total):
            raise MirrorError(f"has a file of {total:,} bytes, expected {archive.size:,}")
        done, task = start, bar.task_ids[0]
        bar.reset(task, completed=start, total=total)  # `update` would count the old bytes as speed
        with part.open("ab" if start else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                done += len(chunk)
                bar.update(task, completed=done)
                if total is not None and done > total:  # possible only without Content-Length
                    break  # the check of the size rejects it
    if total is not None and done < total:  # http.client reports no error if the connection ends early
        raise _TryAgainError(f"the connection broke after {done:,} of {total:,} bytes")
    return start > 0


def _open(url: str, start: int, timeout: float) -> Any:
    """Request a file from byte `start` onward; return the response, or None if the file ends there."""
    request = urllib.request.Request(direct_url(url), headers={"User-Agent": "labs"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        return urllib.request.build_opener(StayOnHttps).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return None
        again = error.code >= 500 or error.code in (408, 429)
        raise (_TryAgainError if again else MirrorError)(f"{error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(str(error) or type(error).__name__) from error


class StayOnHttps(urllib.request.HTTPRedirectHandler):
    """Follow redirects, except from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect; raise MirrorError if it would leave https."""
        if req.type == "https" and not newurl.startswith("https://"):
            raise MirrorError(f"redirects from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
