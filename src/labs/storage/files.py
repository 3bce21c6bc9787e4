"""Write files atomically (to a temporary file that is then moved into place), and read files without trusting them."""

import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import IO, Any
from unicodedata import category

from filelock import FileLock

from labs import LabsError

DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}  # of Windows
WRITTEN: set[Path] = set()  # absolute paths of the files that this process has written
# JSON has no such numbers. They are written as these strings, as in Protocol Buffers, and read back as numbers.
WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move the file written there to `path` if the block succeeds.

    Both are in the same folder, so that the move is atomic on any disk. If the process is killed or the disk is full,
    the earlier file stays unchanged. The temporary file is new: a link that somebody put in its place is not followed.
    """
    path = path.absolute()
    staged = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        staged.unlink(missing_ok=True)
        staged.open("xb").close()
        yield staged
        with staged.open("rb+") as file:
            os.fsync(file.fileno())
        staged.replace(path)
        WRITTEN.add(path)
    except OSError as error:
        if error.filename in (None, str(staged)):  # the error of a full disk names no file
            error.filename = str(path)
        raise
    finally:
        staged.unlink(missing_ok=True)


def identity(state: os.stat_result) -> dict[str, int]:
    """Return what changes whenever a file is changed, even if somebody sets its time back: nobody can set `ctime`."""
    return {
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "ctime_ns": state.st_ctime_ns,
        "inode": state.st_ino,
    }


def own_file(path: Path) -> IO[bytes]:
    """Open a file for reading and writing at its beginning; create it if it is missing.

    Raises:
        LabsError: The name is taken by a link, a pipe, a device or a folder: writing would change something else.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    refused = LabsError(f"{path.absolute()} is a link or not a file, so that nothing is written to it; remove it.")
    if path.is_symlink():
        raise refused
    try:
        opened = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise refused from error
        raise
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(opened)
        raise refused
    return os.fdopen(opened, "r+b")


def written_once(root: Path, write: Callable[[Path], object]) -> Path:
    """Return a folder; the first process that needs it writes it while the others wait."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not root.exists():
            write(root)
    return root


def leftovers(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the temporary files that killed processes left for these patterns; no process may be writing them now."""
    staged = (pattern.rpartition("/") for pattern in patterns)
    found = (path for place, _, name in staged for path in (folder / place).glob(f".{name}.*.part"))
    return sorted({path for path in found if re.fullmatch(r"\..+\.\d+\.part", path.name)})


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as staged:
        staged.write_text(text, encoding="utf-8", errors="surrogateescape")  # so that any file name can be written


def read_text(path: Path) -> str:
    """Read a text file; refuse a pipe or a device, because reading it might never end.

    Raises:
        OSError: The file is missing or not a regular file.
        ValueError: The file is not UTF-8 text.
    """
    check_file(path)
    return path.read_text(encoding="utf-8")


def typed_path(typed: str | Path, key: str) -> Path:
    """Return the path that the user typed for `key`, with `~` expanded; it need not exist.

    Raises:
        LabsError: The path is not valid on this system, or the home directory is unknown.
    """
    try:
        path = Path(typed).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise LabsError(f"{key}={typed}: the path cannot be opened ({why}); type another path.") from error
    return path


def check_file(path: Path) -> None:
    """Refuse a pipe, a device or a folder, because opening it might wait forever.

    Raises:
        OSError: The path exists and is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")


def read_json(path: Path) -> Any:
    """Read a JSON file; see `read_text` and `from_json` for what they raise."""
    return from_json(read_text(path))


def to_json(content: Any) -> str:
    """Return content as JSON text; numbers that are not finite become the strings NaN, Infinity and -Infinity.

    Examples:
        >>> print(to_json({"loss": float("nan"), "lr": 0.1}), end="")
        {
          "loss": "NaN",
          "lr": 0.1
        }
    """
    return json.dumps(_in_words(content), indent=2, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """Parse JSON text; the strings of `to_json`, and the bare words of earlier files, become numbers.

    Raises:
        ValueError: The text is not JSON, or holds a value that cannot be printed, written or computed with.

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
        raise ValueError(f"it holds a number with {len(written)} digits")
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
    """Cut a name to a number of bytes, because file systems limit bytes (255 per name), not letters.

    Examples:
        >>> cut("bird", 3), cut("größe", 3)
        ('bir', 'gr')
    """
    return name.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "ignore")


def portable(name: str) -> str:
    """Return a name that every file system takes: Windows refuses some letters, devices, and a dot or space at the end.

    Examples:
        >>> portable("a:b?.png"), portable("con"), portable("nul.txt"), portable("bird. "), portable("bird")
        ('a_b_.png', 'con_', 'nul_.txt', 'bird', 'bird')
    """
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).rstrip(". ")
    stem, dot, rest = name.partition(".")
    return f"{stem}_{dot}{rest}" if stem.rstrip().upper() in DEVICES else name


def new_file(folder: Path, stem: str, suffix: str) -> Path:
    """Return an unused path in a folder; add a number if the name is taken."""
    stem = portable(cut(stem, 200))
    names = (f"{stem}{number}{suffix}" for number in chain([""], (f"-{place}" for place in count(2))))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def printable(name: str) -> str:
    r"""Return a file name that can be printed and written as UTF-8; different names stay different.

    Examples:
        >>> printable("my cat, 1=é.png"), printable("a\n\udcff.png")
        ('my cat, 1=é.png', 'a\\n\\udcff.png')
    """
    return "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in name)
