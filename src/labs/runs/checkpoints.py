"""Checkpoints that are whole or not there, that run no code when they are read, and that know where they lie."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from labs import LabsError
from labs.runs.directory import shown_path
from labs.storage.checkpoint_files import read_checkpoint
from labs.storage.files import replacing


class WholeCheckpoints(TorchCheckpointIO):
    """Save a checkpoint beside its place and move it there: Lightning stages it on the disk of temporary files.

    What is read holds tensors and plain values, and is a checkpoint of Lightning. It says where its neighbors lie, such
    as the best one: what is read is where they lie now, for the directory of a run can be moved or copied.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as staged, staged.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # of torch's archive, when the disk is full
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        """Read the checkpoint of a run, with its neighbors where they lie now.

        Raises:
            LabsError: nobody can read it, or it is no checkpoint of a run.
        """
        run_dir = shown_path(Path(path).absolute().parents[1])
        instead = f"Type retry={run_dir} rerun=true to start that run anew."
        try:
            checkpoint = read_checkpoint(Path(path), map_location)
        except LabsError as error:
            raise LabsError(f"{error} {instead}") from error
        missing = {"state_dict", "loops", "epoch", "global_step", "pytorch-lightning_version"} - set(checkpoint)
        if missing:
            raise LabsError(f"{path} is no checkpoint of a run: it lacks {', '.join(sorted(missing))}. {instead}")
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
