"""Processes and run directories: who has one, and who is the first of a run."""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # variables, in the order that Lightning asks
JOBS = ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "LSB_JOBID")  # by which Lightning knows that others start its processes


def is_occupied(run_dir: Path) -> bool:
    """Say whether another process is training in a directory."""
    lock = lock_of(run_dir)
    if not Path(lock.lock_file).is_file():
        return False
    try:
        with lock:
            return False
    except Timeout:
        return True


def is_first_process() -> bool:
    """Say whether this is the process that the user started, whatever starts the others."""
    from lightning_utilities.core.rank_zero import rank_zero_only

    of_environment = next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)
    return int(getattr(rank_zero_only, "rank", of_environment)) == 0


def devices_of(devices: Any) -> int | None:
    """Return how many devices `trainer.devices` names; None for all that are there.

    Examples:
        >>> devices_of(2), devices_of("0,1"), devices_of([3]), devices_of("auto"), devices_of(-1)
        (2, 2, 1, None, None)
    """
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    if "," in str(devices):
        return sum(bool(word.strip()) for word in str(devices).split(","))
    return int(devices) if re.fullmatch("[0-9]+", str(devices)) else None


def forget_stray_ranks(devices: Any, num_nodes: int, accelerator: str = "auto") -> None:
    """Be the first process of a run that has only one, whatever rank some other job left in the environment.

    Lightning believes the variables, and so the process that is all alone would write nothing.

    Args:
        devices: as in `trainer.devices`: a number, a list, `auto` or -1 for all.
        num_nodes: machines.
        accelerator: as in `trainer.accelerator`.
    """
    from lightning_utilities.core.rank_zero import rank_zero_only

    count = devices_of(devices)
    if count is None:
        import torch

        count = 1 if accelerator == "cpu" else torch.cuda.device_count()
    if num_nodes == 1 and count in (0, 1):
        os.environ.update({name: "0" for name in RANKS if name in os.environ})
        for name in JOBS:  # a job of several tasks may run a command of one
            os.environ.pop(name, None)
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # Lightning's hint for several
        setattr(rank_zero_only, "rank", 0)  # noqa: B010 - Lightning may have been imported already; not in its type


def lock_of(run_dir: Path) -> FileLock:
    """Return the lock of a run directory, which is not waited for; a killed process frees it."""
    return FileLock(run_dir / ".hydra" / "run.lock", timeout=0)
