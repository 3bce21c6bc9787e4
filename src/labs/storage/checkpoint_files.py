"""Checkpoints, read with distrust: tensors and plain values only, and one line for a file that is none."""

import re
from pathlib import Path
from typing import Any

import torch

from labs import LabsError


def read_checkpoint(file: Path, device: torch.device | str | None = "cpu") -> dict[str, Any]:
    """Read a file of `torch.save`; no code that it may hold is run.

    Args:
        file: A regular file.
        device: Where its tensors go.

    Raises:
        LabsError: It cannot be read, or holds no mapping; the message names the file and says why, in one sentence.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise LabsError(f"{file} cannot be read as a checkpoint: it is no file.")
    try:
        with file.open("rb") as opened:  # by Python: torch takes every name for UTF-8, whatever the locale
            content: Any = torch.load(opened, map_location=device, weights_only=True)
    except Exception as error:  # whatever stands in a file that is cut, or that somebody made to do harm
        raise LabsError(f"{file} cannot be read as a checkpoint: {_reason(file, error)}.") from error
    if not isinstance(content, dict) or not content:
        found = "nothing" if content == {} else f"a {type(content).__name__}"
        raise LabsError(f"{file} is no checkpoint: it holds {found}; expected tensors by name.")
    return content


def _reason(file: Path, error: Exception) -> str:
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return str(error.strerror)
    if file.stat().st_size == 0:
        return "it is empty"
    if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it names {foreign[1]}, which could run code, and only tensors and plain values are read"
    return "it is cut short, or was not written by torch.save"
