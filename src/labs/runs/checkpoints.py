"""Checkpoints that are whole or not there, and that know where they lie."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from labs.storage.files import replacing


class WholeCheckpoints(TorchCheckpointIO):
    """Save a checkpoint beside its place and move it there: Lightning stages it on the disk of temporary files.

    A checkpoint says where its neighbors lie, such as the best one. What is read is where they lie now: the directory
    of a run can be moved or copied.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as staged, staged.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # of torch's archive, when the disk is full
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint, with its neighbors where they lie now."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *arguments, **options)
        here = os.path.realpath(Path(path).parent)
        for state in checkpoint.get("callbacks", {}).values():
            if isinstance(state, dict) and state.get("dirpath"):
                before = str(state["dirpath"])
                state.update({name: _moved(value, before, here) for name, value in state.items()})
        return checkpoint


def _moved(value: Any, before: str, here: str) -> Any:
    """Return paths that lay in one folder as they lie in another: alone, or as the keys of a mapping.

    Examples:
        >>> _moved({"/a/run/checkpoints/best.ckpt": 0.5}, "/a/run/checkpoints", "/b/checkpoints")
        {'/b/checkpoints/best.ckpt': 0.5}
    """
    if isinstance(value, dict):
        return {_moved(key, before, here): one for key, one in value.items()}
    if isinstance(value, str) and (value == before or str(Path(value).parent) == before):
        return here + value[len(before) :]
    return value
