"""Files that appear whole or not at all (staged beside the target, flushed, moved), and that are read with distrust."""

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any
from unicodedata import category

from filelock import FileLock

from labs import LabsError

WRITTEN: set[Path] = set()  # what this process has written here, as absolute paths
# JSON knows no such numbers: they are written as these words, as Protocol Buffers do, and read back as numbers.
WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


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


@contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `root` if the block ends well, and is removed otherwise."""
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp closes the folder to everyone else
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def written_once(root: Path, write: Callable[[Path], object]) -> Path:
    """Return a folder that the first process which wants it writes, while the others wait."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not root.exists():
            write(root)
    return root


def leftovers(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return what killed processes had staged for files of these patterns, to which nobody may be writing now."""
    staged = (pattern.rpartition("/") for pattern in patterns)
    found = (path for place, _, name in staged for path in (folder / place).glob(f".{name}.*.part"))
    return sorted({path for path in found if re.fullmatch(r"\..+\.\d+\.part", path.name)})


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
    check_file(path)
    return path.read_text(encoding="utf-8")


def typed_path(typed: str | Path, key: str) -> Path:
    """Return the path that was typed under a key, `~` expanded, whether something is there or not.

    Raises:
        LabsError: No file of any system has such a name, or nobody has this home.
    """
    try:
        path = Path(typed).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise LabsError(f"{key}={typed}: cannot be opened ({why}); type another path.") from error
    return path


def check_file(path: Path) -> None:
    """Refuse a pipe, a device or a folder, before somebody opens it and waits.

    Raises:
        OSError: It is there, and no file.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is no file")


def read_json(path: Path) -> Any:
    """Read a JSON file; see `read_text` and `from_json` for what they raise."""
    return from_json(read_text(path))


def to_json(content: Any) -> str:
    """Write the content of a JSON file; what is not a number becomes the word NaN, Infinity or -Infinity.

    Examples:
        >>> print(to_json({"loss": float("nan"), "lr": 0.1}), end="")
        {
          "loss": "NaN",
          "lr": 0.1
        }
    """
    return json.dumps(_in_words(content), indent=2, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """Read the content of a JSON file; the words of `to_json`, and the bare ones of earlier files, become numbers.

    Raises:
        ValueError: It is no JSON, or holds what nobody can compute with, print or write down again.

    Examples:
        >>> from_json('{"loss": "NaN", "before": NaN}')
        {'loss': nan, 'before': nan}
    """
    try:
        content = _in_numbers(json.loads(text, parse_int=_whole_number))
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return content


def _whole_number(written: str) -> int:
    if len(written) > 19:
        raise ValueError(f"it holds a number of {len(written)} figures")
    return int(written)


def _in_words(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _in_words(value) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_in_words(value) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        return "NaN" if math.isnan(node) else "Infinity" if node > 0 else "-Infinity"
    return node


def _in_numbers(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _in_numbers(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_in_numbers(value) for value in node]
    return WORDS.get(node, node) if isinstance(node, str) else node


def cut(name: str, most: int) -> str:
    """Cut a name to a number of bytes: file systems count those (255 of a name), not letters.

    Examples:
        >>> cut("bird", 3), cut("größe", 3)
        ('bir', 'gr')
    """
    return name.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "ignore")


def new_file(folder: Path, stem: str, suffix: str) -> Path:
    """Return a path in a folder at which nothing is: a name that is taken gets a number."""
    stem = cut(stem, 200)
    names = (f"{stem}{number}{suffix}" for number in chain([""], (f"-{place}" for place in count(2))))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def printable(name: str) -> str:
    r"""Return a file's name as it can be printed and written in UTF-8, different for different names.

    Examples:
        >>> printable("my cat, 1=é.png"), printable("a\n\udcff.png")
        ('my cat, 1=é.png', 'a\\n\\udcff.png')
    """
    return "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in name)
