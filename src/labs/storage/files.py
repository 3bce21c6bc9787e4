"""Files that appear whole or not at all: staged beside the target, flushed to the disk, moved into its place."""

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes had staged under a folder, in which nobody may be writing now."""
    return [path for path in folder.rglob(".*.part") if re.fullmatch(r"\..+\.\d+\.part", path.name)]


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move."""
    with replacing(path) as staged:
        staged.write_text(text, encoding="utf-8")


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

    Examples:
        >>> from_json('{"loss": "NaN", "before": NaN}')
        {'loss': nan, 'before': nan}
    """
    return _in_numbers(json.loads(text))


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
