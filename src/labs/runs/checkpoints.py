"""Checkpoints that are whole or not there."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from labs.storage.files import replacing


class WholeCheckpoints(TorchCheckpointIO):
    """Save a checkpoint beside its place and move it there: Lightning stages it on the disk of temporary files."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as staged, staged.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # of torch's archive, when the disk is full
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
