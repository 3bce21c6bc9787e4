"""Files that stand where a checkpoint should, by what is wrong with them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import torch


class Code:
    """Make a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.file),)


def bad_checkpoints(whole: bytes, made: Path) -> dict[str, bytes]:
    """Return the contents of bad files; that of code makes the folder `made` if it is run."""
    return {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello\n" * 50,
        "noise": bytes(range(256)) * 8,
        "code": _saved({"state_dict": Code(made)}),
        "numpy": _saved({"x": np.float64(3)}),
        "list": _saved([torch.zeros(1)]),
        "nothing": _saved({}),
    }


def _saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()
