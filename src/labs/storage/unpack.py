"""Unpack tar and zip archives, completely or not at all."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from labs import LabsError
from labs.storage.bars import byte_bar

# What the standard library raises for archives that are truncated, altered, encrypted or in another format.
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
    EOFError, ValueError, OverflowError, RuntimeError,
)  # fmt: skip


class _UnsafeMemberError(Exception):
    """A member of a zip archive leads outside the folder; for tar archives, tarfile raises FilterError."""


def unpack(path: Path, destination: Path, *, expected: str | None = None) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into a new folder, completely or not at all.

    Args:
        path: The archive.
        destination: The folder to create; its parents are created if needed.
        expected: A file or folder, relative to `destination`, that the archive must contain.

    Raises:
        LabsError: If the destination exists, the archive is damaged, unsafe (a device, or a member or link
            that leads outside) or lacks `expected`, or the disk is full. Nothing is left behind, not even
            after Ctrl-C.
    """
    if os.path.lexists(destination):
        raise LabsError(f"{destination.absolute()} already exists: remove it to unpack {path.name} again")
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.unpacking")
    try:
        temporary.mkdir(parents=True)
        with path.open("rb") as file, byte_bar() as bar:
            task = bar.add_task(f"unpacking {path.name}", total=path.stat().st_size)
            extract = _extract_zip if file.read(4) in (b"PK\3\4", b"PK\5\6") else _extract_tar
            file.seek(0)
            for done in extract(file, temporary):
                bar.update(task, completed=done)
        if expected is not None and not (temporary / expected).exists():
            found = ", ".join(sorted(child.name for child in temporary.iterdir())[:10])
            raise LabsError(f"{path.absolute()} does not contain {expected}, only: {found}")
        temporary.rename(destination)
    except (tarfile.FilterError, _UnsafeMemberError) as error:
        raise LabsError(f"{path.absolute()} is not safe to unpack: {error}") from error
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")  # tarfile lists every kind
        raise LabsError(f"{path.absolute()} is not a valid tar or zip ({reason}): delete it and run again") from error
    except OSError as error:
        raise LabsError(f"cannot unpack {path.absolute()} into {destination.absolute()}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract_tar(file: IO[bytes], folder: Path) -> Iterator[int]:
    """Extract a tar archive member by member; yield how many bytes of the file were read."""
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            tar.extract(member, folder, filter="data")
            yield file.tell()
        stream = tar.fileobj
        assert stream is not None
        stream.seek(tar.offset)
        # tarfile takes a broken header for the end of the archive, which must be a block of zeros
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the end of the archive is missing")
        while stream.read(tarfile.RECORDSIZE):  # read up to the checksum at the end of a compressed file
            pass


def _extract_zip(file: IO[bytes], folder: Path) -> Iterator[int]:
    """Extract a zip archive member by member; yield how many bytes of the file were read."""
    done = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            parts = re.split(r"[/\\]", member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on Unix
            if parts[0] == "" or re.match("[A-Za-z]:", parts[0]) or ".." in parts:
                raise _UnsafeMemberError(f"{member.filename!r} leads outside the folder")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _UnsafeMemberError(f"{member.filename!r} is a link or a device")
            archive.extract(member, folder)
            done += member.compress_size
            yield done
