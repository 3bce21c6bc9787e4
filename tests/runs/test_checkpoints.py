"""Checkpoints are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from labs.runs.checkpoints import WholeCheckpoints


def test_a_full_disk_leaves_the_last_good_one_and_says_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's archive hides the reason behind 'unexpected pos 704 vs 598'."""
    target = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, target)

    def full(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as error:
        WholeCheckpoints().save_checkpoint({"epoch": 2}, target)
    assert error.value.filename == str(target)
    assert torch.load(target, weights_only=True) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
