"""Unpack tar and zip archives, completely or not at all."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from rich.filesize import decimal

from labs import LabsError
from labs.storage.bars import byte_bar
from labs.storage.whole_folder import whole_folder

# What the standard library raises for archives that are truncated, altered, encrypted or in another format.
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
    EOFError, ValueError, OverflowError, RuntimeError, LookupError,
)  # fmt: skip


MOST_MEMBERS = 1_000_000
MOST_RATIO = 100  # unpacked bytes per byte of the archive
LEAST_BYTES = 100_000_000  # any archive may unpack to this much, and have this much behind its end
CHUNK_BYTES = 1 << 20  # the longest header


class _UnsafeError(Exception):
    """An archive would write outside its folder (for tar, tarfile raises FilterError itself) or too much."""


def unpack(path: Path, destination: Path, *, expected: str | None = None) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into a new folder, completely or not at all.

    The files are on the disk before the folder gets its name. What a killed process left for this folder is removed.

    Args:
        path: The archive.
        destination: The folder to create; its parents are created if needed.
        expected: A file or folder, relative to `destination`, that the archive must contain.

    Raises:
        LabsError: If the destination exists, the archive is damaged, unsafe (a device, a member or link that leads
            outside, a sparse file, too many members, or more bytes than an archive of its size can sensibly hold) or
            lacks `expected`, or the disk is full. Nothing is left behind, not even after Ctrl-C.
    """
    if os.path.lexists(destination):
        raise LabsError(f"{destination.absolute()} already exists: remove it to unpack {path.name} again")
    try:
        with whole_folder(destination) as temporary:
            with path.open("rb") as file, byte_bar() as bar:
                size = path.stat().st_size
                task = bar.add_task(f"unpacking {path.name}", total=size)
                extract = _extract_zip if file.read(4) in (b"PK\3\4", b"PK\5\6") else _extract_tar
                file.seek(0)
                room = _Room(max(LEAST_BYTES, MOST_RATIO * size), shutil.disk_usage(temporary).free)
                for done in extract(file, temporary, room):
                    bar.update(task, completed=done)
            if expected is not None and not (temporary / expected).exists():
                found = ", ".join(sorted(child.name for child in temporary.iterdir())[:10])
                raise LabsError(f"{path.absolute()} does not contain {expected}, only: {found}")
            _flush(temporary)
    except (tarfile.FilterError, _UnsafeError) as error:
        raise LabsError(f"{path.absolute()} is not safe to unpack: {error}") from error
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")  # tarfile lists every kind
        raise LabsError(f"{path.absolute()} is not a valid tar or zip ({reason}): delete it and run again") from error
    except OSError as error:
        raise LabsError(f"cannot unpack {path.absolute()} into {destination.absolute()}: {error}") from error


class _Room:
    """Count members and bytes, before they are written."""

    def __init__(self, most: int, free: int) -> None:
        self.most, self.free = most, free
        self.members = self.bytes = 0

    def add(self, name: str, size: int) -> None:
        self.members, self.bytes = self.members + 1, self.bytes + max(0, size)
        if self.members > MOST_MEMBERS:
            raise _UnsafeError(f"more than {MOST_MEMBERS:,} members")
        if self.bytes > self.most:
            raise _UnsafeError(f"more than {decimal(self.most)} ({name!r}), too much for an archive of its size")
        if self.bytes > self.free:
            raise OSError(errno.ENOSPC, f"it needs more than the {decimal(self.free)} that are free; make room")


class _Bounded(io.RawIOBase):
    """Read a decompressed stream, but not beyond a number of bytes, nor much at a time."""

    def __init__(self, raw: IO[bytes], most: int) -> None:
        self.raw, self.most = raw, most

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= CHUNK_BYTES:
            raise _UnsafeError(f"a header of more than {decimal(CHUNK_BYTES)}")
        return self.raw.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence != 0 or offset > self.most:
            raise _UnsafeError(f"more than {decimal(self.most)}, too much for an archive of its size")
        return self.raw.seek(offset)

    def tell(self) -> int:
        return self.raw.tell()


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    begin = file.read(6)
    file.seek(0)
    if begin.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if begin.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if begin == b"\xfd7zXZ\0" else file


def _extract_tar(file: IO[bytes], folder: Path, room: _Room) -> Iterator[int]:
    """Extract a tar archive member by member; yield how many bytes of the file were read."""
    stream: Any = _Bounded(_decompressed(file), room.most + MOST_MEMBERS * tarfile.RECORDSIZE)
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            if member.issparse():
                raise _UnsafeError(f"{member.name!r} is a sparse file")
            room.add(member.name, member.size)
            tar.extract(member, folder, filter="data")
            yield file.tell()
        stream.seek(tar.offset)
        # tarfile takes a broken header for the end of the archive, which must be a block of zeros
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the end of the archive is missing")
        end = stream.tell()
        while stream.read(tarfile.RECORDSIZE):  # read up to the checksum at the end of a compressed file
            if stream.tell() > end + LEAST_BYTES:
                raise _UnsafeError(f"more than {decimal(LEAST_BYTES)} behind its end")


def _flush(folder: Path) -> None:
    """Wait until the files are on the disk, several at a time, because disks write them together."""

    def flush(path: Path) -> None:
        with path.open("rb+") as file:
            os.fsync(file.fileno())

    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(flush, files):
            pass


def _extract_zip(file: IO[bytes], folder: Path, room: _Room) -> Iterator[int]:
    """Extract a zip archive member by member; yield how many bytes of the file were read."""
    done = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            parts = re.split(r"[/\\]", member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on Unix
            if parts[0] == "" or re.match("[A-Za-z]:", parts[0]) or ".." in parts:
                raise _UnsafeError(f"{member.filename!r} leads outside the folder")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _UnsafeError(f"{member.filename!r} is a link or a device")
            room.add(member.filename, member.file_size)
            archive.extract(member, folder)
            done += member.compress_size
            yield done
