"""Files that appear whole or not at all (staged beside the target, flushed, moved), and that are read with distrust."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
        staged.write_text(text, encoding="utf-8", errors="surrogateescape")  # names of files, whatever their letters


def read_text(path: Path) -> str:
    """Read a text file. A pipe or a device is not opened: reading it might never end.

    Raises:
        OSError: There is no such file, or it is none.
        ValueError: It is no text in UTF-8.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    return path.read_text(encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: There is no such file, or it is none.
        ValueError: It is no JSON, or holds what nobody can compute with, print or write down again.
    """
    try:
        content = json.loads(read_text(path), parse_int=_whole_number)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return content


def _whole_number(written: str) -> int:
    if len(written) > 19:
        raise ValueError(f"it holds a number of {len(written)} figures")
    return int(written)
