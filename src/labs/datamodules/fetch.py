"""Download archives, verify them, unpack them.

A file is used only when its size and its SHA-256 are the expected ones, wherever it came from. A download
goes to a hidden `.part` beside the final name and resumes from it; a file that the user put in place is
verified and never touched. `LABS_OFFLINE=1` in the environment forbids the network.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import lzma
import os
import re
import shutil
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from labs.errors import LabsError

BACKOFF_SECONDS = 1.0  # wait before the first retry; it doubles with each one
CHUNK_BYTES = 1 << 17


@dataclass(frozen=True)
class Archive:
    """A file to download: its name, where it is, how long it is, what its digest is.

    Attributes:
        name: File name on disk, such as `CUB_200_2011.tgz`.
        urls: Mirrors, tried in order; none for a file that only the user can bring.
        sha256: Full digest, or its first 8 or more hex digits (torchvision's weights carry 8), in lower case.
        size: Length in bytes, when known.

    Raises:
        ValueError: If a field cannot be what it should be.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    size: int | None = None

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise ValueError(f"expected a file name without folders, found {self.name!r}")
        if not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"{self.name}: expected 8 to 64 lower-case hex digits, found {self.sha256!r}")
        for url in self.urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"{self.name}: expected an http(s) address, found {url!r}")

    def __str__(self) -> str:
        size = "unknown" if self.size is None else f"{self.size:,} bytes"
        starts = "" if len(self.sha256) == 64 else "starts with "
        return f"size {size}, SHA-256 {starts}{self.sha256}"


class _WrongFileError(Exception):
    """The file has not the expected size or digest."""


class _MirrorError(Exception):
    """This mirror cannot serve the file: go on to the next one."""


class _TryAgainError(Exception):
    """The network failed: the same mirror may answer later."""


def fetch(
    archive: Archive, folder: Path, *, timeout: float = 30.0, retries: int = 3, progress: bool = True
) -> Path:
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
                digest = _from_mirrors(archive, part, timeout, retries, progress)
            except _MirrorError as error:
                raise LabsError(f"could not download {archive.name}:\n{error}\n{by_hand}") from error
            if os.path.lexists(target):  # the user put it there during the download
                return _accept(target, archive)
            part.replace(target)
            _remember(target, target.stat(), digest)
    except OSError as error:  # network failures never come this far: this is the disk
        raise LabsError(f"cannot write {target.absolute()}: {error}") from error
    return target


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, archive: Archive) -> str:
    """Return the digest of a file; raise _WrongFileError if it or the size is not the expected one."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise _WrongFileError(f"found {size:,} bytes, expected {archive.size:,}")
    digest = sha256_of(path)
    if not digest.startswith(archive.sha256):
        raise _WrongFileError(f"found SHA-256 {digest}, expected {archive.sha256}")
    return digest


def _accept(target: Path, archive: Archive) -> Path:
    """Return the path of a file that is in place if it is the expected one; leave it alone in any case."""
    if not target.is_file():
        raise LabsError(f"{target.absolute()} is a folder or a link to nothing, not a file: remove it")
    before = target.stat()  # taken before hashing, so that a file changed meanwhile is hashed again next time
    if _remembered(target, before, archive):
        return target
    try:
        _remember(target, before, _check(target, archive))
    except _WrongFileError as error:
        download = "delete it and run again to download it, or " if archive.urls else ""
        raise LabsError(
            f"{target.absolute()} is not the expected file: {error}.\n"
            f"Nothing was changed: {download}replace it by the right one ({archive})."
        ) from error
    except OSError as error:
        raise LabsError(f"cannot read {target.absolute()}: {error}") from error
    return target


def _sidecar(target: Path) -> Path:
    return target.with_name(f".{target.name}.verified")


def _remember(target: Path, state: os.stat_result, digest: str) -> None:
    """Note that a file was verified: hashing a gigabyte at each start would take seconds."""
    record = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": digest}
    with suppress(OSError):  # a folder that is only readable is no fault: it is hashed each time
        _sidecar(target).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _remembered(target: Path, state: os.stat_result, archive: Archive) -> bool:
    try:
        record = json.loads(_sidecar(target).read_text(encoding="utf-8"))
        same_file = (record["size"], record["mtime_ns"]) == (state.st_size, state.st_mtime_ns)
        same_size = archive.size in (None, record["size"])
        return same_file and same_size and record["sha256"].startswith(archive.sha256)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # absent, torn or foreign
        return False


@contextmanager
def _only_one(path: Path, name: str) -> Iterator[None]:
    """Hold a lock between processes, and say so if that means to wait."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is downloading {name}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check_free_space(archive: Archive, part: Path) -> None:
    if archive.size is None:
        return
    needed = archive.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise LabsError(
            f"{archive.name} needs {decimal(needed)} more ({needed:,} bytes) in {part.parent.absolute()}, "
            f"where {decimal(free)} ({free:,} bytes) are free: make room or choose another folder"
        )


def _bar(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not progress)


def _from_mirrors(archive: Archive, part: Path, timeout: float, retries: int, progress: bool) -> str:
    """Complete `part` from the first mirror that serves the expected file; return its digest."""
    failures = []
    with _bar(progress) as bar:
        bar.add_task(archive.name, total=archive.size)
        for url in archive.urls:
            try:
                return _from_mirror(url, archive, part, timeout, retries, bar)
            except _MirrorError as error:
                failures.append(f"  {url}: {error}")
    if part.exists():
        failures.append(f"The {decimal(part.stat().st_size)} that came are kept: run again to go on.")
    raise _MirrorError("\n".join(failures))


