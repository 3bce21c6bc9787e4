"""Files that appear whole or not at all: staged beside the target, flushed to the disk, moved into its place."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITTEN: set[Path] = set()  # what this process has written here, as absolute paths


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; what is written there takes its place if the block ends well.

    Staged in the same folder, so that the last move is one step on any disk: a process that is killed, or a disk that
    is full, leaves the earlier file as it was.
    """
    path = path.absolute()
    staged = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield staged
        with staged.open("rb+") as file:
            os.fsync(file.fileno())
        staged.replace(path)
        WRITTEN.add(path)
    except OSError as error:
        if error.filename in (None, str(staged)):  # a disk that is full does not say where
            error.filename = str(path)
        raise
    finally:
        staged.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes had staged under a folder, in which nobody may be writing now."""
    return [path for path in folder.rglob(".*.part") if re.fullmatch(r"\..+\.\d+\.part", path.name)]


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move."""
    with replacing(path) as staged:
        staged.write_text(text, encoding="utf-8")


def cut(name: str, most: int) -> str:
    """Cut a name to a number of bytes: file systems count those (255 of a name), not letters.

    Examples:
        >>> cut("bird", 3), cut("größe", 3)
        ('bir', 'gr')
    """
    return name.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "ignore")
