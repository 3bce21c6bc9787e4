"""Checkpoints that are whole or not there, that run no code when they are read, and that know where they lie."""

import re
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from labs import LabsError
from labs.runs.directory import read_facts, shown_path
from labs.storage.checkpoint_files import read_checkpoint
from labs.storage.files import replacing

# What a ModelCheckpoint remembers of the files that it has written.
NEIGHBORS = ("best_model_path", "kth_best_model_path", "last_model_path", "best_k_models")


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
        here = Path(path).parent.resolve()
        for state in checkpoint.get("callbacks", {}).values():
            if isinstance(state, dict) and state.get("dirpath"):
                state.update({name: _lying_in(here, state[name]) for name in NEIGHBORS if name in state})
                state["dirpath"] = str(here)
        return checkpoint


def last_checkpoint(run_dir: Path, *, asked: bool) -> Path | None:
    """Return the checkpoint that a run goes on from; None if it has none yet and starts.

    Args:
        run_dir: of the run.
        asked: going on was asked for, so that training again what is trained is no answer.

    Raises:
        LabsError: the run has trained, but its last checkpoint is gone.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if last.is_file():
        return last
    if asked and read_facts(run_dir).get("epochs", 0):
        raise LabsError(
            f"{last} is missing, so nothing is left to go on from. "
            f"Type retry={shown_path(run_dir)} rerun=true to start that run anew."
        )
    return None


def _lying_in(folder: Path, value: Any) -> Any:
    r"""Return paths as they lie in a folder, whatever folder and system they were written in: alone, or as keys.

    Nothing outside is ever named: Lightning tests the best one, and deletes one that a better one follows.

    Examples:
        >>> _lying_in(Path("/b"), {"/a/run/checkpoints/best.ckpt": 0.5, "C:\\run\\checkpoints\\../x.ckpt": 0.4})
        {'/b/best.ckpt': 0.5, '/b/x.ckpt': 0.4}
    """
    if isinstance(value, dict):
        return {_lying_in(folder, key): one for key, one in value.items()}
    return str(folder / re.split(r"[/\\]", value)[-1]) if isinstance(value, str) and value else value
