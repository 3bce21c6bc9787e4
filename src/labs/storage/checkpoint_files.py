"""Safe reading of checkpoints: tensors and plain values only, and a one-line error for any other file."""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from labs import LabsError


class _ExplodingError(Exception):
    """Say why a file would take more memory than its size."""


def read_checkpoint(file: Path, device: torch.device | str | None = "cpu") -> dict[str, Any]:
    """Read a file written by `torch.save`, without running any code in it.

    Args:
        file: A regular file.
        device: Device to load the tensors to.

    Raises:
        LabsError: If the file cannot be read or does not hold a dictionary. The message names the file and the reason
            in one sentence.
    """
    if file.exists() and not file.is_file():  # opening a pipe would wait forever
        raise LabsError(f"{file} cannot be read as a checkpoint: it is not a file.")
    try:
        _check_stored(file)
        with file.open("rb") as opened:  # torch would read the name as UTF-8, whatever the locale
            content: Any = torch.load(opened, map_location=device, weights_only=True)
    except Exception as error:  # a truncated or malicious file can raise anything
        raise LabsError(f"{file} cannot be read as a checkpoint: {_reason(file, error)}.") from error
    if not isinstance(content, dict) or not content:
        found = "nothing" if content == {} else f"a {type(content).__name__}"
        raise LabsError(f"{file} is not a checkpoint: expected a dictionary of tensors, found {found}.")
    return content


def _check_stored(file: Path) -> None:
    """Refuse an archive that holds more than its own bytes: kilobytes of it could fill the memory."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise _ExplodingError("it is compressed, which torch.save never does")
    if sum(member.file_size for member in members) > file.stat().st_size:
        raise _ExplodingError("its parts claim more bytes than it has")


def _reason(file: Path, error: Exception) -> str:
    if isinstance(error, _ExplodingError):
        return str(error)
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return str(error.strerror)
    if file.stat().st_size == 0:
        return "it is empty"
    if foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it refers to {foreign[1]}, which could run code; only tensors and plain values are loaded"
    return "it is truncated or was not written by torch.save"