def _from_mirror(url: str, archive: Archive, part: Path, timeout: float, retries: int, bar: Progress) -> str:
    """Complete `part` from one mirror, in several attempts; return its digest."""
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
            return _check(part, archive)
        except _WrongFileError as error:
            part.unlink()
            if not resumed:
                raise _MirrorError(error) from error
            reason = error  # the wrong bytes may be those of an earlier mirror: once more, from the start
    raise _MirrorError(f"{reason} (attempts: {retries + 1})") from reason


def _stream(url: str, archive: Archive, part: Path, timeout: float, bar: Progress) -> bool:
    """Append to `part` what it lacks; return whether it held bytes of an earlier attempt that were used."""
    have = part.stat().st_size if part.exists() else 0
    if archive.size is not None and have >= archive.size:
        return True
    response = _open(url, have, timeout)
    if response is None:
        return True
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _MirrorError("answered with a web page (quota or consent page)")
        start = have if response.status == 206 else 0  # 200: Range was ignored, the whole file comes
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _MirrorError("answered with another part of the file than the one asked for")
        total = archive.size if response.length is None else start + response.length
        if archive.size not in (None, total):
            raise _MirrorError(f"has a file of {total:,} bytes, expected {archive.size:,}")
        done, task = start, bar.task_ids[0]
        bar.reset(task, completed=start, total=total)  # not `update`: old bytes would count as speed
        with part.open("ab" if start else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                done += len(chunk)
                bar.update(task, completed=done)
                if total is not None and done > total:  # possible without Content-Length only
                    break  # and found wrong by its size
    if total is not None and done < total:  # http.client takes an early end for the end
        raise _TryAgainError(f"the connection broke after {done:,} of {total:,} bytes")
    return start > 0


def _open(url: str, start: int, timeout: float) -> Any:
    """Ask for a file from byte `start` on; return the response, or None if the file ends there."""
    request = urllib.request.Request(_direct(url), headers={"User-Agent": "labs"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        return urllib.request.build_opener(_StayOnHttps).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return None
        again = error.code >= 500 or error.code in (408, 429)
        raise (_TryAgainError if again else _MirrorError)(f"{error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(str(error) or type(error).__name__) from error


class _UnsafeMemberError(Exception):
    """A member of a zip archive would leave the folder, as tarfile.FilterError says of tar."""


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    """Follow redirections, except from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https://"):
            raise _MirrorError(f"redirects from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _direct(url: str) -> str:
    """Turn a link to Google Drive into the form that skips its page about viruses."""
    host = urllib.parse.urlsplit(url).hostname
    file_id = re.search(r"(?:[?&]id=|/d/)([\w-]+)", url)
    if host not in ("drive.google.com", "drive.usercontent.google.com") or "confirm=" in url or not file_id:
        return url
    return f"https://drive.usercontent.google.com/download?id={file_id[1]}&export=download&confirm=t"


def unpack(path: Path, destination: Path, *, expected: str | None = None) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into a new folder, wholly or not at all.

    Args:
        path: The archive.
        destination: The folder to make; its parents are made if needed.
        expected: A file or folder, relative to `destination`, that the archive must bring.

    Raises:
        LabsError: If the destination exists, the archive is damaged, unsafe (a device, or a member or link
            that leads outside) or lacks `expected`, or the disk is full. Nothing is left behind then, nor
            after Ctrl-C.
    """
    if os.path.lexists(destination):
        raise LabsError(f"{destination.absolute()} exists: remove it to unpack {path.name} there again")
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.unpacking")
    try:
        temporary.mkdir(parents=True)
        with path.open("rb") as file, _bar(progress=True) as bar:
            task = bar.add_task(f"unpacking {path.name}", total=path.stat().st_size)
            extract = _extract_zip if file.read(4) in (b"PK\3\4", b"PK\5\6") else _extract_tar
            file.seek(0)
            for done in extract(file, temporary):
                bar.update(task, completed=done)
        if expected is not None and not (temporary / expected).exists():
            found = ", ".join(sorted(child.name for child in temporary.iterdir())[:10])
            raise LabsError(f"{path.absolute()} holds no {expected}, only: {found}")
        temporary.rename(destination)
    except (tarfile.FilterError, _UnsafeMemberError) as error:
        raise LabsError(f"{path.absolute()} is not safe to unpack: {error}") from error
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")  # tarfile lists every kind
        raise LabsError(
            f"{path.absolute()} is damaged or no tar or zip ({reason}): delete it and run again"
        ) from error
    except OSError as error:
        raise LabsError(f"cannot unpack {path.absolute()} into {destination.absolute()}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# What the standard library raises for archives that are cut, altered, encrypted or of another kind.
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
    EOFError, ValueError, OverflowError, RuntimeError,
)  # fmt: skip


def _extract_tar(file: IO[bytes], folder: Path) -> Iterator[int]:
    """Extract a tar archive member by member; yield how many bytes of the file were read."""
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            tar.extract(member, folder, filter="data")
            yield file.tell()
        stream = tar.fileobj
        assert stream is not None
        stream.seek(tar.offset)
        # tarfile takes a broken header for the end, which is a block of zeros
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the end of the archive is missing")
        while stream.read(CHUNK_BYTES):  # up to the checksum that ends a compressed file
            pass


def _extract_zip(file: IO[bytes], folder: Path) -> Iterator[int]:
    """Extract a zip archive member by member; yield how many bytes of the file were read."""
    done = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            parts = re.split(r"[/\\]", member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 in files that were not made on Unix
            if parts[0] == "" or re.match("[A-Za-z]:", parts[0]) or ".." in parts:
                raise _UnsafeMemberError(f"{member.filename!r} leads outside the folder")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _UnsafeMemberError(f"{member.filename!r} is a link or a device")
            archive.extract(member, folder)
            done += member.compress_size
            yield done
